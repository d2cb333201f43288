// Four floats at a time, for the encoders: one lane per block (or sub-block), so that no sum ever
// crosses lanes and every machine adds in the same order.
//
// These are the vector types of g++ and clang, not intrinsics: the compiler lowers them to SSE2,
// NEON or plain scalar code with identical results (only +, -, *, / and comparisons are used, all
// exactly rounded, and -ffp-contract=off keeps them apart).
#pragma once

#include <bit>
#include <cstdint>

namespace nibble::lanes {

inline constexpr int kCount = 4;
using F4 = float __attribute__((vector_size(16)));
using I4 = int32_t __attribute__((vector_size(16)));  // a mask: all bits set or none

inline F4 splat(float v) { return F4{v, v, v, v}; }
inline F4 select(I4 mask, F4 yes, F4 no) {
  return std::bit_cast<F4>((mask & std::bit_cast<I4>(yes)) | (~mask & std::bit_cast<I4>(no)));
}
// An unordered comparison takes b: a NaN in a does not survive.
inline F4 min(F4 a, F4 b) { return a < b ? a : b; }
inline F4 max(F4 a, F4 b) { return a > b ? a : b; }
inline F4 abs(F4 a) {
  return std::bit_cast<F4>(std::bit_cast<I4>(a) &
                           I4{0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff});
}
// To the nearest integer, ties to even, for |a| < 2^22: adding 1.5 * 2^23 leaves no fraction bits.
inline F4 round(F4 a) {
  constexpr float kMagic = 12582912.0f;
  return (a + kMagic) - kMagic;
}
// 1 / a where a != 0, else 0.
inline F4 inverse(F4 a) { return select(a != 0.0f, 1.0f / a, splat(0.0f)); }

// Transposes kCount consecutive blocks of `len` floats: out[j] holds element j of every block.
inline void transpose(const float* blocks, int len, F4* out) {
  for (int j = 0; j < len; ++j) {
    out[j] = F4{blocks[j], blocks[len + j], blocks[2 * len + j], blocks[3 * len + j]};
  }
}

}  // namespace nibble::lanes
