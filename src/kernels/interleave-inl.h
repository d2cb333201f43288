// Eight rows in one: the storage kind kInterleaved (ops/tensor.h): lane = row, so that nothing is
// ever summed across lanes, one scale serves eight rows, and a group is one run of memory. Most
// formats take the bytes of the eight rows, in another order. Those with a codebook take more:
// their indices are looked up once, and what they stand for is held.
//
//   group   = its blocks, kBlockBytes each, in order
//   block   = units of 32 weights a row, words[kWords][8 rows][4 bytes], halves[kHalves][8 rows]
//             [2 bytes], bytes[8 rows] when the scale is one
//   unit    = as many planes of 32 bytes as a code has bits
//
// Word w of a unit (of 8) is the codes 4 w to 4 w + 3 of eight rows, 32 bytes. A byte of a plane
// holds whole codes of as many words as fit, the first in the lowest bits; the bits that are left
// over at the top of the planes hold the remaining words, piece by piece:
//
//   bits of a byte     7 6   5 4 3   2 1 0                    7 6   5 4 3 2 1 0
//   3-bit, plane 0   | 6   |   1   |   0   |     6-bit, 0   | 6   |      0      |
//          plane 1   | 7 6 |   3   |   2   |            1   | 6   |      1      |
//          plane 2   | 7   |   5   |   4   |            ... | 7   |     ...     |
//
// What a format needs for it: Interleaved<Block>, in the unpack files.

// Bits [from, from + n) of a plane are bits [to, to + n) of a word.
struct Piece {
  int plane, from, n, to;
};
struct PiecesOfWord {
  int n_pieces;
  Piece pieces[3];
};
struct PieceTable {
  PiecesOfWord words[8];
};
constexpr PieceTable make_pieces(int code_bits) {
  PieceTable table{};
  const int whole = 8 / code_bits;  // words in a plane
  const int n_whole = whole * code_bits < 8 ? whole : 8;
  int plane = 0, from = whole * code_bits;  // the next bits that are left over
  for (int w = 0; w < 8; ++w) {
    PiecesOfWord& word = table.words[w];
    if (w < whole * code_bits) {
      word = {1, {{w / whole, w % whole * code_bits, code_bits, 0}}};
      continue;
    }
    for (int to = 0; to < code_bits;) {
      const int left = 8 - from, n = code_bits - to < left ? code_bits - to : left;
      word.pieces[word.n_pieces++] = {plane, from, n, to};
      to += n;
      from += n;
      if (from == 8) {
        ++plane;
        from = n_whole * code_bits;
      }
    }
  }
  return table;
}
template <int kCodeBits>
inline constexpr PieceTable kPieces = make_pieces(kCodeBits);

template <typename Block>
struct GroupLayout {
  using I = Interleaved<Block>;
  static constexpr int kUnitBytes = 32 * I::kCodeBits;
  static constexpr int kWordsAt = Block::kLen / 32 * kUnitBytes;
  static constexpr int kHalvesAt = kWordsAt + 32 * I::kWords;
  static constexpr int kBytesAt = kHalvesAt + 16 * I::kHalves;
  static constexpr int kBlockBytes = kBytesAt + 8 * I::kBytes;
  static_assert(kBlockBytes == 8 * sizeof(Block) || kIsPlanned<Block>);
};

// Bits [kFrom, kFrom + kN) of each byte, moved to kTo.
template <int kFrom, int kN, int kTo>
inline VecI8 move_bits(VecI8 a) {
  constexpr int kMask = ((1 << kN) - 1) << kTo;
  if constexpr (kN == 8) {
    return a;
  } else if constexpr (kFrom >= kTo) {
    return bits_at<kFrom - kTo, kMask>(a);
  } else {
    return bits_left<kTo - kFrom, kMask>(a);
  }
}

