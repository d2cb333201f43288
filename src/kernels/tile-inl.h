// Many columns (prefill, batches): eight rows are unpacked once into a cache-resident tile whose
// codes and integer scales are exactly those of the file, then multiplied with all columns, four at
// a time.
//
// Tile of one block, lane = row throughout:
//   codes   [kLen / 4][8 rows][4 bytes]
//   scales  [kLen / kSub][8 rows][int16 pair of equal values]   only with integer scales
//   minima  [8][8 rows][int16 pair: minima of two neighbouring 16s]   only with integer minima
//   d       [8 rows] float, m [8 rows] float

template <typename Block>
struct Tile {
  using U = Unpack<Block>;
  static constexpr bool kIntegerMinima =
      U::kMinimum == Minimum::kInteger || U::kMinimum == Minimum::kSubScale;
  static constexpr int kSubs = Block::kLen / U::kSub;
  static constexpr int64_t kScales = Block::kLen * 8;
  static constexpr int64_t kMinima = kScales + (U::kScaled ? kSubs * 32 : 0);
  static constexpr int64_t kD = kMinima + (kIntegerMinima ? 8 * 32 : 0);
  static constexpr int64_t kM = kD + 32;
  static constexpr int64_t kBytes = kM + 32;
  // Four-byte products that int16 can sum: 2 * largest code * 127 each.
  static constexpr int kPresum = U::kSigned ? 1 : U::kLargest <= 15 ? 8 : U::kLargest <= 31 ? 4 : 2;
};
static_assert(15 * 127 * 2 * 8 <= 32767 && 31 * 127 * 2 * 4 <= 32767 && 63 * 127 * 2 * 2 <= 32767);

template <typename Block>
void build_tile(const RowGroup<Block>& rows, int64_t n_blocks, std::byte* tile) {
  using T = Tile<Block>;
  using U = Unpack<Block>;
  for (int64_t b = 0; b < n_blocks; ++b, tile += T::kBytes) {
    for (int i = 0; i < Block::kLen / 32; ++i) {
      VecI32 words[8];
      for (int r = 0; r < 8; ++r) words[r] = as_i32(U::codes(rows.row[r][b], i));
      transpose8(words);
      for (int k = 0; k < 8; ++k) i32_store(tile + 32 * (8 * i + k), words[k]);
    }
    if constexpr (U::kScaled) {
      auto* scale_pairs = reinterpret_cast<int16_t*>(tile + T::kScales);
      auto* minimum_pairs = reinterpret_cast<int16_t*>(tile + T::kMinima);
      for (int r = 0; r < 8; ++r) {
        int16_t scales[16], minima[16];
        const Scales packed = U::scales(rows.row[r][b]);
        i16_store(scales, packed.scales);
        i16_store(minima, packed.minima);
        for (int s = 0; s < T::kSubs; ++s) {
          const int16_t scale = U::kSub == 32 ? scales[s] : scales[s % 2 * 8 + s / 2];
          scale_pairs[16 * s + 2 * r] = scale_pairs[16 * s + 2 * r + 1] = scale;
        }
        for (int p = 0; p < 16; ++p) minimum_pairs[16 * (p / 2) + 2 * r + p % 2] = minima[p];
      }
    }
    f32_store(reinterpret_cast<float*>(tile + T::kD),
              gather_f16([&](int r) { return U::d(rows.row[r][b]); }));
    if constexpr (U::kMinimum == Minimum::kFloat || U::kMinimum == Minimum::kInteger) {
      f32_store(reinterpret_cast<float*>(tile + T::kM),
                gather_f16([&](int r) { return U::m(rows.row[r][b]); }));
    }
  }
}

