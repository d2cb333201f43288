// Matrix products of interleaved rows (interleave-inl.h): the same numbers, added in the same
// order, as matmul-inl.h and tile-inl.h take from rows as they lie in files.

// Whether codes come out of tables: more arithmetic a byte than elsewhere.
template <typename Block>
inline constexpr bool kFromTable = requires {
  typename Interleaved<Block>::Form;
}
|| (Unpack<Block>::kSigned && Interleaved<Block>::kCodeBits < 8);

// How far ahead of its reading memory is fetched, and in how many bursts a slice: one burst for all
// of a super-block is more than a core can wait for at once, and then nothing is asked for until
// the next.
inline constexpr int64_t kGroupAhead = 4608;
template <typename Block>
inline constexpr int kBursts = Slice<Block>::kLen == 256 ? 8 : 1;

// The lines of burst i of the slice that lies kGroupAhead behind this one.
template <typename Block, int i>
inline void fetch_ahead(const std::byte* block) {
  constexpr int kLines = (GroupLayout<Block>::kBlockBytes + 63) / 64;
  for (int line = i * kLines / kBursts<Block>; line < (i + 1) * kLines / kBursts<Block>; ++line) {
    prefetch(block + kGroupAhead + 64 * line);
  }
}

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

// What eight rows are multiplied as.
template <typename Block>
struct FormType {
  using Type = Unpack<Block>;
};
template <typename Block>
requires requires { typename Interleaved<Block>::Form; }
struct FormType<Block> {
  using Type = typename Interleaved<Block>::Form;
};
template <typename Block>
using FormOf = Multiplied<typename FormType<Block>::Type>;

struct NoScales {};
template <typename Block>
inline auto row_scales(const std::byte* block) {
  if constexpr (Unpack<Block>::kScaled) {
    return Interleaved<Block>::scales(block + GroupLayout<Block>::kWordsAt);
  } else {
    return NoScales{};
  }
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
      const VecF32 d = f32_load_f16(reinterpret_cast<const uint16_t*>(block + L::kHalvesAt));
      if constexpr (requires { Unpack<Block>::kUnit; }) {
        return mul(d, f32_set1(Unpack<Block>::kUnit));
      } else {
        return d;
      }
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
  using U = FormOf<Block>;
  if constexpr (U::kMinimum == Minimum::kSubScale && U::kSub == 32) {
    return same_pairs<Block, p>(scales.scale);
  } else if constexpr (U::kMinimum == Minimum::kSubScale) {
    return neighbour_pairs<Block, p>(scales.scale);
  } else if constexpr (U::kSub == 32) {
    return same_pairs<Block, p>(scales.minimum);
  } else {
    return neighbour_pairs<Block, p>(scales.minimum);
  }
}

// Integer sums of slice s with kColumns columns: isum[c] lane = row, msum[c] likewise the minima.
template <typename Block, int kColumns>
inline void group_slice(const std::byte* block, int64_t s, const ColumnView<Block>* columns,
                        VecI32* isum, VecI32* msum) {
  using U = FormOf<Block>;
  constexpr int kSub = U::kScaled ? U::kSub : Slice<Block>::kLen;
  using D = Dots<U, Lanes8>;
  constexpr int kChunk = 4 * D::kWords;  // codes of a row in one sum
  constexpr int kWordsPerBurst = Slice<Block>::kLen / 4 / kBursts<Block>;
  const auto scales = row_scales<Block>(block);
  const int8_t* a[kColumns];
  for (int c = 0; c < kColumns; ++c) {
    a[c] = columns[c].slice_codes(s);
    isum[c] = msum[c] = i32_zero();
  }
  const auto chunks = [&](auto pairs_of) __attribute__((always_inline)) {
    unrolled<Slice<Block>::kLen / kChunk>([&](auto chunk) __attribute__((always_inline)) {
      constexpr int kFirst = decltype(chunk)::value * D::kWords;
      typename D::Sum products[kColumns];
      unrolled<D::kWords>([&](auto t) __attribute__((always_inline)) {
        constexpr int kWord = kFirst + decltype(t)::value;
        if constexpr (kWord % kWordsPerBurst == 0)
          fetch_ahead<Block, kWord / kWordsPerBurst>(block);
        const VecI8 codes = multiplied_codes<typename FormType<Block>::Type>(
            group_codes<Block, kWord>(block, scales));
        unrolled<kColumns>([&](auto index) __attribute__((always_inline)) {
          constexpr int c = decltype(index)::value;
          const VecI8 four = i8_broadcast4(a[c] + 4 * kWord);
          if constexpr (decltype(t)::value == 0) {
            products[c] = D::first(codes, four);
          } else {
            products[c] = D::next(products[c], codes, four);
          }
        });
      });
      const auto pairs = pairs_of(Index<4 * kFirst / kSub>());
      unrolled<kColumns>([&](auto index) __attribute__((always_inline)) {
        constexpr int c = decltype(index)::value;
        isum[c] = D::add_to(isum[c], products[c], pairs);
      });
    });
  };
  if constexpr (U::kScaled) {
    chunks([&](auto k) __attribute__((always_inline)) {
      return same_pairs<Block, decltype(k)::value>(scales.scale);
    });
    if constexpr (kHasIntegerMinima<U>) {
      unrolled<8>([&](auto p) __attribute__((always_inline)) {
        constexpr int kPair = decltype(p)::value;
        const VecI16 minima = minimum_pairs<Block, kPair>(scales);
        unrolled<kColumns>([&](auto index) __attribute__((always_inline)) {
          constexpr int c = decltype(index)::value;
          const VecI16 sums = i16_broadcast2(columns[c].slice_sums(s) + 2 * kPair);
          msum[c] = add_dot_pairs(msum[c], minima, sums);
        });
      });
    }
  } else {
    chunks([](auto) { return NoScale{}; });
  }
}

