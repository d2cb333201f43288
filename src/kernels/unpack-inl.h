// Unpack<Block>: how one format's bytes become 8-bit codes and integer scales. The one thing a new
// format adds to be fast everywhere; matmul and tile kernels are written over these members:
//
//   kSigned      codes are signed bytes (else unsigned, at most kLargest)
//   kScaled      the block has integer scales
//   kSub         codes per integer scale (16 or 32; all that share one activation scale when not
//                kScaled)
//   kMinimum     what is subtracted or added beside the codes (enum Minimum)
//   codes(b, i)  32 consecutive codes, i in [0, kLen / 32)
//   kPairs       32-wide: two blocks can share their steps;
//   pair(b, &first, &second)
//                then gives the first and the second 16 codes of both, one in each half
//   d(b), m(b)   float scale and float minimum: f16 bits (m behind d), or E8M0
//   half_scale(b, k)
//                instead of d: the float scale of the k-th 16 codes (NVFP4)
//   scales(b)    the integer scales and minima of the sub-blocks: struct Scales or the like
//   Prepared, prepare(a, &p), dot(b, p)
//                when there: activations in another form, made once for all rows (TQ1_0)
//   kTimesPower  when there: they are 2^kTimesPower times too large
//
// Every file of Unpacks ends in the list of its blocks, from which table-inl.h fills the table.

enum class Minimum {
  kNone,
  kOffset,    // integer: isum -= kOffset * (sum of activation codes); exact
  kSubScale,  // integer: isum -= kOffset * sum over sub-blocks of scale * activation sum; exact
  kFloat,     // float: acc += m * (d_activation * sum of activation codes)
  kInteger,   // float times integer: acc -= (dmin * d_activation) * sum of minimum * activation sum
};

// Integer scales of a super-block. 32-wide sub-blocks: scale s in lane s of both halves. 16-wide:
// even ones in the low, odd ones in the high half. So i16_pick(scales, i) is the factor of the i-th
// 32 codes.
struct Scales {
  VecI16 scales;
  VecI16 minima;  // one per 16 codes, in order
  VecI16 pick(int i) const { return i16_pick(scales, i); }
};

template <typename Block>
struct Unpack;

template <typename... Blocks>
struct BlockList {};

// Products of codes with activations, two added up.
template <typename U>
inline VecI16 dot_codes(VecI8 codes, VecI8 activations) {
  if constexpr (U::kSigned) {
    return dot_i8(codes, activations);
  } else {
    return dot_u8(codes, activations);
  }
}

// Vectors of products of codes that int16 can sum.
template <typename U>
inline constexpr int kPresum = 32767 / (2 * 127 * U::kLargest);

// A number that is known when the code is compiled.
template <int kValue>
struct Index {
  static constexpr int value = kValue;
  constexpr operator int() const { return kValue; }
};
// f(Index<0>()) ... f(Index<kCount - 1>()), to be inlined.
template <int kCount, typename F>
[[gnu::always_inline]] inline void unrolled(F&& f) {
  if constexpr (kCount > 0) {
    unrolled<kCount - 1>(f);
    f(Index<kCount - 1>());
  }
}

// The lanes of a vector, made when the code is compiled.
struct Bytes {
  alignas(32) int8_t v[32];
};
template <typename F>
constexpr Bytes make_bytes(F f) {
  Bytes r{};
  for (int i = 0; i < 32; ++i) r.v[i] = static_cast<int8_t>(f(i));
  return r;
}

// Interleaved<Block>: how the format is kept in eight rows at once (interleave-inl.h), for those
// that gain by it. Codes go into planes, the rest of the block into `words` and `halves`:
//
//   kCodeBits    of the codes as the planes keep them
//   kWords, kHalves, kBytes
//                how many of each; half 0 is d, half 1 may be m
//   word(b, k), half(b, k), byte(b)
//                what stands there of one row
//   raw(b, i)    32 codes as the planes keep them, where Unpack::codes has others
//   value(raw)   then makes the latter of the former
//   scales(words)
//                the integer scales: struct RowScales or the like
//   scale_vector(k), scale_byte(k)
//                where in it sub-block k stands
//   Source       when there: raw, word, half, byte take Source(b), made once per block, for a block
//   kShift       codes come out of the planes moved left by so many bits
//   value<w>(raw, scales)
//                instead of value: when it depends on the word of the block and on scales(words)
//   Form         when there: eight rows are multiplied with these codes, unsigned and with an
//                offset, instead of Unpack's signed ones (struct OffsetCodes)

