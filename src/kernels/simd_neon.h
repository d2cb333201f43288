// The vector vocabulary of simd_portable.h in NEON with the dot product: a vector is two registers.
// Included inside the namespace of the ISA.

struct VecF32 {
  float32x4_t lo, hi;
};
struct VecI32 {
  int32x4_t lo, hi;
};
struct VecI16 {
  int16x8_t lo, hi;
};
struct VecI8 {
  int8x16_t lo, hi;
};
struct Bytes16 {
  int8x16_t v;
};

inline int8x16_t signed_bytes(uint8x16_t a) { return vreinterpretq_s8_u8(a); }
inline uint8x16_t unsigned_bytes(int8x16_t a) { return vreinterpretq_u8_s8(a); }
inline int8x16_t load_bytes(const void* p) { return vld1q_s8(static_cast<const int8_t*>(p)); }
// Bytes of a; 0 where the index is 16 or more.
inline int8x16_t pick(int8x16_t a, uint8x16_t indices) { return vqtbl1q_s8(a, indices); }
inline uint8x16_t repeat2(int low, int high) {  // two indices, eight times
  return vreinterpretq_u8_u16(vdupq_n_u16(static_cast<uint16_t>(low | (high << 8))));
}
inline constexpr int kNoByte = 255;

// ---- 8 floats -----------------------------------------------------------------------------------