// Eight rows times kColumns columns; results to out[c], lane = row.
template <typename Block, int kColumns>
inline void tile_dot(const std::byte* tile, int64_t n_blocks, const ColumnView<Block>* columns,
                     VecF32* out) {
  using T = Tile<Block>;
  using U = Unpack<Block>;
  constexpr int kSums = ColumnView<Block>::kSumsPerBlock;
  VecF32 acc[kColumns];
  for (int c = 0; c < kColumns; ++c) acc[c] = f32_zero();
  for (int64_t b = 0; b < n_blocks; ++b, tile += T::kBytes) {
    VecI32 isum[kColumns], msum[kColumns];
    for (int c = 0; c < kColumns; ++c) isum[c] = msum[c] = i32_zero();
    for (int s = 0; s < T::kSubs; ++s) {
      VecI16 scale = i16_set1(1);
      if constexpr (U::kScaled) scale = i16_load(tile + T::kScales + 32 * s);
      for (int k = s * U::kSub / 4; k < (s + 1) * U::kSub / 4; k += T::kPresum) {
        VecI16 products[kColumns];
        const std::byte* weights = tile + 32 * k;
        const int64_t offset = b * Block::kLen + 4 * k;
        for (int c = 0; c < kColumns; ++c) {
          products[c] = dot_codes<U>(i8_load(weights), i8_broadcast4(columns[c].codes + offset));
        }
        for (int t = 1; t < T::kPresum; ++t) {
          const VecI8 w = i8_load(weights + 32 * t);
          for (int c = 0; c < kColumns; ++c) {
            products[c] =
                add(products[c], dot_codes<U>(w, i8_broadcast4(columns[c].codes + offset + 4 * t)));
          }
        }
        for (int c = 0; c < kColumns; ++c) isum[c] = add(isum[c], dot_pairs(products[c], scale));
      }
    }
    if constexpr (T::kIntegerMinima) {
      for (int p = 0; p < 8; ++p) {
        const VecI16 minimum = i16_load(tile + T::kMinima + 32 * p);
        for (int c = 0; c < kColumns; ++c) {
          msum[c] =
              add(msum[c], dot_pairs(minimum, i16_broadcast2(columns[c].sums + b * kSums + 2 * p)));
        }
      }
    }
    const VecF32 d = f32_load(reinterpret_cast<const float*>(tile + T::kD));
    VecF32 m = f32_zero();
    if constexpr (U::kMinimum == Minimum::kFloat || U::kMinimum == Minimum::kInteger) {
      m = f32_load(reinterpret_cast<const float*>(tile + T::kM));
    }
    for (int c = 0; c < kColumns; ++c) {
      acc[c] = accumulate<U>(isum[c], msum[c], d, m, columns[c].scales[b],
                             columns[c].sums[b * kSums], acc[c]);
    }
  }
  for (int c = 0; c < kColumns; ++c) out[c] = acc[c];
}

template <typename Block>
void matmul_tiled(const MatmulArgs& args) {
  constexpr int kGroups = 2;  // row groups that share a pass over the columns
  constexpr int kColumns = 4;
  const int64_t n_blocks = args.row_len / Block::kLen;
  const int64_t tile_bytes = n_blocks * Tile<Block>::kBytes;
  for (int64_t first = 0; first < args.n_rows; first += 8 * kGroups) {
    const int64_t rows_left = args.n_rows - first;
    const int n_groups = rows_left > 8 ? kGroups : 1;
    for (int g = 0; g < n_groups; ++g) {
      const int64_t n_valid = rows_left - 8 * g < 8 ? rows_left - 8 * g : 8;
      const RowGroup<Block> rows(args.weights + (first + 8 * g) * args.row_bytes, args.row_bytes,
                                 n_valid);
      build_tile(rows, n_blocks, args.scratch + g * tile_bytes);
    }
    for (int64_t c = 0; c < args.n_columns; c += kColumns) {
      const int64_t columns_left = args.n_columns - c;
      const auto column = [&](int64_t i) {  // missing columns repeat the last
        const int64_t valid = i < columns_left ? i : columns_left - 1;
        return ColumnView<Block>(args.columns + (c + valid) * args.column_bytes, args.row_len);
      };
      const ColumnView<Block> columns[kColumns] = {column(0), column(1), column(2), column(3)};
      for (int g = 0; g < n_groups; ++g) {
        VecF32 sums[kColumns];
        tile_dot<Block, kColumns>(args.scratch + g * tile_bytes, n_blocks, columns, sums);
        const int64_t n_valid = rows_left - 8 * g < 8 ? rows_left - 8 * g : 8;
        for (int64_t i = 0; i < kColumns && i < columns_left; ++i) {
          store_rows(args.out + (c + i) * args.out_stride + first + 8 * g, sums[i], n_valid);
        }
      }
    }
  }
}

template <typename Block>
void matmul_quantized(const MatmulArgs& args) {
  constexpr int64_t kTileFrom = 4;  // columns from which unpacking into a tile pays
  if (args.n_columns < kTileFrom) {
    matmul_rows<Block>(args);
  } else {
    matmul_tiled<Block>(args);
  }
}
