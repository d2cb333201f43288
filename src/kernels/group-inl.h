// Matrix products of interleaved rows (interleave-inl.h): the same numbers, added in the same
// order, as matmul-inl.h and tile-inl.h take from rows as they lie in files.

// How far ahead of its reading memory is fetched: half a page; 1 and 4 kB were slower for most
// formats, none at all by a seventh.
inline constexpr int64_t kGroupAhead = 2048;

// Of each row, bytes kFirst and kSecond of four as a pair for dot_pairs; as many times too large as
// Unpack<Block> says.
template <typename Block, int kFirst, int kSecond>
inline VecI16 byte_pairs(VecI8 fours) {
  static constexpr Bytes kOrder = make_bytes(
      [](int i) { return i % 2 == 0 ? -1 : i % 16 / 4 * 4 + (i % 4 / 2 == 0 ? kFirst : kSecond); });
  const VecI8 high = shuffle(fours, i8_load(kOrder.v));
  if constexpr (requires { Unpack<Block>::kTimesPower; }) {
    static_assert(Unpack<Block>::kTimesPower == 8);
    return as_i16(high);
  } else {
    return i16_odd(high);
  }
}
// Sub-block k twice; sub-blocks 2 p and 2 p + 1.
template <typename Block, int k>
inline VecI16 same_pairs(const VecI8* vectors) {
  using I = Interleaved<Block>;
  constexpr int kByte = I::scale_byte(k);
  return byte_pairs<Block, kByte, kByte>(vectors[I::scale_vector(k)]);
}
template <typename Block, int p>
inline VecI16 neighbour_pairs(const VecI8* vectors) {
  using I = Interleaved<Block>;
  static_assert(I::scale_vector(2 * p) == I::scale_vector(2 * p + 1));
  return byte_pairs<Block, I::scale_byte(2 * p), I::scale_byte(2 * p + 1)>(
      vectors[I::scale_vector(2 * p)]);
}

template <typename Block>
struct GroupScales {
  using I = Interleaved<Block>;
  using L = GroupLayout<Block>;
  static VecF32 d(const std::byte* block) {
    if constexpr (I::kBytes > 0) {
      const auto e = [&](int r) { return E8M0{static_cast<uint8_t>(block[L::kBytesAt + r])}; };
      return f32_of(e(0), e(1), e(2), e(3), e(4), e(5), e(6), e(7));
    } else {
      return f32_load_f16(reinterpret_cast<const uint16_t*>(block + L::kHalvesAt));
    }
  }
  static VecF32 m(const std::byte* block) {
    if constexpr (kHasMinima<Unpack<Block>>) {
      return f32_load_f16(reinterpret_cast<const uint16_t*>(block + L::kHalvesAt + 16));
    } else {
      return f32_zero();
    }
  }
};

// The integer minima of the 16s 2 p and 2 p + 1; where an offset is subtracted, their scales.
template <typename Block, int p, typename Scales>
inline VecI16 minimum_pairs(const Scales& scales) {
  using U = Unpack<Block>;
  if constexpr (U::kMinimum == Minimum::kSubScale) {
    return neighbour_pairs<Block, p>(scales.scale);
  } else if constexpr (U::kSub == 32) {
    return same_pairs<Block, p>(scales.minimum);
  } else {
    return neighbour_pairs<Block, p>(scales.minimum);
  }
}

