// Unpack<Block> of the super-blocks but those of the codebook formats; see unpack-inl.h.

// Other forms of Scales, cheaper to make. Eight unsigned bytes in both halves, one per 32 codes:
struct ByteScalesOf32 {
  VecI8 scales;
  VecI16 minima;
  VecI16 pick(int i) const { return i16_byte(scales, i); }
};
// 16 unsigned bytes in both halves, one per 16 codes:
struct ByteScalesOf16 {
  VecI8 scales;
  VecI16 minima;
  VecI16 pick(int i) const { return i16_byte_pair(scales, i); }
};
// The same, signed. All comes out 256 times too large, kTimes takes it back.
struct ByteScales256 {
  VecI8 scales;
  VecI16 minima;
  VecI16 pick(int i) const { return i16_byte_pair_256(scales, i); }
};

// 16 signed numbers, in order and so that pick() finds them.
struct ScalesOf16 {
  VecI16 first, second;  // scales 0-7 and 8-15, in both halves
  VecI16 minima;
  VecI16 pick(int i) const { return i16_pair(i < 4 ? first : second, i % 4); }
};

template <typename Block>
struct UnpackAffineK {  // what Q4_K and Q5_K share
  static constexpr bool kSigned = false, kScaled = true, kPairs = false;
  static constexpr int kSub = 32, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kInteger;
  static uint16_t d(const Block& b) { return b.d; }
  static uint16_t m(const Block& b) { return b.dmin; }
  static ByteScalesOf32 scales(const Block& b) {
    const VecI8 all = scales_6bit(b.scales);
    return {all, i16_high_bytes_twice(all)};
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
  static ScalesOf16 scales(const BlockQ6_K& b) {
    const VecI16 all = i16_widen16(b.scales);
    return {half_twice<0>(all), half_twice<1>(all), all};
  }
};

// Bits 2k and 2k + 1 of every byte: the order of qs in Q2_K, Q3_K and TQ2_0.
inline VecI8 two_bits(VecI8 a, int k) {
  switch (k) {
    case 0:
      return bits_at<0, 3>(a);
    case 1:
      return bits_at<2, 3>(a);
    case 2:
      return bits_at<4, 3>(a);
    default:
      return bits_at<6, 3>(a);
  }
}

template <>
struct Unpack<BlockQ2_K> {
  static constexpr bool kSigned = false, kScaled = true, kPairs = false;
  static constexpr int kSub = 16, kLargest = 3, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kInteger;
  static VecI8 codes(const BlockQ2_K& b, int i) {
    return two_bits(i8_load(b.qs + 32 * (i / 4)), i % 4);
  }
  static uint16_t d(const BlockQ2_K& b) { return b.d; }
  static uint16_t m(const BlockQ2_K& b) { return b.dmin; }
  static ByteScalesOf16 scales(const BlockQ2_K& b) {
    const VecI8 both = twice(b16_load(b.scales));
    return {low_nibbles(both), i16_bytes(high_nibbles(both))};
  }
};

template <>
struct Unpack<BlockQ3_K> {
  static constexpr bool kSigned = false, kScaled = true, kPairs = false;
  static constexpr int kSub = 16, kLargest = 7, kOffset = 4;
  static constexpr int kTimesPower = 8;
  static constexpr Minimum kMinimum = Minimum::kSubScale;
  static VecI8 codes(const BlockQ3_K& b, int i) {
    return either(two_bits(i8_load(b.qs + 32 * (i / 4)), i % 4), third_bit(i8_load(b.hmask), i));
  }
  static VecI8 third_bit(VecI8 hmask, int i) {  // 0 or 4
    switch (i) {
      case 0:
        return bits_left<2, 4>(hmask);
      case 1:
        return bits_left<1, 4>(hmask);
      case 2:
        return bits_at<0, 4>(hmask);
      case 3:
        return bits_at<1, 4>(hmask);
      case 4:
        return bits_at<2, 4>(hmask);
      case 5:
        return bits_at<3, 4>(hmask);
      case 6:
        return bits_at<4, 4>(hmask);
      default:
        return bits_at<5, 4>(hmask);
    }
  }
  static uint16_t d(const BlockQ3_K& b) { return b.d; }
  // Layout drawn at BlockQ3_K; eight bytes at a time.
  static ByteScales256 scales(const BlockQ3_K& b) {
    uint64_t low;
    uint32_t high;
    __builtin_memcpy(&low, b.scales, 8);
    __builtin_memcpy(&high, b.scales + 8, 4);
    const uint64_t both = high | (static_cast<uint64_t>(high) << 30);
    constexpr uint64_t kNibble = 0x0f0f0f0f0f0f0f0f, kTop = 0x3030303030303030;
    const Bytes16 scales =
        b16_from((low & kNibble) | ((both << 4) & kTop), ((low >> 4) & kNibble) | (both & kTop));
    const VecI8 minus_32 = add(twice(scales), i8_set1(-32));
    return {minus_32, i16_bytes_256(minus_32)};
  }
};

template <>
struct Unpack<BlockIQ4_XS> {
  static constexpr bool kSigned = true, kScaled = true, kPairs = false;
  static constexpr int kSub = 32, kLargest = 127, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kNone;
  static VecI8 codes(const BlockIQ4_XS& b, int i) {
    return lookup16(kIQ4Values, expand_nibbles(b.qs + 16 * i));
  }
  static uint16_t d(const BlockIQ4_XS& b) { return b.d; }
  static Scales scales(const BlockIQ4_XS& b) {
    uint32_t low;
    __builtin_memcpy(&low, b.scales_l, 4);
    return {add(i16_join_4_2(low, b.scales_h), i16_set1(-32)), i16_zero()};
  }
};

template <>
struct Unpack<BlockTQ1_0> {
  static constexpr bool kSigned = false, kScaled = false, kPairs = false;
  static constexpr int kSub = 256, kLargest = 2, kOffset = 1;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  // Bytes times 3^n bring up digit n. The 16 bytes behind the first 32 and the four of qh share
  // vectors: digits 0 and 1, 2 and 3, 4 and those of qh.
  static VecI8 codes(const BlockTQ1_0& b, int i) {
    if (i < 5) {
      VecI8 q = i8_load(b.qs);
      for (int n = 0; n < i; ++n) q = times3(q);
      return top_digit(q);
    }
    static constexpr uint8_t kPowers[3][32] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
         3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3},
        {9,  9,  9,  9,  9,  9,  9,  9,  9,  9,  9,  9,  9,  9,  9,  9,
         27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27, 27},
        {81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81, 81,
         1,  1,  1,  1,  3,  3,  3,  3,  9,  9,  9,  9,  27, 27, 27, 27}};
    VecI8 q = i8_halves(b.qs + 32, b.qs + 32);
    if (i == 7) q = low_then_high(q, i8_broadcast4(b.qh));
    return top_digit(times(q, kPowers[i - 5]));
  }
  static uint16_t d(const BlockTQ1_0& b) { return b.d; }

  // One row, few columns: digits are not taken apart. c[n] = floor(byte * 3^(n+1) / 256) holds the
  // first n + 1 digits as one number, so digit n = c[n] - 3 c[n-1], and the sum of digit n * a[n]
  // is that of c[n] * (a[n] - 3 a[n+1]). c[n] is one multiplication; the activations' side is
  // prepared once for all rows.
  struct Prepared {
    VecI16 even[5], odd[5];  // of the first 32 bytes
    VecI16 middle[5];        // of the 16 behind them
    VecI16 last;             // of qh
  };
  static VecI16 minus_thrice(VecI16 a, VecI16 b) { return sub(a, add(b, add(b, b))); }
  static void prepare(const int8_t* a, Prepared* p) {
    VecI16 even = i16_zero(), odd = i16_zero(), middle = i16_zero();
    for (int n = 4; n >= 0; --n) {
      const VecI8 both_of_n = i8_load(a + 32 * n);
      const VecI16 next_even = even, next_odd = odd, next_middle = middle;
      even = i16_even(both_of_n);
      odd = i16_odd(both_of_n);
      middle = i16_widen16(a + 160 + 16 * n);
      p->even[n] = minus_thrice(even, next_even);
      p->odd[n] = minus_thrice(odd, next_odd);
      p->middle[n] = minus_thrice(middle, next_middle);
    }
    static constexpr int16_t kThree[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0};
    int8_t next[16] = {};
    __builtin_memcpy(next, a + 244, 12);
    p->last = sub(i16_widen16(a + 240), mul(i16_widen16(next), i16_load(kThree)));
  }
  static VecI32 dot(const BlockTQ1_0& b, const Prepared& p) {
    static constexpr int16_t kPowers[5] = {3, 9, 27, 81, 243};
    static constexpr int16_t kLast[16] = {3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27, 81, 81, 81, 81};
    const VecI8 bytes = i8_load(b.qs);
    const VecI16 even = i16_even_256(bytes), odd = i16_odd_256(bytes);
    const VecI16 middle = i16_bytes_256(i8_halves(b.qs + 32, b.qs + 32));
    const VecI16 last = mul_high_u16(i16_bytes_256(i8_broadcast4(b.qh)), i16_load(kLast));
    VecI32 total = dot_pairs(last, p.last);
    unrolled<5>([&](int n) __attribute__((always_inline)) {
      const VecI16 power = i16_set1(kPowers[n]);
      total = add(total, dot_pairs(mul_high_u16(even, power), p.even[n]));
      total = add(total, dot_pairs(mul_high_u16(odd, power), p.odd[n]));
      total = add(total, dot_pairs(mul_high_u16(middle, power), p.middle[n]));
    });
    return total;
  }
};

