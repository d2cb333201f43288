// The vector vocabulary of simd_portable.h in AVX2 + FMA + F16C. Included inside the namespace of
// the ISA.

using VecF32 = __m256;
// Compiler vectors, not structs around __m256i: g++ 12 stores such structs to the stack for
// nothing.
typedef int32_t VecI32 __attribute__((vector_size(32)));
typedef int16_t VecI16 __attribute__((vector_size(32)));
typedef int8_t VecI8 __attribute__((vector_size(32)));
typedef int8_t Bytes16 __attribute__((vector_size(16)));

template <typename Vec>
inline __m256i bits(Vec a) {
  return (__m256i)a;
}

inline __m256i load_bits(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

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
inline void f32_pair_from_f16(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e,
                              uint32_t f, uint32_t g, uint32_t h, VecF32* first, VecF32* second) {
  const auto four = [](uint32_t i, uint32_t j, uint32_t k, uint32_t l) {
    __m128i x = _mm_cvtsi32_si128(static_cast<int32_t>(i));
    x = _mm_insert_epi32(x, static_cast<int32_t>(j), 1);
    x = _mm_insert_epi32(x, static_cast<int32_t>(k), 2);
    x = _mm_insert_epi32(x, static_cast<int32_t>(l), 3);
    return _mm_shuffle_epi8(x, _mm_set_epi8(15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0));
  };
  const __m128i low = four(a, b, c, d), high = four(e, f, g, h);
  *first = _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
  *second = _mm256_cvtph_ps(_mm_unpackhi_epi64(low, high));
}
struct E8M0 {
  uint8_t bits;
};
struct UE4M3 {
  uint8_t bits;
};
template <typename Scale>
inline __m256i widen_scales(Scale a, Scale b, Scale c, Scale d, Scale e, Scale f, Scale g,
                            Scale h) {
  const uint32_t low = a.bits | (static_cast<uint32_t>(b.bits) << 8) |
                       (static_cast<uint32_t>(c.bits) << 16) |
                       (static_cast<uint32_t>(d.bits) << 24);
  const uint32_t high = e.bits | (static_cast<uint32_t>(f.bits) << 8) |
                        (static_cast<uint32_t>(g.bits) << 16) |
                        (static_cast<uint32_t>(h.bits) << 24);
  const uint64_t both = low | (static_cast<uint64_t>(high) << 32);
  return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(both)));
}
inline VecF32 f32_of(E8M0 a, E8M0 b, E8M0 c, E8M0 d, E8M0 e, E8M0 f, E8M0 g, E8M0 h) {
  const __m256i x = widen_scales(a, b, c, d, e, f, g, h);
  const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(x, _mm256_set1_epi32(1)), 23);
  const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), x);
  const __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), x);
  return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, subnormal, is_small));
}
inline VecF32 f32_of(UE4M3 a, UE4M3 b, UE4M3 c, UE4M3 d, UE4M3 e, UE4M3 f, UE4M3 g, UE4M3 h) {
  const __m256i x = widen_scales(a, b, c, d, e, f, g, h);
  const __m256i is_zero = _mm256_cmpeq_epi32(x, _mm256_set1_epi32(0x7f));
  const __m256i magnitude =
      _mm256_andnot_si256(is_zero, _mm256_and_si256(x, _mm256_set1_epi32(0x7f)));
  return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(magnitude, 20)),
                       _mm256_set1_ps(0x1p119f));
}
inline VecF32 f32_load_bf16(const uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
inline VecF32 f32_from_i8(const int8_t* p) {
  const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
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
// Lane r = sum_lanes(r[r]), added in the same order.
inline VecF32 sum_lanes_of_eight(const VecF32 r[8]) {
  __m256 pairs[4];  // of rows i and i + 4: lanes 0 + 4, 1 + 5, 2 + 6, 3 + 7
  for (int i = 0; i < 4; ++i) {
    pairs[i] = _mm256_add_ps(_mm256_permute2f128_ps(r[i], r[i + 4], 0x20),
                             _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
  const auto halves = [](__m256 a, __m256 b) {
    return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
  };
  const __m256 low = halves(pairs[0], pairs[1]), high = halves(pairs[2], pairs[3]);
  return _mm256_add_ps(_mm256_shuffle_ps(low, high, 0x88), _mm256_shuffle_ps(low, high, 0xdd));
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
template <int kFactor>
inline VecI32 times(VecI32 a) {
  return a * kFactor;
}
template <int kShift>
inline VecI32 divide_by_power(VecI32 a) {
  return (VecI32)_mm256_srai_epi32(bits(a), kShift);
}
inline int32_t sum_lanes(VecI32 a) {
  const __m128i s =
      _mm_add_epi32(_mm256_castsi256_si128(bits(a)), _mm256_extracti128_si256(bits(a), 1));
  const __m128i t = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}
inline VecF32 to_float(VecI32 a) { return _mm256_cvtepi32_ps(bits(a)); }

inline VecI16 i16_zero() { return (VecI16)(_mm256_setzero_si256()); }
inline VecI16 i16_set1(int16_t x) { return (VecI16)(_mm256_set1_epi16(x)); }
inline VecI16 i16_load(const void* p) { return (VecI16)(load_bits(p)); }
inline void i16_store(void* p, VecI16 a) { _mm256_storeu_si256(static_cast<__m256i*>(p), bits(a)); }
inline VecI8 scales_6bit(const uint8_t packed[12]) {
  // Words of four bytes: scales 0-3, scales 4-7, minima 0-3, minima 4-7.
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed));
  const __m128i low =
      _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(x, 0x98), _mm_set_epi32(4, 0, 0, 0)),
                    _mm_set_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
  const __m128i high = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(x, 0x50), 2),
                                     _mm_set_epi32(0x30303030, 0, 0x30303030, 0));
  const __m128i all = _mm_or_si128(low, high);
  return (VecI8)_mm256_set_m128i(all, all);
}
inline VecI16 i16_widen8(uint64_t bytes) {
  return (VecI16)_mm256_cvtepu8_epi16(_mm_set1_epi64x(static_cast<long long>(bytes)));
}
inline VecI16 i16_pick(VecI16 a, int k) {
  return (VecI16)_mm256_shuffle_epi8(bits(a),
                                     _mm256_set1_epi16(static_cast<int16_t>(0x0100 + 0x0202 * k)));
}
inline VecI16 i16_widen16(const int8_t p[16]) {
  return (VecI16)(_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline Bytes16 b16_load(const void* p) {
  return (Bytes16)_mm_loadu_si128(static_cast<const __m128i*>(p));
}
inline Bytes16 b16_from(uint64_t low, uint64_t high) {
  return (Bytes16)_mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}
inline Bytes16 low_nibbles(Bytes16 a) {
  return (Bytes16)_mm_and_si128((__m128i)a, _mm_set1_epi8(15));
}
inline Bytes16 high_nibbles(Bytes16 a) {
  return (Bytes16)_mm_and_si128(_mm_srli_epi16((__m128i)a, 4), _mm_set1_epi8(15));
}
inline VecI16 i16_widen16(Bytes16 a) { return (VecI16)_mm256_cvtepi8_epi16((__m128i)a); }
inline VecI8 twice(Bytes16 a) { return (VecI8)_mm256_set_m128i((__m128i)a, (__m128i)a); }
inline VecI16 i16_byte_pair(VecI8 a, int k) {
  const auto low = static_cast<int16_t>(0x8000 + 2 * k);
  const __m256i order =
      _mm256_set_m128i(_mm_set1_epi16(static_cast<int16_t>(low + 1)), _mm_set1_epi16(low));
  return (VecI16)_mm256_shuffle_epi8(bits(a), order);
}
template <int kHigh>
inline VecI16 half_twice(VecI16 a) {
  return (VecI16)_mm256_permute2x128_si256(bits(a), bits(a), kHigh == 0 ? 0x00 : 0x11);
}
inline VecI16 i16_pair(VecI16 a, int k) {
  const auto low = static_cast<int16_t>(0x0100 + 0x0404 * k);
  const __m256i order =
      _mm256_set_m128i(_mm_set1_epi16(static_cast<int16_t>(low + 0x0202)), _mm_set1_epi16(low));
  return (VecI16)_mm256_shuffle_epi8(bits(a), order);
}
inline VecI16 i16_byte(VecI8 a, int k) {
  return (VecI16)_mm256_shuffle_epi8(bits(a), _mm256_set1_epi16(static_cast<int16_t>(0x8000 + k)));
}
inline VecI16 i16_high_bytes_twice(VecI8 a) {
  const char z = -128;
  const __m256i order = _mm256_set_epi8(z, 15, z, 15, z, 14, z, 14, z, 13, z, 13, z, 12, z, 12,  //
                                        z, 11, z, 11, z, 10, z, 10, z, 9, z, 9, z, 8, z, 8);
  return (VecI16)_mm256_shuffle_epi8(bits(a), order);
}
inline VecI16 i16_byte_pair_256(VecI8 a, int k) {
  const auto low = static_cast<int16_t>(0x0080 + 0x0200 * k);
  const __m256i order =
      _mm256_set_m128i(_mm_set1_epi16(static_cast<int16_t>(low + 0x0100)), _mm_set1_epi16(low));
  return (VecI16)_mm256_shuffle_epi8(bits(a), order);
}
inline VecI16 i16_bytes(VecI8 a) {
  const char z = -128;
  const __m256i order = _mm256_set_epi8(z, 15, z, 14, z, 13, z, 12, z, 11, z, 10, z, 9, z, 8,  //
                                        z, 7, z, 6, z, 5, z, 4, z, 3, z, 2, z, 1, z, 0);
  return (VecI16)_mm256_shuffle_epi8(bits(a), order);
}
inline VecI16 i16_bytes_256(VecI8 a) {
  const char z = -128;
  const __m256i order = _mm256_set_epi8(15, z, 14, z, 13, z, 12, z, 11, z, 10, z, 9, z, 8, z,  //
                                        7, z, 6, z, 5, z, 4, z, 3, z, 2, z, 1, z, 0, z);
  return (VecI16)_mm256_shuffle_epi8(bits(a), order);
}
inline VecI16 i16_join_4_2(uint32_t nibbles, uint32_t pairs) {
  const __m256i four = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(nibbles)),
                                         _mm256_set_epi32(28, 24, 20, 16, 12, 8, 4, 0));
  const __m256i two = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int32_t>(pairs)),
                                        _mm256_set_epi32(14, 12, 10, 8, 6, 4, 2, 0));
  const __m256i joined =
      _mm256_or_si256(_mm256_and_si256(four, _mm256_set1_epi32(15)),
                      _mm256_slli_epi32(_mm256_and_si256(two, _mm256_set1_epi32(3)), 4));
  const __m256i swapped = _mm256_permute2x128_si256(joined, joined, 0x01);
  const __m256i low = _mm256_blend_epi32(joined, swapped, 0xf0);
  const __m256i high = _mm256_blend_epi32(swapped, joined, 0xf0);
  return (VecI16)_mm256_packs_epi32(low, high);
}
inline VecI16 add(VecI16 a, VecI16 b) { return (VecI16)(_mm256_add_epi16(bits(a), bits(b))); }
inline VecI32 dot_pairs(VecI16 a, VecI16 b) {
  return (VecI32)(_mm256_madd_epi16(bits(a), bits(b)));
}
inline VecI32 add_dot_pairs(VecI32 sum, VecI16 a, VecI16 b) { return add(sum, dot_pairs(a, b)); }

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
inline VecI8 as_bytes(VecI32 a) { return (VecI8)(bits(a)); }
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
inline VecI8 expand_nibbles_by_8(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i twice = _mm256_permute4x64_epi64(_mm256_castsi128_si256(bytes), 0x50);
  const __m256i shifted = _mm256_srlv_epi64(twice, _mm256_set_epi64x(4, 0, 4, 0));
  return (VecI8)(_mm256_and_si256(shifted, _mm256_set1_epi8(15)));
}
template <int kValue>
inline VecI8 expand_bits(const uint8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(word),
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0));
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return (VecI8)(_mm256_and_si256(set, _mm256_set1_epi8(kValue)));
}
inline VecI8 i8_words(const void* low, const void* high) {
  return (VecI8)_mm256_blend_epi32(bits(i8_broadcast4(low)), bits(i8_broadcast4(high)), 0xf0);
}
template <int kHigh>
inline VecI8 bits_to_16(VecI8 words) {
  constexpr long long kLow = kHigh == 0 ? 0 : 0x0202020202020202;
  const __m256i order =
      _mm256_set_epi64x(kLow + 0x0101010101010101, kLow, kLow + 0x0101010101010101, kLow);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  const __m256i spread = _mm256_shuffle_epi8(bits(words), order);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return (VecI8)_mm256_and_si256(set, _mm256_set1_epi8(16));
}
inline VecI8 expand_bit_pairs(const uint8_t* p) {
  // A byte in 32 bits; copies moved left by 6, 12 and 18 put pair k at the bottom of byte k.
  const __m256i byte = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m256i twice = _mm256_or_si256(byte, _mm256_slli_epi32(byte, 6));
  const __m256i all = _mm256_or_si256(twice, _mm256_slli_epi32(twice, 12));
  return (VecI8)(_mm256_and_si256(all, _mm256_set1_epi8(3)));
}
// 16-bit shifts in the next two: bits of a neighbour that slip in are masked away.
template <int kShift, int kMask>
inline VecI8 bits_at(VecI8 a) {
  __m256i moved = bits(a);
  if constexpr (kShift > 0) moved = _mm256_srli_epi16(moved, kShift);
  return (VecI8)_mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(kMask)));
}
template <int kShift, int kMask>
inline VecI8 bits_left(VecI8 a) {
  const __m256i moved = _mm256_slli_epi16(bits(a), kShift);
  return (VecI8)_mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(kMask)));
}
inline VecI8 times3(VecI8 a) {
  return (VecI8)_mm256_add_epi8(bits(a), _mm256_add_epi8(bits(a), bits(a)));
}
inline VecI8 times(VecI8 a, const uint8_t factors[32]) {
  const __m256i f = load_bits(factors), low_byte = _mm256_set1_epi16(255);
  const __m256i even = _mm256_mullo_epi16(bits(a), _mm256_and_si256(f, low_byte));
  const __m256i odd = _mm256_mullo_epi16(_mm256_srli_epi16(bits(a), 8), _mm256_srli_epi16(f, 8));
  return (VecI8)_mm256_or_si256(_mm256_and_si256(even, low_byte), _mm256_slli_epi16(odd, 8));
}
inline VecI8 top_digit(VecI8 a) {
  // 3a / 256 = (a + a / 2) / 128, in bytes by averages, which round up: hence a - 1.
  const __m256i less = _mm256_subs_epu8(bits(a), _mm256_set1_epi8(1));
  const __m256i half = _mm256_avg_epu8(less, _mm256_setzero_si256());
  return bits_at<6, 3>((VecI8)_mm256_avg_epu8(less, half));
}
inline VecI8 low_then_high(VecI8 a, VecI8 b) {
  return (VecI8)_mm256_blend_epi32(bits(a), bits(b), 0xf0);
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
// Not _mm_prefetch: to GCC a function that only prefetches has no effect, and it drops the calls.
inline void prefetch(const void* p) {
  asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(p)));
}

#include "kernels/simd_codebook_avx2.h"
