// The second part of simd_avx2.h: the codebook formats' table lookups and bit fields.

inline VecI8 as_i8(VecI16 a) { return (VecI8)a; }
inline VecI16 as_i16(VecI8 a) { return (VecI16)a; }
inline VecI8 add(VecI8 a, VecI8 b) { return (VecI8)_mm256_add_epi8(bits(a), bits(b)); }
inline VecI8 i8_set1(int8_t x) { return (VecI8)_mm256_set1_epi8(x); }
inline VecI16 mul_high_u16(VecI16 a, VecI16 b) {
  return (VecI16)_mm256_mulhi_epu16(bits(a), bits(b));
}
inline VecI16 sub(VecI16 a, VecI16 b) { return (VecI16)_mm256_sub_epi16(bits(a), bits(b)); }
inline VecI16 i16_even_256(VecI8 a) { return (VecI16)_mm256_slli_epi16(bits(a), 8); }
inline VecI16 i16_odd_256(VecI8 a) {
  return (VecI16)_mm256_and_si256(bits(a), _mm256_set1_epi16(static_cast<int16_t>(0xff00)));
}
inline VecI16 i16_even(VecI8 a) { return (VecI16)_mm256_srai_epi16(bits(i16_even_256(a)), 8); }
inline VecI16 i16_odd(VecI8 a) { return (VecI16)_mm256_srai_epi16(bits(a), 8); }
inline VecI16 both(VecI16 a, VecI16 b) { return (VecI16)_mm256_and_si256(bits(a), bits(b)); }
inline VecI16 either(VecI16 a, VecI16 b) { return (VecI16)_mm256_or_si256(bits(a), bits(b)); }
inline VecI16 mul(VecI16 a, VecI16 b) { return (VecI16)_mm256_mullo_epi16(bits(a), bits(b)); }
template <int kShift>
inline VecI16 shift_right(VecI16 a) {
  return (VecI16)_mm256_srli_epi16(bits(a), kShift);
}
inline VecI16 minus_where_negative(VecI16 a) { return (VecI16)_mm256_srai_epi16(bits(a), 15); }
template <int kShift>
inline VecI32 shift_right(VecI32 a) {
  return (VecI32)_mm256_srli_epi32(bits(a), kShift);
}
// The next two table indices of a word of them. The barrier keeps the word in one register, moved
// on step by step: without it every index is cut out of a copy.
struct TwoIndices {
  uint64_t first, second;
};
template <typename Index>
inline TwoIndices take_two(uint64_t& word) {
  const auto move_on = [&] {
    word >>= 16;
    __asm__("" : "+r"(word));
  };
  TwoIndices r;
  r.first = static_cast<Index>(word);
  if constexpr (sizeof(Index) == 2) move_on();
  r.second = static_cast<Index>(sizeof(Index) == 2 ? word : word >> 8);
  move_on();
  return r;
}
template <int kBytes>
inline uint64_t load_word(const void* p) {
  uint64_t word = 0;
  __builtin_memcpy(&word, p, kBytes);
  return word;
}
// Loads and inserts, not vpgather: on Zen 3 a gather takes more operations than its loads.
template <typename Index>
inline __m128i load_two(const uint64_t* table, uint64_t& word) {
  const TwoIndices at = take_two<Index>(word);
  const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(table + at.first));
  return _mm_castps_si128(
      _mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(table + at.second)));
}
template <typename Index>
inline VecI8 lookup4(const uint64_t* table, const Index* indices) {
  uint64_t word = load_word<4 * sizeof(Index)>(indices);
  const __m128i low = load_two<Index>(table, word);
  return (VecI8)_mm256_set_m128i(load_two<Index>(table, word), low);
}
template <typename Index>
inline __m128i load_four(const uint32_t* table, uint64_t& word) {
  const TwoIndices a = take_two<Index>(word), b = take_two<Index>(word);
  __m128i r = _mm_cvtsi32_si128(static_cast<int>(table[a.first]));
  r = _mm_insert_epi32(r, static_cast<int>(table[a.second]), 1);
  r = _mm_insert_epi32(r, static_cast<int>(table[b.first]), 2);
  return _mm_insert_epi32(r, static_cast<int>(table[b.second]), 3);
}
inline VecI8 lookup8(const uint32_t* table, const uint8_t* indices) {
  uint64_t word = load_word<8>(indices);
  const __m128i low = load_four<uint8_t>(table, word);
  return (VecI8)_mm256_set_m128i(load_four<uint8_t>(table, word), low);
}
inline VecI8 lookup8(const uint32_t* table, const uint16_t* indices) {
  uint64_t first = load_word<8>(indices), second = load_word<8>(indices + 4);
  const __m128i low = load_four<uint16_t>(table, first);
  return (VecI8)_mm256_set_m128i(load_four<uint16_t>(table, second), low);
}
inline VecI8 i8_load_twice(const void* p) {
  return (VecI8)_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
template <int kHalf>
inline VecI8 half_twice(VecI8 a) {
  return (VecI8)_mm256_permute4x64_epi64(bits(a), kHalf == 0 ? 0x44 : 0xee);
}
inline VecI8 shuffle(VecI8 a, VecI8 order) {
  return (VecI8)_mm256_shuffle_epi8(bits(a), bits(order));
}
inline VecI16 i16_widen16(const uint8_t p[16]) {
  return (VecI16)_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline VecI16 i16_widen8_each(uint64_t low, uint64_t high) {
  return (VecI16)_mm256_cvtepu8_epi16(
      _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low)));
}
inline VecI16 i16_twice_low(VecI16 a) { return (VecI16)_mm256_unpacklo_epi16(bits(a), bits(a)); }
inline VecI16 i16_twice_high(VecI16 a) { return (VecI16)_mm256_unpackhi_epi16(bits(a), bits(a)); }
template <int kPair>
inline VecI16 pick_pair(VecI16 a) {
  return (VecI16)_mm256_shuffle_epi32(bits(a), kPair * 0x55);
}
inline VecI16 i16_narrow_twice(VecI32 a) {
  return (VecI16)_mm256_permute4x64_epi64(_mm256_packus_epi32(bits(a), bits(a)), 0x88);
}
inline VecI8 i8_narrow(VecI16 a, VecI16 b) {
  return (VecI8)_mm256_permute4x64_epi64(_mm256_packus_epi16(bits(a), bits(b)), 0xd8);
}
inline VecI32 i32_load_odd(const void* p) {
  const __m256 first = _mm256_loadu_ps(static_cast<const float*>(p));
  const __m256 second = _mm256_loadu_ps(static_cast<const float*>(p) + 8);
  return (VecI32)_mm256_permute4x64_epi64(
      _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xdd)), 0xd8);
}
inline VecI8 spread_sevens(VecI32 a) {
  // Two fields of 14 bits to 16 each, then each to two of eight.
  const __m256i x = _mm256_blend_epi16(bits(a), _mm256_slli_epi32(bits(a), 2), 0xaa);
  const __m256i even = _mm256_and_si256(x, _mm256_set1_epi16(0x007f));
  const __m256i odd = _mm256_and_si256(_mm256_add_epi16(x, x), _mm256_set1_epi16(0x7f00));
  return (VecI8)_mm256_or_si256(even, odd);
}
inline VecI8 even_parity(VecI8 a) {
  // The parity of a byte is that of its nibbles' exclusive or.
  const __m256i odd = _mm256_broadcastsi128_si256(
      _mm_set_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0));
  const __m256i folded = _mm256_xor_si256(bits(a), _mm256_srli_epi16(bits(a), 4));
  const __m256i nibble = _mm256_and_si256(folded, _mm256_set1_epi8(15));
  return (VecI8)_mm256_or_si256(bits(a), _mm256_shuffle_epi8(odd, nibble));
}
inline VecI8 negate_where(VecI8 a, VecI8 sign_bits, VecI8 order) {
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
  const __m256i spread = _mm256_shuffle_epi8(bits(sign_bits), bits(order));
  const __m256i mask = _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
  return (VecI8)_mm256_sub_epi8(_mm256_xor_si256(bits(a), mask), mask);
}

