// Many columns (prefill, batches): eight rows are unpacked once into a cache-resident tile whose
// codes and integer scales are exactly those of the file, then multiplied with all columns, four at
// a time.
//
// Tile of one slice (matmul-inl.h), lane = row throughout:
//   codes   [kLen / 4][8 rows][4 bytes]
//   scales  [kLen / kSub][8 rows][int16 pair of equal values]   only with integer scales
//   minima  [8][8 rows][int16 pair: minima of two neighbouring 16s]   only with integer minima
//   d       [kParts][8 rows] float, m [8 rows] float

template <typename Block>
struct Tile {
  using U = Multiplied<Unpack<Block>>;
  using S = Slice<Block>;
  static constexpr bool kIntegerMinima = kHasIntegerMinima<U>;
  static constexpr int kSubs = S::kLen / U::kSub;
  static constexpr int kSubsPerPart = kSubs / S::kParts;
  static constexpr int64_t kScales = S::kLen * 8;
  static constexpr int64_t kMinima = kScales + (U::kScaled ? kSubs * 32 : 0);
  static constexpr int64_t kD = kMinima + (kIntegerMinima ? 8 * 32 : 0);
  static constexpr int64_t kM = kD + 32 * S::kParts;
  static constexpr int64_t kBytes = kM + 32;
};

// Codes of block b of eight rows, 32 at a time.
template <typename Block>
struct GroupCodes {
  const RowGroup<Block>& rows;
  int64_t b;
  VecI32 words(int r, int i) const { return as_i32(Unpack<Block>::codes(rows.row[r][b], i)); }
};
// Codebook formats prepare a block once for all its codes.
template <typename Block>
requires kIsPlanned<Block>
struct GroupCodes<Block> {
  alignas(32) int8_t codes[8][Block::kLen];
  GroupCodes(const RowGroup<Block>& rows, int64_t b) {
    using U = Unpack<Block>;
    for (int r = 0; r < 8; ++r) {
      const typename U::Plan plan = U::plan(rows.row[r][b]);
      for (int i = 0; i < Block::kLen / 32; ++i) {
        i32_store(codes[r] + 32 * i, as_i32(U::codes(rows.row[r][b], plan, i)));
      }
    }
  }
  VecI32 words(int r, int i) const { return i32_load(codes[r] + 32 * i); }
};

template <typename Block>
void build_tile(const RowGroup<Block>& rows, int64_t n_slices, std::byte* tile) {
  using T = Tile<Block>;
  using S = Slice<Block>;
  using U = typename T::U;
  for (int64_t s = 0; s < n_slices; ++s, tile += T::kBytes) {
    const int64_t b = s / S::kPerBlock;
    const GroupCodes<Block> codes{rows, b};
    const int first = static_cast<int>(s % S::kPerBlock) * S::kVectors;
    for (int i = 0; i < S::kVectors; ++i) {
      VecI32 words[8];
      for (int r = 0; r < 8; ++r) words[r] = codes.words(r, first + i);
      transpose8(words);
      for (int k = 0; k < 8; ++k) {
        const VecI8 word = multiplied_codes<Unpack<Block>>(as_bytes(words[k]));
        i8_store(tile + 32 * (8 * i + k), word);
      }
    }
    if constexpr (U::kScaled) {
      auto* scale_pairs = reinterpret_cast<int16_t*>(tile + T::kScales);
      auto* minimum_pairs = reinterpret_cast<int16_t*>(tile + T::kMinima);
      for (int r = 0; r < 8; ++r) {
        int16_t scales[16], minima[16];
        const auto packed = Unpack<Block>::scales(rows.row[r][b]);
        for (int k = 0; k < T::kSubs; ++k) {
          const int i = k * U::kSub / 32;
          if (k * U::kSub % 32 == 0) i16_store(scales, packed.pick(i));
          const int16_t scale = scales[U::kSub == 32 ? 0 : k % 2 * 8];
          scale_pairs[16 * k + 2 * r] = scale_pairs[16 * k + 2 * r + 1] = scale;
        }
        if constexpr (T::kIntegerMinima) {
          if constexpr (U::kMinimum == Minimum::kSubScale) {
            for (int p = 0; p < 16; ++p) minima[p] = scale_pairs[16 * (16 * p / U::kSub) + 2 * r];
          } else {
            i16_store(minima, packed.minima);
          }
          for (int p = 0; p < 16; ++p) minimum_pairs[16 * (p / 2) + 2 * r + p % 2] = minima[p];
        }
      }
    }
    auto* floats = reinterpret_cast<float*>(tile + T::kD);
    for (int p = 0; p < S::kParts; ++p) {
      if constexpr (!kHasMinima<U>) f32_store(floats + 8 * p, slice_scales(rows, s, p));
    }
    if constexpr (kHasMinima<U>) {
      VecF32 d, m;
      slice_scales_and_minima(rows, s, &d, &m);
      f32_store(floats, d);
      f32_store(reinterpret_cast<float*>(tile + T::kM), m);
    }
  }
}