// Eight rows times kColumns columns: acc[c], lane = row.
template <typename Block, int kColumns>
inline void group_dot(const std::byte* block, const ColumnView<Block>* columns, int64_t n_slices,
                      VecF32* acc) {
  for (int c = 0; c < kColumns; ++c) acc[c] = f32_zero();
  for (int64_t s = 0; s < n_slices; ++s, block += GroupLayout<Block>::kBlockBytes) {
    VecI32 isum[kColumns], msum[kColumns];
    group_slice<Block, kColumns>(block, s, columns, isum, msum);
    const VecF32 d = GroupScales<Block>::d(block), m = GroupScales<Block>::m(block);
    unrolled<kColumns>([&](auto index) __attribute__((always_inline)) {
      constexpr int c = decltype(index)::value;
      acc[c] = accumulate<FormOf<Block>, Lanes8>(isum[c], msum[c], d, m, columns[c].scales[s],
                                                 columns[c].slice_sum(s), acc[c]);
    });
  }
}

// Word kWord of a block as the tile has it.
template <typename Block, int kWord, typename S>
inline VecI8 tile_codes(const std::byte* block, const S& scales) {
  VecI8 codes = group_codes<Block, kWord>(block, scales);
  if constexpr (requires { typename Interleaved<Block>::Form; }) {
    using Form = FormOf<Block>;
    static_assert(Form::kTimes == 1 || Form::kTimes == 2);
    if constexpr (Form::kTimes == 2) codes = add(codes, codes);
    codes = add(codes, i8_set1(-Form::kOffset));
  }
  return multiplied_codes<Unpack<Block>>(codes);
}

// One group's share of a tile, as build_tile has it.
template <typename Block>
void build_tile_of_group(const std::byte* group, int64_t n_slices, std::byte* tile) {
  using T = Tile<Block>;
  using U = Unpack<Block>;
  using L = GroupLayout<Block>;
  for (int64_t s = 0; s < n_slices; ++s, tile += T::kBytes, group += L::kBlockBytes) {
    const auto scales = row_scales<Block>(group);
    unrolled<Block::kLen / 8>([&](auto pair) __attribute__((always_inline)) {
      constexpr int kWord = 2 * decltype(pair)::value;
      store_words<Block>(tile, kWord, tile_codes<Block, kWord>(group, scales),
                         tile_codes<Block, kWord + 1>(group, scales));
    });
    if constexpr (U::kScaled) {
      unrolled<T::kSubs>([&](auto k) __attribute__((always_inline)) {
        i16_store(tile + T::kScales + T::kVector * k,
                  same_pairs<Block, decltype(k)::value>(scales.scale));
      });
      if constexpr (T::kIntegerMinima) {
        unrolled<8>([&](auto p) __attribute__((always_inline)) {
          i16_store(tile + T::kMinima + T::kVector * p,
                    minimum_pairs<Block, decltype(p)::value>(scales));
        });
      }
    }
    f32_store(reinterpret_cast<float*>(tile + T::kD), GroupScales<Block>::d(group));
    f32_store(reinterpret_cast<float*>(tile + T::kM), GroupScales<Block>::m(group));
  }
}

// Columns [first_column, first_column + kColumns) with the eight rows from first_row on.
template <typename Block, int kColumns>
inline void group_columns(const MatmulArgs& args, int64_t first_row, int64_t first_column) {
  const auto column = [&](int c) {
    return ColumnView<Block>(
        args.columns + (first_column + (c < kColumns ? c : 0)) * args.column_bytes, args.row_len);
  };
  const ColumnView<Block> columns[4] = {column(0), column(1), column(2), column(3)};
  VecF32 acc[kColumns];
  group_dot<Block, kColumns>(args.weights + first_row * args.row_bytes, columns,
                             args.row_len / Slice<Block>::kLen, acc);
  const int64_t left = args.n_rows - first_row;
  for (int c = 0; c < kColumns; ++c) {
    store_rows(args.out + (first_column + c) * args.out_stride + first_row, acc[c],
               left < 8 ? left : 8);
  }
}

// With more columns than this a tile pays: sooner where codes come out of tables or are put
// together from pieces of five or six bits.
template <typename Block>
inline constexpr int64_t kGroupColumns = [] {
  constexpr int kBits = Interleaved<Block>::kCodeBits;
  return kFromTable<Block> || kBits == 5 || kBits == 6 ? 7 : 15;
}();

template <typename Block>
void matmul_interleaved(const MatmulArgs& args) {
  if (args.n_columns > kGroupColumns<Block>) {
    const int64_t n_slices = args.row_len / Slice<Block>::kLen;
    return matmul_tiled<Block>(args, [&](int64_t first, int64_t, std::byte* tile) {
      build_tile_of_group<Block>(args.weights + first * args.row_bytes, n_slices, tile);
    });
  }
  for (int64_t row = 0; row < args.n_rows; row += 8) {
    for (int64_t c = 0; c < args.n_columns;) {  // in fours, threes and twos
      const int64_t left = args.n_columns - c;
      const int64_t taken = left >= 4 && left != 5 ? 4 : left >= 3 ? 3 : left;
      switch (taken) {
        case 4:
          group_columns<Block, 4>(args, row, c);
          break;
        case 3:
          group_columns<Block, 3>(args, row, c);
          break;
        case 2:
          group_columns<Block, 2>(args, row, c);
          break;
        default:
          group_columns<Block, 1>(args, row, c);
          break;
      }
      c += taken;
    }
  }
}
