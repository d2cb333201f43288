// Unpack<Block> of the codebook formats. A block is prepared once (Plan: grid indices, sign bytes,
// scales), then taken in eight runs of 32 weights. Beside the members that unpack-inl.h lists:
//
//   kUnit            what d is multiplied with, a power of two: makes codes and scales integers
//   Plan             plan(b): all that the runs need
//   codes(b, p, i)   signed codes of run i; Scales::minima is not used (kMinimum = kNone)
//   dot(b, p, i, a)  their dot with 32 activations as sums of two
//   correction(p, sums)  added to the scaled dots of a block; sums of 16 activations each
//
// Grid values are unsigned and maddubs wants one signed side, so dot() gives the signs to the
// activations, and IQ1, whose codes 8 g + 1 or 8 g - 1 have no separate sign, adds 9 to its codes
// and takes 9 * scale * sum of activations off again.
//
// Indices of more than eight bits are made in registers, 16 at a time, and go through memory: from
// there each is one load, where taking a register apart is two operations.

struct Bytes {
  alignas(32) int8_t v[32];
};
struct Words {
  alignas(32) int16_t v[16];
};
template <typename F>
constexpr Bytes make_bytes(F f) {
  Bytes r{};
  for (int i = 0; i < 32; ++i) r.v[i] = static_cast<int8_t>(f(i));
  return r;
}
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
  static VecI32 correction(const Plan&, const int16_t*) { return i32_zero(); }
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

// The table holds 8 (g + 1); the codes are 8 g + 1 and 8 g - 1.
template <typename Block>
struct UnpackMoved {
  static constexpr bool kSigned = true, kScaled = true, kPairs = false;
  static constexpr int kOffset = 0, kLargest = 9;
  static constexpr Minimum kMinimum = Minimum::kNone;
  static constexpr float kUnit = 0.125f;
  static Scales scales(const Block& b) { return {Unpack<Block>::plan(b).scales, i16_zero()}; }
};

template <>
struct Unpack<BlockIQ1_S> : UnpackMoved<BlockIQ1_S> {
  static constexpr int kSub = 32;
  struct Plan {
    VecI16 scales, minima;
    alignas(32) uint16_t indices[32];
  };
  static constexpr Bytes kOrder[2] = {order_of_words([](int w) { return w / 4; }),
                                      order_of_words([](int w) { return 4 + w / 4; })};
  static constexpr Bytes kHalves = order_of_words([](int w) { return w / 2; });
  // Twice too high, so that the last of four is not moved right.
  static constexpr Words kFactor = make_words([](int w) { return 512 >> (w % 4 * 3); });
  static VecI16 join(const uint8_t* low, VecI8 high, const Bytes& order) {
    const VecI16 words = as_i16(shuffle(high, i8_load(order.v)));
    const VecI16 moved = both(mul(words, i16_load(kFactor.v)), i16_set1(0xe00));
    return either(i16_widen16(low), shift_right<1>(moved));
  }
  static Plan plan(const BlockIQ1_S& b) {
    Plan p;
    const VecI8 high = i8_load_twice(b.qh);
    i16_store(p.indices, join(b.qs, high, kOrder[0]));
    i16_store(p.indices + 16, join(b.qs + 16, high, kOrder[1]));
    const VecI16 qh = as_i16(high);
    p.scales = either(both(shift_right<11>(qh), i16_set1(14)), i16_set1(1));
    // -7 where codes are 8 g + 1 = table - 7, -9 where they are 8 g - 1.
    const VecI16 negative = minus_where_negative(qh);
    const VecI16 offset = add(add(negative, negative), i16_set1(-7));
    // Halves 0-7 and 8-15 of the runs lie in order: runs 0-3, each twice, and runs 4-7.
    p.minima = as_i16(shuffle(as_i8(mul(p.scales, offset)), i8_load(kHalves.v)));
    return p;
  }
  static VecI8 codes(const BlockIQ1_S& b, const Plan& p, int i) {
    const int8_t offset = b.qh[i] & 0x8000 ? -9 : -7;
    return add(lookup4(kCodebooks.iq1, p.indices + 4 * i), i8_set1(offset));
  }
  static VecI16 dot(const BlockIQ1_S&, const Plan& p, int i, VecI8 a) {
    return dot_u8(lookup4(kCodebooks.iq1, p.indices + 4 * i), a);
  }
  static VecI32 correction(const Plan& p, const int16_t* sums) {
    return dot_pairs(p.minima, i16_load(sums));
  }
  static uint16_t d(const BlockIQ1_S& b) { return b.d; }
};