template <>
struct Unpack<BlockTQ2_0> {
  static constexpr bool kSigned = false, kScaled = false, kPairs = false;
  static constexpr int kSub = 256, kLargest = 3, kOffset = 1;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static VecI8 codes(const BlockTQ2_0& b, int i) {
    return two_bits(i8_load(b.qs + 32 * (i / 4)), i % 4);
  }
  static uint16_t d(const BlockTQ2_0& b) { return b.d; }
};

template <typename Block, int kBits>
struct PackedSixBits : Planes<kBits> {  // of Q4_K and Q5_K; layout drawn at BlockQ4_K
  static constexpr int kWords = 3, kHalves = 2;
  static const uint8_t* word(const Block& b, int k) { return b.scales + 4 * k; }
  static uint16_t half(const Block& b, int k) { return k == 0 ? b.d : b.dmin; }
  static RowScales<2, 2> scales(const std::byte* words) {
    const VecI8 w[3] = {i8_load(words), i8_load(words + 32), i8_load(words + 64)};
    return {{bits_at<0, 63>(w[0]), either(bits_at<0, 15>(w[2]), bits_at<2, 48>(w[0]))},
            {bits_at<0, 63>(w[1]), either(bits_at<4, 15>(w[2]), bits_at<2, 48>(w[1]))}};
  }
};
template <>
struct Interleaved<BlockQ4_K> : PackedSixBits<BlockQ4_K, 4> {};
template <>
struct Interleaved<BlockQ5_K> : PackedSixBits<BlockQ5_K, 5> {};

