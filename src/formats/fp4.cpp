// MXFP4, NVFP4: 4-bit floating-point codes under 8-bit floating-point scales.
#include <bit>

#include "formats/codecs.h"

namespace nibble::codecs {

namespace {

// 2^(e - 128); the two smallest are subnormal float32.
float half_e8m0(uint8_t e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1u) << 23);
}

// Half the UE4M3 number, exact: at most 480 / 2.
float half_ue4m3(uint8_t d) {
  const uint32_t exponent = (d >> 3) & 15u;
  const uint32_t mantissa = d & 7u;
  if (d == 0x7f) return 0.0f;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
  return static_cast<float>((8 + mantissa) << exponent) * 0x1p-11f;
}

}  // namespace

void decode_block(const BlockMXFP4& block, float* x) {
  const float d = half_e8m0(block.e);
  for (int j = 0; j < 16; ++j) {
    x[j] = d * static_cast<float>(kFp4Values[block.qs[j] & 15]);
    x[j + 16] = d * static_cast<float>(kFp4Values[block.qs[j] >> 4]);
  }
}

void decode_block(const BlockNVFP4& block, float* x) {
  for (int j = 0; j < 4; ++j) {
    const float d = half_ue4m3(block.d[j]);
    const uint8_t* qs = block.qs + 8 * j;
    for (int l = 0; l < 8; ++l) {
      x[16 * j + l] = d * static_cast<float>(kFp4Values[qs[l] & 15]);
      x[16 * j + 8 + l] = d * static_cast<float>(kFp4Values[qs[l] >> 4]);
    }
  }
}

}  // namespace nibble::codecs
