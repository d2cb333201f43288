// The second part of simd_portable.h: the codebook formats' table lookups and bit fields.

inline VecI8 as_i8(VecI16 a) { return __builtin_bit_cast(VecI8, a); }
inline VecI16 as_i16(VecI8 a) { return __builtin_bit_cast(VecI16, a); }
inline VecI8 add(VecI8 a, VecI8 b) {
  NIBBLE_LANES(32) a.v[i] = static_cast<int8_t>(a.v[i] + b.v[i]);
  return a;
}
inline VecI8 i8_set1(int8_t x) {
  VecI8 r;
  NIBBLE_LANES(32) r.v[i] = x;
  return r;
}
// High 16 bits of the product of unsigned numbers.
inline VecI16 mul_high_u16(VecI16 a, VecI16 b) {
  NIBBLE_LANES(16) {
    const uint32_t x = static_cast<uint16_t>(a.v[i]), y = static_cast<uint16_t>(b.v[i]);
    a.v[i] = static_cast<int16_t>((x * y) >> 16);
  }
  return a;
}
inline VecI16 sub(VecI16 a, VecI16 b) {
  NIBBLE_LANES(16) a.v[i] = static_cast<int16_t>(a.v[i] - b.v[i]);
  return a;
}
// Bytes 2 i (2 i + 1), signed; times 256.
inline VecI16 i16_even(VecI8 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = a.v[2 * i];
  return r;
}
inline VecI16 i16_odd(VecI8 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = a.v[2 * i + 1];
  return r;
}
inline VecI16 i16_even_256(VecI8 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<int16_t>(a.v[2 * i] * 256);
  return r;
}
inline VecI16 i16_odd_256(VecI8 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<int16_t>(a.v[2 * i + 1] * 256);
  return r;
}
inline VecI16 both(VecI16 a, VecI16 b) {
  NIBBLE_LANES(16) a.v[i] &= b.v[i];
  return a;
}
inline VecI16 either(VecI16 a, VecI16 b) {
  NIBBLE_LANES(16) a.v[i] |= b.v[i];
  return a;
}
inline VecI16 mul(VecI16 a, VecI16 b) {  // low 16 bits
  NIBBLE_LANES(16) a.v[i] = static_cast<int16_t>(a.v[i] * b.v[i]);
  return a;
}
template <int kShift>
inline VecI16 shift_right(VecI16 a) {  // zeros come in
  NIBBLE_LANES(16) a.v[i] = static_cast<int16_t>(static_cast<uint16_t>(a.v[i]) >> kShift);
  return a;
}
inline VecI16 minus_where_negative(VecI16 a) {  // -1 in negative lanes, else 0
  NIBBLE_LANES(16) a.v[i] = static_cast<int16_t>(a.v[i] >> 15);
  return a;
}
template <int kShift>
inline VecI32 shift_right(VecI32 a) {
  NIBBLE_LANES(8) a.v[i] = static_cast<int32_t>(static_cast<uint32_t>(a.v[i]) >> kShift);
  return a;
}
// Entries of a table, side by side: four of eight bytes, eight of four bytes.
template <typename Index>
inline VecI8 lookup4(const uint64_t* table, const Index* indices) {
  VecI8 r;
  NIBBLE_LANES(4) __builtin_memcpy(r.v + 8 * i, table + indices[i], 8);
  return r;
}
template <typename Index>
inline VecI8 lookup8(const uint32_t* table, const Index* indices) {
  VecI8 r;
  NIBBLE_LANES(8) __builtin_memcpy(r.v + 4 * i, table + indices[i], 4);
  return r;
}
inline VecI8 i8_load_twice(const void* p) { return i8_halves(p, p); }  // 16 bytes, in both halves
template <int kHalf>
inline VecI8 half_twice(VecI8 a) {
  return i8_load_twice(a.v + 16 * kHalf);
}
// In each half, lane i = a[order[i]]; 0 where order[i] is negative.
inline VecI8 shuffle(VecI8 a, VecI8 order) {
  VecI8 r;
  NIBBLE_LANES(32) r.v[i] = order.v[i] < 0 ? int8_t{0} : a.v[i / 16 * 16 + order.v[i]];
  return r;
}
inline VecI16 i16_widen16(const uint8_t p[16]) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = p[i];
  return r;
}
// Unsigned bytes of two words to int16, lowest first: one word per half.
inline VecI16 i16_widen8_each(uint64_t low, uint64_t high) {
  VecI16 r;
  NIBBLE_LANES(16)
  r.v[i] = static_cast<int16_t>(((i < 8 ? low : high) >> (8 * (i % 8))) & 0xff);
  return r;
}
// Each of the low (high) four lanes of both halves twice; then one of these pairs everywhere in its
// half.
inline VecI16 i16_twice_low(VecI16 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = a.v[i / 8 * 8 + i % 8 / 2];
  return r;
}
inline VecI16 i16_twice_high(VecI16 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = a.v[i / 8 * 8 + 4 + i % 8 / 2];
  return r;
}
template <int kPair>
inline VecI16 pick_pair(VecI16 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = a.v[i / 8 * 8 + 2 * kPair + i % 2];
  return r;
}
// Lanes within 0..32767 to int16, all eight in both halves.
inline VecI16 i16_narrow_twice(VecI32 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<int16_t>(a.v[i % 8]);
  return r;
}
inline VecI8 i8_narrow(VecI16 a, VecI16 b) {  // lanes within 0..255 to bytes
  VecI8 r;
  NIBBLE_LANES(32) r.v[i] = static_cast<int8_t>(i < 16 ? a.v[i] : b.v[i - 16]);
  return r;
}
inline VecI32 i32_load_odd(const void* p) {  // every second of 16 words, from the second on
  VecI32 r;
  NIBBLE_LANES(8) __builtin_memcpy(&r.v[i], static_cast<const int8_t*>(p) + 8 * i + 4, 4);
  return r;
}
// Four fields of seven bits per lane, lowest first, to a byte each.
inline VecI8 spread_sevens(VecI32 a) {
  VecI8 r;
  NIBBLE_LANES(32)
  r.v[i] = static_cast<int8_t>((static_cast<uint32_t>(a.v[i / 4]) >> (7 * (i % 4))) & 127);
  return r;
}
// Bytes 0..127; bit 7 is set where that makes the number of bits even.
inline VecI8 even_parity(VecI8 a) {
  NIBBLE_LANES(32) {
    const int x = a.v[i] ^ (a.v[i] >> 4), y = x ^ (x >> 2);
    a.v[i] = static_cast<int8_t>(a.v[i] | (((y ^ (y >> 1)) & 1) << 7));
  }
  return a;
}
// Lane i negated where bit i % 8 of byte order[i] (of the same half of sign_bits) is set.
inline VecI8 negate_where(VecI8 a, VecI8 sign_bits, VecI8 order) {
  const VecI8 spread = shuffle(sign_bits, order);
  NIBBLE_LANES(32) {
    if ((spread.v[i] >> (i % 8)) & 1) a.v[i] = static_cast<int8_t>(-a.v[i]);
  }
  return a;
}

