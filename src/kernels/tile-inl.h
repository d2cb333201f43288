// Many columns (prefill, batches): as many rows as a vector has lanes are unpacked once into a
// cache-resident tile whose codes and integer scales are exactly those of the file, then multiplied
// with all columns, a few at a time.
//
// Tile of one slice (matmul-inl.h), lane = row throughout; rows = 8 * kGroups:
//   codes   [kLen / 4][rows][4 bytes]
//   scales  [kLen / kSub][rows][int16 pair of equal values]   only with integer scales
//   minima  [8][rows][int16 pair: minima of two neighbouring 16s]   only with integer minima
//   d       [kParts][rows] float, m [rows] float
// Group g of eight rows has its share of every vector, 32 bytes, 32 * g behind the vector's start.
// Where matrices are multiplied (PairLanes of simd_neon_lanes.h) two words of a row stand side by
// side: codes [kLen / 8][rows][8 bytes].

template <typename Block>
struct Tile {
  using U = Multiplied<Unpack<Block>>;
  using S = Slice<Block>;
  using L = WideLanes;
  static constexpr int64_t kVector = 32 * L::kGroups;
  static constexpr bool kIntegerMinima = kHasIntegerMinima<U>;
  static constexpr int kSubs = S::kLen / U::kSub;
  static constexpr int kSubsPerPart = kSubs / S::kParts;
  static constexpr int64_t kScales = S::kLen / 4 * kVector;
  static constexpr int64_t kMinima = kScales + (U::kScaled ? kSubs * kVector : 0);
  static constexpr int64_t kD = kMinima + (kIntegerMinima ? 8 * kVector : 0);
  static constexpr int64_t kM = kD + kVector * S::kParts;
  static constexpr int64_t kBytes = kM + kVector;
};

// Lanes that multiply more than a word of each row at once (simd_neon_lanes.h). They take a tile at
// a time: sums of two would not stay in registers.
template <typename L>
concept TakesSteps = requires {
  L::kStep;
};
template <typename L>
inline constexpr int kTilesOf = TakesSteps<L> ? 1 : kTilesAtOnce;

// Words w and w + 1 of one group's share of a tile.
template <typename Block>
inline void store_words(std::byte* tile, int w, VecI8 first, VecI8 second) {
  using T = Tile<Block>;
  if constexpr (TakesSteps<typename T::L>) T::L::join_words(&first, &second);
  i8_store(tile + T::kVector * w, first);
  i8_store(tile + T::kVector * (w + 1), second);
}

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

// One group's share of a tile, from its start on.
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
      const auto word = [&](int k) { return multiplied_codes<Unpack<Block>>(as_bytes(words[k])); };
      for (int k = 0; k < 8; k += 2) store_words<Block>(tile, 8 * i + k, word(k), word(k + 1));
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
          int16_t* pair = scale_pairs + T::kVector / 2 * k + 2 * r;
          pair[0] = pair[1] = scale;
        }
        if constexpr (T::kIntegerMinima) {
          if constexpr (U::kMinimum == Minimum::kSubScale) {
            for (int p = 0; p < 16; ++p) {
              minima[p] = scale_pairs[T::kVector / 2 * (16 * p / U::kSub) + 2 * r];
            }
          } else {
            i16_store(minima, packed.minima);
          }
          for (int p = 0; p < 16; ++p) {
            minimum_pairs[T::kVector / 2 * (p / 2) + 2 * r + p % 2] = minima[p];
          }
        }
      }
    }
    auto* floats = reinterpret_cast<float*>(tile + T::kD);
    for (int p = 0; p < S::kParts; ++p) {
      if constexpr (!kHasMinima<U>)
        f32_store(floats + T::kVector / 4 * p, slice_scales(rows, s, p));
    }
    if constexpr (kHasMinima<U>) {
      VecF32 d, m;
      slice_scales_and_minima(rows, s, &d, &m);
      f32_store(floats, d);
      f32_store(reinterpret_cast<float*>(tile + T::kM), m);
    }
  }
}

