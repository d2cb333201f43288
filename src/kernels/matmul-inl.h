// Few columns (decode): eight rows side by side, straight from the stored blocks. Each row's
// integer dot stays spread over 8 lanes; a transposing add turns eight rows into one vector with
// lane = row.

// The rows of one group; missing ones repeat the last, so that every lane reads valid memory.
template <typename Block>
struct RowGroup {
  const Block* row[8];
  RowGroup(const std::byte* first, int64_t row_bytes, int64_t n_valid) {
    for (int r = 0; r < 8; ++r) {
      const int64_t valid = r < n_valid ? r : n_valid - 1;
      row[r] = reinterpret_cast<const Block*>(first + valid * row_bytes);
    }
  }
};

template <typename F>
inline VecF32 gather_f16(F&& bits_of_row) {
  return f32_from_f16(bits_of_row(0), bits_of_row(1), bits_of_row(2), bits_of_row(3),
                      bits_of_row(4), bits_of_row(5), bits_of_row(6), bits_of_row(7));
}

template <typename U>
inline VecI16 dot_codes(VecI8 codes, VecI8 activations) {
  if constexpr (U::kSigned) {
    return dot_i8(codes, activations);
  } else {
    return dot_u8(codes, activations);
  }
}

// Integer dot of one block with the activations, spread over the lanes; *minimum_dot likewise the
// integer minima with the activation sums.
template <typename Block>
inline VecI32 block_dot(const Block& block, const int8_t* a, const int16_t* sums,
                        VecI32* minimum_dot) {
  using U = Unpack<Block>;
  if constexpr (!U::kScaled) {
    return dot_pairs(dot_codes<U>(U::codes(block, 0), i8_load(a)), i16_set1(1));
  } else {
    const Scales scales = U::scales(block);
    VecI32 total = i32_zero();
    for (int i = 0; i < Block::kLen / 32; ++i) {
      const VecI16 products = dot_codes<U>(U::codes(block, i), i8_load(a + 32 * i));
      total = add(total, dot_pairs(products, i16_pick(scales.scales, i)));
    }
    *minimum_dot = dot_pairs(scales.minima, i16_load(sums));
    return total;
  }
}

// acc += one block of eight rows, given the integer sums (lane = row). The float arithmetic of
// every path, decode and tile alike.
template <typename U>
inline VecF32 accumulate(VecI32 isum, VecI32 msum, VecF32 d, VecF32 m, float da, int32_t asum,
                         VecF32 acc) {
  const VecF32 scale = f32_set1(da);
  if constexpr (U::kMinimum == Minimum::kOffset) {
    isum = sub(isum, i32_set1(U::kOffset * asum));
  } else if constexpr (U::kMinimum == Minimum::kSubScale) {
    isum = sub(isum, times32(msum));
  }
  acc = fma(to_float(isum), mul(d, scale), acc);
  if constexpr (U::kMinimum == Minimum::kFloat) {
    acc = fma(m, f32_set1(da * static_cast<float>(asum)), acc);
  } else if constexpr (U::kMinimum == Minimum::kInteger) {
    acc = fnma(to_float(msum), mul(m, scale), acc);
  }
  return acc;
}

// One column of activations, taken apart.
template <typename Block>
struct ColumnView {
  static constexpr Activation kKind = Block::kLen == 256 ? Activation::kQ8_256 : Activation::kQ8_32;
  static constexpr int kSumsPerBlock = Block::kLen == 256 ? 16 : 1;
  const int8_t* codes;
  const float* scales;
  const int16_t* sums;
  ColumnView(const std::byte* column, int64_t n) {
    const ColumnLayout layout = column_layout(kKind, n);
    codes = reinterpret_cast<const int8_t*>(column);
    scales = reinterpret_cast<const float*>(column + layout.scales_offset);
    sums = reinterpret_cast<const int16_t*>(column + layout.sums_offset);
  }
};

inline void store_rows(float* out, VecF32 acc, int64_t n_valid) {
  if (n_valid == 8) return f32_store(out, acc);
  float lanes[8];
  f32_store(lanes, acc);
  for (int64_t r = 0; r < n_valid; ++r) out[r] = lanes[r];
}