inline VecF32 f32_set1(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
inline VecF32 f32_zero() { return f32_set1(0.0f); }
inline VecF32 f32_load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
inline void f32_store(float* p, VecF32 a) {
  vst1q_f32(p, a.lo);
  vst1q_f32(p + 4, a.hi);
}
inline VecF32 f32_of_halves(uint16x8_t a) {
  const float16x8_t halves = vreinterpretq_f16_u16(a);
  return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
}
inline VecF32 f32_load_f16(const uint16_t* p) { return f32_of_halves(vld1q_u16(p)); }
inline VecF32 f32_from_f16(uint16_t a, uint16_t b, uint16_t c, uint16_t d, uint16_t e, uint16_t f,
                           uint16_t g, uint16_t h) {
  return f32_of_halves(uint16x8_t{a, b, c, d, e, f, g, h});
}
inline void f32_pair_from_f16(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e,
                              uint32_t f, uint32_t g, uint32_t h, VecF32* first, VecF32* second) {
  const uint16x8_t low = vreinterpretq_u16_u32(uint32x4_t{a, b, c, d});
  const uint16x8_t high = vreinterpretq_u16_u32(uint32x4_t{e, f, g, h});
  *first = f32_of_halves(vuzp1q_u16(low, high));
  *second = f32_of_halves(vuzp2q_u16(low, high));
}
struct E8M0 {
  uint8_t bits;
};
struct UE4M3 {
  uint8_t bits;
};
template <typename Scale>
inline uint16x8_t widen_scales(Scale a, Scale b, Scale c, Scale d, Scale e, Scale f, Scale g,
                               Scale h) {
  return vmovl_u8(uint8x8_t{a.bits, b.bits, c.bits, d.bits, e.bits, f.bits, g.bits, h.bits});
}
template <typename F>
inline VecF32 f32_of_widened(uint16x8_t a, F&& of_four) {
  return {of_four(vmovl_u16(vget_low_u16(a))), of_four(vmovl_high_u16(a))};
}
inline VecF32 f32_of(E8M0 a, E8M0 b, E8M0 c, E8M0 d, E8M0 e, E8M0 f, E8M0 g, E8M0 h) {
  return f32_of_widened(widen_scales(a, b, c, d, e, f, g, h), [](uint32x4_t x) {
    const uint32x4_t normal = vshlq_n_u32(vsubq_u32(x, vdupq_n_u32(1)), 23);
    const uint32x4_t subnormal = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(x));
    return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(x, vdupq_n_u32(2)), subnormal, normal));
  });
}
inline VecF32 f32_of(UE4M3 a, UE4M3 b, UE4M3 c, UE4M3 d, UE4M3 e, UE4M3 f, UE4M3 g, UE4M3 h) {
  return f32_of_widened(widen_scales(a, b, c, d, e, f, g, h), [](uint32x4_t x) {
    const uint32x4_t is_zero = vceqq_u32(x, vdupq_n_u32(0x7f));
    const uint32x4_t magnitude = vbicq_u32(vandq_u32(x, vdupq_n_u32(0x7f)), is_zero);
    return vmulq_n_f32(vreinterpretq_f32_u32(vshlq_n_u32(magnitude, 20)), 0x1p119f);
  });
}
inline VecF32 f32_load_bf16(const uint16_t* p) {
  const uint16x8_t halves = vld1q_u16(p);
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
          vreinterpretq_f32_u32(vshll_high_n_u16(halves, 16))};
}
inline VecF32 f32_from_i8(const int8_t* p) {
  const int16x8_t codes = vmovl_s8(vld1_s8(p));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(codes))), vcvtq_f32_s32(vmovl_high_s16(codes))};
}
inline void f32_store_f16(uint16_t* p, VecF32 a) {
  vst1q_u16(p, vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(a.lo), a.hi)));
}
inline VecF32 add(VecF32 a, VecF32 b) { return {vaddq_f32(a.lo, b.lo), vaddq_f32(a.hi, b.hi)}; }
inline VecF32 sub(VecF32 a, VecF32 b) { return {vsubq_f32(a.lo, b.lo), vsubq_f32(a.hi, b.hi)}; }
inline VecF32 mul(VecF32 a, VecF32 b) { return {vmulq_f32(a.lo, b.lo), vmulq_f32(a.hi, b.hi)}; }
inline VecF32 div(VecF32 a, VecF32 b) { return {vdivq_f32(a.lo, b.lo), vdivq_f32(a.hi, b.hi)}; }
inline VecF32 fma(VecF32 a, VecF32 b, VecF32 c) {
  return {vfmaq_f32(c.lo, a.lo, b.lo), vfmaq_f32(c.hi, a.hi, b.hi)};
}
inline VecF32 fnma(VecF32 a, VecF32 b, VecF32 c) {
  return {vfmsq_f32(c.lo, a.lo, b.lo), vfmsq_f32(c.hi, a.hi, b.hi)};
}
// The second where either is no number, as on x86.
inline VecF32 max(VecF32 a, VecF32 b) {
  return {vbslq_f32(vcgtq_f32(a.lo, b.lo), a.lo, b.lo),
          vbslq_f32(vcgtq_f32(a.hi, b.hi), a.hi, b.hi)};
}
inline VecF32 min(VecF32 a, VecF32 b) {
  return {vbslq_f32(vcltq_f32(a.lo, b.lo), a.lo, b.lo),
          vbslq_f32(vcltq_f32(a.hi, b.hi), a.hi, b.hi)};
}
inline VecF32 abs(VecF32 a) { return {vabsq_f32(a.lo), vabsq_f32(a.hi)}; }
inline float sum_lanes(VecF32 a) {
  const float32x4_t s = vaddq_f32(a.lo, a.hi);
  return vpadds_f32(vadd_f32(vget_low_f32(s), vget_high_f32(s)));
}
inline VecF32 sum_lanes_of_eight(const VecF32 r[8]) {
  const auto of_two = [&](int i) {  // lanes 0 + 2 and 1 + 3 of rows i and i + 1
    const float32x4_t a = vaddq_f32(r[i].lo, r[i].hi), b = vaddq_f32(r[i + 1].lo, r[i + 1].hi);
    return vaddq_f32(vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                     vcombine_f32(vget_high_f32(a), vget_high_f32(b)));
  };
  return {vpaddq_f32(of_two(0), of_two(2)), vpaddq_f32(of_two(4), of_two(6))};
}
inline float max_lanes(VecF32 a) { return vmaxvq_f32(vmaxq_f32(a.lo, a.hi)); }
inline VecF32 exp2_of_integer(VecF32 e) {
  const auto of_four = [](float32x4_t x) {
    const int32x4_t biased = vaddq_s32(vcvtq_s32_f32(x), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
  };
  return {of_four(e.lo), of_four(e.hi)};
}
inline VecF32 round_even(VecF32 a) { return {vrndnq_f32(a.lo), vrndnq_f32(a.hi)}; }

// ---- integers -----------------------------------------------------------------------------------

inline VecI32 i32_set1(int32_t x) { return {vdupq_n_s32(x), vdupq_n_s32(x)}; }
inline VecI32 i32_zero() { return i32_set1(0); }
inline VecI32 as_i32(VecI8 a) { return {vreinterpretq_s32_s8(a.lo), vreinterpretq_s32_s8(a.hi)}; }
inline VecI8 as_bytes(VecI32 a) { return {vreinterpretq_s8_s32(a.lo), vreinterpretq_s8_s32(a.hi)}; }
inline VecI16 as_i16(VecI8 a) { return {vreinterpretq_s16_s8(a.lo), vreinterpretq_s16_s8(a.hi)}; }
inline VecI8 as_i8(VecI16 a) { return {vreinterpretq_s8_s16(a.lo), vreinterpretq_s8_s16(a.hi)}; }
inline VecI8 i8_load(const void* p) {
  return {load_bytes(p), load_bytes(static_cast<const int8_t*>(p) + 16)};
}
inline void i8_store(void* p, VecI8 a) {
  vst1q_s8(static_cast<int8_t*>(p), a.lo);
  vst1q_s8(static_cast<int8_t*>(p) + 16, a.hi);
}
inline VecI32 i32_load(const void* p) { return as_i32(i8_load(p)); }
inline void i32_store(void* p, VecI32 a) { i8_store(p, as_bytes(a)); }
inline VecI32 add(VecI32 a, VecI32 b) { return {vaddq_s32(a.lo, b.lo), vaddq_s32(a.hi, b.hi)}; }
inline VecI32 sub(VecI32 a, VecI32 b) { return {vsubq_s32(a.lo, b.lo), vsubq_s32(a.hi, b.hi)}; }
inline VecI32 mul(VecI32 a, VecI32 b) { return {vmulq_s32(a.lo, b.lo), vmulq_s32(a.hi, b.hi)}; }
template <int kFactor>
inline VecI32 times(VecI32 a) {
  return {vmulq_n_s32(a.lo, kFactor), vmulq_n_s32(a.hi, kFactor)};
}
template <int kShift>
inline VecI32 divide_by_power(VecI32 a) {
  return {vshrq_n_s32(a.lo, kShift), vshrq_n_s32(a.hi, kShift)};
}
inline int32_t sum_lanes(VecI32 a) { return vaddvq_s32(vaddq_s32(a.lo, a.hi)); }
inline VecF32 to_float(VecI32 a) { return {vcvtq_f32_s32(a.lo), vcvtq_f32_s32(a.hi)}; }

inline VecI16 i16_set1(int16_t x) { return {vdupq_n_s16(x), vdupq_n_s16(x)}; }
inline VecI16 i16_zero() { return i16_set1(0); }
inline VecI16 i16_load(const void* p) { return as_i16(i8_load(p)); }
inline void i16_store(void* p, VecI16 a) { i8_store(p, as_i8(a)); }
inline VecI8 twice(Bytes16 a) { return {a.v, a.v}; }
inline VecI8 scales_6bit(const uint8_t packed[12]) {
  uint32_t words[3];
  __builtin_memcpy(words, packed, 12);
  const auto above = [&](uint32_t word) { return (word >> 2) & 0x30303030u; };
  const uint32x4_t all = {words[0] & 0x3f3f3f3fu, (words[2] & 0x0f0f0f0fu) | above(words[0]),
                          words[1] & 0x3f3f3f3fu,
                          ((words[2] >> 4) & 0x0f0f0f0fu) | above(words[1])};
  return twice({vreinterpretq_s8_u32(all)});
}
inline VecI16 i16_widen8_each(uint64_t low, uint64_t high) {
  return {vreinterpretq_s16_u16(vmovl_u8(vcreate_u8(low))),
          vreinterpretq_s16_u16(vmovl_u8(vcreate_u8(high)))};
}
inline VecI16 i16_widen8(uint64_t bytes) { return i16_widen8_each(bytes, bytes); }
inline int16x8_t pick_words(int8x16_t a, uint8x16_t indices) {
  return vreinterpretq_s16_s8(pick(a, indices));
}
inline VecI16 i16_pick(VecI16 a, int k) {
  const uint8x16_t order = repeat2(2 * k, 2 * k + 1);
  const VecI8 bytes = as_i8(a);
  return {pick_words(bytes.lo, order), pick_words(bytes.hi, order)};
}
inline VecI16 i16_widen16(Bytes16 a) { return {vmovl_s8(vget_low_s8(a.v)), vmovl_high_s8(a.v)}; }
inline VecI16 i16_widen16(const int8_t p[16]) { return i16_widen16(Bytes16{load_bytes(p)}); }
inline Bytes16 b16_load(const void* p) { return {load_bytes(p)}; }
inline Bytes16 b16_from(uint64_t low, uint64_t high) {
  return {vcombine_s8(vcreate_s8(low), vcreate_s8(high))};
}
inline int8x16_t low_nibbles(int8x16_t a) { return vandq_s8(a, vdupq_n_s8(15)); }
inline int8x16_t high_nibbles(int8x16_t a) {
  return signed_bytes(vshrq_n_u8(unsigned_bytes(a), 4));
}
inline Bytes16 low_nibbles(Bytes16 a) { return {low_nibbles(a.v)}; }
inline Bytes16 high_nibbles(Bytes16 a) { return {high_nibbles(a.v)}; }
inline VecI16 i16_byte_pair(VecI8 a, int k) {
  return {pick_words(a.lo, repeat2(2 * k, kNoByte)), pick_words(a.lo, repeat2(2 * k + 1, kNoByte))};
}
template <int kHigh>
inline VecI16 half_twice(VecI16 a) {
  return kHigh == 0 ? VecI16{a.lo, a.lo} : VecI16{a.hi, a.hi};
}
inline VecI16 i16_pair(VecI16 a, int k) {
  const VecI8 bytes = as_i8(a);
  return {pick_words(bytes.lo, repeat2(4 * k, 4 * k + 1)),
          pick_words(bytes.hi, repeat2(4 * k + 2, 4 * k + 3))};
}
inline VecI16 i16_byte(VecI8 a, int k) {
  const int16x8_t byte = pick_words(a.lo, repeat2(k, kNoByte));
  return {byte, byte};
}
inline VecI16 i16_bytes(VecI8 a) {
  const uint8x16_t bytes = unsigned_bytes(a.lo);
  return {vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes))),
          vreinterpretq_s16_u16(vmovl_high_u8(bytes))};
}
inline VecI16 i16_high_bytes_twice(VecI8 a) {
  const int16x8_t high = i16_bytes(a).hi;
  return {vzip1q_s16(high, high), vzip2q_s16(high, high)};
}
inline VecI16 i16_byte_pair_256(VecI8 a, int k) {
  return {pick_words(a.lo, repeat2(kNoByte, 2 * k)), pick_words(a.lo, repeat2(kNoByte, 2 * k + 1))};
}
inline VecI16 i16_bytes_256(VecI8 a) {
  const VecI16 bytes = i16_bytes(a);
  return {vshlq_n_s16(bytes.lo, 8), vshlq_n_s16(bytes.hi, 8)};
}
inline VecI16 i16_join_4_2(uint32_t nibbles, uint32_t pairs) {
  const auto of_four = [](uint32_t n, uint32_t p) {
    const uint32x4_t four = vshlq_u32(vdupq_n_u32(n), int32x4_t{0, -4, -8, -12});
    const uint32x4_t two = vshlq_u32(vdupq_n_u32(p), int32x4_t{0, -2, -4, -6});
    const uint32x4_t high = vshlq_n_u32(vandq_u32(two, vdupq_n_u32(3)), 4);
    return vmovn_u32(vorrq_u32(vandq_u32(four, vdupq_n_u32(15)), high));
  };
  const int16x8_t joined = vreinterpretq_s16_u16(
      vcombine_u16(of_four(nibbles, pairs), of_four(nibbles >> 16, pairs >> 8)));
  return {joined, joined};
}
inline VecI16 add(VecI16 a, VecI16 b) { return {vaddq_s16(a.lo, b.lo), vaddq_s16(a.hi, b.hi)}; }
inline VecI32 dot_pairs(VecI16 a, VecI16 b) {
  const auto of_eight = [](int16x8_t x, int16x8_t y) {
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
  };
  return {of_eight(a.lo, b.lo), of_eight(a.hi, b.hi)};
}
// b is one pair, repeated.
inline VecI32 add_dot_pairs(VecI32 sum, VecI16 a, VecI16 b) {
  const auto of_four = [&](int32x4_t x, int16x4_t even, int16x4_t odd) {
    return vmlal_laneq_s16(vmlal_laneq_s16(x, even, b.lo, 0), odd, b.lo, 1);
  };
  const int16x8_t even = vuzp1q_s16(a.lo, a.hi), odd = vuzp2q_s16(a.lo, a.hi);
  return {of_four(sum.lo, vget_low_s16(even), vget_low_s16(odd)),
          of_four(sum.hi, vget_high_s16(even), vget_high_s16(odd))};
}
// Lane i = lane 2 i + 1 of a.
inline VecI32 high_halves(VecI16 a) {
  return {vshrq_n_s32(vreinterpretq_s32_s16(a.lo), 16),
          vshrq_n_s32(vreinterpretq_s32_s16(a.hi), 16)};
}

