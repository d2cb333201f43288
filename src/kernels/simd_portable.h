// The vector vocabulary of the kernels in plain C++: the reference for every other simd_<isa>.h.
// Included inside the namespace of one ISA; no header here may emit shared inline symbols.

struct VecF32 {
  float v[8];
};
struct VecI32 {
  int32_t v[8];
};
struct VecI16 {
  int16_t v[16];
};
struct VecI8 {
  int8_t v[32];
};  // codes; unsigned ones never exceed 255
struct Bytes16 {
  int8_t v[16];
};  // packed scales

#define NIBBLE_LANES(n) for (int i = 0; i < (n); ++i)

// ---- scalars ------------------------------------------------------------------------------------

inline float f16_bits_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t rest = static_cast<uint32_t>(h & 0x7fffu) << 13;
  // Multiplying by 2^112 moves the exponent and normalises subnormals; infinity and NaN need their
  // own.
  const float scaled = __builtin_bit_cast(float, rest) * 0x1p112f;
  const uint32_t bits =
      rest >= 0x0f800000u ? (rest | 0x70000000u) : __builtin_bit_cast(uint32_t, scaled);
  return __builtin_bit_cast(float, sign | bits);
}

inline uint16_t float_to_f16_bits(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x1ffu);
  } else if (magnitude >= 0x477ff000u) {
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {
    half = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, magnitude) + 0.5f) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  }
  return static_cast<uint16_t>(sign | half);
}

// ---- 8 floats -----------------------------------------------------------------------------------

