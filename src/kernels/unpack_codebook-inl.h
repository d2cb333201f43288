// Unpack<Block> of the codebook formats. A block is prepared once (Plan: grid indices, sign bytes,
// scales), then taken in eight runs of 32 weights. Beside the members that unpack-inl.h lists:
//
//   kUnit            what d is multiplied with, a power of two: makes codes and scales integers
//   Plan             plan(b): all that the runs need
//   codes(b, p, i)   signed codes of run i; Scales::minima is not used (kMinimum = kNone)
//   dot(b, p, i, a)  their dot with 32 activations as sums of two, not yet scaled; or, of formats
//   dot(p, prepared) with Prepared: the scaled dot of the block
//
// Grid values are unsigned and maddubs wants one signed side, so IQ2 and IQ3 give the signs to the
// activations. IQ1 (unpack_iq1-inl.h) has no separate signs.
//
// Indices of more than eight bits are made in registers, 16 at a time, and go through memory: from
// there each is one load, where taking a register apart is two operations.

struct Words {
  alignas(32) int16_t v[16];
};
template <typename F>
constexpr Words make_words(F f) {
  Words r{};
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<int16_t>(f(i));
  return r;
}
// For shuffle(): 16 words made of one byte or of two, byte_of(lane).
template <typename F>
constexpr Bytes order_of_bytes(F byte_of) {
  return make_bytes([&](int i) { return i % 2 == 0 ? byte_of(i / 2) : -1; });
}
template <typename F>
constexpr Bytes order_of_words(F word_of) {
  return make_bytes([&](int i) { return 2 * word_of(i / 2) + i % 2; });
}

// Lane i = byte 4 k + i / 8: the sign (or shift) bytes of run k of four, eight times each.
constexpr Bytes kGroupOrder[4] = {
    make_bytes([](int i) { return i / 8; }), make_bytes([](int i) { return 4 + i / 8; }),
    make_bytes([](int i) { return 8 + i / 8; }), make_bytes([](int i) { return 12 + i / 8; })};

// 16 grid indices: low eight bits from memory, the high ones from words of `high`, moved left by
// multiplying, cut out by the mask.
inline VecI16 join_index(const uint8_t* low, VecI8 high, const Bytes& order, const Words& factor,
                         int16_t mask) {
  const VecI16 words = as_i16(shuffle(high, i8_load(order.v)));
  return either(i16_widen16(low), both(mul(words, i16_load(factor.v)), i16_set1(mask)));
}

inline VecI16 twice_plus_1(VecI16 s) { return either(add(s, s), i16_set1(1)); }

template <typename Block>
inline const uint8_t* field(const Block& b, size_t offset) {
  return reinterpret_cast<const uint8_t*>(&b) + offset;
}

// What their Interleaved forms take a block from.
template <typename Block>
struct PlannedBlock {
  const Block& block;
  typename Unpack<Block>::Plan plan;
  explicit PlannedBlock(const Block& b) : block(b), plan(Unpack<Block>::plan(b)) {}
};

// A group (interleave-inl.h) has no indices: the codes they stand for are few, and are numbered in
// ascending order. Number n is kBits bits of code + kAdded, from bit kFrom on, which costs no table
// to make. In a word stand eight integer scales 2 s + 1 of a row:
//
//   bit  7   4 3   0
//      | s[4] | s[0] |  ...  | s[7] | s[3] |
template <typename Block, int kBits, int kFrom, int kAdded>
struct NumberedCodes : Planes<kBits> {
  using Source = PlannedBlock<Block>;
  static constexpr int kWords = Unpack<Block>::kSub == 32 ? 1 : 2;
  static VecI8 raw(const Source& s, int i) {
    const VecI8 codes = Unpack<Block>::codes(s.block, s.plan, i);
    return bits_at<kFrom, (1 << kBits) - 1>(add(codes, i8_set1(kAdded)));
  }
  static uint16_t half(const Source& s, int) { return Unpack<Block>::d(s.block); }
  static uint32_t word(const Source& s, int k) {
    alignas(32) int16_t scales[16];
    i16_store(scales, s.plan.scales);
    uint32_t word = 0;
    for (int j = 0; j < 8; ++j) {
      const auto scale =
          static_cast<uint32_t>(scales[Unpack<Block>::kSub == 32 ? j : j % 2 * 8 + j / 2 + 4 * k]);
      word |= scale / 2 << (8 * (j % 4) + 4 * (j / 4));
    }
    return word;
  }
  static RowScales<2 * kWords, 0> scales(const std::byte* words) {
    RowScales<2 * kWords, 0> r{};
    for (int k = 0; k < kWords; ++k) {
      const VecI8 w = i8_load(words + 32 * k), one = i8_set1(1);
      r.scale[2 * k] = either(bits_left<1, 30>(w), one);
      r.scale[2 * k + 1] = either(bits_at<3, 30>(w), one);
    }
    return r;
  }
};