// Loads and inserts two indices of a pair, in two vectors.
struct PairLookup {
  __m128i first, second;
  template <int kAt>
  void insert(const uint16_t* table, const uint16_t* p) {
    uint32_t word;
    __builtin_memcpy(&word, p, 4);
    __asm__("" : "+r"(word));
    const uint64_t a = static_cast<uint16_t>(word), b = word >> 16;
    if constexpr (kAt == 0) {
      first = _mm_loadu_si32(table + a);
      second = _mm_loadu_si32(table + b);
    } else {
      first = _mm_insert_epi16(first, table[a], kAt);
      second = _mm_insert_epi16(second, table[b], kAt);
    }
  }
};
inline VecI8 with_high_nibbles(__m128i a) {
  return (VecI8)_mm256_set_m128i(_mm_srli_epi16(a, 4), a);
}
inline void lookup8_pairs(const uint16_t* table, const uint16_t* indices, VecI8* first,
                          VecI8* second) {
  PairLookup r;
  r.insert<0>(table, indices);
  r.insert<1>(table, indices + 4);
  r.insert<2>(table, indices + 8);
  r.insert<3>(table, indices + 12);
  r.insert<4>(table, indices + 16);
  r.insert<5>(table, indices + 20);
  r.insert<6>(table, indices + 24);
  r.insert<7>(table, indices + 28);
  *first = with_high_nibbles(r.first);
  *second = with_high_nibbles(r.second);
}
inline void i8_store(void* p, VecI8 a) { _mm256_storeu_si256(static_cast<__m256i*>(p), bits(a)); }
inline VecI8 even_then_odd_words(VecI32 a) {
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_set_epi8(15, 14, 11, 10, 7, 6, 3, 2, 13, 12, 9, 8, 5, 4, 1, 0));
  return (VecI8)_mm256_permute4x64_epi64(_mm256_shuffle_epi8(bits(a), order), 0xd8);
}
inline VecI16 add_halves(VecI16 a, VecI16 b) {
  return (VecI16)_mm256_add_epi16(_mm256_permute2x128_si256(bits(a), bits(b), 0x20),
                                  _mm256_permute2x128_si256(bits(a), bits(b), 0x31));
}
inline uint64_t pick_bits(uint64_t word, uint64_t mask) { return _pext_u64(word, mask); }
