// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 weights, one f16 scale, in the _1 formats also an f16 minimum.
#include "base/half.h"
#include "formats/codecs.h"

namespace nibble::codecs {

namespace {

int nibble_of(const uint8_t qs[16], int j) { return j < 16 ? qs[j] & 15 : qs[j - 16] >> 4; }
int fifth_bit_of(const uint8_t qh[4], int j) { return ((qh[j >> 3] >> (j & 7)) & 1) << 4; }

}  // namespace

void decode_block(const BlockQ4_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(nibble_of(block.qs, j) - 8);
}

void decode_block(const BlockQ4_1& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(nibble_of(block.qs, j)) + m;
}

void decode_block(const BlockQ5_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) {
    x[j] = d * static_cast<float>((nibble_of(block.qs, j) | fifth_bit_of(block.qh, j)) - 16);
  }
}

void decode_block(const BlockQ5_1& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 32; ++j) {
    x[j] = d * static_cast<float>(nibble_of(block.qs, j) | fifth_bit_of(block.qh, j)) + m;
  }
}

void decode_block(const BlockQ8_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(block.qs[j]);
}

}  // namespace nibble::codecs