// ---- IQ2, IQ3: a grid of magnitudes, signs apart ------------------------------------------------

template <typename Block, int kIndices>
struct UnpackGrid {
  static constexpr bool kSigned = true, kScaled = true, kPairs = false;
  static constexpr int kOffset = 0;
  static constexpr Minimum kMinimum = Minimum::kNone;
  struct Plan {
    VecI8 signs[2];  // of runs 0-3 and 4-7: 16 bytes, twice
    VecI16 scales;
    alignas(32) uint16_t indices[kIndices];
  };
  static VecI8 codes(const Block& b, const Plan& p, int i) {
    return negate_where(Unpack<Block>::values(b, p, i), p.signs[i / 4],
                        i8_load(kGroupOrder[i % 4].v));
  }
  static VecI16 dot(const Block& b, const Plan& p, int i, VecI8 a) {
    const VecI8 turned = negate_where(a, p.signs[i / 4], i8_load(kGroupOrder[i % 4].v));
    return dot_u8(Unpack<Block>::values(b, p, i), turned);
  }
  static Scales scales(const Block& b) { return {Unpack<Block>::plan(b).scales, i16_zero()}; }
  static uint16_t d(const Block& b) { return b.d; }

 protected:
  static void set_signs(Plan& p, VecI8 bytes) {
    p.signs[0] = half_twice<0>(bytes);
    p.signs[1] = half_twice<1>(bytes);
  }
  // Eight words of seven signs for each of four groups, and four bits of scale above them.
  static void set_signs_and_scales(Plan& p, VecI32 words) {
    set_signs(p, even_parity(spread_sevens(words)));
    p.scales = twice_plus_1(i16_narrow_twice(shift_right<28>(words)));
  }
  // Eight bytes of two scales each, for the two halves of a run.
  static VecI16 scales_of_halves(const uint8_t packed[8]) {
    uint64_t word;
    __builtin_memcpy(&word, packed, 8);
    constexpr uint64_t kMask = 0x0f0f0f0f0f0f0f0full;
    return twice_plus_1(i16_widen8_each(word & kMask, (word >> 4) & kMask));
  }
};

template <>
struct Unpack<BlockIQ2_XXS> : UnpackGrid<BlockIQ2_XXS, 1> {
  static constexpr int kSub = 32, kLargest = 43;
  static constexpr float kUnit = 0.125f;
  static Plan plan(const BlockIQ2_XXS& b) {
    Plan p;
    set_signs_and_scales(p, i32_load_odd(b.qs));
    return p;
  }
  static VecI8 values(const BlockIQ2_XXS& b, const Plan&, int i) {
    return lookup4(kCodebooks.iq2_xxs, b.qs + 8 * i);
  }
};

template <>
struct Unpack<BlockIQ2_XS> : UnpackGrid<BlockIQ2_XS, 32> {
  static constexpr int kSub = 16, kLargest = 43;
  static constexpr float kUnit = 0.125f;
  static Plan plan(const BlockIQ2_XS& b) {
    Plan p;
    const VecI16 first = i16_load(b.qs), second = i16_load(b.qs + 16);
    i16_store(p.indices, both(first, i16_set1(511)));
    i16_store(p.indices + 16, both(second, i16_set1(511)));
    set_signs(p, even_parity(i8_narrow(shift_right<9>(first), shift_right<9>(second))));
    p.scales = scales_of_halves(b.scales);
    return p;
  }
  static VecI8 values(const BlockIQ2_XS&, const Plan& p, int i) {
    return lookup4(kCodebooks.iq2_xs, p.indices + 4 * i);
  }
};

template <>
struct Unpack<BlockIQ2_S> : UnpackGrid<BlockIQ2_S, 32> {
  static constexpr int kSub = 16, kLargest = 43;
  static constexpr float kUnit = 0.125f;
  static constexpr Bytes kOrder[2] = {order_of_bytes([](int w) { return w / 4; }),
                                      order_of_bytes([](int w) { return 4 + w / 4; })};
  static constexpr Words kFactor = make_words([](int w) { return 256 >> (w % 4 * 2); });
  static Plan plan(const BlockIQ2_S& b) {
    Plan p;
    const VecI8 high = i8_load_twice(field(b, offsetof(BlockIQ2_S, qh)));  // and the scales
    i16_store(p.indices, join_index(b.qs, high, kOrder[0], kFactor, 0x300));
    i16_store(p.indices + 16, join_index(b.qs + 16, high, kOrder[1], kFactor, 0x300));
    p.signs[0] = i8_load_twice(b.signs);
    p.signs[1] = i8_load_twice(b.signs + 16);
    p.scales = scales_of_halves(b.scales);
    return p;
  }
  static VecI8 values(const BlockIQ2_S&, const Plan& p, int i) {
    return lookup4(kCodebooks.iq2_s, p.indices + 4 * i);
  }
};

