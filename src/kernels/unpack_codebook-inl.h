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
// activations. IQ1 has no separate signs: its codes are 8 (g + 1) - 7 or - 9, and the second part
// is multiplied with the sums of the activations.
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

// ---- IQ1: a grid of -1, 0, 1, moved ------------------------------------------------------------

// The codes are 8 g + 1 and 8 g - 1. Decode wants a small table: the 16 kB of the grid in bytes
// share a first-level cache of 32 kB with everything else, and lookups in them took twice as long
// as in 4 kB. So the grid is packed once, two bits g + 1 per value:
//
//   byte e of an entry, e = 0, 1:   bit   7 6     5 4     3 2     1 0
//                                       | 6 + e | 2 + e | 4 + e |   e   |   value of the group
struct PackedGrid {
  alignas(64) uint16_t entries[2048 + 2];  // two more, as loads may be longer than an entry
};
PackedGrid packed_iq1;
inline void pack_iq1() {
  constexpr int kShift[4] = {0, 4, 2, 6};  // of values 2 k + e
  for (int i = 0; i < 2048; ++i) {
    uint32_t entry = 0;
    for (int j = 0; j < 8; ++j) {
      const auto raised = static_cast<uint32_t>(kCodebooks.iq1[i] >> (8 * j + 3)) & 3;
      entry |= raised << (8 * (j % 2) + kShift[j / 2]);
    }
    packed_iq1.entries[i] = static_cast<uint16_t>(entry);
  }
}

// A vector of a dot holds four values of group l (of four) of all eight runs: vector 2 l + h has
// the values 4 h and 4 h + 1 of run i in word i, and 4 h + 2 and 4 h + 3 in word 8 + i. So the
// vectors that share a group share their scales too and are added before they are multiplied. The
// activations are put into the same order once for all rows; sums[e] are those of the groups e
// (words 0-7) and 2 + e (words 8-15) of the runs.
struct MovedActivations {
  alignas(32) int8_t codes[8][32];
  alignas(32) int16_t sums[2][16];
};
inline constexpr int half_apart(int w) { return w % 8 * 2 + w / 8; }

template <typename Block>
struct UnpackMoved {
  static constexpr bool kSigned = true, kScaled = true, kPairs = false;
  static constexpr int kOffset = 0, kLargest = 9;
  static constexpr Minimum kMinimum = Minimum::kNone;
  static constexpr float kUnit = 0.125f;
  using Prepared = MovedActivations;
  static Scales scales(const Block& b) { return {Unpack<Block>::plan(b).scales, i16_zero()}; }
  static void prepare(const int8_t* a, Prepared* p) {
    VecI32 words[8];
    for (int i = 0; i < 8; ++i) words[i] = i32_load(a + 32 * i);
    transpose8(words);
    VecI16 sums[4];
    for (int i = 0; i < 8; ++i) {
      const VecI8 codes = even_then_odd_words(words[i]);
      i8_store(p->codes[i], codes);
      const VecI16 pairs = dot_u8(i8_set1(1), codes);
      sums[i / 2] = i % 2 == 0 ? pairs : add(sums[i / 2], pairs);
    }
    i16_store(p->sums[0], add_halves(sums[0], sums[2]));
    i16_store(p->sums[1], add_halves(sums[1], sums[3]));
  }

 protected:
  // Sum of the products of groups kFirst and kFirst + 1, of g + 1.
  template <int kFirst>
  static VecI16 two_groups(const uint16_t indices[32], const Prepared& a) {
    VecI8 first, second;
    lookup8_pairs(packed_iq1.entries, indices + kFirst, &first, &second);
    const int8_t* codes = a.codes[2 * kFirst];
    const VecI16 low = add(dot_u8(bits_at<0, 3>(first), i8_load(codes)),
                           dot_u8(bits_at<2, 3>(first), i8_load(codes + 32)));
    const VecI16 high = add(dot_u8(bits_at<0, 3>(second), i8_load(codes + 64)),
                            dot_u8(bits_at<2, 3>(second), i8_load(codes + 96)));
    return add(low, high);
  }
};

// IQ1_S, three bits from bit 3 (w % 4) of word w / 4, to bit 8: the bytes to start from. Those of
// the last group would have to go right: their high byte is taken as the low one.
constexpr int high_byte_of(int i, int word) {
  return i / 2 % 4 == 3 ? (i % 2 == 0 ? 2 * word + 1 : -1) : 2 * word + i % 2;
}

