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

// acc[r * kC + c] += rows[r][k0, k1) * columns[c][k0, k1), in lanes.
template <typename Load, int kR, int kC>
inline void dot_lanes(const typename Load::Element* const* rows, const float* const* columns,
                      int64_t k0, int64_t k1, VecF32* acc) {
  VecF32 a[kR * kC];
  for (int i = 0; i < kR * kC; ++i) a[i] = acc[i];
  int64_t k = k0;
  for (; k + 8 <= k1; k += 8) {
    VecF32 x[kC];
    for (int c = 0; c < kC; ++c) x[c] = f32_load(columns[c] + k);
    for (int r = 0; r < kR; ++r) {
      const VecF32 w = Load::load(rows[r] + k);
      for (int c = 0; c < kC; ++c) a[r * kC + c] = fma(w, x[c], a[r * kC + c]);
    }
  }
  if (k < k1) {
    for (int r = 0; r < kR; ++r) {
      const VecF32 w = load_tail<Load>(rows[r] + k, k1 - k);
      for (int c = 0; c < kC; ++c) {
        a[r * kC + c] = fma(w, load_tail<LoadF32>(columns[c] + k, k1 - k), a[r * kC + c]);
      }
    }
  }
  for (int i = 0; i < kR * kC; ++i) acc[i] = a[i];
}

template <typename Load>
void float_rows(const MatmulArgs& args) {  // few columns: eight rows at a time
  using Element = typename Load::Element;
  for (int64_t first = 0; first < args.n_rows; first += 8) {
    const int64_t n_valid = args.n_rows - first < 8 ? args.n_rows - first : 8;
    const RowGroup<Element> rows(args.weights + first * args.row_bytes, args.row_bytes, n_valid);
    for (int64_t c = 0; c < args.n_columns; ++c) {
      const float* column = reinterpret_cast<const float*>(args.columns + c * args.column_bytes);
      VecF32 acc[8];
      for (int r = 0; r < 8; ++r) acc[r] = f32_zero();
      dot_lanes<Load, 8, 1>(rows.row, &column, 0, args.row_len, acc);
      for (int64_t r = 0; r < n_valid; ++r)
        args.out[c * args.out_stride + first + r] = sum_lanes(acc[r]);
    }
  }
}

// rows[k0, k1) as Held: where they lie, or converted to `out`, [kRows][kDepth].
template <typename Load, typename Held, int kRows, int64_t kDepth>
inline void hold_rows(const typename Load::Element* const* rows, int64_t k0, int64_t k1, float* out,
                      const typename Held::Element** held) {
  if constexpr (std::is_same_v<Load, Held>) {
    for (int r = 0; r < kRows; ++r) held[r] = rows[r] + k0;
  } else {
    for (int r = 0; r < kRows; ++r, out += kDepth) {
      const int64_t n = k1 - k0;
      int64_t k = 0;
      for (; k + 8 <= n; k += 8) f32_store(out + k, Load::load(rows[r] + k0 + k));
      if (k < n) f32_store(out + k, load_tail<Load>(rows[r] + k0 + k, n - k));
      held[r] = out;
    }
  }
}

// Many columns: eight rows of 512 weights stay in the first-level cache while the columns, from the
// second level, pass by in threes. Held: LoadF32 converts those rows once for all columns.
template <typename Load, typename Held>
void float_panels(const MatmulArgs& args, std::byte* scratch) {
  using Element = typename Load::Element;
  constexpr int kR = 4, kC = 3, kPanelRows = 8;
  constexpr int64_t kPanelColumns = 60, kDepth = 512;
  auto* panel = reinterpret_cast<float*>(scratch);  // [kPanelRows][kDepth]
  float* lanes = panel + kPanelRows * kDepth;       // [columns / 3][rows / 4][12][8]
  for (int64_t c0 = 0; c0 < args.n_columns; c0 += kPanelColumns) {
    const int64_t n_c = args.n_columns - c0 < kPanelColumns ? args.n_columns - c0 : kPanelColumns;
    for (int64_t r0 = 0; r0 < args.n_rows; r0 += kPanelRows) {
      const int64_t n_r = args.n_rows - r0 < kPanelRows ? args.n_rows - r0 : kPanelRows;
      const RowGroup<Element> rows(args.weights + r0 * args.row_bytes, args.row_bytes, n_r);
      for (int64_t k0 = 0; k0 < args.row_len; k0 += kDepth) {
        const int64_t k1 = args.row_len - k0 < kDepth ? args.row_len : k0 + kDepth;
        const typename Held::Element* held[kPanelRows];
        hold_rows<Load, Held, kPanelRows, kDepth>(rows.row, k0, k1, panel, held);
        float* stored = lanes;
        for (int64_t c = 0; c < n_c; c += kC) {
          const float* columns[kC];
          for (int i = 0; i < kC; ++i) {
            const int64_t valid = c + i < n_c ? c + i : n_c - 1;
            columns[i] =
                reinterpret_cast<const float*>(args.columns + (c0 + valid) * args.column_bytes) +
                k0;
          }
          for (int64_t r = 0; r < n_r; r += kR, stored += kR * kC * 8) {
            VecF32 acc[kR * kC];
            for (int i = 0; i < kR * kC; ++i)
              acc[i] = k0 == 0 ? f32_zero() : f32_load(stored + 8 * i);
            dot_lanes<Held, kR, kC>(held + r, columns, 0, k1 - k0, acc);
            if (k1 < args.row_len) {
              for (int i = 0; i < kR * kC; ++i) f32_store(stored + 8 * i, acc[i]);
              continue;
            }
            for (int i = 0; i < kR && r + i < n_r; ++i) {
              for (int j = 0; j < kC && c + j < n_c; ++j) {
                args.out[(c0 + c + j) * args.out_stride + r0 + r + i] = sum_lanes(acc[i * kC + j]);
              }
            }
          }
        }
      }
    }
  }
}

template <typename Load>
void matmul_float(const MatmulArgs& args) {
  if (args.n_columns < 3) {
    float_rows<Load>(args);
  } else if (args.n_columns < 16) {  // converting would cost more than it saves
    float_panels<Load, Load>(args, args.scratch);
  } else {
    float_panels<Load, LoadF32>(args, args.scratch);
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