template <>
struct Interleaved<BlockQ6_K> : PlainScale<BlockQ6_K, 6> {
  static constexpr int kWords = 4;
  static const int8_t* word(const BlockQ6_K& b, int k) { return b.scales + 4 * k; }
  static RowScales<4, 0> scales(const std::byte* words) {
    return {{i8_load(words), i8_load(words + 32), i8_load(words + 64), i8_load(words + 96)}, {}};
  }
};

template <>
struct Interleaved<BlockQ2_K> : Planes<2> {
  static constexpr int kWords = 4, kHalves = 2;
  static const uint8_t* word(const BlockQ2_K& b, int k) { return b.scales + 4 * k; }
  static uint16_t half(const BlockQ2_K& b, int k) { return k == 0 ? b.d : b.dmin; }
  static RowScales<4, 4> scales(const std::byte* words) {
    const VecI8 w[4] = {i8_load(words), i8_load(words + 32), i8_load(words + 64),
                        i8_load(words + 96)};
    return {{low_nibbles(w[0]), low_nibbles(w[1]), low_nibbles(w[2]), low_nibbles(w[3])},
            {high_nibbles(w[0]), high_nibbles(w[1]), high_nibbles(w[2]), high_nibbles(w[3])}};
  }
};

template <>
struct Interleaved<BlockQ3_K> : PlainScale<BlockQ3_K, 3> {
  static constexpr int kWords = 3;
  static const uint8_t* word(const BlockQ3_K& b, int k) { return b.scales + 4 * k; }
  static RowScales<4, 0> scales(const std::byte* words) {  // layout drawn at BlockQ3_K
    const VecI8 w[3] = {i8_load(words), i8_load(words + 32), i8_load(words + 64)};
    const VecI8 minus_32 = i8_set1(-32);
    return {{add(either(low_nibbles(w[0]), bits_left<4, 48>(w[2])), minus_32),
             add(either(low_nibbles(w[1]), bits_left<2, 48>(w[2])), minus_32),
             add(either(high_nibbles(w[0]), bits_at<0, 48>(w[2])), minus_32),
             add(either(high_nibbles(w[1]), bits_at<2, 48>(w[2])), minus_32)},
            {}};
  }
};