inline VecF32 f32_set1(float x) {
  VecF32 r;
  NIBBLE_LANES(8) r.v[i] = x;
  return r;
}
inline VecF32 f32_zero() { return f32_set1(0.0f); }
inline VecF32 f32_load(const float* p) {
  VecF32 r;
  NIBBLE_LANES(8) r.v[i] = p[i];
  return r;
}
inline void f32_store(float* p, VecF32 a) { NIBBLE_LANES(8) p[i] = a.v[i]; }
inline VecF32 f32_load_f16(const uint16_t* p) {
  VecF32 r;
  NIBBLE_LANES(8) r.v[i] = f16_bits_to_float(p[i]);
  return r;
}
inline VecF32 f32_from_f16(uint16_t a, uint16_t b, uint16_t c, uint16_t d, uint16_t e, uint16_t f,
                           uint16_t g, uint16_t h) {
  const uint16_t p[8] = {a, b, c, d, e, f, g, h};
  return f32_load_f16(p);
}
// Eight times two f16 numbers, the first in the low bits.
inline void f32_pair_from_f16(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e,
                              uint32_t f, uint32_t g, uint32_t h, VecF32* first, VecF32* second) {
  const uint32_t p[8] = {a, b, c, d, e, f, g, h};
  NIBBLE_LANES(8) first->v[i] = f16_bits_to_float(static_cast<uint16_t>(p[i]));
  NIBBLE_LANES(8) second->v[i] = f16_bits_to_float(static_cast<uint16_t>(p[i] >> 16));
}
// Eight scales of 8 bits (formats/blocks.h), both halved as FP4 wants them.
struct E8M0 {
  uint8_t bits;
};
struct UE4M3 {
  uint8_t bits;
};
inline VecF32 f32_of(E8M0 a, E8M0 b, E8M0 c, E8M0 d, E8M0 e, E8M0 f, E8M0 g, E8M0 h) {
  const E8M0 p[8] = {a, b, c, d, e, f, g, h};
  VecF32 r;
  NIBBLE_LANES(8) {
    const uint32_t x = p[i].bits;
    r.v[i] = __builtin_bit_cast(float, x < 2 ? 0x00200000u << x : (x - 1) << 23);
  }
  return r;
}
// Exponent and mantissa moved to their places in a float32 make 2^-120 times the number.
inline VecF32 f32_of(UE4M3 a, UE4M3 b, UE4M3 c, UE4M3 d, UE4M3 e, UE4M3 f, UE4M3 g, UE4M3 h) {
  const UE4M3 p[8] = {a, b, c, d, e, f, g, h};
  VecF32 r;
  NIBBLE_LANES(8) {
    const uint32_t x = p[i].bits == 0x7f ? 0 : p[i].bits & 0x7fu;
    r.v[i] = __builtin_bit_cast(float, x << 20) * 0x1p119f;
  }
  return r;
}
inline VecF32 f32_load_bf16(const uint16_t* p) {
  VecF32 r;
  NIBBLE_LANES(8) r.v[i] = __builtin_bit_cast(float, static_cast<uint32_t>(p[i]) << 16);
  return r;
}
inline VecF32 f32_from_i8(const int8_t* p) {
  VecF32 r;
  NIBBLE_LANES(8) r.v[i] = p[i];
  return r;
}
inline void f32_store_f16(uint16_t* p, VecF32 a) {
  NIBBLE_LANES(8) p[i] = float_to_f16_bits(a.v[i]);
}
inline VecF32 add(VecF32 a, VecF32 b) {
  NIBBLE_LANES(8) a.v[i] += b.v[i];
  return a;
}
inline VecF32 sub(VecF32 a, VecF32 b) {
  NIBBLE_LANES(8) a.v[i] -= b.v[i];
  return a;
}
inline VecF32 mul(VecF32 a, VecF32 b) {
  NIBBLE_LANES(8) a.v[i] *= b.v[i];
  return a;
}
inline VecF32 div(VecF32 a, VecF32 b) {
  NIBBLE_LANES(8) a.v[i] /= b.v[i];
  return a;
}
inline VecF32 fma(VecF32 a, VecF32 b, VecF32 c) {
  NIBBLE_LANES(8) c.v[i] += a.v[i] * b.v[i];
  return c;
}
inline VecF32 fnma(VecF32 a, VecF32 b, VecF32 c) {
  NIBBLE_LANES(8) c.v[i] -= a.v[i] * b.v[i];
  return c;
}
inline VecF32 max(VecF32 a, VecF32 b) {
  NIBBLE_LANES(8) a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
  return a;
}
inline VecF32 min(VecF32 a, VecF32 b) {
  NIBBLE_LANES(8) a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return a;
}
inline VecF32 abs(VecF32 a) {
  NIBBLE_LANES(8) a.v[i] = __builtin_fabsf(a.v[i]);
  return a;
}
inline float sum_lanes(VecF32 a) {
  const float s0 = a.v[0] + a.v[4], s1 = a.v[1] + a.v[5], s2 = a.v[2] + a.v[6],
              s3 = a.v[3] + a.v[7];
  return (s0 + s2) + (s1 + s3);
}
// Lane r = sum_lanes(r[r]), added in the same order.
inline VecF32 sum_lanes_of_eight(const VecF32 r[8]) {
  VecF32 sums;
  NIBBLE_LANES(8) sums.v[i] = sum_lanes(r[i]);
  return sums;
}
inline float max_lanes(VecF32 a) {
  float m = a.v[0];
  NIBBLE_LANES(8) m = a.v[i] > m ? a.v[i] : m;
  return m;
}
// 2^e as a float, |e| <= 126 and integral.
inline VecF32 exp2_of_integer(VecF32 e) {
  NIBBLE_LANES(8) e.v[i] = __builtin_bit_cast(float, (static_cast<int32_t>(e.v[i]) + 127) << 23);
  return e;
}
// Nearest integer, ties to even, for |x| < 2^22 (adding 1.5 * 2^23 leaves no room for a fraction).
inline VecF32 round_even(VecF32 a) {
  NIBBLE_LANES(8) a.v[i] = (a.v[i] + 12582912.0f) - 12582912.0f;
  return a;
}

// ---- integers -----------------------------------------------------------------------------------

inline VecI32 i32_zero() { return VecI32{}; }
inline VecI32 i32_set1(int32_t x) {
  VecI32 r;
  NIBBLE_LANES(8) r.v[i] = x;
  return r;
}
inline VecI32 i32_load(const void* p) {
  VecI32 r;
  __builtin_memcpy(&r, p, 32);
  return r;
}
inline void i32_store(void* p, VecI32 a) { __builtin_memcpy(p, &a, 32); }
inline VecI32 add(VecI32 a, VecI32 b) {
  NIBBLE_LANES(8) a.v[i] += b.v[i];
  return a;
}
inline VecI32 sub(VecI32 a, VecI32 b) {
  NIBBLE_LANES(8) a.v[i] -= b.v[i];
  return a;
}
template <int kFactor>
inline VecI32 times(VecI32 a) {
  NIBBLE_LANES(8) a.v[i] *= kFactor;
  return a;
}
// Of multiples of 2^kShift.
template <int kShift>
inline VecI32 divide_by_power(VecI32 a) {
  NIBBLE_LANES(8) a.v[i] >>= kShift;
  return a;
}
inline int32_t sum_lanes(VecI32 a) {
  int32_t sum = 0;
  NIBBLE_LANES(8) sum += a.v[i];
  return sum;
}
inline VecF32 to_float(VecI32 a) {
  VecF32 r;
  NIBBLE_LANES(8) r.v[i] = static_cast<float>(a.v[i]);
  return r;
}

