// The vector vocabulary of simd_portable.h in AVX2 + FMA + F16C. Included inside the namespace of
// the ISA.

using VecF32 = __m256;
// Compiler vectors, not structs around __m256i: g++ 12 stores such structs to the stack for
// nothing.
typedef int32_t VecI32 __attribute__((vector_size(32)));
typedef int16_t VecI16 __attribute__((vector_size(32)));
typedef int8_t VecI8 __attribute__((vector_size(32)));

template <typename Vec>
inline __m256i bits(Vec a) {
  return (__m256i)a;
}

inline __m256i load_bits(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// ---- scalars ------------------------------------------------------------------------------------

inline float scalar_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

// ---- 8 floats -----------------------------------------------------------------------------------

inline VecF32 f32_set1(float x) { return _mm256_set1_ps(x); }
inline VecF32 f32_zero() { return _mm256_setzero_ps(); }
inline VecF32 f32_load(const float* p) { return _mm256_loadu_ps(p); }
inline void f32_store(float* p, VecF32 a) { _mm256_storeu_ps(p, a); }
inline VecF32 f32_load_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
// Built in general registers: g++ would otherwise store two bytes and load four, which stalls.
inline VecF32 f32_from_f16(uint16_t a, uint16_t b, uint16_t c, uint16_t d, uint16_t e, uint16_t f,
                           uint16_t g, uint16_t h) {
  const uint64_t low = a | (static_cast<uint64_t>(b) << 16) | (static_cast<uint64_t>(c) << 32) |
                       (static_cast<uint64_t>(d) << 48);
  const uint64_t high = e | (static_cast<uint64_t>(f) << 16) | (static_cast<uint64_t>(g) << 32) |
                        (static_cast<uint64_t>(h) << 48);
  return _mm256_cvtph_ps(_mm_unpacklo_epi64(_mm_cvtsi64_si128(static_cast<long long>(low)),
                                            _mm_cvtsi64_si128(static_cast<long long>(high))));
}
inline VecF32 f32_load_bf16(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
inline void f32_store_f16(uint16_t* p, VecF32 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
inline VecF32 add(VecF32 a, VecF32 b) { return _mm256_add_ps(a, b); }
inline VecF32 sub(VecF32 a, VecF32 b) { return _mm256_sub_ps(a, b); }
inline VecF32 mul(VecF32 a, VecF32 b) { return _mm256_mul_ps(a, b); }
inline VecF32 div(VecF32 a, VecF32 b) { return _mm256_div_ps(a, b); }
inline VecF32 fma(VecF32 a, VecF32 b, VecF32 c) { return _mm256_fmadd_ps(a, b, c); }
inline VecF32 fnma(VecF32 a, VecF32 b, VecF32 c) { return _mm256_fnmadd_ps(a, b, c); }
inline VecF32 max(VecF32 a, VecF32 b) { return _mm256_max_ps(a, b); }
inline VecF32 min(VecF32 a, VecF32 b) { return _mm256_min_ps(a, b); }
inline VecF32 abs(VecF32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline float sum_lanes(VecF32 a) {
  const __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 t = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(t, _mm_movehdup_ps(t)));
}
inline float max_lanes(VecF32 a) {
  const __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 t = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t)));
}
inline VecF32 exp2_of_integer(VecF32 e) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(e), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
inline VecF32 round_even(VecF32 a) {
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// ---- integers -----------------------------------------------------------------------------------

inline VecI32 i32_zero() { return (VecI32)(_mm256_setzero_si256()); }
inline VecI32 i32_set1(int32_t x) { return (VecI32)(_mm256_set1_epi32(x)); }
inline VecI32 i32_load(const void* p) { return (VecI32)(load_bits(p)); }
inline void i32_store(void* p, VecI32 a) { _mm256_storeu_si256(static_cast<__m256i*>(p), bits(a)); }
inline VecI32 add(VecI32 a, VecI32 b) { return (VecI32)(_mm256_add_epi32(bits(a), bits(b))); }
inline VecI32 sub(VecI32 a, VecI32 b) { return (VecI32)(_mm256_sub_epi32(bits(a), bits(b))); }
inline VecI32 times32(VecI32 a) { return (VecI32)(_mm256_slli_epi32(bits(a), 5)); }
inline VecF32 to_float(VecI32 a) { return _mm256_cvtepi32_ps(bits(a)); }

inline VecI16 i16_zero() { return (VecI16)(_mm256_setzero_si256()); }
inline VecI16 i16_set1(int16_t x) { return (VecI16)(_mm256_set1_epi16(x)); }
inline VecI16 i16_load(const void* p) { return (VecI16)(load_bits(p)); }
inline void i16_store(void* p, VecI16 a) { _mm256_storeu_si256(static_cast<__m256i*>(p), bits(a)); }
inline VecI16 i16_widen8(uint64_t bytes) {
  return (VecI16)_mm256_cvtepu8_epi16(_mm_set1_epi64x(static_cast<long long>(bytes)));
}
inline VecI16 i16_widen8_twice(uint64_t bytes) {
  const __m128i x = _mm_cvtsi64_si128(static_cast<long long>(bytes));
  return (VecI16)_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, x));
}
inline VecI16 i16_widen_even_odd(const int8_t p[16]) {
  const __m128i order = _mm_set_epi8(15, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return (VecI16)_mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, order));
}
inline VecI16 i16_pick(VecI16 a, int k) {
  return (VecI16)_mm256_shuffle_epi8(bits(a),
                                     _mm256_set1_epi16(static_cast<int16_t>(0x0100 + 0x0202 * k)));
}
inline VecI16 i16_widen16(const int8_t p[16]) {
  return (VecI16)(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline VecI16 add(VecI16 a, VecI16 b) { return (VecI16)(_mm256_add_epi16(bits(a), bits(b))); }
inline VecI32 dot_pairs(VecI16 a, VecI16 b) {
  return (VecI32)(_mm256_madd_epi16(bits(a), bits(b)));
}

inline VecI8 i8_load(const void* p) { return (VecI8)(load_bits(p)); }
inline VecI8 i8_halves(const void* low, const void* high) {
  const __m128i a = _mm_loadu_si128(static_cast<const __m128i*>(low));
  const __m128i b = _mm_loadu_si128(static_cast<const __m128i*>(high));
  return (VecI8)_mm256_set_m128i(b, a);
}
inline VecI8 i8_broadcast4(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return (VecI8)(_mm256_set1_epi32(word));
}
inline VecI32 as_i32(VecI8 a) { return (VecI32)(bits(a)); }
inline VecI16 i16_broadcast2(const void* p) { return (VecI16)i8_broadcast4(p); }
inline VecI8 low_nibbles(VecI8 a) {
  return (VecI8)(_mm256_and_si256(bits(a), _mm256_set1_epi8(15)));
}
inline VecI8 high_nibbles(VecI8 a) {
  return (VecI8)(_mm256_and_si256(_mm256_srli_epi16(bits(a), 4), _mm256_set1_epi8(15)));
}
inline VecI8 expand_nibbles(const uint8_t* p) {
  const __m256i both =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i shifted = _mm256_srlv_epi64(both, _mm256_set_epi64x(4, 4, 0, 0));
  return (VecI8)(_mm256_and_si256(shifted, _mm256_set1_epi8(15)));
}
inline VecI8 expand_bits_to_16(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(word),
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0));
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return (VecI8)(_mm256_and_si256(set, _mm256_set1_epi8(16)));
}
template <int kShift, int kMask>
inline VecI8 bits_to_high(VecI8 a) {
  // 16-bit shifts: bits of a neighbour that slip in are masked away.
  const __m256i moved = kShift >= 4 ? _mm256_srli_epi16(bits(a), kShift >= 4 ? kShift - 4 : 0)
                                    : _mm256_slli_epi16(bits(a), kShift < 4 ? 4 - kShift : 0);
  return (VecI8)(_mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(kMask << 4))));
}
inline VecI8 either(VecI8 a, VecI8 b) { return (VecI8)(_mm256_or_si256(bits(a), bits(b))); }
inline VecI8 lookup16(const int8_t table[16], VecI8 codes) {
  const __m256i both =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return (VecI8)(_mm256_shuffle_epi8(both, bits(codes)));
}
inline VecI16 dot_u8(VecI8 u, VecI8 s) { return (VecI16)(_mm256_maddubs_epi16(bits(u), bits(s))); }
inline VecI16 dot_i8(VecI8 a, VecI8 s) {
  // |a| * (s with a's sign): |a| <= 128 and |s| <= 127, so a pair stays within int16.
  return (
      VecI16)(_mm256_maddubs_epi16(_mm256_abs_epi8(bits(a)), _mm256_sign_epi8(bits(s), bits(a))));
}

