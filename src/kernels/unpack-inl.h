// Unpack<Block>: how one format's bytes become 8-bit codes and integer scales. The one thing a new
// format adds to be fast everywhere; matmul and tile kernels are written over these members:
//
//   kSigned      codes are signed bytes (else unsigned, at most kLargest)
//   kSub         codes per integer scale (16 or 32); 32-wide formats have one implicit scale of 1
//   kScaled      the block has integer scales
//   kMinimum     what is subtracted or added beside the codes (enum Minimum)
//   codes(b, i)  32 consecutive codes, i in [0, kLen / 32)
//   kPairs       4-bit codes in qs and nothing else: two blocks can share their steps;
//   value(nibbles)
//                then turns nibbles into codes
//   d(b), m(b)   float scale and float minimum as f16 bits
//   scales(b)    the integer scales and minima of the sub-blocks

enum class Minimum {
  kNone,
  kOffset,    // integer: isum -= kOffset * (sum of activation codes); exact
  kSubScale,  // integer: isum -= 32 * sum over sub-blocks of scale * activation sum; exact (Q6_K)
  kFloat,     // float: acc += m * (d_activation * sum of activation codes)
  kInteger,   // float times integer: acc -= (dmin * d_activation) * sum of minimum * activation sum
};

// Integer scales of a super-block. 32-wide sub-blocks: scale s in lane s of both halves. 16-wide:
// even ones in the low, odd ones in the high half. So i16_pick(scales, i) is the factor of the i-th
// 32 codes.
struct Scales {
  VecI16 scales;
  VecI16 minima;  // one per 16 codes, in order
};

template <typename Block>
struct Unpack;

template <>
struct Unpack<BlockQ4_0> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 15, kOffset = 8;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static constexpr bool kPairs = true;
  static VecI8 codes(const BlockQ4_0& b, int) { return expand_nibbles(b.qs); }
  static VecI8 value(VecI8 nibbles) { return nibbles; }
  static uint16_t d(const BlockQ4_0& b) { return b.d; }
};

template <>
struct Unpack<BlockQ4_1> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 15, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kFloat;
  static constexpr bool kPairs = true;
  static VecI8 codes(const BlockQ4_1& b, int) { return expand_nibbles(b.qs); }
  static VecI8 value(VecI8 nibbles) { return nibbles; }
  static uint16_t d(const BlockQ4_1& b) { return b.d; }
  static uint16_t m(const BlockQ4_1& b) { return b.m; }
};

template <>
struct Unpack<BlockQ5_0> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 31, kOffset = 16;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static constexpr bool kPairs = false;
  static VecI8 codes(const BlockQ5_0& b, int) {
    return either(expand_nibbles(b.qs), expand_bits_to_16(b.qh));
  }
  static uint16_t d(const BlockQ5_0& b) { return b.d; }
};

template <>
struct Unpack<BlockQ5_1> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 31, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kFloat;
  static constexpr bool kPairs = false;
  static VecI8 codes(const BlockQ5_1& b, int) {
    return either(expand_nibbles(b.qs), expand_bits_to_16(b.qh));
  }
  static uint16_t d(const BlockQ5_1& b) { return b.d; }
  static uint16_t m(const BlockQ5_1& b) { return b.m; }
};

template <>
struct Unpack<BlockQ8_0> {
  static constexpr bool kSigned = true, kScaled = false;
  static constexpr int kSub = 32, kLargest = 128, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kNone;
  static constexpr bool kPairs = false;
  static VecI8 codes(const BlockQ8_0& b, int) { return i8_load(b.qs); }
  static uint16_t d(const BlockQ8_0& b) { return b.d; }
};

template <>
struct Unpack<BlockIQ4_NL> {
  static constexpr bool kSigned = true, kScaled = false;
  static constexpr int kSub = 32, kLargest = 127, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kNone;
  static constexpr bool kPairs = true;
  static VecI8 codes(const BlockIQ4_NL& b, int) { return value(expand_nibbles(b.qs)); }
  static VecI8 value(VecI8 nibbles) { return lookup16(kIQ4Values, nibbles); }
  static uint16_t d(const BlockIQ4_NL& b) { return b.d; }
};

