// Float weights (or decoded rows) times float columns: 8 k-lanes per output, one fma chain per lane
// in ascending k. Blocks of k are cut for the caches; the lanes are carried across them, so that
// the chain is the same whatever the blocking.

struct LoadF32 {
  using Element = float;
  static VecF32 load(const float* p) { return f32_load(p); }
};
struct LoadF16 {
  using Element = uint16_t;
  static VecF32 load(const uint16_t* p) { return f32_load_f16(p); }
};
struct LoadBF16 {
  using Element = uint16_t;
  static VecF32 load(const uint16_t* p) { return f32_load_bf16(p); }
};

// The last n < 8 elements, zeros behind them.
template <typename Load>
inline VecF32 load_tail(const typename Load::Element* p, int64_t n) {
  typename Load::Element padded[8] = {};
  for (int64_t i = 0; i < n; ++i) padded[i] = p[i];
  return Load::load(padded);
}

// Eight rows where they lie, one to a vector.
template <typename Load>
struct StoredRows {
  const typename Load::Element* const* row;
  int64_t first;
  VecF32 eight(int v, int64_t k) const { return Load::load(row[v] + first + k); }
  VecF32 tail(int v, int64_t k, int64_t n) const { return load_tail<Load>(row[v] + first + k, n); }
  void fetch(int64_t) const {}
};

// The same where each row meets one column alone. Of 16-bit numbers a core asks for too little of
// its own accord: while eight of each of four rows are worked on, as many of the next four rows,
// which are one run of bytes, are fetched in order.
template <typename Load>
struct StreamedRows : StoredRows<Load> {
  static constexpr bool kFetched = sizeof(typename Load::Element) == 2;
  static constexpr int kAtOnce = kFetched ? 4 : 8;
  const std::byte* next;
  void fetch(int64_t k) const {
    if constexpr (kFetched) prefetch(next + 8 * k);
  }
};

// Eight rows as floats, as many to a vector as it has groups of eight lanes:
// [8 / kGroups][kFloatDepth / 8][kGroups][8], zeros behind the last.
template <typename L>
struct FloatPanel {
  float* floats;
  template <typename Load>
  void fill(const StoredRows<Load>& rows, int64_t n) const {
    for (int r = 0; r < 8; ++r) {
      float* out = floats + r / L::kGroups * L::kGroups * kFloatDepth + r % L::kGroups * 8;
      int64_t k = 0;
      for (; k + 8 <= n; k += 8) f32_store(out + L::kGroups * k, rows.eight(r, k));
      if (k < n) f32_store(out + L::kGroups * k, rows.tail(r, k, n - k));
    }
  }
  typename L::F32 eight(int v, int64_t k) const {
    return L::load_f32(floats + L::kGroups * (v * kFloatDepth + k));
  }
  typename L::F32 tail(int v, int64_t k, int64_t) const { return eight(v, k); }
  void fetch(int64_t) const {}
};

