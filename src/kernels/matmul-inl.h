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

inline VecF32 f32_of(uint16_t a, uint16_t b, uint16_t c, uint16_t d, uint16_t e, uint16_t f,
                     uint16_t g, uint16_t h) {
  return f32_from_f16(a, b, c, d, e, f, g, h);
}
template <typename F>
inline VecF32 gather_scales(F&& of_row) {
  return f32_of(of_row(0), of_row(1), of_row(2), of_row(3), of_row(4), of_row(5), of_row(6),
                of_row(7));
}

inline constexpr int64_t kFewColumns = 3;  // at most so many columns are taken row by row

// Blocks whose decode wants the activations in another form, made once for all rows (TQ1_0).
template <typename Block>
concept IsPrepared = requires {
  sizeof(typename Unpack<Block>::Prepared);
};
struct NotPrepared {};
template <typename Block>
struct PreparedType {
  using Type = NotPrepared;
};
template <IsPrepared Block>
struct PreparedType<Block> {
  using Type = typename Unpack<Block>::Prepared;
};
template <typename Block>
using PreparedOf = typename PreparedType<Block>::Type;

template <typename Block>
concept HasHalfScales = requires(const Block& b) {
  Unpack<Block>::half_scale(b, 0);
};

// The part of a block that meets one activation scale: all of a super-block, else 32 codes.
template <typename Block>
struct Slice {
  static constexpr int kLen = Block::kLen == 256 ? 256 : 32;
  static constexpr int kPerBlock = Block::kLen / kLen;
  static constexpr int kVectors = kLen / 32;
  // A slice of two float scales is accumulated in two parts.
  static constexpr int kParts = HasHalfScales<Block> ? 2 : 1;
};

// Float scales of part p of slice s of eight rows.
template <typename Block>
inline VecF32 slice_scales(const RowGroup<Block>& rows, int64_t s, int p) {
  using S = Slice<Block>;
  const VecF32 scales = gather_scales([&](int r) {
    const Block& block = rows.row[r][s / S::kPerBlock];
    if constexpr (S::kParts == 2) {
      return Unpack<Block>::half_scale(block, static_cast<int>(s % S::kPerBlock) * 2 + p);
    } else {
      return Unpack<Block>::d(block);
    }
  });
  if constexpr (requires { Unpack<Block>::kUnit; }) {
    return mul(scales, f32_set1(Unpack<Block>::kUnit));
  } else {
    return scales;
  }
}

template <typename Block>
inline constexpr bool kIsPlanned = requires {
  typename Unpack<Block>::Plan;
};
template <typename U>
inline constexpr bool kHasIntegerMinima =
    U::kMinimum == Minimum::kInteger || U::kMinimum == Minimum::kSubScale;
template <typename U>
inline constexpr bool kHasMinima =
    U::kMinimum == Minimum::kFloat || U::kMinimum == Minimum::kInteger;

// The same with the float minima, which stand behind the scales.
template <typename Block>
inline void slice_scales_and_minima(const RowGroup<Block>& rows, int64_t s, VecF32* d, VecF32* m) {
  const auto of_row = [&](int r) {
    uint32_t both;
    __builtin_memcpy(&both,
                     reinterpret_cast<const std::byte*>(&rows.row[r][s]) + offsetof(Block, d), 4);
    return both;
  };
  f32_pair_from_f16(of_row(0), of_row(1), of_row(2), of_row(3), of_row(4), of_row(5), of_row(6),
                    of_row(7), d, m);
}

// Integer dot of one slice with the activations, spread over the lanes; *minimum_dot likewise the
// integer minima with the activation sums. first: index of its first 32 codes in the block.
template <typename Block>
inline VecI32 slice_dot(const Block& block, int first, const int8_t* a, const int16_t* sums,
                        VecI32* minimum_dot) {
  using U = Unpack<Block>;
  constexpr int kVectors = Slice<Block>::kVectors;
  if constexpr (U::kScaled) {
    const auto scales = U::scales(block);
    VecI32 total = i32_zero();
    unrolled<kVectors>([&](int i) __attribute__((always_inline)) {
      const VecI16 products = dot_codes<U>(U::codes(block, i), i8_load(a + 32 * i));
      total = add(total, dot_pairs(products, scales.pick(i)));
    });
    *minimum_dot = dot_pairs(scales.minima, i16_load(sums));
    return total;
  } else {
    static_assert(kVectors <= kPresum<U> || kVectors == 1);
    VecI16 products = dot_codes<U>(U::codes(block, first), i8_load(a));
    unrolled<kVectors>([&](int i) __attribute__((always_inline)) {
      if (i > 0) products = add(products, dot_codes<U>(U::codes(block, i), i8_load(a + 32 * i)));
    });
    return dot_pairs(products, i16_set1(1));
  }
}

