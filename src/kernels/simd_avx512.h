// What AVX-512 (VL, BW, DQ, VNNI) adds to simd_avx2.h: products of four bytes, and vectors of 16
// lanes for what meets many columns. Decode stays at eight, as eight rows are eight lanes.
#include "kernels/simd_avx2.h"

typedef int32_t WideI32 __attribute__((vector_size(64)));
typedef int16_t WideI16 __attribute__((vector_size(64)));
typedef int8_t WideI8 __attribute__((vector_size(64)));
using WideF32 = __m512;

inline constexpr bool kFourWantsUnsigned = true;  // of dot_four: the first factor has no sign
// lane i = sum[i] + a[4i] * b[4i] + ... + a[4i+3] * b[4i+3], exact.
inline VecI32 dot_four(VecI32 sum, VecI8 a, VecI8 b) {
  return (VecI32)_mm256_dpbusd_epi32(bits(sum), bits(a), bits(b));
}
inline WideI32 dot_four(WideI32 sum, WideI8 a, WideI8 b) {
  return (WideI32)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}
// The same where both have signs: |a| * (b with a's sign).
inline VecI32 dot_four_signed(VecI32 sum, VecI8 a, VecI8 b) {
  return dot_four(sum, (VecI8)_mm256_abs_epi8(bits(a)), (VecI8)_mm256_sign_epi8(bits(b), bits(a)));
}
inline WideI32 dot_four_signed(WideI32 sum, WideI8 a, WideI8 b) {
  const auto codes = (__m512i)a, factors = (__m512i)b;
  const __m512i turned =
      _mm512_mask_sub_epi8(factors, _mm512_movepi8_mask(codes), _mm512_setzero_si512(), factors);
  return dot_four(sum, (WideI8)_mm512_abs_epi8(codes), (WideI8)turned);
}
inline VecI32 mul(VecI32 a, VecI32 b) { return (VecI32)_mm256_mullo_epi32(bits(a), bits(b)); }
inline WideI32 mul(WideI32 a, WideI32 b) {
  return (WideI32)_mm512_mullo_epi32((__m512i)a, (__m512i)b);
}
// Lane i = lane 2 i + 1 of a.
inline VecI32 high_halves(VecI16 a) { return (VecI32)_mm256_srai_epi32(bits(a), 16); }
inline WideI32 high_halves(WideI16 a) { return (WideI32)_mm512_srai_epi32((__m512i)a, 16); }

inline WideI32 add(WideI32 a, WideI32 b) { return a + b; }
inline WideI32 sub(WideI32 a, WideI32 b) { return a - b; }
template <int kFactor>
inline WideI32 times(WideI32 a) {
  return a * kFactor;
}
template <int kShift>
inline WideI32 divide_by_power(WideI32 a) {
  return (WideI32)_mm512_srai_epi32((__m512i)a, kShift);
}
inline WideI32 dot_pairs(WideI16 a, WideI16 b) {
  return (WideI32)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}
inline WideI32 add_dot_pairs(WideI32 sum, WideI16 a, WideI16 b) {
  return add(sum, dot_pairs(a, b));
}
inline WideF32 to_float(WideI32 a) { return _mm512_cvtepi32_ps((__m512i)a); }
inline WideF32 mul(WideF32 a, WideF32 b) { return _mm512_mul_ps(a, b); }
inline WideF32 add(WideF32 a, WideF32 b) { return _mm512_add_ps(a, b); }
inline WideF32 fma(WideF32 a, WideF32 b, WideF32 c) { return _mm512_fmadd_ps(a, b, c); }
inline WideF32 fnma(WideF32 a, WideF32 b, WideF32 c) { return _mm512_fnmadd_ps(a, b, c); }

// As Lanes8 (lanes-inl.h).
struct Lanes16 {
  static constexpr int kGroups = 2;
  using I8 = WideI8;
  using I16 = WideI16;
  using I32 = WideI32;
  using F32 = WideF32;
  static I8 load_i8(const void* p) { return (I8)_mm512_loadu_si512(p); }
  static I8 repeat4_i8(const void* p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return (I8)_mm512_set1_epi32(word);
  }
  static I16 load_i16(const void* p) { return (I16)_mm512_loadu_si512(p); }
  static I16 repeat2_i16(const void* p) { return (I16)repeat4_i8(p); }
  static I32 set_i32(int32_t x) { return (I32)_mm512_set1_epi32(x); }
  static F32 load_f32(const float* p) { return _mm512_loadu_ps(p); }
  static F32 repeat8_f32(const float* p) { return _mm512_broadcast_f32x8(_mm256_loadu_ps(p)); }
  static F32 groups_f16(const uint16_t* p, int64_t stride) {
    return _mm512_cvtph_ps(bits(i8_halves(p, p + stride)));
  }
  static F32 groups_i8(const int8_t* p, int64_t stride) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    const __m128i high = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + stride));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpacklo_epi64(low, high)));
  }
  static F32 set_f32(float x) { return _mm512_set1_ps(x); }
  static void store_f32(float* p, F32 a) { _mm512_storeu_ps(p, a); }
  static VecF32 group(F32 a, int g) {
    return g == 0 ? _mm512_castps512_ps256(a) : _mm512_extractf32x8_ps(a, 1);
  }
};