inline void transpose_add_halves(const VecI32 r[8], VecI32 sums[2]) {
  const __m256i a = _mm256_hadd_epi32(bits(r[0]), bits(r[1]));
  const __m256i b = _mm256_hadd_epi32(bits(r[2]), bits(r[3]));
  const __m256i c = _mm256_hadd_epi32(bits(r[4]), bits(r[5]));
  const __m256i d = _mm256_hadd_epi32(bits(r[6]), bits(r[7]));
  const __m256i low = _mm256_hadd_epi32(a, b), high = _mm256_hadd_epi32(c, d);
  sums[0] = (VecI32)_mm256_permute2x128_si256(low, high, 0x20);
  sums[1] = (VecI32)_mm256_permute2x128_si256(low, high, 0x31);
}
inline VecI32 transpose_add(const VecI32 r[8]) {
  VecI32 sums[2];
  transpose_add_halves(r, sums);
  return add(sums[0], sums[1]);
}
inline void transpose8(VecI32 r[8]) {
  __m256i t[8], u[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(bits(r[2 * i]), bits(r[2 * i + 1]));
    t[2 * i + 1] = _mm256_unpackhi_epi32(bits(r[2 * i]), bits(r[2 * i + 1]));
  }
  for (int i = 0; i < 2; ++i) {
    u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = (VecI32)_mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
    r[4 + i] = (VecI32)_mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
  }
}
inline int32_t store_codes(int8_t* p, VecF32 x) {
  const __m256i words = _mm256_cvtps_epi32(x);
  const __m128i shorts =
      _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(shorts, shorts));
  const __m128i pairs = _mm_madd_epi16(shorts, _mm_set1_epi16(1));
  const __m128i quads = _mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(quads, _mm_shuffle_epi32(quads, 0xb1)));
}
inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