inline VecI16 i16_zero() { return VecI16{}; }
inline VecI16 i16_set1(int16_t x) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = x;
  return r;
}
inline VecI16 i16_load(const void* p) {
  VecI16 r;
  __builtin_memcpy(&r, p, 32);
  return r;
}
inline void i16_store(void* p, VecI16 a) { __builtin_memcpy(p, &a, 32); }
// The eight 6-bit scales and minima of Q4_K and Q5_K (layout drawn at BlockQ4_K; 16 bytes are
// read): scales, then minima, in both halves.
inline VecI8 scales_6bit(const uint8_t packed[12]) {
  VecI8 r;
  NIBBLE_LANES(32) {
    uint8_t scale, minimum;
    scale_min_k4(packed, i % 8, scale, minimum);
    r.v[i] = static_cast<int8_t>(i % 16 < 8 ? scale : minimum);
  }
  return r;
}
// Unsigned bytes of a word, lowest first, to int16: all eight in both halves.
inline VecI16 i16_widen8(uint64_t bytes) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<int16_t>((bytes >> (8 * (i % 8))) & 0xff);
  return r;
}
// In each half, lane k everywhere.
inline VecI16 i16_pick(VecI16 a, int k) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = a.v[i / 8 * 8 + k];
  return r;
}
inline VecI16 i16_widen16(const int8_t p[16]) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = p[i];
  return r;
}
inline Bytes16 b16_load(const void* p) {
  Bytes16 r;
  __builtin_memcpy(&r, p, 16);
  return r;
}
inline Bytes16 b16_from(uint64_t low, uint64_t high) {
  Bytes16 r;
  __builtin_memcpy(r.v, &low, 8);
  __builtin_memcpy(r.v + 8, &high, 8);
  return r;
}
inline Bytes16 low_nibbles(Bytes16 a) {
  NIBBLE_LANES(16) a.v[i] &= 15;
  return a;
}
inline Bytes16 high_nibbles(Bytes16 a) {
  NIBBLE_LANES(16) a.v[i] = static_cast<int8_t>(static_cast<uint8_t>(a.v[i]) >> 4);
  return a;
}
inline VecI16 i16_widen16(Bytes16 a) { return i16_widen16(a.v); }
inline VecI8 twice(Bytes16 a) {
  VecI8 r;
  NIBBLE_LANES(32) r.v[i] = a.v[i % 16];
  return r;
}
// Of 16 bytes in both halves, unsigned. Byte 2 k everywhere in the low half and 2 k + 1 in the high
// half; all in order.
inline VecI16 i16_byte_pair(VecI8 a, int k) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<uint8_t>(a.v[2 * k + i / 8]);
  return r;
}
template <int kHigh>
inline VecI16 half_twice(VecI16 a) {
  NIBBLE_LANES(8) a.v[i] = a.v[8 + i] = a.v[8 * kHigh + i];
  return a;
}
// Lane 2 k of the low half everywhere there, lane 2 k + 1 of the high half.
inline VecI16 i16_pair(VecI16 a, int k) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = a.v[i / 8 * 8 + 2 * k + i / 8];
  return r;
}
inline VecI16 i16_byte(VecI8 a, int k) {  // byte k everywhere
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<uint8_t>(a.v[k]);
  return r;
}
inline VecI16 i16_high_bytes_twice(VecI8 a) {  // bytes 8 to 15, each twice
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<uint8_t>(a.v[8 + i / 2]);
  return r;
}
inline VecI16 i16_bytes(VecI8 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<uint8_t>(a.v[i]);
  return r;
}
// The same of signed bytes, times 256.
inline VecI16 i16_byte_pair_256(VecI8 a, int k) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<int16_t>(a.v[2 * k + i / 8] * 256);
  return r;
}
inline VecI16 i16_bytes_256(VecI8 a) {
  VecI16 r;
  NIBBLE_LANES(16) r.v[i] = static_cast<int16_t>(a.v[i] * 256);
  return r;
}
// Lane k = 0..7 of each half: four bits from nibble k of the first, two from pair k of the second.
inline VecI16 i16_join_4_2(uint32_t nibbles, uint32_t pairs) {
  VecI16 r;
  NIBBLE_LANES(16) {
    const int k = i % 8;
    r.v[i] = static_cast<int16_t>(((nibbles >> (4 * k)) & 15) | (((pairs >> (2 * k)) & 3) << 4));
  }
  return r;
}
inline VecI16 add(VecI16 a, VecI16 b) {
  NIBBLE_LANES(16) a.v[i] = static_cast<int16_t>(a.v[i] + b.v[i]);
  return a;
}
// lane i = a[2i] * b[2i] + a[2i+1] * b[2i+1]
inline VecI32 dot_pairs(VecI16 a, VecI16 b) {
  VecI32 r;
  NIBBLE_LANES(8) r.v[i] = a.v[2 * i] * b.v[2 * i] + a.v[2 * i + 1] * b.v[2 * i + 1];
  return r;
}
// The same added to sum; b is one pair, repeated.
inline VecI32 add_dot_pairs(VecI32 sum, VecI16 a, VecI16 b) { return add(sum, dot_pairs(a, b)); }

