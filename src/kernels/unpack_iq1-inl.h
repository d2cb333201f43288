// Unpack<Block> of IQ1; see unpack_codebook-inl.h. A grid of -1, 0, 1, moved by 1/8 up or down: the
// codes are 8 g + 1 and 8 g - 1, that is 8 (g + 1) - 7 or - 9, and the second part is multiplied
// with the sums of the activations.

// Decode wants a small table: the 16 kB of the grid in bytes share a first-level cache of 32 kB
// with everything else, and lookups in them took twice as long as in 4 kB. So the grid is packed
// once, two bits g + 1 per value:
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

// In groups: 8 g + 1 = 2 (4 (g + 1) + 1) - 9 and 8 g - 1 = 2 (4 (g + 1)) - 9. So g + 1 is what the
// planes keep, and whether they were moved up is a bit for every kPerMove words. That of move m is
// bit kBits m + kFirst of word kMoveWord.
template <typename Block, int kPerMove, int kMoveWord, int kBits, int kFirst>
struct InterleavedIQ1 : NumberedCodes<Block, 2, 3, 9> {
  using Base = NumberedCodes<Block, 2, 3, 9>;
  using Form = OffsetCodes<Block, 2, 9, 9>;
  static constexpr int kShift = 2;
  static constexpr int kVectors = 8 / kBits;  // moves in a byte
  static constexpr Bytes kRepeat[4] = {make_bytes([](int i) { return i % 16 / 4 * 4; }),
                                       make_bytes([](int i) { return i % 16 / 4 * 4 + 1; }),
                                       make_bytes([](int i) { return i % 16 / 4 * 4 + 2; }),
                                       make_bytes([](int i) { return i % 16 / 4 * 4 + 3; })};
  struct MovedScales {
    VecI8 scale[Unpack<Block>::kSub == 32 ? 2 : 4];
    VecI8 moved[kVectors];  // the m-th of each byte, as its lowest bit
  };
  static MovedScales scales(const std::byte* words) {
    MovedScales r;
    for (int k = 0; k < Base::kWords; ++k) {
      const VecI8 w = i8_load(words + 32 * k), one = i8_set1(1);
      r.scale[2 * k] = either(bits_left<1, 14>(w), one);
      r.scale[2 * k + 1] = either(bits_at<3, 14>(w), one);
    }
    const VecI8 moves = i8_load(words + 32 * kMoveWord);
    unrolled<kVectors>([&](auto m) __attribute__((always_inline)) {
      r.moved[decltype(m)::value] = bits_at<kBits* decltype(m)::value + kFirst, 1>(moves);
    });
    return r;
  }
  template <int kWord>
  static VecI8 value(VecI8 raw, const MovedScales& scales) {
    constexpr int kMove = kWord / kPerMove;
    const VecI8 order = i8_load(kRepeat[kMove / kVectors].v);
    return either(raw, shuffle(scales.moved[kMove % kVectors], order));
  }
};

// One move for each scale: s has three bits and leaves the highest of four.
template <>
struct Interleaved<BlockIQ1_S> : InterleavedIQ1<BlockIQ1_S, 8, 0, 4, 3> {
  static uint32_t word(const Source& s, int k) {
    uint32_t word = Base::word(s, k);
    for (int i = 0; i < 8; ++i) {
      const uint32_t is_up = s.block.qh[i] < 0x8000 ? 1 : 0;
      word |= is_up << (4 * i + 3);
    }
    return word;
  }
};

// One for each group: bits 3 and 7 of the bytes of qh, turned over.
template <>
struct Interleaved<BlockIQ1_M> : InterleavedIQ1<BlockIQ1_M, 2, 2, 1, 0> {
  static constexpr int kWords = 3;
  static uint32_t word(const Source& s, int k) {
    if (k < Base::kWords) return Base::word(s, k);
    uint64_t low, high;
    __builtin_memcpy(&low, s.block.qh, 8);
    __builtin_memcpy(&high, s.block.qh + 8, 8);
    constexpr uint64_t kMoves = 0x8888888888888888ull;
    return static_cast<uint32_t>(pick_bits(~low, kMoves) | (pick_bits(~high, kMoves) << 16));
  }
};

using IQ1Blocks = BlockList<BlockIQ1_S, BlockIQ1_M>;