// isum[t * kColumns + c] += sub-block k of a slice of tile t times column c.
template <typename Block, int kTiles, int kColumns>
inline void tile_sub_dot(const std::byte* tile, int64_t tile_bytes, int k, int64_t s,
                         const ColumnView<Block>* columns, typename Tile<Block>::L::I32* isum) {
  using T = Tile<Block>;
  using U = typename T::U;
  using L = typename T::L;
  using D = Dots<U, L>;
  for (int w = k * U::kSub / 4; w < (k + 1) * U::kSub / 4; w += D::kWords) {
    typename D::Sum products[kTiles * kColumns];
    const int64_t offset = s * Slice<Block>::kLen + 4 * w;
    for (int i = 0; i < D::kWords; ++i) {
      typename L::I8 codes[kTiles];
      for (int t = 0; t < kTiles; ++t) {
        codes[t] = L::load_i8(tile + t * tile_bytes + T::kVector * (w + i));
      }
      for (int c = 0; c < kColumns; ++c) {
        const typename L::I8 a = L::repeat4_i8(columns[c].codes + offset + 4 * i);
        for (int t = 0; t < kTiles; ++t) {
          typename D::Sum& sum = products[t * kColumns + c];
          sum = i == 0 ? D::first(codes[t], a) : D::next(sum, codes[t], a);
        }
      }
    }
    for (int t = 0; t < kTiles; ++t) {
      const auto scale = [&] {
        if constexpr (U::kScaled) {
          return L::load_i16(tile + t * tile_bytes + T::kScales + T::kVector * k);
        } else {
          return NoScale{};
        }
      }();
      for (int i = t * kColumns; i < (t + 1) * kColumns; ++i) {
        isum[i] = D::add_to(isum[i], products[i], scale);
      }
    }
  }
}

// isum[c] = part p of slice s of a tile times column c, in steps.
template <typename Block, int kColumns>
inline void tile_part_dot(const std::byte* tile, int p, int64_t s, const ColumnView<Block>* columns,
                          VecI32* isum) {
  using T = Tile<Block>;
  using U = typename T::U;
  using L = typename T::L;
  constexpr int kN = kColumns / L::kTogether, kSteps = U::kSub / L::kStep;
  static_assert(kColumns % L::kTogether == 0 && U::kSub % L::kStep == 0);
  typename L::Sums total[kN];
  for (int i = 0; i < kN; ++i) total[i] = L::no_sums();
  for (int k = p * T::kSubsPerPart; k < (p + 1) * T::kSubsPerPart; ++k) {
    typename L::Sums sums[kN];
    for (int i = 0; i < kN; ++i) sums[i] = U::kScaled ? L::no_sums() : total[i];
    const std::byte* codes = tile + T::kVector * (U::kSub / 4 * k);
    const int64_t offset = s * Slice<Block>::kLen + U::kSub * k;
    for (int step = 0; step < kSteps; ++step) {
      const typename L::Rows rows = L::load_rows(codes + T::kVector * (L::kStep / 4 * step));
      for (int i = 0; i < kN; ++i) {
        const int8_t* together[L::kTogether];
        for (int c = 0; c < L::kTogether; ++c) {
          together[c] = columns[i * L::kTogether + c].codes + offset + L::kStep * step;
        }
        sums[i] = L::multiply(sums[i], rows, L::load_columns(together));
      }
    }
    for (int i = 0; i < kN; ++i) {
      if constexpr (U::kScaled) {
        total[i] =
            L::add_scaled(total[i], sums[i], L::load_i16(tile + T::kScales + T::kVector * k));
      } else {
        total[i] = sums[i];
      }
    }
  }
  for (int i = 0; i < kN; ++i) L::part(total[i], isum + i * L::kTogether);
}