// Integer scales and minima of eight rows, four sub-blocks a vector, lane = row.
template <int kScales, int kMinima>
struct RowScales {
  VecI8 scale[kScales];
  VecI8 minimum[kMinima == 0 ? 1 : kMinima];
};

// Codes of Unpack<Block> as kFactor * (unsigned code) - kSubtracted: one multiplication of bytes
// takes them, where signed ones need their sign moved first.
template <typename Block, int kFactor, int kSubtracted, int kMost>
struct OffsetCodes {
  static constexpr bool kSigned = false, kScaled = true;
  static constexpr int kSub = Unpack<Block>::kSub, kLargest = kMost;
  static constexpr int kTimes = kFactor, kOffset = kSubtracted;
  static constexpr Minimum kMinimum = Minimum::kSubScale;
};

template <typename Block>
struct Interleaved;
template <typename Block>
concept IsInterleaved = requires {
  Interleaved<Block>::kHalves;
};

template <int kBits>
struct Planes {
  static constexpr int kCodeBits = kBits;
  static constexpr int kWords = 0, kHalves = 1, kBytes = 0, kShift = 0;
  static constexpr int scale_vector(int k) { return k / 4; }  // where scale and minimum k are
  static constexpr int scale_byte(int k) { return k % 4; }
  static VecI8 value(VecI8 raw) { return raw; }
};

template <typename Block, int kBits>
struct PlainScale : Planes<kBits> {
  static uint16_t half(const Block& b, int) { return b.d; }
};
template <typename Block, int kBits>
struct ScaleAndMinimum : Planes<kBits> {
  static constexpr int kHalves = 2;
  static uint16_t half(const Block& b, int k) { return k == 0 ? b.d : b.m; }
};
// 4-bit codes in qs and nothing else. value(nibbles) turns nibbles into codes.
template <typename Block>
struct NibblePairs {
  static constexpr bool kPairs = true;
  static void pair(const Block* b, VecI8* first, VecI8* second) {
    const VecI8 both = i8_halves(b[0].qs, b[1].qs);
    *first = Unpack<Block>::value(low_nibbles(both));
    *second = Unpack<Block>::value(high_nibbles(both));
  }
};

// 4-bit codes in qs, their fifth bits in qh.
template <typename Block>
struct FiveBitPairs {
  static constexpr bool kPairs = true;
  static VecI8 codes(const Block& b, int) {
    return either(expand_nibbles(b.qs), expand_bits<16>(b.qh));
  }
  static void pair(const Block* b, VecI8* first, VecI8* second) {
    const VecI8 both = i8_halves(b[0].qs, b[1].qs), bits = i8_words(b[0].qh, b[1].qh);
    *first = either(low_nibbles(both), bits_to_16<0>(bits));
    *second = either(high_nibbles(both), bits_to_16<1>(bits));
  }
};

template <>
struct Unpack<BlockQ4_0> : NibblePairs<BlockQ4_0> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 15, kOffset = 8;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static VecI8 codes(const BlockQ4_0& b, int) { return expand_nibbles(b.qs); }
  static VecI8 value(VecI8 nibbles) { return nibbles; }
  static uint16_t d(const BlockQ4_0& b) { return b.d; }
};

template <>
struct Unpack<BlockQ4_1> : NibblePairs<BlockQ4_1> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 15, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kFloat;
  static VecI8 codes(const BlockQ4_1& b, int) { return expand_nibbles(b.qs); }
  static VecI8 value(VecI8 nibbles) { return nibbles; }
  static uint16_t d(const BlockQ4_1& b) { return b.d; }
  static uint16_t m(const BlockQ4_1& b) { return b.m; }
};

