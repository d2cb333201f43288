// The second part of simd_neon.h: the codebook formats' table lookups and bit fields.

inline VecI8 i8_set1(int8_t x) { return {vdupq_n_s8(x), vdupq_n_s8(x)}; }
inline VecI16 mul_high_u16(VecI16 a, VecI16 b) {
  const auto of_half = [](int16x8_t p, int16x8_t q) {
    const uint16x8_t x = vreinterpretq_u16_s16(p), y = vreinterpretq_u16_s16(q);
    const uint16x4_t low = vshrn_n_u32(vmull_u16(vget_low_u16(x), vget_low_u16(y)), 16);
    return vreinterpretq_s16_u16(vshrn_high_n_u32(low, vmull_high_u16(x, y), 16));
  };
  return {of_half(a.lo, b.lo), of_half(a.hi, b.hi)};
}
inline VecI16 sub(VecI16 a, VecI16 b) { return {vsubq_s16(a.lo, b.lo), vsubq_s16(a.hi, b.hi)}; }
inline VecI16 both(VecI16 a, VecI16 b) { return {vandq_s16(a.lo, b.lo), vandq_s16(a.hi, b.hi)}; }
inline VecI16 either(VecI16 a, VecI16 b) { return {vorrq_s16(a.lo, b.lo), vorrq_s16(a.hi, b.hi)}; }
inline VecI16 mul(VecI16 a, VecI16 b) { return {vmulq_s16(a.lo, b.lo), vmulq_s16(a.hi, b.hi)}; }
template <int kShift>
inline VecI16 shift_right(VecI16 a) {
  return {vreinterpretq_s16_u16(vshrq_n_u16(vreinterpretq_u16_s16(a.lo), kShift)),
          vreinterpretq_s16_u16(vshrq_n_u16(vreinterpretq_u16_s16(a.hi), kShift))};
}
template <int kShift>
inline VecI32 shift_right(VecI32 a) {
  return {vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.lo), kShift)),
          vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.hi), kShift))};
}
template <int kShift>
inline VecI16 shift_right_signed(VecI16 a) {
  return {vshrq_n_s16(a.lo, kShift), vshrq_n_s16(a.hi, kShift)};
}
inline VecI16 minus_where_negative(VecI16 a) { return shift_right_signed<15>(a); }
inline VecI16 i16_even_256(VecI8 a) {
  const VecI16 x = as_i16(a);
  return {vshlq_n_s16(x.lo, 8), vshlq_n_s16(x.hi, 8)};
}
inline VecI16 i16_odd_256(VecI8 a) {
  return both(as_i16(a), i16_set1(static_cast<int16_t>(0xff00)));
}
inline VecI16 i16_even(VecI8 a) { return shift_right_signed<8>(i16_even_256(a)); }
inline VecI16 i16_odd(VecI8 a) { return shift_right_signed<8>(as_i16(a)); }
template <typename Index>
inline VecI8 lookup4(const uint64_t* table, const Index* i) {
  return {vcombine_s8(vcreate_s8(table[i[0]]), vcreate_s8(table[i[1]])),
          vcombine_s8(vcreate_s8(table[i[2]]), vcreate_s8(table[i[3]]))};
}
template <typename Index>
inline VecI8 lookup8(const uint32_t* table, const Index* i) {
  const uint32x4_t low = {table[i[0]], table[i[1]], table[i[2]], table[i[3]]};
  const uint32x4_t high = {table[i[4]], table[i[5]], table[i[6]], table[i[7]]};
  return {vreinterpretq_s8_u32(low), vreinterpretq_s8_u32(high)};
}
inline VecI8 i8_load_twice(const void* p) { return i8_halves(p, p); }
template <int kHalf>
inline VecI8 half_twice(VecI8 a) {
  return kHalf == 0 ? VecI8{a.lo, a.lo} : VecI8{a.hi, a.hi};
}
inline VecI8 shuffle(VecI8 a, VecI8 order) {
  return {pick(a.lo, unsigned_bytes(order.lo)), pick(a.hi, unsigned_bytes(order.hi))};
}
inline VecI16 i16_widen16(const uint8_t p[16]) { return i16_bytes({load_bytes(p), load_bytes(p)}); }
inline VecI16 i16_twice_low(VecI16 a) { return {vzip1q_s16(a.lo, a.lo), vzip1q_s16(a.hi, a.hi)}; }
inline VecI16 i16_twice_high(VecI16 a) { return {vzip2q_s16(a.lo, a.lo), vzip2q_s16(a.hi, a.hi)}; }
template <int kPair>
inline VecI16 pick_pair(VecI16 a) {
  const auto of_half = [](int16x8_t x) {
    return vreinterpretq_s16_s32(vdupq_laneq_s32(vreinterpretq_s32_s16(x), kPair));
  };
  return {of_half(a.lo), of_half(a.hi)};
}
inline VecI16 i16_narrow_twice(VecI32 a) {
  const int16x8_t narrow = vcombine_s16(vmovn_s32(a.lo), vmovn_s32(a.hi));
  return {narrow, narrow};
}
inline VecI8 i8_narrow(VecI16 a, VecI16 b) {
  return {vcombine_s8(vmovn_s16(a.lo), vmovn_s16(a.hi)),
          vcombine_s8(vmovn_s16(b.lo), vmovn_s16(b.hi))};
}
inline VecI32 i32_load_odd(const void* p) {
  const VecI32 first = i32_load(p), second = i32_load(static_cast<const int8_t*>(p) + 32);
  return {vuzp2q_s32(first.lo, first.hi), vuzp2q_s32(second.lo, second.hi)};
}
inline VecI8 spread_sevens(VecI32 a) {
  // Two fields of 14 bits to 16 each, then each to two of eight.
  const auto of_four = [](int32x4_t x) {
    const uint32x4_t word = vreinterpretq_u32_s32(x);
    const uint16x8_t fields =
        vreinterpretq_u16_u32(vbslq_u32(vdupq_n_u32(0xffff0000u), vshlq_n_u32(word, 2), word));
    const uint16x8_t even = vandq_u16(fields, vdupq_n_u16(0x007f));
    const uint16x8_t odd = vandq_u16(vshlq_n_u16(fields, 1), vdupq_n_u16(0x7f00));
    return vreinterpretq_s8_u16(vorrq_u16(even, odd));
  };
  return {of_four(a.lo), of_four(a.hi)};
}
inline VecI8 even_parity(VecI8 a) {
  const auto of_half = [](int8x16_t x) { return vorrq_s8(x, vshlq_n_s8(vcntq_s8(x), 7)); };
  return {of_half(a.lo), of_half(a.hi)};
}
inline VecI8 negate_where(VecI8 a, VecI8 sign_bits, VecI8 order) {
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ull));
  const VecI8 spread = shuffle(sign_bits, order);
  const auto of_half = [&](int8x16_t x, int8x16_t s) {
    const int8x16_t mask = signed_bytes(vtstq_u8(unsigned_bytes(s), bit));
    return vsubq_s8(veorq_s8(x, mask), mask);
  };
  return {of_half(a.lo, spread.lo), of_half(a.hi, spread.hi)};
}
inline void lookup8_pairs(const uint16_t* table, const uint16_t* indices, VecI8* first,
                          VecI8* second) {
  const auto entries = [&](const uint16_t* i) -> VecI8 {
    const uint16x8_t low = {table[i[0]],  table[i[4]],  table[i[8]],  table[i[12]],
                            table[i[16]], table[i[20]], table[i[24]], table[i[28]]};
    return {vreinterpretq_s8_u16(low), vreinterpretq_s8_u16(vshrq_n_u16(low, 4))};
  };
  *first = entries(indices);
  *second = entries(indices + 1);
}
inline VecI8 even_then_odd_words(VecI32 a) {
  const int16x8_t low = vreinterpretq_s16_s32(a.lo), high = vreinterpretq_s16_s32(a.hi);
  return {vreinterpretq_s8_s16(vuzp1q_s16(low, high)), vreinterpretq_s8_s16(vuzp2q_s16(low, high))};
}
inline VecI16 add_halves(VecI16 a, VecI16 b) {
  return {vaddq_s16(a.lo, a.hi), vaddq_s16(b.lo, b.hi)};
}
#include "kernels/simd_bits.h"