// kTiles tiles, tile_bytes apart, times kColumns columns; results to out[t * kColumns + c], lane =
// row.
template <typename Block, int kTiles, int kColumns>
inline void tile_dot(const std::byte* tile, int64_t tile_bytes, int64_t n_slices,
                     const ColumnView<Block>* columns, typename Tile<Block>::L::F32* out) {
  using T = Tile<Block>;
  using U = typename T::U;
  using L = typename T::L;
  constexpr int kSums = kTiles * kColumns;
  typename L::F32 acc[kSums];
  for (int i = 0; i < kSums; ++i) acc[i] = L::set_f32(0);
  for (int64_t s = 0; s < n_slices; ++s, tile += T::kBytes) {
    typename L::I32 msum[kSums];
    for (int i = 0; i < kSums; ++i) msum[i] = L::set_i32(0);
    if constexpr (T::kIntegerMinima) {
      for (int p = 0; p < 8; ++p) {
        typename L::I16 minima[kTiles];
        for (int t = 0; t < kTiles; ++t) {
          minima[t] = L::load_i16(tile + t * tile_bytes + T::kMinima + T::kVector * p);
        }
        for (int c = 0; c < kColumns; ++c) {
          const typename L::I16 sums = L::repeat2_i16(columns[c].slice_sums(s) + 2 * p);
          for (int i = c; i < kSums; i += kColumns) {
            msum[i] = add_dot_pairs(msum[i], minima[i / kColumns], sums);
          }
        }
      }
    }
    for (int p = 0; p < Slice<Block>::kParts; ++p) {
      typename L::I32 isum[kSums];
      if constexpr (TakesSteps<L>) {
        static_assert(kTiles == 1);
        tile_part_dot<Block, kColumns>(tile, p, s, columns, isum);
      } else {
        for (int i = 0; i < kSums; ++i) isum[i] = L::set_i32(0);
        for (int k = p * T::kSubsPerPart; k < (p + 1) * T::kSubsPerPart; ++k) {
          tile_sub_dot<Block, kTiles, kColumns>(tile, tile_bytes, k, s, columns, isum);
        }
      }
      for (int t = 0; t < kTiles; ++t) {
        const auto* floats = reinterpret_cast<const float*>(tile + t * tile_bytes + T::kD);
        const typename L::F32 d = L::load_f32(floats + T::kVector / 4 * p);
        typename L::F32 m = L::set_f32(0);
        if constexpr (kHasMinima<U>) m = L::load_f32(floats + (T::kM - T::kD) / 4);
        for (int c = 0; c < kColumns; ++c) {
          const int i = t * kColumns + c;
          acc[i] = accumulate<U, L>(isum[i], msum[i], d, m, columns[c].scales[s],
                                    columns[c].slice_sum(s), acc[i]);
        }
      }
    }
  }
  for (int i = 0; i < kSums; ++i) out[i] = acc[i];
}

// build(first, n_valid, tile) makes the share of the tile of the eight rows from `first` on.
template <typename Block, typename Build>
void matmul_tiled(const MatmulArgs& args, Build&& build) {
  using L = typename Tile<Block>::L;
  constexpr int kColumns = 4, kTiles = kTilesOf<L>;
  constexpr int kMostGroups = L::kGroups * kTiles;
  static_assert(kTileRows % (8 * kMostGroups) == 0);
  static_assert(8 * kMostGroups * Tile<Block>::kBytes / (8 * L::kGroups) <=
                kScratchPerElement * Slice<Block>::kLen);
  const int64_t n_slices = args.row_len / Slice<Block>::kLen;
  const int64_t tile_bytes = n_slices * Tile<Block>::kBytes;
  for (int64_t first = 0; first < args.n_rows; first += 8 * kMostGroups) {
    const int64_t rows_left = args.n_rows - first;
    const int n_groups =
        rows_left > 8 * (kMostGroups - 1) ? kMostGroups : static_cast<int>((rows_left + 7) / 8);
    const int n_tiles = (n_groups + L::kGroups - 1) / L::kGroups;
    const auto n_valid = [&](int g) { return rows_left - 8 * g < 8 ? rows_left - 8 * g : 8; };
    for (int place = 0; place < n_tiles * L::kGroups; ++place) {
      const int g = place < n_groups ? place : n_groups - 1;  // a tile's missing group repeats
      build(first + 8 * g, n_valid(g),
            args.scratch + place / L::kGroups * tile_bytes + 32 * (place % L::kGroups));
    }
    for (int64_t c = 0; c < args.n_columns; c += kColumns) {
      const int64_t columns_left = args.n_columns - c;
      const auto column = [&](int64_t i) {  // missing columns repeat the last
        const int64_t valid = i < columns_left ? i : columns_left - 1;
        return ColumnView<Block>(args.columns + (c + valid) * args.column_bytes, args.row_len);
      };
      const ColumnView<Block> columns[kColumns] = {column(0), column(1), column(2), column(3)};
      typename L::F32 sums[kTiles * kColumns];
      if (kTiles > 1 && n_tiles == kTiles) {
        tile_dot<Block, kTiles, kColumns>(args.scratch, tile_bytes, n_slices, columns, sums);
      } else {
        for (int t = 0; t < n_tiles; ++t) {
          tile_dot<Block, 1, kColumns>(args.scratch + t * tile_bytes, tile_bytes, n_slices, columns,
                                       sums + t * kColumns);
        }
      }
      for (int g = 0; g < n_groups; ++g) {
        for (int64_t i = 0; i < kColumns && i < columns_left; ++i) {
          store_rows(args.out + (c + i) * args.out_stride + first + 8 * g,
                     L::group(sums[g / L::kGroups * kColumns + i], g % L::kGroups), n_valid(g));
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