inline VecI8 i8_load(const void* p) {
  VecI8 r;
  __builtin_memcpy(&r, p, 32);
  return r;
}
inline VecI8 i8_halves(const void* low, const void* high) {  // 16 bytes from each
  VecI8 r;
  __builtin_memcpy(r.v, low, 16);
  __builtin_memcpy(r.v + 16, high, 16);
  return r;
}
inline VecI8 i8_broadcast4(const void* p) {  // four bytes, eight times
  VecI8 r;
  NIBBLE_LANES(8) __builtin_memcpy(r.v + 4 * i, p, 4);
  return r;
}
inline VecI32 as_i32(VecI8 a) { return i32_load(&a); }
inline VecI8 as_bytes(VecI32 a) { return i8_load(&a); }
inline VecI16 i16_broadcast2(const void* p) {  // two int16, eight times
  VecI16 r;
  NIBBLE_LANES(8) __builtin_memcpy(r.v + 2 * i, p, 4);
  return r;
}
inline VecI8 low_nibbles(VecI8 a) {
  NIBBLE_LANES(32) a.v[i] &= 15;
  return a;
}
inline VecI8 high_nibbles(VecI8 a) {
  NIBBLE_LANES(32) a.v[i] = static_cast<int8_t>(static_cast<uint8_t>(a.v[i]) >> 4);
  return a;
}
// 16 bytes: lanes 0-15 their low nibbles, lanes 16-31 their high nibbles.
inline VecI8 expand_nibbles(const uint8_t* p) {
  VecI8 r;
  NIBBLE_LANES(16) {
    r.v[i] = p[i] & 15;
    r.v[16 + i] = static_cast<int8_t>(p[i] >> 4);
  }
  return r;
}
// 16 bytes: lanes 0-7 the low nibbles of the first eight, lanes 8-15 their high nibbles, then the
// same of the other eight.
inline VecI8 expand_nibbles_by_8(const uint8_t* p) {
  VecI8 r;
  NIBBLE_LANES(32) {
    const uint8_t byte = p[i / 16 * 8 + i % 8];
    r.v[i] = static_cast<int8_t>(i % 16 < 8 ? byte & 15 : byte >> 4);
  }
  return r;
}
// Lane i = kValue when bit i of the four bytes is set, else 0.
template <int kValue>
inline VecI8 expand_bits(const uint8_t* p) {
  VecI8 r;
  NIBBLE_LANES(32) r.v[i] = static_cast<int8_t>(((p[i / 8] >> (i % 8)) & 1) * kValue);
  return r;
}
// 4 bytes from each, four times in their half.
inline VecI8 i8_words(const void* low, const void* high) {
  VecI8 r;
  NIBBLE_LANES(4) __builtin_memcpy(r.v + 4 * i, low, 4);
  NIBBLE_LANES(4) __builtin_memcpy(r.v + 16 + 4 * i, high, 4);
  return r;
}
// Lane i of a half = 16 when bit 16 * kHigh + i of its first four bytes is set, else 0.
template <int kHigh>
inline VecI8 bits_to_16(VecI8 words) {
  VecI8 r;
  NIBBLE_LANES(32) {
    const int byte = words.v[i / 16 * 16 + 2 * kHigh + i % 16 / 8];
    r.v[i] = static_cast<int8_t>(((byte >> (i % 8)) & 1) << 4);
  }
  return r;
}
// Lane i = bits 2i and 2i + 1 of the eight bytes.
inline VecI8 expand_bit_pairs(const uint8_t* p) {
  VecI8 r;
  NIBBLE_LANES(32) r.v[i] = static_cast<int8_t>((p[i / 4] >> (2 * (i % 4))) & 3);
  return r;
}
// Lane i = (a[i] >> shift) & mask; (a[i] << shift) & mask.
template <int kShift, int kMask>
inline VecI8 bits_at(VecI8 a) {
  NIBBLE_LANES(32) a.v[i] = static_cast<int8_t>((static_cast<uint8_t>(a.v[i]) >> kShift) & kMask);
  return a;
}
template <int kShift, int kMask>
inline VecI8 bits_left(VecI8 a) {
  NIBBLE_LANES(32) a.v[i] = static_cast<int8_t>((a.v[i] << kShift) & kMask);
  return a;
}
// Bytes modulo 256: times 3; times a factor per lane; and the number above them, (3 * a) >> 8.
inline VecI8 times3(VecI8 a) {
  NIBBLE_LANES(32) a.v[i] = static_cast<int8_t>(a.v[i] * 3);
  return a;
}
inline VecI8 times(VecI8 a, const uint8_t factors[32]) {
  NIBBLE_LANES(32) a.v[i] = static_cast<int8_t>(a.v[i] * factors[i]);
  return a;
}
inline VecI8 top_digit(VecI8 a) {
  NIBBLE_LANES(32) a.v[i] = static_cast<int8_t>((static_cast<uint8_t>(a.v[i]) * 3) >> 8);
  return a;
}
// Lanes 0-15 of the first, 16-31 of the second.
inline VecI8 low_then_high(VecI8 a, VecI8 b) {
  NIBBLE_LANES(16) a.v[16 + i] = b.v[16 + i];
  return a;
}
// Lane i = ((a[i] >> shift) & mask) << 4.
template <int kShift, int kMask>
inline VecI8 bits_to_high(VecI8 a) {
  NIBBLE_LANES(32)
  a.v[i] = static_cast<int8_t>(((static_cast<uint8_t>(a.v[i]) >> kShift) & kMask) << 4);
  return a;
}
inline VecI8 either(VecI8 a, VecI8 b) {
  NIBBLE_LANES(32) a.v[i] |= b.v[i];
  return a;
}
inline VecI8 lookup16(const int8_t table[16], VecI8 codes) {
  NIBBLE_LANES(32) codes.v[i] = table[codes.v[i]];
  return codes;
}
// lane i = u[2i] * s[2i] + u[2i+1] * s[2i+1]: u unsigned, s signed; callers keep it within int16.
inline VecI16 dot_u8(VecI8 u, VecI8 s) {
  VecI16 r;
  NIBBLE_LANES(16)
  r.v[i] = static_cast<int16_t>(static_cast<uint8_t>(u.v[2 * i]) * s.v[2 * i] +
                                static_cast<uint8_t>(u.v[2 * i + 1]) * s.v[2 * i + 1]);
  return r;
}
// The same for two signed vectors, a in -128..127, s within +-127.
inline VecI16 dot_i8(VecI8 a, VecI8 s) {
  VecI16 r;
  NIBBLE_LANES(16)
  r.v[i] = static_cast<int16_t>(a.v[2 * i] * s.v[2 * i] + a.v[2 * i + 1] * s.v[2 * i + 1]);
  return r;
}

