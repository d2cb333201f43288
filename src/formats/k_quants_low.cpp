// Q2_K, Q3_K: packing and unpacking.
#include "base/half.h"
#include "formats/codecs.h"

namespace nibble::codecs {

void decode_block(const BlockQ2_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>(block.scales[j] & 15);
    const float offset = dmin * static_cast<float>(block.scales[j] >> 4);
    const uint8_t* qs = block.qs + 32 * (j / 8) + 16 * (j & 1);
    const int shift = j % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) {
      x[16 * j + l] = scale * static_cast<float>((qs[l] >> shift) & 3) - offset;
    }
  }
}

void decode_block(const BlockQ3_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>(scale_q3(block.scales, j) - 32);
    const uint8_t* qs = block.qs + 32 * (j / 8) + 16 * (j & 1);
    const uint8_t* hmask = block.hmask + 16 * (j & 1);
    const int shift = j % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) {
      const int q = ((qs[l] >> shift) & 3) | (((hmask[l] >> (j / 2)) & 1) << 2);
      x[16 * j + l] = scale * static_cast<float>(q - 4);
    }
  }
}

}  // namespace nibble::codecs
