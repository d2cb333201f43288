// What AVX-512 (VL, BW, DQ, VNNI) adds to simd_avx2.h. Vectors stay at 256 bits, as eight rows are
// eight lanes; there are twice as many registers.
#include "kernels/simd_avx2.h"

inline constexpr bool kFourWantsUnsigned = true;  // of dot_four: the first factor has no sign
// lane i = sum[i] + a[4i] * b[4i] + ... + a[4i+3] * b[4i+3], exact.
inline VecI32 dot_four(VecI32 sum, VecI8 a, VecI8 b) {
  return (VecI32)_mm256_dpbusd_epi32(bits(sum), bits(a), bits(b));
}
inline VecI8 flip_signs(VecI8 a) {
  return (VecI8)_mm256_xor_si256(bits(a), _mm256_set1_epi8(-128));
}
inline VecI32 mul(VecI32 a, VecI32 b) { return (VecI32)_mm256_mullo_epi32(bits(a), bits(b)); }
// Lane i = lane 2 i + 1 of a.
inline VecI32 high_halves(VecI16 a) { return (VecI32)_mm256_srai_epi32(bits(a), 16); }
