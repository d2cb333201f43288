// F32, F16, BF16: one number per weight.
#include <cstring>

#include "base/half.h"
#include "formats/codecs.h"

namespace nibble::codecs {

namespace {

// Element i of an array at any address.
uint16_t load_u16(const void* data, int64_t i) {
  uint16_t bits;
  std::memcpy(&bits, static_cast<const char*>(data) + i * 2, sizeof bits);
  return bits;
}

void store_u16(void* data, int64_t i, uint16_t bits) {
  std::memcpy(static_cast<char*>(data) + i * 2, &bits, sizeof bits);
}

uint16_t finite_f16(float v) {
  constexpr float kMax = 65504.0f;
  return f32_to_f16(v > kMax ? kMax : v < -kMax ? -kMax : v);
}

uint16_t finite_bf16(float v) {
  constexpr float kMax = 0x1.fep127f;  // bits 7f7f
  return f32_to_bf16(v > kMax ? kMax : v < -kMax ? -kMax : v);
}

}  // namespace

void decode_f32(const void* blocks, float* x, int64_t n) {
  if (n > 0) std::memcpy(x, blocks, static_cast<size_t>(n) * sizeof(float));
}

void encode_f32(const float* x, const float*, void* blocks, int64_t n) {
  if (n > 0) std::memcpy(blocks, x, static_cast<size_t>(n) * sizeof(float));
}

void decode_f16(const void* blocks, float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = f16_to_f32(load_u16(blocks, i));
}

void encode_f16(const float* x, const float*, void* blocks, int64_t n) {
  for (int64_t i = 0; i < n; ++i) store_u16(blocks, i, finite_f16(x[i]));
}

void decode_bf16(const void* blocks, float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = bf16_to_f32(load_u16(blocks, i));
}

void encode_bf16(const float* x, const float*, void* blocks, int64_t n) {
  for (int64_t i = 0; i < n; ++i) store_u16(blocks, i, finite_bf16(x[i]));
}

}  // namespace nibble::codecs