// isum[g * kColumns + c] += sub-block k of a slice of group g times column c.
template <typename Block, int kGroups, int kColumns>
inline void tile_sub_dot(const std::byte* tile, int64_t tile_bytes, int k, int64_t s,
                         const ColumnView<Block>* columns, VecI32* isum) {
  using T = Tile<Block>;
  using U = typename T::U;
  using D = Dots<U>;
  for (int w = k * U::kSub / 4; w < (k + 1) * U::kSub / 4; w += D::kWords) {
    typename D::Sum products[kGroups * kColumns];
    const int64_t offset = s * Slice<Block>::kLen + 4 * w;
    const auto word = [&](int g, int t) { return i8_load(tile + g * tile_bytes + 32 * (w + t)); };
    for (int c = 0; c < kColumns; ++c) {
      const VecI8 a = i8_broadcast4(columns[c].codes + offset);
      for (int g = 0; g < kGroups; ++g) products[g * kColumns + c] = D::first(word(g, 0), a);
    }
    for (int t = 1; t < D::kWords; ++t) {
      VecI8 codes[kGroups];
      for (int g = 0; g < kGroups; ++g) codes[g] = word(g, t);
      for (int c = 0; c < kColumns; ++c) {
        const VecI8 a = i8_broadcast4(columns[c].codes + offset + 4 * t);
        for (int g = 0; g < kGroups; ++g) {
          products[g * kColumns + c] = D::next(products[g * kColumns + c], codes[g], a);
        }
      }
    }
    for (int g = 0; g < kGroups; ++g) {
      const auto scale = [&] {
        if constexpr (U::kScaled) {
          return i16_load(tile + g * tile_bytes + T::kScales + 32 * k);
        } else {
          return NoScale{};
        }
      }();
      for (int i = g * kColumns; i < (g + 1) * kColumns; ++i) {
        isum[i] = D::add_to(isum[i], products[i], scale);
      }
    }
  }
}

// kGroups times eight rows, tiles tile_bytes apart, times kColumns columns; results to
// out[g * kColumns + c], lane = row.
template <typename Block, int kGroups, int kColumns>
inline void tile_dot(const std::byte* tile, int64_t tile_bytes, int64_t n_slices,
                     const ColumnView<Block>* columns, VecF32* out) {
  using T = Tile<Block>;
  using U = typename T::U;
  constexpr int kSums = kGroups * kColumns;
  VecF32 acc[kSums];
  for (int i = 0; i < kSums; ++i) acc[i] = f32_zero();
  for (int64_t s = 0; s < n_slices; ++s, tile += T::kBytes) {
    VecI32 msum[kSums];
    for (int i = 0; i < kSums; ++i) msum[i] = i32_zero();
    if constexpr (T::kIntegerMinima) {
      for (int p = 0; p < 8; ++p) {
        VecI16 minima[kGroups];
        for (int g = 0; g < kGroups; ++g) {
          minima[g] = i16_load(tile + g * tile_bytes + T::kMinima + 32 * p);
        }
        for (int c = 0; c < kColumns; ++c) {
          const VecI16 sums = i16_broadcast2(columns[c].slice_sums(s) + 2 * p);
          for (int i = c; i < kSums; i += kColumns) {
            msum[i] = add(msum[i], dot_pairs(minima[i / kColumns], sums));
          }
        }
      }
    }
    for (int p = 0; p < Slice<Block>::kParts; ++p) {
      VecI32 isum[kSums];
      for (int i = 0; i < kSums; ++i) isum[i] = i32_zero();
      for (int k = p * T::kSubsPerPart; k < (p + 1) * T::kSubsPerPart; ++k) {
        tile_sub_dot<Block, kGroups, kColumns>(tile, tile_bytes, k, s, columns, isum);
      }
      for (int g = 0; g < kGroups; ++g) {
        const std::byte* group = tile + g * tile_bytes;
        const VecF32 d = f32_load(reinterpret_cast<const float*>(group + T::kD) + 8 * p);
        VecF32 m = f32_zero();
        if constexpr (kHasMinima<U>) m = f32_load(reinterpret_cast<const float*>(group + T::kM));
        for (int c = 0; c < kColumns; ++c) {
          const int i = g * kColumns + c;
          acc[i] = accumulate<U>(isum[i], msum[i], d, m, columns[c].scales[s],
                                 columns[c].slice_sum(s), acc[i]);
        }
      }
    }
  }
  for (int i = 0; i < kSums; ++i) out[i] = acc[i];
}