// Eight entries side by side in the low half, in the high half the same moved right by four bits
// (a word's bits come from the entry alone): in *first those of indices[4 i], in *second those of
// indices[4 i + 1]. Four bytes are read at an entry.
inline void lookup8_pairs(const uint16_t* table, const uint16_t* indices, VecI8* first,
                          VecI8* second) {
  NIBBLE_LANES(8) {
    const uint16_t entries[2] = {table[indices[4 * i]], table[indices[4 * i + 1]]};
    const auto moved = [](uint16_t e) { return static_cast<uint16_t>(e >> 4); };
    const uint16_t high[2] = {moved(entries[0]), moved(entries[1])};
    __builtin_memcpy(first->v + 2 * i, entries, 2);
    __builtin_memcpy(first->v + 16 + 2 * i, high, 2);
    __builtin_memcpy(second->v + 2 * i, entries + 1, 2);
    __builtin_memcpy(second->v + 16 + 2 * i, high + 1, 2);
  }
}
inline void i8_store(void* p, VecI8 a) { __builtin_memcpy(p, a.v, 32); }
inline VecI8 even_then_odd_words(VecI32 a) {
  VecI8 r;
  NIBBLE_LANES(8) {
    __builtin_memcpy(r.v + 2 * i, &a.v[i], 2);
    __builtin_memcpy(r.v + 16 + 2 * i, reinterpret_cast<const int8_t*>(&a.v[i]) + 2, 2);
  }
  return r;
}
// The two halves of a added up, then those of b.
inline VecI16 add_halves(VecI16 a, VecI16 b) {
  VecI16 r;
  NIBBLE_LANES(8) {
    r.v[i] = static_cast<int16_t>(a.v[i] + a.v[i + 8]);
    r.v[i + 8] = static_cast<int16_t>(b.v[i] + b.v[i + 8]);
  }
  return r;
}
#include "kernels/simd_bits.h"
