// TQ1_0, TQ2_0: super-blocks of the three values -d, 0, d.
#include "base/half.h"
#include "formats/codecs.h"

namespace nibble::codecs {

namespace {

// Digits of n_bytes bytes, leading digits first: x[n_bytes * digit + byte].
void decode_digits(const uint8_t* bytes, int n_bytes, int n_digits, float d, float* x) {
  for (int l = 0; l < n_bytes; ++l) {
    uint8_t rest = bytes[l];
    for (int n = 0; n < n_digits; ++n) {
      const int digit = (rest * 3) >> 8;
      x[n_bytes * n + l] = static_cast<float>(digit - 1) * d;
      rest = static_cast<uint8_t>(rest * 3);
    }
  }
}

}  // namespace

void decode_block(const BlockTQ1_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  decode_digits(block.qs, 32, 5, d, x);
  decode_digits(block.qs + 32, 16, 5, d, x + 160);
  decode_digits(block.qh, 4, 4, d, x + 240);
}

void decode_block(const BlockTQ2_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 8; ++j) {
    const uint8_t* qs = block.qs + 32 * (j / 4);
    const int shift = j % 4 * 2;
    for (int l = 0; l < 32; ++l) {
      x[32 * j + l] = static_cast<float>(((qs[l] >> shift) & 3) - 1) * d;
    }
  }
}

}  // namespace nibble::codecs