// lanes[c][r][8] += row r [0, n) * columns[c][0, n) for the rows of kVectors vectors from v0 on;
// from zero when `first`.
template <typename L, int kVectors, int kC, typename Rows>
inline void dot_lanes(const Rows& rows, int v0, const float* const* columns, int64_t n, bool first,
                      float* lanes) {
  const auto place = [&](int v, int c) { return lanes + 8 * (8 * c + L::kGroups * (v0 + v)); };
  typename L::F32 sums[kVectors * kC];
  for (int v = 0; v < kVectors; ++v) {
    for (int c = 0; c < kC; ++c) {
      sums[v * kC + c] = first ? L::set_f32(0) : L::load_f32(place(v, c));
    }
  }
  int64_t k = 0;
  for (; k + 8 <= n; k += 8) {
    rows.fetch(k);
    typename L::F32 x[kC];
    for (int c = 0; c < kC; ++c) x[c] = L::repeat8_f32(columns[c] + k);
    for (int v = 0; v < kVectors; ++v) {
      const typename L::F32 w = rows.eight(v0 + v, k);
      for (int c = 0; c < kC; ++c) sums[v * kC + c] = fma(w, x[c], sums[v * kC + c]);
    }
  }
  if (k < n) {
    for (int c = 0; c < kC; ++c) {
      float padded[8] = {};
      for (int64_t i = k; i < n; ++i) padded[i - k] = columns[c][i];
      const typename L::F32 x = L::repeat8_f32(padded);
      for (int v = 0; v < kVectors; ++v) {
        sums[v * kC + c] = fma(rows.tail(v0 + v, k, n - k), x, sums[v * kC + c]);
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    for (int c = 0; c < kC; ++c) L::store_f32(place(v, c), sums[v * kC + c]);
  }
}

// One column's lanes[8 rows][8], added up.
inline void store_sums(const float* lanes, float* out, int64_t n_valid) {
  VecF32 rows[8];
  for (int r = 0; r < 8; ++r) rows[r] = f32_load(lanes + 8 * r);
  store_rows(out, sum_lanes_of_eight(rows), n_valid);
}

template <typename Load>
void float_rows(const MatmulArgs& args) {  // few columns: eight rows at a time
  using Element = typename Load::Element;
  for (int64_t first = 0; first < args.n_rows; first += 8) {
    const int64_t n_valid = args.n_rows - first < 8 ? args.n_rows - first : 8;
    const RowGroup<Element> group(args.weights + first * args.row_bytes, args.row_bytes, n_valid);
    for (int64_t c = 0; c < args.n_columns; ++c) {
      const float* column = reinterpret_cast<const float*>(args.columns + c * args.column_bytes);
      float lanes[8 * 8];
      constexpr int kAtOnce = StreamedRows<Load>::kAtOnce;
      for (int r = 0; r < 8; r += kAtOnce) {
        const StreamedRows<Load> rows{{group.row, 0},
                                      args.weights + (first + r + kAtOnce) * args.row_bytes};
        dot_lanes<Lanes8, kAtOnce, 1>(rows, r, &column, args.row_len, true, lanes);
      }
      store_sums(lanes, args.out + c * args.out_stride + first, n_valid);
    }
  }
}

// Many columns: a block of columns, 512 deep, stays in the second-level cache for 32 rows, eight of
// which are in the first level at a time. kConverted: as floats made once for the block.
template <typename Load, typename L, bool kConverted>
void float_panels(const MatmulArgs& args) {
  using Element = typename Load::Element;
  constexpr int kVectors = 4, kC = L::kGroups > 1 ? 6 : 3;  // their products stay in registers
  constexpr int64_t kBlock = L::kGroups > 1 ? kFloatColumns : 60;
  static_assert(kBlock <= kFloatColumns && kBlock % kC == 0);
  const FloatPanel<L> panel{reinterpret_cast<float*>(args.scratch)};
  float* lanes = panel.floats + 8 * kFloatDepth;  // [kTileRows / 8][kBlock][8 rows][8]
  for (int64_t c0 = 0; c0 < args.n_columns; c0 += kBlock) {
    const int64_t n_c = args.n_columns - c0 < kBlock ? args.n_columns - c0 : kBlock;
    for (int64_t r0 = 0; r0 < args.n_rows; r0 += kTileRows) {
      const int64_t n_r = args.n_rows - r0 < kTileRows ? args.n_rows - r0 : kTileRows;
      for (int64_t k0 = 0; k0 < args.row_len; k0 += kFloatDepth) {
        const int64_t n = args.row_len - k0 < kFloatDepth ? args.row_len - k0 : kFloatDepth;
        for (int64_t r = 0; r < n_r; r += 8) {
          const RowGroup<Element> group(args.weights + (r0 + r) * args.row_bytes, args.row_bytes,
                                        n_r - r < 8 ? n_r - r : 8);
          const StoredRows<Load> stored{group.row, k0};
          if constexpr (kConverted) panel.fill(stored, n);
          for (int64_t c = 0; c < n_c; c += kC) {
            const float* columns[kC];
            for (int i = 0; i < kC; ++i) {
              const int64_t valid = c0 + (c + i < n_c ? c + i : n_c - 1);
              columns[i] =
                  reinterpret_cast<const float*>(args.columns + valid * args.column_bytes) + k0;
            }
            float* sums = lanes + 8 * (r * kBlock + 8 * c);
            for (int v = 0; v < 8 / L::kGroups; v += kVectors) {
              if constexpr (kConverted) {
                dot_lanes<L, kVectors, kC>(panel, v, columns, n, k0 == 0, sums);
              } else {
                dot_lanes<L, kVectors, kC>(stored, v, columns, n, k0 == 0, sums);
              }
            }
          }
        }
      }
      for (int64_t r = 0; r < n_r; r += 8) {
        for (int64_t c = 0; c < n_c; ++c) {
          store_sums(lanes + 8 * (r * kBlock + 8 * c),
                     args.out + (c0 + c) * args.out_stride + r0 + r, n_r - r < 8 ? n_r - r : 8);
        }
      }
    }
  }
}

template <typename Load>
void matmul_float(const MatmulArgs& args) {
  constexpr bool kAsStored = std::is_same_v<Load, LoadF32> && WideLanes::kGroups == 1;
  if (args.n_columns < 3) {
    float_rows<Load>(args);
  } else if (args.n_columns < 16) {  // converting would cost more than it saves
    float_panels<Load, Lanes8, false>(args);
  } else {
    float_panels<Load, WideLanes, !kAsStored>(args);
  }
}

// Any format: 16 rows at a time are decoded to float32 in scratch, then multiplied.
void matmul_decoded(const MatmulArgs& args, DecodeFn decode) {
  constexpr int64_t kRows = 16;
  auto* decoded = reinterpret_cast<float*>(args.scratch);
  MatmulArgs part = args;
  part.weights = args.scratch;
  part.row_bytes = args.row_len * 4;
  part.scratch = args.scratch + kRows * part.row_bytes;
  for (int64_t r = 0; r < args.n_rows; r += kRows) {
    part.n_rows = args.n_rows - r < kRows ? args.n_rows - r : kRows;
    for (int64_t i = 0; i < part.n_rows; ++i) {
      decode(args.weights + (r + i) * args.row_bytes, decoded + i * args.row_len, args.row_len);
    }
    part.out = args.out + r;
    matmul_float<LoadF32>(part);
  }
}