// The low four bits of scale j are nibble j of the word, the high two are pair j of half 1: even
// and odd sub-blocks stand in vectors of their own.
template <>
struct Interleaved<BlockIQ4_XS> : Planes<4> {
  static constexpr int kWords = 1, kHalves = 2;
  static constexpr int scale_vector(int k) { return k % 2; }
  static constexpr int scale_byte(int k) { return k / 2; }
  static constexpr Bytes kOrder = make_bytes([](int i) { return 2 * (i / 4) + i % 4 / 2; });
  static VecI8 raw(const BlockIQ4_XS& b, int i) { return expand_nibbles(b.qs + 16 * i); }
  static VecI8 value(VecI8 raw) { return lookup16(kIQ4Values, raw); }
  static const uint8_t* word(const BlockIQ4_XS& b, int) { return b.scales_l; }
  static uint16_t half(const BlockIQ4_XS& b, int k) { return k == 0 ? b.d : b.scales_h; }
  static RowScales<2, 0> scales(const std::byte* words) {
    const VecI8 low = i8_load(words);
    const VecI16 twice = as_i16(shuffle(i8_load_twice(words + 32 + 16), i8_load(kOrder.v)));
    const VecI8 nibbles =
        as_i8(either(both(twice, i16_set1(15)), both(shift_right<4>(twice), i16_set1(0x0f00))));
    const VecI8 minus_32 = i8_set1(-32);
    return {{add(either(low_nibbles(low), bits_left<4, 48>(nibbles)), minus_32),
             add(either(high_nibbles(low), bits_left<2, 48>(nibbles)), minus_32)},
            {}};
  }
};

template <>
struct Interleaved<BlockTQ2_0> : PlainScale<BlockTQ2_0, 2> {};

using SuperBlocks = BlockList<BlockQ2_K, BlockQ3_K, BlockQ4_K, BlockQ5_K, BlockQ6_K, BlockIQ4_XS,
                              BlockTQ1_0, BlockTQ2_0>;