// Word w of a unit, four codes of eight rows, as its planes keep them, kShift higher.
template <typename Block, int w>
inline VecI8 raw_word(const std::byte* unit) {
  static constexpr PiecesOfWord kWord = kPieces<Interleaved<Block>::kCodeBits>.words[w];
  const auto piece = [&](auto index) __attribute__((always_inline)) {
    constexpr Piece p = kWord.pieces[decltype(index)::value];
    return move_bits<p.from, p.n, p.to + Interleaved<Block>::kShift>(i8_load(unit + 32 * p.plane));
  };
  VecI8 codes = piece(Index<0>());
  if constexpr (kWord.n_pieces > 1) codes = either(codes, piece(Index<1>()));
  if constexpr (kWord.n_pieces > 2) codes = either(codes, piece(Index<2>()));
  return codes;
}
// Word kWord of a block: its codes. scales: what Interleaved<Block>::scales() gave for it.
template <typename Block, int kWord, typename S>
inline VecI8 group_codes(const std::byte* block, const S& scales) {
  using I = Interleaved<Block>;
  const VecI8 raw = raw_word<Block, kWord % 8>(block + kWord / 8 * GroupLayout<Block>::kUnitBytes);
  if constexpr (requires { I::template value<kWord>(raw, scales); }) {
    return I::template value<kWord>(raw, scales);
  } else {
    return I::value(raw);
  }
}

// Words 0-7 as planes.
template <int kCodeBits>
inline void store_planes(const VecI8 words[8], std::byte* out) {
  VecI8 planes[kCodeBits];
  for (VecI8& plane : planes) plane = i8_set1(0);
  unrolled<8>([&](auto w) __attribute__((always_inline)) {
    static constexpr PiecesOfWord kWord = kPieces<kCodeBits>.words[decltype(w)::value];
    unrolled<kWord.n_pieces>([&](auto index) __attribute__((always_inline)) {
      constexpr Piece p = kWord.pieces[decltype(index)::value];
      VecI8& plane = planes[p.plane];
      plane = either(plane, move_bits<p.to, p.n, p.from>(words[decltype(w)::value]));
    });
  });
  for (int p = 0; p < kCodeBits; ++p) i8_store(out + 32 * p, planes[p]);
}

// What Interleaved<Block> takes a block of one row from.
template <typename Block>
struct SourceType {
  using Type = const Block&;
};
template <typename Block>
requires requires { typename Interleaved<Block>::Source; }
struct SourceType<Block> {
  using Type = typename Interleaved<Block>::Source;
};
template <typename Block>
using SourceOf = typename SourceType<Block>::Type;

template <typename Block>
inline VecI8 raw_codes(const SourceOf<Block>& b, int i) {
  if constexpr (requires { Interleaved<Block>::raw(b, i); }) {
    return Interleaved<Block>::raw(b, i);
  } else {
    return Unpack<Block>::codes(b, i);
  }
}

inline void store_word(const void* bytes, std::byte* out) { __builtin_memcpy(out, bytes, 4); }
inline void store_word(uint32_t word, std::byte* out) { store_word(&word, out); }

// All of row r of a block but its codes.
template <typename Block>
inline void store_rest(const SourceOf<Block>& b, int r, std::byte* out) {
  using I = Interleaved<Block>;
  using L = GroupLayout<Block>;
  if constexpr (I::kWords > 0) {
    for (int k = 0; k < I::kWords; ++k) {
      store_word(I::word(b, k), out + L::kWordsAt + 32 * k + 4 * r);
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
    VecI32 columns[Block::kLen / 32][8];
    for (int r = 0; r < 8; ++r) {
      SourceOf<Block> source(group.row[r][b]);
      for (int i = 0; i < Block::kLen / 32; ++i) {
        columns[i][r] = as_i32(raw_codes<Block>(source, i));
      }
      store_rest<Block>(source, r, out);
    }
    for (int i = 0; i < Block::kLen / 32; ++i) {
      transpose8(columns[i]);
      VecI8 words[8];
      for (int w = 0; w < 8; ++w) words[w] = as_bytes(columns[i][w]);
      store_planes<I::kCodeBits>(words, out + i * L::kUnitBytes);
    }
  }
}
