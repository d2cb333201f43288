// Eight rows in one: the storage kind kInterleaved (ops/tensor.h). A group of eight rows takes the
// bytes of the eight, in another order: lane = row, so that nothing is ever summed across lanes,
// one scale serves eight rows, and a group is one run of memory.
//
//   group   = its blocks, 8 sizeof(Block) bytes each, in order
//   block   = units of 32 weights a row, words[kWords][8 rows][4 bytes], halves[kHalves][8 rows]
//             [2 bytes], bytes[8 rows] when the scale is one
//   unit    = the planes that the codes need, in this order. Word w (of 8) is the codes 4 w to
//             4 w + 3 of eight rows, 32 bytes; a plane of n bits holds 8 / n words, the first in
//             the lowest bits:
//     nibbles [4][32 bytes], pairs [2][32 bytes], bits [32 bytes]; or bytes [8][32 bytes]
//
// What a format needs for it: Interleaved<Block>, in the unpack files.

template <typename Block>
struct GroupLayout {
  using I = Interleaved<Block>;
  static constexpr int kPairsAt = I::kNibbles ? 128 : 0;
  static constexpr int kBitsAt = kPairsAt + (I::kPairs ? 64 : 0);
  static constexpr bool kWholeBytes = !I::kNibbles && !I::kPairs && !I::kBits;
  static constexpr int kUnitBytes = kWholeBytes ? 256 : kBitsAt + (I::kBits ? 32 : 0);
  static constexpr int kWordsAt = Block::kLen / 32 * kUnitBytes;
  static constexpr int kHalvesAt = kWordsAt + 32 * I::kWords;
  static constexpr int kBytesAt = kHalvesAt + 16 * I::kHalves;
  static constexpr int kBlockBytes = kBytesAt + 8 * I::kBytes;
  static_assert(kBlockBytes == 8 * sizeof(Block));
};

// Word w of a unit, four codes of eight rows, as its planes keep them.
template <typename Block, int w>
inline VecI8 raw_word(const std::byte* unit) {
  using I = Interleaved<Block>;
  using L = GroupLayout<Block>;
  if constexpr (L::kWholeBytes) return i8_load(unit + 32 * w);
  VecI8 codes{};
  if constexpr (I::kNibbles) {
    const VecI8 both = i8_load(unit + 32 * (w / 2));
    codes = w % 2 == 0 ? low_nibbles(both) : high_nibbles(both);
  }
  if constexpr (I::kPairs) {
    const VecI8 all = i8_load(unit + L::kPairsAt + 32 * (w / 4));
    if constexpr (I::kNibbles) {
      codes = either(codes, bits_to_high<2 * (w % 4), 3>(all));
    } else {
      codes = bits_at<2 * (w % 4), 3>(all);
    }
  }
  if constexpr (I::kBits) {
    const VecI8 all = i8_load(unit + L::kBitsAt);
    if constexpr (I::kNibbles) {
      codes = either(codes, bits_to_high<w, 1>(all));
    } else if constexpr (w < 2) {
      codes = either(codes, bits_left<2 - w, 4>(all));
    } else {
      codes = either(codes, bits_at<w - 2, 4>(all));
    }
  }
  return codes;
}
template <typename Block, int w>
inline VecI8 group_codes(const std::byte* unit) {
  return Interleaved<Block>::value(raw_word<Block, w>(unit));
}

// Bits [kFrom, kFrom + kBits) of words 0-7 as planes.
template <int kFrom, int kBits>
inline void store_planes(const VecI8 words[8], std::byte* out) {
  constexpr int kPerPlane = 8 / kBits;
  unrolled<kBits>([&](auto plane) __attribute__((always_inline)) {
    VecI8 all = i8_set1(0);
    unrolled<kPerPlane>([&](auto k) __attribute__((always_inline)) {
      constexpr int kAt = decltype(k)::value, kPlane = decltype(plane)::value;
      const VecI8 part = bits_at<kFrom, (1 << kBits) - 1>(words[kPlane * kPerPlane + kAt]);
      all = either(all, bits_left<kBits * kAt, 255>(part));
    });
    i8_store(out + 32 * decltype(plane)::value, all);
  });
}

template <typename Block>
inline VecI8 raw_codes(const Block& b, int i) {
  if constexpr (requires { Interleaved<Block>::raw(b, i); }) {
    return Interleaved<Block>::raw(b, i);
  } else {
    return Unpack<Block>::codes(b, i);
  }
}

// All of row r of a block but its codes.
template <typename Block>
inline void store_rest(const Block& b, int r, std::byte* out) {
  using I = Interleaved<Block>;
  using L = GroupLayout<Block>;
  if constexpr (I::kWords > 0) {
    for (int k = 0; k < I::kWords; ++k) {
      __builtin_memcpy(out + L::kWordsAt + 32 * k + 4 * r, I::word(b, k), 4);
    }
  }
  if constexpr (I::kHalves > 0) {
    for (int k = 0; k < I::kHalves; ++k) {
      const uint16_t half = I::half(b, k);
      __builtin_memcpy(out + L::kHalvesAt + 16 * k + 2 * r, &half, 2);
    }
  }
  if constexpr (I::kBytes > 0) out[L::kBytesAt + r] = std::byte{I::byte(b)};
}

// One group out of its rows.
template <typename Block>
void interleave(const std::byte* rows, int64_t row_bytes, int64_t n_valid, int64_t row_len,
                std::byte* out) {
  using I = Interleaved<Block>;
  using L = GroupLayout<Block>;
  const RowGroup<Block> group(rows, row_bytes, n_valid);
  for (int64_t b = 0; b < row_len / Block::kLen; ++b, out += L::kBlockBytes) {
    for (int i = 0; i < Block::kLen / 32; ++i) {
      VecI32 columns[8];
      for (int r = 0; r < 8; ++r) columns[r] = as_i32(raw_codes(group.row[r][b], i));
      transpose8(columns);
      VecI8 words[8];
      for (int w = 0; w < 8; ++w) words[w] = as_bytes(columns[w]);
      std::byte* unit = out + i * L::kUnitBytes;
      if constexpr (L::kWholeBytes) {
        for (int w = 0; w < 8; ++w) i8_store(unit + 32 * w, words[w]);
      }
      constexpr int kAbove = I::kNibbles ? 4 : I::kPairs ? 2 : 0;
      if constexpr (I::kNibbles) store_planes<0, 4>(words, unit);
      if constexpr (I::kPairs) store_planes<I::kNibbles ? 4 : 0, 2>(words, unit + L::kPairsAt);
      if constexpr (I::kBits) store_planes<kAbove, 1>(words, unit + L::kBitsAt);
    }
    for (int r = 0; r < 8; ++r) store_rest<Block>(group.row[r][b], r, out);
  }
}
