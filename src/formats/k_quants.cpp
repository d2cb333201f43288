// Q4_K, Q5_K, Q6_K: decoding.
#include "base/half.h"
#include "formats/codecs.h"

namespace nibble::codecs {

void decode_block(const BlockQ4_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int j = 0; j < 8; ++j) {
    uint8_t sc, m;
    scale_min_k4(block.scales, j, sc, m);
    const float scale = d * static_cast<float>(sc);
    const float offset = dmin * static_cast<float>(m);
    const uint8_t* qs = block.qs + 32 * (j / 2);
    const int shift = 4 * (j & 1);
    for (int l = 0; l < 32; ++l) {
      x[32 * j + l] = scale * static_cast<float>((qs[l] >> shift) & 15) - offset;
    }
  }
}

void decode_block(const BlockQ5_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int j = 0; j < 8; ++j) {
    uint8_t sc, m;
    scale_min_k4(block.scales, j, sc, m);
    const float scale = d * static_cast<float>(sc);
    const float offset = dmin * static_cast<float>(m);
    const uint8_t* qs = block.qs + 32 * (j / 2);
    const int shift = 4 * (j & 1);
    for (int l = 0; l < 32; ++l) {
      const int q = ((qs[l] >> shift) & 15) | (((block.qh[l] >> j) & 1) << 4);
      x[32 * j + l] = scale * static_cast<float>(q) - offset;
    }
  }
}

void decode_block(const BlockQ6_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>(block.scales[j]);
    const int half = j / 8;           // 128 weights
    const int quarter = (j % 8) / 2;  // 32 weights: W[0], W[32], W[64], W[96] of blocks.h
    const uint8_t* ql = block.ql + 64 * half + 32 * (quarter & 1) + 16 * (j & 1);
    const uint8_t* qh = block.qh + 32 * half + 16 * (j & 1);
    const int low_shift = 4 * (quarter >> 1);
    const int high_shift = 2 * quarter;
    for (int l = 0; l < 16; ++l) {
      const int q = ((ql[l] >> low_shift) & 15) | (((qh[l] >> high_shift) & 3) << 4);
      x[16 * j + l] = scale * static_cast<float>(q - 32);
    }
  }
}

}  // namespace nibble::codecs