template <>
struct Unpack<BlockIQ1_S> : UnpackMoved<BlockIQ1_S> {
  static constexpr int kSub = 32;
  struct Plan {
    VecI16 scales, minima;  // of the eight runs, twice
    alignas(32) uint16_t indices[32];
  };
  static constexpr Bytes kHigh[2] = {make_bytes([](int i) { return high_byte_of(i, i / 8); }),
                                     make_bytes([](int i) { return high_byte_of(i, 4 + i / 8); })};
  static constexpr Words kFactor =
      make_words([](int w) { return w % 4 == 3 ? 128 : 256 >> (w % 4 * 3); });
  static Plan plan(const BlockIQ1_S& b) {
    Plan p;
    const VecI8 high = i8_load_twice(b.qh);
    i16_store(p.indices, join_index(b.qs, high, kHigh[0], kFactor, 0x700));
    i16_store(p.indices + 16, join_index(b.qs + 16, high, kHigh[1], kFactor, 0x700));
    const VecI16 qh = as_i16(high);
    p.scales = either(both(shift_right<11>(qh), i16_set1(14)), i16_set1(1));
    // -7 where codes are 8 g + 1 = 8 (g + 1) - 7, -9 where they are 8 g - 1.
    const VecI16 negative = minus_where_negative(qh);
    p.minima = mul(p.scales, add(add(negative, negative), i16_set1(-7)));
    return p;
  }
  static VecI8 codes(const BlockIQ1_S& b, const Plan& p, int i) {
    const int8_t offset = b.qh[i] & 0x8000 ? -9 : -7;
    return add(lookup4(kCodebooks.iq1, p.indices + 4 * i), i8_set1(offset));
  }
  static VecI32 dot(const Plan& p, const Prepared& a) {
    const VecI16 sums = add(i16_load(a.sums[0]), i16_load(a.sums[1]));
    const VecI16 products = add(two_groups<0>(p.indices, a), two_groups<2>(p.indices, a));
    return add(times<8>(dot_pairs(products, p.scales)), dot_pairs(p.minima, sums));
  }
  static uint16_t d(const BlockIQ1_S& b) { return b.d; }
};

template <>
struct Unpack<BlockIQ1_M> : UnpackMoved<BlockIQ1_M> {
  static constexpr int kSub = 16;
  struct Plan {
    VecI16 scales;     // of the half runs: the first ones in the low, the second in the high half
    VecI16 minima[2];  // of the first and the second group of each
    alignas(32) uint16_t indices[32];
  };
  static constexpr Bytes kHigh[2] = {order_of_bytes([](int w) { return w / 2; }),
                                     order_of_bytes([](int w) { return 8 + w / 2; })};
  static constexpr Words kFactor = make_words([](int w) { return w % 2 == 0 ? 256 : 16; });
  // Scale of half run h: three bits from bit 3 (h % 4) of word h / 4, the words from byte 8 on.
  static constexpr Bytes kScales = order_of_words([](int w) { return 4 + half_apart(w) / 4; });
  static constexpr Words kScaleFactor =
      make_words([](int w) { return 512 >> (half_apart(w) % 4 * 3); });
  static constexpr Bytes kApart = order_of_bytes([](int w) { return half_apart(w); });
  static Plan plan(const BlockIQ1_M& b) {
    Plan p;
    const VecI8 high = i8_load_twice(b.qh);
    i16_store(p.indices, join_index(b.qs, high, kHigh[0], kFactor, 0x700));
    i16_store(p.indices + 16, join_index(b.qs + 16, high, kHigh[1], kFactor, 0x700));
    const VecI8 words = i8_load_twice(field(b, offsetof(BlockIQ1_M, scales) - 8));
    const VecI16 moved = mul(as_i16(shuffle(words, i8_load(kScales.v))), i16_load(kScaleFactor.v));
    p.scales = either(both(shift_right<8>(moved), i16_set1(14)), i16_set1(1));
    // Bits 3 and 7 of each byte of qh: -9 where set, -7 where not.
    const VecI16 qh = as_i16(shuffle(high, i8_load(kApart.v)));
    const VecI16 first = both(shift_right<2>(qh), i16_set1(2));
    const VecI16 second = both(shift_right<6>(qh), i16_set1(2));
    p.minima[0] = mul(p.scales, sub(i16_set1(-7), first));
    p.minima[1] = mul(p.scales, sub(i16_set1(-7), second));
    return p;
  }
  static VecI8 codes(const BlockIQ1_M& b, const Plan& p, int i) {
    const auto offset = [&](int group) {  // of four
      const bool is_down = (b.qh[2 * i + group / 2] >> (group % 2 * 4 + 3)) & 1;
      return (is_down ? 0xf7u : 0xf9u) * 0x0101010101010101u;
    };
    const uint64_t offsets[4] = {offset(0), offset(1), offset(2), offset(3)};
    return add(lookup4(kCodebooks.iq1, p.indices + 4 * i), i8_load(offsets));
  }
  static VecI32 dot(const Plan& p, const Prepared& a) {
    const VecI32 raised = add(dot_pairs(two_groups<0>(p.indices, a), half_twice<0>(p.scales)),
                              dot_pairs(two_groups<2>(p.indices, a), half_twice<1>(p.scales)));
    const VecI32 moved = add(dot_pairs(p.minima[0], i16_load(a.sums[0])),
                             dot_pairs(p.minima[1], i16_load(a.sums[1])));
    return add(times<8>(raised), moved);
  }
  static uint16_t d(const BlockIQ1_M& b) {  // as BlockIQ1_M::d, in one step
    uint64_t words;
    __builtin_memcpy(&words, b.scales, 8);
    return static_cast<uint16_t>(pick_bits(words, 0xf000f000f000f000u));
  }
};

using CodebookBlocks = BlockList<BlockIQ1_S, BlockIQ1_M, BlockIQ2_XXS, BlockIQ2_XS, BlockIQ2_S,
                                 BlockIQ3_XXS, BlockIQ3_S>;