// lane r = sum of the lanes of rows[r].
inline VecI32 transpose_add(const VecI32 rows[8]) {
  VecI32 r{};
  for (int row = 0; row < 8; ++row) NIBBLE_LANES(8) r.v[row] += rows[row].v[i];
  return r;
}
// The same for lanes 0-3 (sums[0]) and lanes 4-7 (sums[1]) apart.
inline void transpose_add_halves(const VecI32 rows[8], VecI32 sums[2]) {
  sums[0] = sums[1] = VecI32{};
  for (int row = 0; row < 8; ++row) NIBBLE_LANES(8) sums[i / 4].v[row] += rows[row].v[i];
}
inline void transpose8(VecI32 rows[8]) {
  for (int a = 0; a < 8; ++a) {
    for (int b = 0; b < a; ++b) {
      const int32_t t = rows[a].v[b];
      rows[a].v[b] = rows[b].v[a];
      rows[b].v[a] = t;
    }
  }
}
// Rounds 8 floats (ties to even, |x| <= 127.5) to bytes at p; returns their sum.
inline int32_t store_codes(int8_t* p, VecF32 x) {
  int32_t total = 0;
  NIBBLE_LANES(8) {
    const float shifted = x.v[i] + 12582912.0f;
    p[i] = static_cast<int8_t>(__builtin_bit_cast(uint32_t, shifted) & 0xffu);
    total += p[i];
  }
  return total;
}
inline void prefetch(const void* p) { __builtin_prefetch(p); }

#include "kernels/simd_codebook_portable.h"

#undef NIBBLE_LANES