// Integer sums of one slice with one column: *isum lane = row, *msum likewise the minima.
template <typename Block>
inline void group_slice(const std::byte* block, const int8_t* a, const int16_t* sums, VecI32* isum,
                        VecI32* msum) {
  using U = Unpack<Block>;
  using I = Interleaved<Block>;
  using L = GroupLayout<Block>;
  using T = Tile<Block>;
  constexpr int kSub = U::kScaled ? U::kSub : Slice<Block>::kLen;
  constexpr int kChunk = 4 * T::kWords;  // codes of a row that int16 can sum
  VecI32 total = i32_zero(), minimum = i32_zero();
  const auto chunks = [&](auto pairs_of) __attribute__((always_inline)) {
    unrolled<Slice<Block>::kLen / kChunk>([&](auto chunk) __attribute__((always_inline)) {
      constexpr int kFirst = decltype(chunk)::value * T::kWords;
      VecI16 products{};
      unrolled<T::kWords>([&](auto t) __attribute__((always_inline)) {
        constexpr int kWord = kFirst + decltype(t)::value;
        const VecI8 codes = group_codes<Block, kWord % 8>(block + kWord / 8 * L::kUnitBytes);
        const VecI16 product = dot_codes<U>(codes, i8_broadcast4(a + 4 * kWord));
        products = decltype(t)::value == 0 ? product : add(products, product);
      });
      total = add(total, dot_pairs(products, pairs_of(Index<4 * kFirst / kSub>())));
    });
  };
  if constexpr (U::kScaled) {
    const auto scales = I::scales(block + L::kWordsAt);
    chunks([&](auto k) __attribute__((always_inline)) {
      return same_pairs<Block, decltype(k)::value>(scales.scale);
    });
    if constexpr (kHasIntegerMinima<U>) {
      unrolled<8>([&](auto p) __attribute__((always_inline)) {
        constexpr int kPair = decltype(p)::value;
        minimum = add(minimum, dot_pairs(minimum_pairs<Block, kPair>(scales),
                                         i16_broadcast2(sums + 2 * kPair)));
      });
    }
  } else {
    chunks([](auto) { return i16_set1(1); });
  }
  *isum = total;
  *msum = minimum;
}

// Eight rows times one column.
template <typename Block>
inline VecF32 group_dot(const std::byte* group, const ColumnView<Block>& column, int64_t n_slices) {
  using L = GroupLayout<Block>;
  VecF32 acc = f32_zero();
  for (int64_t s = 0; s < n_slices; ++s, group += L::kBlockBytes) {
    for (int64_t i = 0; i < L::kBlockBytes; i += 64) prefetch(group + kGroupAhead + i);
    VecI32 isum, msum;
    group_slice<Block>(group, column.slice_codes(s), column.slice_sums(s), &isum, &msum);
    acc = accumulate<Unpack<Block>>(isum, msum, GroupScales<Block>::d(group),
                                    GroupScales<Block>::m(group), column.scales[s],
                                    column.slice_sum(s), acc);
  }
  return acc;
}

// The tile of one group (tile-inl.h).
template <typename Block>
void build_tile_of_group(const std::byte* group, int64_t n_slices, std::byte* tile) {
  using T = Tile<Block>;
  using U = Unpack<Block>;
  using L = GroupLayout<Block>;
  for (int64_t s = 0; s < n_slices; ++s, tile += T::kBytes, group += L::kBlockBytes) {
    unrolled<Block::kLen / 4>([&](auto w) __attribute__((always_inline)) {
      constexpr int kWord = decltype(w)::value;
      i8_store(tile + 32 * kWord, group_codes<Block, kWord % 8>(group + kWord / 8 * L::kUnitBytes));
    });
    if constexpr (U::kScaled) {
      const auto scales = Interleaved<Block>::scales(group + L::kWordsAt);
      unrolled<T::kSubs>([&](auto k) __attribute__((always_inline)) {
        i16_store(tile + T::kScales + 32 * k, same_pairs<Block, decltype(k)::value>(scales.scale));
      });
      if constexpr (T::kIntegerMinima) {
        unrolled<8>([&](auto p) __attribute__((always_inline)) {
          i16_store(tile + T::kMinima + 32 * p, minimum_pairs<Block, decltype(p)::value>(scales));
        });
      }
    }
    f32_store(reinterpret_cast<float*>(tile + T::kD), GroupScales<Block>::d(group));
    f32_store(reinterpret_cast<float*>(tile + T::kM), GroupScales<Block>::m(group));
  }
}

template <typename Block>
void matmul_interleaved(const MatmulArgs& args) {
  const int64_t n_slices = args.row_len / Slice<Block>::kLen;
  if (args.n_columns > kFewColumns) {
    return matmul_tiled<Block>(args, [&](int64_t first, int64_t, std::byte* tile) {
      build_tile_of_group<Block>(args.weights + first * args.row_bytes, n_slices, tile);
    });
  }
  for (int64_t first = 0; first < args.n_rows; first += 8) {
    const int64_t n_valid = args.n_rows - first < 8 ? args.n_rows - first : 8;
    for (int64_t c = 0; c < args.n_columns; ++c) {
      const ColumnView<Block> column(args.columns + c * args.column_bytes, args.row_len);
      const VecF32 acc = group_dot(args.weights + first * args.row_bytes, column, n_slices);
      store_rows(args.out + c * args.out_stride + first, acc, n_valid);
    }
  }
}