template <>
struct Unpack<BlockIQ3_XXS> : UnpackGrid<BlockIQ3_XXS, 1> {
  static constexpr int kSub = 32, kLargest = 62;
  static constexpr float kUnit = 0.25f;
  static Plan plan(const BlockIQ3_XXS& b) {
    Plan p;
    set_signs_and_scales(p, i32_load(b.signs));
    return p;
  }
  static VecI8 values(const BlockIQ3_XXS& b, const Plan&, int i) {
    return lookup8(kCodebooks.iq3_xxs, b.qs + 8 * i);
  }
};

template <>
struct Unpack<BlockIQ3_S> : UnpackGrid<BlockIQ3_S, 64> {
  static constexpr int kSub = 32, kLargest = 15;
  static constexpr float kUnit = 1.0f;
  static constexpr Bytes kOrder[4] = {order_of_bytes([](int w) { return w / 8; }),
                                      order_of_bytes([](int w) { return 2 + w / 8; }),
                                      order_of_bytes([](int w) { return 4 + w / 8; }),
                                      order_of_bytes([](int w) { return 6 + w / 8; })};
  static constexpr Words kFactor = make_words([](int w) { return 256 >> (w % 8); });
  static Plan plan(const BlockIQ3_S& b) {
    Plan p;
    const VecI8 high = i8_load_twice(field(b, offsetof(BlockIQ3_S, qh)));  // and half the signs
    for (int k = 0; k < 4; ++k) {
      i16_store(p.indices + 16 * k, join_index(b.qs + 16 * k, high, kOrder[k], kFactor, 0x100));
    }
    p.signs[0] = i8_load_twice(b.signs);
    p.signs[1] = i8_load_twice(b.signs + 16);
    uint32_t packed;
    __builtin_memcpy(&packed, b.scales, 4);
    uint64_t s = packed;  // a nibble to a byte
    s = (s | (s << 16)) & 0x0000ffff0000ffffull;
    s = (s | (s << 8)) & 0x00ff00ff00ff00ffull;
    s = (s | (s << 4)) & 0x0f0f0f0f0f0f0f0full;
    p.scales = twice_plus_1(i16_widen8(s));
    return p;
  }
  static VecI8 values(const BlockIQ3_S&, const Plan& p, int i) {
    return lookup8(kCodebooks.iq3_s, p.indices + 8 * i);
  }
};

// Codes -43, -25, -8, 8, 25, 43.
template <typename Block>
struct InterleavedIQ2 : NumberedCodes<Block, 3, 4, 43> {
  using Form = OffsetCodes<Block, 1, 43, 86>;
  static VecI8 value(VecI8 raw) {
    static constexpr int8_t kCodes[16] = {0, 18, 35, 51, 68, 86};
    return lookup16(kCodes, raw);
  }
};
template <>
struct Interleaved<BlockIQ2_XXS> : InterleavedIQ2<BlockIQ2_XXS> {};
template <>
struct Interleaved<BlockIQ2_XS> : InterleavedIQ2<BlockIQ2_XS> {};
template <>
struct Interleaved<BlockIQ2_S> : InterleavedIQ2<BlockIQ2_S> {};

template <>
struct Interleaved<BlockIQ3_XXS> : NumberedCodes<BlockIQ3_XXS, 4, 3, 62> {
  using Form = OffsetCodes<BlockIQ3_XXS, 1, 62, 124>;
  static VecI8 value(VecI8 raw) {
    static constexpr int8_t kCodes[16] = {0,  10, 18, 26, 34, 42,  50,  58,
                                          66, 74, 82, 90, 98, 106, 114, 124};
    return lookup16(kCodes, raw);
  }
};

// Codes -15, -13, ... 15: twice their number, and 15 less.
template <>
struct Interleaved<BlockIQ3_S> : NumberedCodes<BlockIQ3_S, 4, 1, 15> {
  using Form = OffsetCodes<BlockIQ3_S, 2, 15, 15>;
};

using GridBlocks = BlockList<BlockIQ2_XXS, BlockIQ2_XS, BlockIQ2_S, BlockIQ3_XXS, BlockIQ3_S>;
