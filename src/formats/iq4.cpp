// Codes into a fixed table of 16 values. IQ4_NL: 32 weights, one f16 scale. IQ4_XS: super-blocks
// with a 6-bit scale per 32.
#include "base/half.h"
#include "formats/codecs.h"

namespace nibble::codecs {

void decode_block(const BlockIQ4_NL& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    x[j] = d * static_cast<float>(kIQ4Values[block.qs[j] & 15]);
    x[j + 16] = d * static_cast<float>(kIQ4Values[block.qs[j] >> 4]);
  }
}

void decode_block(const BlockIQ4_XS& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 8; ++j) {
    const float scale = d * static_cast<float>(scale_iq4(block, j) - 32);
    const uint8_t* qs = block.qs + 16 * j;
    for (int l = 0; l < 16; ++l) {
      x[32 * j + l] = scale * static_cast<float>(kIQ4Values[qs[l] & 15]);
      x[32 * j + 16 + l] = scale * static_cast<float>(kIQ4Values[qs[l] >> 4]);
    }
  }
}

}  // namespace nibble::codecs