inline VecI8 i8_halves(const void* low, const void* high) {
  return {load_bytes(low), load_bytes(high)};
}
inline int8x16_t repeat4(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(word));
}
inline VecI8 i8_broadcast4(const void* p) { return {repeat4(p), repeat4(p)}; }
inline VecI16 i16_broadcast2(const void* p) { return as_i16(i8_broadcast4(p)); }
inline VecI8 low_nibbles(VecI8 a) { return {low_nibbles(a.lo), low_nibbles(a.hi)}; }
inline VecI8 high_nibbles(VecI8 a) { return {high_nibbles(a.lo), high_nibbles(a.hi)}; }
inline VecI8 expand_nibbles(const uint8_t* p) {
  const int8x16_t both = load_bytes(p);
  return {low_nibbles(both), high_nibbles(both)};
}
inline VecI8 expand_nibbles_by_8(const uint8_t* p) {
  const VecI8 nibbles = expand_nibbles(p);
  return {vcombine_s8(vget_low_s8(nibbles.lo), vget_low_s8(nibbles.hi)),
          vcombine_s8(vget_high_s8(nibbles.lo), vget_high_s8(nibbles.hi))};
}
// Bytes `first` and first + 1 of a, eight times each; all bits of lane i set where bit i % 8 is.
inline uint8x16_t mask_of_bits(int8x16_t a, int first) {
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ull));
  const uint8x16_t order = vcombine_u8(vdup_n_u8(static_cast<uint8_t>(first)),
                                       vdup_n_u8(static_cast<uint8_t>(first + 1)));
  return vtstq_u8(unsigned_bytes(pick(a, order)), bit);
}
template <int kValue>
inline VecI8 expand_bits(const uint8_t* p) {
  const int8x16_t word = repeat4(p);
  const uint8x16_t value = vdupq_n_u8(kValue);
  return {signed_bytes(vandq_u8(mask_of_bits(word, 0), value)),
          signed_bytes(vandq_u8(mask_of_bits(word, 2), value))};
}
inline VecI8 i8_words(const void* low, const void* high) { return {repeat4(low), repeat4(high)}; }
template <int kHigh>
inline VecI8 bits_to_16(VecI8 words) {
  const uint8x16_t value = vdupq_n_u8(16);
  return {signed_bytes(vandq_u8(mask_of_bits(words.lo, 2 * kHigh), value)),
          signed_bytes(vandq_u8(mask_of_bits(words.hi, 2 * kHigh), value))};
}
inline VecI8 expand_bit_pairs(const uint8_t* p) {
  const uint8x16_t bytes = vcombine_u8(vld1_u8(p), vld1_u8(p));
  const int8x16_t shift = vreinterpretq_s8_u32(vdupq_n_u32(0xfafcfe00u));  // 0, -2, -4, -6
  const auto of_four = [&](uint64_t low, uint64_t high) {
    const uint8x16_t order = vcombine_u8(vcreate_u8(low), vcreate_u8(high));
    const uint8x16_t moved = vshlq_u8(vqtbl1q_u8(bytes, order), shift);
    return signed_bytes(vandq_u8(moved, vdupq_n_u8(3)));
  };
  return {of_four(0x0101010100000000ull, 0x0303030302020202ull),
          of_four(0x0505050504040404ull, 0x0707070706060606ull)};
}
template <int kShift, int kMask>
inline int8x16_t bits_at(int8x16_t a) {
  uint8x16_t moved = unsigned_bytes(a);
  if constexpr (kShift > 0) moved = vshrq_n_u8(moved, kShift);
  return signed_bytes(vandq_u8(moved, vdupq_n_u8(kMask)));
}
template <int kShift, int kMask>
inline VecI8 bits_at(VecI8 a) {
  return {bits_at<kShift, kMask>(a.lo), bits_at<kShift, kMask>(a.hi)};
}
template <int kShift, int kMask>
inline VecI8 bits_left(VecI8 a) {
  const int8x16_t mask = signed_bytes(vdupq_n_u8(kMask));
  return {vandq_s8(vshlq_n_s8(a.lo, kShift), mask), vandq_s8(vshlq_n_s8(a.hi, kShift), mask)};
}
template <int kShift, int kMask>
inline VecI8 bits_to_high(VecI8 a) {
  const VecI8 low = bits_at<kShift, kMask>(a);
  return {vshlq_n_s8(low.lo, 4), vshlq_n_s8(low.hi, 4)};
}
inline VecI8 add(VecI8 a, VecI8 b) { return {vaddq_s8(a.lo, b.lo), vaddq_s8(a.hi, b.hi)}; }
inline VecI8 times3(VecI8 a) { return add(a, add(a, a)); }
inline VecI8 times(VecI8 a, const uint8_t factors[32]) {
  const VecI8 f = i8_load(factors);
  return {vmulq_s8(a.lo, f.lo), vmulq_s8(a.hi, f.hi)};
}
inline VecI8 top_digit(VecI8 a) {
  const auto of_half = [](int8x16_t half) {
    const uint8x16_t x = unsigned_bytes(half);
    const uint8x8_t low = vshrn_n_u16(vmull_u8(vget_low_u8(x), vdup_n_u8(3)), 8);
    return signed_bytes(vshrn_high_n_u16(low, vmull_high_u8(x, vdupq_n_u8(3)), 8));
  };
  return {of_half(a.lo), of_half(a.hi)};
}
inline VecI8 low_then_high(VecI8 a, VecI8 b) { return {a.lo, b.hi}; }
inline VecI8 either(VecI8 a, VecI8 b) { return {vorrq_s8(a.lo, b.lo), vorrq_s8(a.hi, b.hi)}; }
inline VecI8 lookup16(const int8_t table[16], VecI8 codes) {
  const int8x16_t entries = vld1q_s8(table);
  return {pick(entries, unsigned_bytes(codes.lo)), pick(entries, unsigned_bytes(codes.hi))};
}
inline VecI16 dot_u8(VecI8 u, VecI8 s) {
  const auto of_half = [](int8x16_t a, int8x16_t b) {
    const uint8x16_t x = unsigned_bytes(a);
    const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x)));
    const int16x8_t high = vreinterpretq_s16_u16(vmovl_high_u8(x));
    return vpaddq_s16(vmulq_s16(low, vmovl_s8(vget_low_s8(b))), vmulq_s16(high, vmovl_high_s8(b)));
  };
  return {of_half(u.lo, s.lo), of_half(u.hi, s.hi)};
}
inline VecI16 dot_i8(VecI8 a, VecI8 s) {
  const auto of_half = [](int8x16_t x, int8x16_t y) {
    return vpaddq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y)), vmull_high_s8(x, y));
  };
  return {of_half(a.lo, s.lo), of_half(a.hi, s.hi)};
}
// Unsigned codes stay below 128, so that one instruction serves both (dots_of_four-inl.h).
inline constexpr bool kFourWantsUnsigned = false;
inline VecI32 dot_four(VecI32 sum, VecI8 a, VecI8 b) {
  return {vdotq_s32(sum.lo, a.lo, b.lo), vdotq_s32(sum.hi, a.hi, b.hi)};
}