// The eight 6-bit scales and minima of Q4_K and Q5_K, taken apart four bytes at a time
// (layout drawn at BlockQ4_K): one byte each, in order. In registers all the way: bytes stored one
// by one and loaded together would wait for the stores.
inline void unpack_scales_6bit(const uint8_t packed[12], uint64_t* scales, uint64_t* minima) {
  uint32_t word[3];
  __builtin_memcpy(word, packed, 12);
  const uint32_t s_low = word[0] & 0x3f3f3f3fu, m_low = word[1] & 0x3f3f3f3fu;
  const uint32_t s_high = (word[2] & 0x0f0f0f0fu) | ((word[0] >> 2) & 0x30303030u);
  const uint32_t m_high = ((word[2] >> 4) & 0x0f0f0f0fu) | ((word[1] >> 2) & 0x30303030u);
  *scales = s_low | (static_cast<uint64_t>(s_high) << 32);
  *minima = m_low | (static_cast<uint64_t>(m_high) << 32);
}

template <typename Block>
struct UnpackAffineK {  // what Q4_K and Q5_K share
  static constexpr bool kSigned = false, kScaled = true, kPairs = false;
  static constexpr int kSub = 32, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kInteger;
  static uint16_t d(const Block& b) { return b.d; }
  static uint16_t m(const Block& b) { return b.dmin; }
  static Scales scales(const Block& b) {
    uint64_t scale_bytes, minimum_bytes;
    unpack_scales_6bit(b.scales, &scale_bytes, &minimum_bytes);
    return {i16_widen8(scale_bytes), i16_widen8_twice(minimum_bytes)};
  }
};

template <>
struct Unpack<BlockQ4_K> : UnpackAffineK<BlockQ4_K> {
  static constexpr int kLargest = 15;
  static VecI8 codes(const BlockQ4_K& b, int i) {
    const VecI8 both = i8_load(b.qs + 32 * (i / 2));
    return i % 2 == 0 ? low_nibbles(both) : high_nibbles(both);
  }
};

template <>
struct Unpack<BlockQ5_K> : UnpackAffineK<BlockQ5_K> {
  static constexpr int kLargest = 31;
  static VecI8 codes(const BlockQ5_K& b, int i) {
    const VecI8 both = i8_load(b.qs + 32 * (i / 2));
    const VecI8 low = i % 2 == 0 ? low_nibbles(both) : high_nibbles(both);
    return either(low, high_bit(i8_load(b.qh), i));
  }
  static VecI8 high_bit(VecI8 qh, int i) {
    switch (i) {
      case 0:
        return bits_to_high<0, 1>(qh);
      case 1:
        return bits_to_high<1, 1>(qh);
      case 2:
        return bits_to_high<2, 1>(qh);
      case 3:
        return bits_to_high<3, 1>(qh);
      case 4:
        return bits_to_high<4, 1>(qh);
      case 5:
        return bits_to_high<5, 1>(qh);
      case 6:
        return bits_to_high<6, 1>(qh);
      default:
        return bits_to_high<7, 1>(qh);
    }
  }
};

template <>
struct Unpack<BlockQ6_K> {
  static constexpr bool kSigned = false, kScaled = true, kPairs = false;
  static constexpr int kSub = 16, kLargest = 63, kOffset = 32;
  static constexpr Minimum kMinimum = Minimum::kSubScale;
  static VecI8 codes(const BlockQ6_K& b, int i) {
    const VecI8 ql = i8_load(b.ql + 64 * (i / 4) + 32 * (i % 2));
    const VecI8 qh = i8_load(b.qh + 32 * (i / 4));
    switch (i % 4) {
      case 0:
        return either(low_nibbles(ql), bits_to_high<0, 3>(qh));
      case 1:
        return either(low_nibbles(ql), bits_to_high<2, 3>(qh));
      case 2:
        return either(high_nibbles(ql), bits_to_high<4, 3>(qh));
      default:
        return either(high_nibbles(ql), bits_to_high<6, 3>(qh));
    }
  }
  static uint16_t d(const BlockQ6_K& b) { return b.d; }
  static Scales scales(const BlockQ6_K& b) {
    return {i16_widen_even_odd(b.scales), i16_widen16(b.scales)};  // 32 * scale: applied to the sum
  }
};