constexpr int half_apart(int w) { return w % 8 * 2 + w / 8; }

template <>
struct Unpack<BlockIQ1_M> : UnpackMoved<BlockIQ1_M> {
  static constexpr int kSub = 16;
  struct Plan {
    VecI8 moves[2];  // of runs 0-3 and 4-7: 2 or 0 per group, 16 bytes, twice
    VecI16 scales, minima;
    alignas(32) uint16_t indices[32];
  };
  static constexpr Bytes kOrder[2] = {order_of_bytes([](int w) { return w / 2; }),
                                      order_of_bytes([](int w) { return 8 + w / 2; })};
  static constexpr Words kFactor = make_words([](int w) { return w % 2 == 0 ? 256 : 16; });
  // Scale of half run h: three bits from bit 3 (h % 4) of word h / 4, the words from byte 8 on.
  // kApart: even ones in the low, odd ones in the high half. kInOrder: in order.
  static constexpr Bytes kApart = order_of_words([](int w) { return 4 + half_apart(w) / 4; });
  static constexpr Bytes kInOrder = order_of_words([](int w) { return 4 + w / 4; });
  static constexpr Words kApartFactor =
      make_words([](int w) { return 512 >> (half_apart(w) % 4 * 3); });
  static constexpr Words kInOrderFactor = make_words([](int w) { return 512 >> (w % 4 * 3); });
  static VecI16 odd_scales(VecI8 words, const Bytes& order, const Words& factor) {
    const VecI16 moved = mul(as_i16(shuffle(words, i8_load(order.v))), i16_load(factor.v));
    return either(both(shift_right<8>(moved), i16_set1(14)), i16_set1(1));
  }
  static Plan plan(const BlockIQ1_M& b) {
    Plan p;
    const VecI8 high = i8_load_twice(b.qh);
    i16_store(p.indices, join_index(b.qs, high, kOrder[0], kFactor, 0x700));
    i16_store(p.indices + 16, join_index(b.qs + 16, high, kOrder[1], kFactor, 0x700));
    const VecI8 words = i8_load_twice(field(b, offsetof(BlockIQ1_M, scales) - 8));
    p.scales = odd_scales(words, kApart, kApartFactor);
    p.minima = mul(odd_scales(words, kInOrder, kInOrderFactor), i16_set1(-9));
    // Bits 3 and 7 of each byte, to two bytes; 2 where not set: codes are table + 2 - 9.
    const VecI16 qh = i16_widen16(b.qh);
    const VecI16 bits = either(both(shift_right<2>(qh), i16_set1(0x0002)),
                               both(mul(qh, i16_set1(4)), i16_set1(0x0200)));
    const VecI8 moves = as_i8(add(i16_set1(0x0202), mul(bits, i16_set1(-1))));
    p.moves[0] = half_twice<0>(moves);
    p.moves[1] = half_twice<1>(moves);
    return p;
  }
  static VecI8 raised(const Plan& p, int i) {  // codes + 9
    const VecI8 move = shuffle(p.moves[i / 4], i8_load(kGroupOrder[i % 4].v));
    return add(lookup4(kCodebooks.iq1, p.indices + 4 * i), move);
  }
  static VecI8 codes(const BlockIQ1_M&, const Plan& p, int i) {
    return add(raised(p, i), i8_set1(-9));
  }
  static VecI16 dot(const BlockIQ1_M&, const Plan& p, int i, VecI8 a) {
    return dot_u8(raised(p, i), a);
  }
  static VecI32 correction(const Plan& p, const int16_t* sums) {
    return dot_pairs(p.minima, i16_load(sums));
  }
  static uint16_t d(const BlockIQ1_M& b) { return BlockIQ1_M::d(b); }
};

using CodebookBlocks = BlockList<BlockIQ1_S, BlockIQ1_M, BlockIQ2_XXS, BlockIQ2_XS, BlockIQ2_S,
                                 BlockIQ3_XXS, BlockIQ3_S>;