// The same for block b of eight rows of a codebook format, integer minima included. All plans come
// first: a plan is one chain of dependent steps, and those of several rows run side by side.
template <typename Block>
inline void planned_dots(const RowGroup<Block>& rows, int64_t b, const int8_t* a,
                         const PreparedOf<Block>* prepared, VecI32 dots[8]) {
  using U = Unpack<Block>;
  typename U::Plan plans[8];
  for (int r = 0; r < 8; ++r) plans[r] = U::plan(rows.row[r][b]);
  for (int r = 0; r < 8; ++r) {
    if constexpr (IsPrepared<Block>) {
      dots[r] = U::dot(plans[r], *prepared);
    } else {
      const Block& block = rows.row[r][b];
      VecI32 total = i32_zero();
      const VecI16 low = i16_twice_low(plans[r].scales), high = i16_twice_high(plans[r].scales);
      unrolled<8>([&](auto run) __attribute__((always_inline)) {
        constexpr int kRun = decltype(run)::value;
        const VecI16 products = U::dot(block, plans[r], kRun, i8_load(a + 32 * kRun));
        total = add(total, dot_pairs(products, pick_pair<kRun % 4>(kRun < 4 ? low : high)));
      });
      dots[r] = total;
    }
  }
}

// acc += one slice of eight rows, given the integer sums (lane = row). The float arithmetic of
// every path, decode and tile alike.
template <typename U, typename L>
inline typename L::F32 accumulate(typename L::I32 isum, typename L::I32 msum, typename L::F32 d,
                                  typename L::F32 m, float da, int32_t asum, typename L::F32 acc) {
  const typename L::F32 scale = L::set_f32(da);
  if constexpr (U::kMinimum == Minimum::kOffset) {
    isum = sub(isum, L::set_i32(U::kOffset * asum));
  } else if constexpr (U::kMinimum == Minimum::kSubScale) {
    if constexpr (requires { U::kTimes; }) isum = times<U::kTimes>(isum);
    isum = sub(isum, times<U::kOffset>(msum));
  }
  if constexpr (requires { U::kTimesPower; }) isum = divide_by_power<U::kTimesPower>(isum);
  acc = fma(to_float(isum), mul(d, scale), acc);
  if constexpr (U::kMinimum == Minimum::kFloat) {
    acc = fma(m, L::set_f32(da * static_cast<float>(asum)), acc);
  } else if constexpr (U::kMinimum == Minimum::kInteger) {
    acc = fnma(to_float(msum), mul(m, scale), acc);
  }
  return acc;
}

// One column of activations, taken apart.
template <typename Block>
struct ColumnView {
  using U = Unpack<Block>;
  static constexpr bool kWide = Block::kLen == 256;
  static constexpr Activation kKind = kWide ? Activation::kQ8_256 : Activation::kQ8_32;
  const int8_t* codes;
  const float* scales;
  const int16_t* sums;
  ColumnView(const std::byte* column, int64_t n) {
    const ColumnLayout layout = column_layout(kKind, n);
    codes = reinterpret_cast<const int8_t*>(column);
    scales = reinterpret_cast<const float*>(column + layout.scales_offset);
    sums = reinterpret_cast<const int16_t*>(column + layout.sums_offset);
  }
  const int8_t* slice_codes(int64_t s) const { return codes + s * Slice<Block>::kLen; }
  const int16_t* slice_sums(int64_t s) const { return sums + s * (kWide ? 16 : 1); }
  // Of all codes of the slice, for the formats that need it.
  int32_t slice_sum(int64_t s) const {
    constexpr Minimum kMinimum = Multiplied<U>::kMinimum;
    if constexpr (kMinimum != Minimum::kOffset && kMinimum != Minimum::kFloat) return 0;
    if constexpr (!kWide) return sums[s];
    return sum_lanes(dot_pairs(i16_load(slice_sums(s)), i16_set1(1)));
  }
};

inline void store_rows(float* out, VecF32 acc, int64_t n_valid) {
  if (n_valid == 8) return f32_store(out, acc);
  float lanes[8];
  f32_store(lanes, acc);
  for (int64_t r = 0; r < n_valid; ++r) out[r] = lanes[r];
}

// The next eight rows are one run of bytes. While kBytes of each row are worked on, eight times as
// many of that run are fetched, in order: without it eight row streams are slower than one, and
// fetched as eight streams they are slower than as one. This is the share of row r.
template <int64_t kBytes>
inline void prefetch_share(const std::byte* run, int r) {
  const std::byte* share = run + kBytes * r;
  for (int64_t i = 0; i < kBytes; i += 64) prefetch(share + i);
}

// Two neighbouring blocks of a row at once. Lanes 0-3 sum to the dot of the first, lanes 4-7 to
// that of the second: the first 16 codes of each meet the first half of its activations, and
// nothing has to be moved across lanes.
template <typename Block>
inline VecI32 pair_dot(const Block* blocks, VecI8 first_halves, VecI8 second_halves) {
  using U = Unpack<Block>;
  VecI8 first, second;
  U::pair(blocks, &first, &second);
  const VecI16 low = dot_codes<U>(first, first_halves), high = dot_codes<U>(second, second_halves);
  if constexpr (kPresum<U> < 2) {
    return add(dot_pairs(low, i16_set1(1)), dot_pairs(high, i16_set1(1)));
  } else {
    return dot_pairs(add(low, high), i16_set1(1));
  }
}