// Lane i = the sum of the lanes of four(i), for eight of them.
template <typename F>
inline VecI32 sums_of(F&& four) {
  const auto of_two = [&](int i) { return vpaddq_s32(four(i), four(i + 1)); };
  return {vpaddq_s32(of_two(0), of_two(2)), vpaddq_s32(of_two(4), of_two(6))};
}
inline VecI32 transpose_add(const VecI32 r[8]) {
  return sums_of([&](int i) { return vaddq_s32(r[i].lo, r[i].hi); });
}
inline void transpose_add_halves(const VecI32 r[8], VecI32 sums[2]) {
  sums[0] = sums_of([&](int i) { return r[i].lo; });
  sums[1] = sums_of([&](int i) { return r[i].hi; });
}
// Rows of four words become columns.
inline void transpose4(int32x4_t& a, int32x4_t& b, int32x4_t& c, int32x4_t& d) {
  const int64x2_t low_ab = vreinterpretq_s64_s32(vzip1q_s32(a, b));
  const int64x2_t high_ab = vreinterpretq_s64_s32(vzip2q_s32(a, b));
  const int64x2_t low_cd = vreinterpretq_s64_s32(vzip1q_s32(c, d));
  const int64x2_t high_cd = vreinterpretq_s64_s32(vzip2q_s32(c, d));
  a = vreinterpretq_s32_s64(vzip1q_s64(low_ab, low_cd));
  b = vreinterpretq_s32_s64(vzip2q_s64(low_ab, low_cd));
  c = vreinterpretq_s32_s64(vzip1q_s64(high_ab, high_cd));
  d = vreinterpretq_s32_s64(vzip2q_s64(high_ab, high_cd));
}
inline void transpose8(VecI32 r[8]) {
  transpose4(r[0].lo, r[1].lo, r[2].lo, r[3].lo);
  transpose4(r[0].hi, r[1].hi, r[2].hi, r[3].hi);
  transpose4(r[4].lo, r[5].lo, r[6].lo, r[7].lo);
  transpose4(r[4].hi, r[5].hi, r[6].hi, r[7].hi);
  for (int i = 0; i < 4; ++i) {
    const int32x4_t t = r[i].hi;
    r[i].hi = r[i + 4].lo;
    r[i + 4].lo = t;
  }
}
inline int32_t store_codes(int8_t* p, VecF32 x) {
  const int32x4_t low = vcvtnq_s32_f32(x.lo), high = vcvtnq_s32_f32(x.hi);
  vst1_s8(p, vqmovn_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high))));
  return vaddvq_s32(vaddq_s32(low, high));
}
inline void prefetch(const void* p) { asm volatile("prfm pldl1keep, %a0" : : "p"(p)); }

#include "kernels/simd_codebook_neon.h"