// Prefetches the block eight rows further down: without it, eight row streams are slower than one.
template <typename Block>
inline void prefetch_next_group(const Block* block, int64_t group_bytes, int64_t b) {
  if constexpr (sizeof(Block) >= 64) {
    for (size_t line = 0; line < sizeof(Block); line += 64) {
      prefetch(reinterpret_cast<const std::byte*>(block + b) + group_bytes + line);
    }
  } else if (b % 2 == 0) {
    prefetch(reinterpret_cast<const std::byte*>(block + b) + group_bytes);
  }
}

// Two neighbouring blocks of a row of 4-bit codes at once. Lanes 0-3 sum to the dot of the first,
// lanes 4-7 to that of the second: low nibbles meet the first half of each block's activations,
// high nibbles the second, and nothing has to be moved across lanes.
template <typename Block>
inline VecI32 pair_dot(const Block* blocks, VecI8 first_halves, VecI8 second_halves) {
  using U = Unpack<Block>;
  const VecI8 both = i8_halves(blocks[0].qs, blocks[1].qs);
  const VecI16 low = dot_codes<U>(U::value(low_nibbles(both)), first_halves);
  const VecI16 high = dot_codes<U>(U::value(high_nibbles(both)), second_halves);
  if constexpr (U::kSigned) {  // two signed products fill int16
    return add(dot_pairs(low, i16_set1(1)), dot_pairs(high, i16_set1(1)));
  } else {
    return dot_pairs(add(low, high), i16_set1(1));
  }
}

// Eight rows times one column.
template <typename Block>
inline VecF32 rows_dot(const RowGroup<Block>& rows, const ColumnView<Block>& column,
                       int64_t n_blocks, int64_t group_bytes) {
  using U = Unpack<Block>;
  VecF32 acc = f32_zero();
  const auto end_block = [&](int64_t b, VecI32 isum, VecI32 msum) {
    const VecF32 d = gather_f16([&](int r) { return U::d(rows.row[r][b]); });
    VecF32 m = f32_zero();
    if constexpr (U::kMinimum == Minimum::kFloat || U::kMinimum == Minimum::kInteger) {
      m = gather_f16([&](int r) { return U::m(rows.row[r][b]); });
    }
    const int32_t asum = column.sums[b * ColumnView<Block>::kSumsPerBlock];
    acc = accumulate<U>(isum, msum, d, m, column.scales[b], asum, acc);
  };
  int64_t b = 0;
  if constexpr (U::kPairs) {
    for (; b + 2 <= n_blocks; b += 2) {
      const int8_t* a = column.codes + b * Block::kLen;
      const VecI8 first_halves = i8_halves(a, a + 32), second_halves = i8_halves(a + 16, a + 48);
      VecI32 dots[8], isum[2];
      for (int r = 0; r < 8; ++r) {
        prefetch_next_group(rows.row[r], group_bytes, b);
        dots[r] = pair_dot(rows.row[r] + b, first_halves, second_halves);
      }
      transpose_add_halves(dots, isum);
      end_block(b, isum[0], i32_zero());
      end_block(b + 1, isum[1], i32_zero());
    }
  }
  for (; b < n_blocks; ++b) {
    const int8_t* a = column.codes + b * Block::kLen;
    const int16_t* sums = column.sums + b * ColumnView<Block>::kSumsPerBlock;
    VecI32 dots[8], minimum_dots[8];
    for (int r = 0; r < 8; ++r) {
      prefetch_next_group(rows.row[r], group_bytes, b);
      dots[r] = block_dot(rows.row[r][b], a, sums, &minimum_dots[r]);
    }
    VecI32 msum = i32_zero();
    if constexpr (U::kScaled) msum = transpose_add(minimum_dots);
    end_block(b, transpose_add(dots), msum);
  }
  return acc;
}

template <typename Block>
void matmul_rows(const MatmulArgs& args) {
  const int64_t n_blocks = args.row_len / Block::kLen;
  for (int64_t first = 0; first < args.n_rows; first += 8) {
    const int64_t n_valid = args.n_rows - first < 8 ? args.n_rows - first : 8;
    const RowGroup<Block> rows(args.weights + first * args.row_bytes, args.row_bytes, n_valid);
    for (int64_t c = 0; c < args.n_columns; ++c) {
      const ColumnView<Block> column(args.columns + c * args.column_bytes, args.row_len);
      const VecF32 acc = rows_dot(rows, column, n_blocks, 8 * args.row_bytes);
      store_rows(args.out + c * args.out_stride + first, acc, n_valid);
    }
  }
}