// Eight rows times one column.
template <typename Block>
inline VecF32 rows_dot(const RowGroup<Block>& rows, const ColumnView<Block>& column,
                       const PreparedOf<Block>* prepared, int64_t n_slices, int64_t group_bytes) {
  using U = Unpack<Block>;
  using S = Slice<Block>;
  VecF32 acc = f32_zero();
  const auto end_part = [&](int64_t s, int p, VecI32 isum, VecI32 msum) {
    VecF32 d, m = f32_zero();
    if constexpr (kHasMinima<U>) {
      slice_scales_and_minima(rows, s, &d, &m);
    } else {
      d = slice_scales(rows, s, p);
    }
    acc = accumulate<U, Lanes8>(isum, msum, d, m, column.scales[s], column.slice_sum(s), acc);
  };
  constexpr auto kBlockBytes = static_cast<int64_t>(sizeof(Block));
  const std::byte* next_group = reinterpret_cast<const std::byte*>(rows.row[0]) + group_bytes;
  int64_t s = 0;
  if constexpr (U::kPairs) {
    for (; s + 2 <= n_slices; s += 2) {
      const int8_t* a = column.slice_codes(s);
      const VecI8 first_halves = i8_halves(a, a + 32), second_halves = i8_halves(a + 16, a + 48);
      VecI32 dots[8], isum[2];
      for (int r = 0; r < 8; ++r) {
        prefetch_share<2 * kBlockBytes>(next_group + s * 8 * kBlockBytes, r);
        dots[r] = pair_dot(rows.row[r] + s, first_halves, second_halves);
      }
      transpose_add_halves(dots, isum);
      end_part(s, 0, isum[0], i32_zero());
      end_part(s + 1, 0, isum[1], i32_zero());
    }
  }
  for (; s < n_slices; ++s) {
    const int64_t b = s / S::kPerBlock;
    const int first = static_cast<int>(s % S::kPerBlock) * S::kVectors;
    VecI32 dots[8], minimum_dots[8];
    for (int r = 0; r < 8; ++r) {
      if (first == 0) prefetch_share<kBlockBytes>(next_group + b * 8 * kBlockBytes, r);
      if constexpr (IsPrepared<Block> && !kIsPlanned<Block>) {
        dots[r] = U::dot(rows.row[r][b], prepared[s]);
      } else if constexpr (!kIsPlanned<Block>) {
        dots[r] = slice_dot(rows.row[r][b], first, column.slice_codes(s), column.slice_sums(s),
                            &minimum_dots[r]);
      }
    }
    if constexpr (kIsPlanned<Block>) {
      planned_dots<Block>(rows, b, column.slice_codes(s), prepared + s, dots);
    }
    if constexpr (S::kParts == 2) {
      VecI32 isum[2];
      transpose_add_halves(dots, isum);
      end_part(s, 0, isum[0], i32_zero());
      end_part(s, 1, isum[1], i32_zero());
    } else {
      VecI32 msum = i32_zero();
      if constexpr (kHasIntegerMinima<U>) msum = transpose_add(minimum_dots);
      end_part(s, 0, transpose_add(dots), msum);
    }
  }
  return acc;
}

// The columns in the form that Unpack<Block> asks for, [n_columns][n_slices] in scratch; null for
// most.
template <typename Block>
const PreparedOf<Block>* prepare_columns(const MatmulArgs& args, int64_t n_slices) {
  if constexpr (IsPrepared<Block>) {
    static_assert(kFewColumns * sizeof(PreparedOf<Block>) <= 64 * Block::kLen);  // scratch_bytes()
    auto* prepared = reinterpret_cast<PreparedOf<Block>*>(args.scratch);
    for (int64_t c = 0; c < args.n_columns; ++c) {
      const ColumnView<Block> column(args.columns + c * args.column_bytes, args.row_len);
      for (int64_t s = 0; s < n_slices; ++s) {
        Unpack<Block>::prepare(column.slice_codes(s), prepared + c * n_slices + s);
      }
    }
    return prepared;
  } else {
    return nullptr;
  }
}

template <typename Block>
void matmul_rows(const MatmulArgs& args) {
  const int64_t n_slices = args.row_len / Slice<Block>::kLen;
  const PreparedOf<Block>* prepared = prepare_columns<Block>(args, n_slices);
  for (int64_t first = 0; first < args.n_rows; first += 8) {
    const int64_t n_valid = args.n_rows - first < 8 ? args.n_rows - first : 8;
    const RowGroup<Block> rows(args.weights + first * args.row_bytes, args.row_bytes, n_valid);
    for (int64_t c = 0; c < args.n_columns; ++c) {
      const ColumnView<Block> column(args.columns + c * args.column_bytes, args.row_len);
      const VecF32 acc =
          rows_dot(rows, column, prepared == nullptr ? nullptr : prepared + c * n_slices, n_slices,
                   8 * args.row_bytes);
      store_rows(args.out + c * args.out_stride + first, acc, n_valid);
    }
  }
}