template <>
struct Unpack<BlockQ5_0> : FiveBitPairs<BlockQ5_0> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 31, kOffset = 16;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static uint16_t d(const BlockQ5_0& b) { return b.d; }
};

template <>
struct Unpack<BlockQ5_1> : FiveBitPairs<BlockQ5_1> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 31, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kFloat;
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
struct Unpack<BlockIQ4_NL> : NibblePairs<BlockIQ4_NL> {
  static constexpr bool kSigned = true, kScaled = false;
  static constexpr int kSub = 32, kLargest = 127, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kNone;
  static VecI8 codes(const BlockIQ4_NL& b, int) { return value(expand_nibbles(b.qs)); }
  static VecI8 value(VecI8 nibbles) { return lookup16(kIQ4Values, nibbles); }
  static uint16_t d(const BlockIQ4_NL& b) { return b.d; }
};

template <>
struct Unpack<BlockMXFP4> : NibblePairs<BlockMXFP4> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 24, kOffset = 12;  // codes: kFp4Values + 12
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static VecI8 codes(const BlockMXFP4& b, int) { return value(expand_nibbles(b.qs)); }
  static VecI8 value(VecI8 nibbles) {
    static constexpr int8_t kCodes[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                          12, 11, 10, 9,  8,  6,  4,  0};
    return lookup16(kCodes, nibbles);
  }
  static E8M0 d(const BlockMXFP4& b) { return {b.e}; }
};

template <>
struct Unpack<BlockNVFP4> {
  static constexpr bool kSigned = true, kScaled = false;
  static constexpr int kSub = 16, kLargest = 12, kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kNone;
  static constexpr bool kPairs = false;
  static VecI8 codes(const BlockNVFP4& b, int i) {
    return lookup16(kFp4Values, expand_nibbles_by_8(b.qs + 16 * i));
  }
  static UE4M3 half_scale(const BlockNVFP4& b, int k) { return {b.d[k]}; }
};

template <>
struct Unpack<BlockQ1_0> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 2, kOffset = 1;  // codes: 2 * bit
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static constexpr bool kPairs = false;
  static VecI8 codes(const BlockQ1_0& b, int i) { return expand_bits<2>(b.qs + 4 * i); }
  static uint16_t d(const BlockQ1_0& b) { return b.d; }
};

template <>
struct Unpack<BlockQ2_0> {
  static constexpr bool kSigned = false, kScaled = false;
  static constexpr int kSub = 32, kLargest = 3, kOffset = 1;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  static constexpr bool kPairs = false;
  static VecI8 codes(const BlockQ2_0& b, int i) { return expand_bit_pairs(b.qs + 8 * i); }
  static uint16_t d(const BlockQ2_0& b) { return b.d; }
};

template <>
struct Interleaved<BlockQ4_0> : PlainScale<BlockQ4_0, 4> {};
template <>
struct Interleaved<BlockQ4_1> : ScaleAndMinimum<BlockQ4_1, 4> {};
template <>
struct Interleaved<BlockQ5_0> : PlainScale<BlockQ5_0, 5> {};
template <>
struct Interleaved<BlockQ5_1> : ScaleAndMinimum<BlockQ5_1, 5> {};
template <>
struct Interleaved<BlockQ8_0> : PlainScale<BlockQ8_0, 8> {};
template <>
struct Interleaved<BlockIQ4_NL> : PlainScale<BlockIQ4_NL, 4> {
  static VecI8 raw(const BlockIQ4_NL& b, int) { return expand_nibbles(b.qs); }
  static VecI8 value(VecI8 raw) { return Unpack<BlockIQ4_NL>::value(raw); }
};
template <>
struct Interleaved<BlockMXFP4> : Planes<4> {
  static constexpr int kHalves = 0, kBytes = 1;
  static VecI8 raw(const BlockMXFP4& b, int) { return expand_nibbles(b.qs); }
  static VecI8 value(VecI8 raw) { return Unpack<BlockMXFP4>::value(raw); }
  static uint8_t byte(const BlockMXFP4& b) { return b.e; }
};

using SmallBlocks = BlockList<BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0, BlockIQ4_NL,
                              BlockMXFP4, BlockNVFP4, BlockQ1_0, BlockQ2_0>;