// build(first, n_valid, tile) makes the tile of the eight rows from `first` on.
template <typename Block, typename Build>
void matmul_tiled(const MatmulArgs& args, Build&& build) {
  constexpr int kGroups = 2;  // row groups that share a pass over the columns
  constexpr int kColumns = 4;
  const int64_t n_slices = args.row_len / Slice<Block>::kLen;
  const int64_t tile_bytes = n_slices * Tile<Block>::kBytes;
  for (int64_t first = 0; first < args.n_rows; first += 8 * kGroups) {
    const int64_t rows_left = args.n_rows - first;
    const int n_groups = rows_left > 8 ? kGroups : 1;
    for (int g = 0; g < n_groups; ++g) {
      const int64_t n_valid = rows_left - 8 * g < 8 ? rows_left - 8 * g : 8;
      build(first + 8 * g, n_valid, args.scratch + g * tile_bytes);
    }
    for (int64_t c = 0; c < args.n_columns; c += kColumns) {
      const int64_t columns_left = args.n_columns - c;
      const auto column = [&](int64_t i) {  // missing columns repeat the last
        const int64_t valid = i < columns_left ? i : columns_left - 1;
        return ColumnView<Block>(args.columns + (c + valid) * args.column_bytes, args.row_len);
      };
      const ColumnView<Block> columns[kColumns] = {column(0), column(1), column(2), column(3)};
      VecF32 sums[kGroups * kColumns];
      const auto dot = [&](auto groups, int g) __attribute__((always_inline)) {
        tile_dot<Block, decltype(groups)::value, kColumns>(
            args.scratch + g * tile_bytes, tile_bytes, n_slices, columns, sums + g * kColumns);
      };
      if (kTileGroups > 1 && n_groups == kTileGroups) {
        dot(Index<kTileGroups>(), 0);
      } else {
        for (int g = 0; g < n_groups; ++g) dot(Index<1>(), g);
      }
      for (int g = 0; g < n_groups; ++g) {
        const int64_t row = first + 8 * g, n_valid = rows_left - 8 * g < 8 ? rows_left - 8 * g : 8;
        for (int64_t i = 0; i < kColumns && i < columns_left; ++i) {
          store_rows(args.out + (c + i) * args.out_stride + row, sums[g * kColumns + i], n_valid);
        }
      }
    }
  }
}

template <typename Block>
void matmul_quantized(const MatmulArgs& args) {
  if (args.n_columns <= kFewColumns) {  // with more, unpacking into a tile pays
    matmul_rows<Block>(args);
  } else {
    matmul_tiled<Block>(args, [&](int64_t first, int64_t n_valid, std::byte* tile) {
      const RowGroup<Block> rows(args.weights + first * args.row_bytes, args.row_bytes, n_valid);
      build_tile(rows, args.row_len / Slice<Block>::kLen, tile);
    });
  }
}
