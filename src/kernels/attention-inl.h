// Attention over one segment of at most 128 positions. The result depends only on the query and on
// which positions it sees, so prefill, decode and any split of the work give the same bits.
//
// Scores and weighted values are one product: out[query][lane of column] = sum over k, in ascending
// order, of w[query][k] * column[k][lane]. For scores a column is eight positions and k runs over
// dimensions; for values it is eight dimensions and k runs over positions. Each lane has one chain
// of multiply-adds, whatever the tile of queries and columns that shares the loads. Numbers of the
// cache's types become floats exactly (a code of 8 bits times a scale of 11 fits 24), so that a
// float copy of a segment gives the bits of the cache itself.

// Columns of one segment: load(c, k) is number k of column first + c, as many lanes as L has.
// enter(k) comes before the k that are multiples of kStep, and before the first. kPlain: loads cost
// little more than those of floats.
template <typename Lanes>
struct FloatColumns {
  using L = Lanes;
  static constexpr bool kPlain = true;
  static constexpr int64_t kStep = kSegmentPositions * 8;
  const float* data;
  int64_t stride;  // from one column to the next
  struct Cursor {
    const float* data;
    int64_t stride;
    void enter(int64_t) {}
    typename L::F32 load(int c, int64_t k) const {
      return L::load_f32(data + c * stride + 8 * L::kGroups * k);
    }
  };
  template <int kC>
  Cursor at(int64_t first) const {
    return {data + first * stride, stride};
  }
};

// The others lie as the cache has them, eight lanes a column: a column of L is kGroups of those.
template <typename Lanes>
struct HalfColumns {
  using L = Lanes;
  static constexpr bool kPlain = true;
  static constexpr int64_t kStep = kSegmentPositions * 8;
  const uint16_t* data;
  int64_t stride;
  struct Cursor {
    const uint16_t* data;
    int64_t stride;
    void enter(int64_t) {}
    typename L::F32 load(int c, int64_t k) const {
      return L::groups_f16(data + c * L::kGroups * stride + 8 * k, stride);
    }
  };
  template <int kC>
  Cursor at(int64_t first) const {
    return {data + first * L::kGroups * stride, stride};
  }
};

template <typename Lanes>
struct KeyCodeColumns {  // a scale per position and 32 dimensions
  using L = Lanes;
  static constexpr bool kPlain = false;
  static constexpr int64_t kStep = 32;
  const int8_t* data;
  const uint16_t* scales;
  int64_t stride;  // 8 head_dim
  template <int kC>
  struct Cursor {
    const int8_t* data;
    const uint16_t* scales;
    int64_t stride;
    typename L::F32 scale[kC];
    void enter(int64_t k) {
      for (int c = 0; c < kC; ++c) {
        scale[c] = L::groups_f16(scales + (c * L::kGroups * stride + 8 * k) / 32, stride / 32);
      }
    }
    typename L::F32 load(int c, int64_t k) const {
      return mul(L::groups_i8(data + c * L::kGroups * stride + 8 * k, stride), scale[c]);
    }
  };
  template <int kC>
  Cursor<kC> at(int64_t first) const {
    const int64_t skipped = first * L::kGroups * stride;
    return {data + skipped, scales + skipped / 32, stride, {}};
  }
};

template <typename Lanes>
struct ValueCodeColumns {  // a scale per four columns and position, here already a float
  using L = Lanes;
  static constexpr bool kPlain = false;
  static constexpr int64_t kStep = kSegmentPositions * 8, kStride = kSegmentPositions * 8;
  const int8_t* data;
  const float* scales;  // [head_dim / 32][128]
  struct Cursor {
    const int8_t* data;
    const float* scales;
    void enter(int64_t) {}
    typename L::F32 load(int c, int64_t k) const {
      // kC columns of L are two or four of those that share their scales, or the next four too.
      const float* row = scales + c * L::kGroups / 4 * kSegmentPositions;
      return mul(L::groups_i8(data + c * L::kGroups * kStride + 8 * k, kStride),
                 L::set_f32(row[k]));
    }
  };
  template <int kC>  // first is a multiple of kC
  Cursor at(int64_t first) const {
    static_assert(4 % kC == 0);
    return {data + first * L::kGroups * kStride,
            scales + first * L::kGroups / 4 * kSegmentPositions};
  }
};

// out[q][lane of column first + c] = sum over k in [k0, k1) of w[q][k] * column first + c
template <int kQ, int kC, typename Columns>
inline void multiply_tile(const float* w, int64_t w_stride, const Columns& columns, int64_t first,
                          int64_t k0, int64_t k1, float* out, int64_t out_stride) {
  using L = typename Columns::L;
  auto cursor = columns.template at<kC>(first);
  typename L::F32 acc[kQ * kC];
  for (int i = 0; i < kQ * kC; ++i) acc[i] = L::set_f32(0);
  for (int64_t k = k0; k < k1;) {
    cursor.enter(k);
    const int64_t end = (k / Columns::kStep + 1) * Columns::kStep;
    for (const int64_t stop = end < k1 ? end : k1; k < stop; ++k) {
      typename L::F32 x[kQ];
      for (int q = 0; q < kQ; ++q) x[q] = L::set_f32(w[q * w_stride + k]);
      for (int c = 0; c < kC; ++c) {
        const typename L::F32 y = cursor.load(c, k);
        for (int q = 0; q < kQ; ++q) acc[q * kC + c] = fma(x[q], y, acc[q * kC + c]);
      }
    }
  }
  for (int q = 0; q < kQ; ++q) {
    for (int c = 0; c < kC; ++c) {
      L::store_f32(out + q * out_stride + 8 * L::kGroups * c, acc[q * kC + c]);
    }
  }
}

// One product: out[query][lanes of columns] for n_w queries.
template <typename Columns>
struct Multiplication {
  static constexpr int kLanes = 8 * Columns::L::kGroups;
  const float* w;
  int64_t w_stride, n_w;
  const Columns& columns;
  int64_t n_columns, k0, k1;
  float* out;
  int64_t out_stride;

  // Columns [c, c + kC) for the queries from q on, by kQ while there are so many, then by fewer.
  template <int kQ, int kC>
  void of_queries(int64_t q, int64_t c) const {
    for (; n_w - q >= kQ; q += kQ) {
      multiply_tile<kQ, kC>(w + q * w_stride, w_stride, columns, c, k0, k1,
                            out + q * out_stride + kLanes * c, out_stride);
    }
    if constexpr (kQ > 1) of_queries<kQ - 1, kC>(q, c);
  }
  // Columns from c on by kC, as long as there are so many. Returns the next.
  template <int kQ, int kC>
  int64_t of_columns(int64_t c) const {
    for (; c + kC <= n_columns; c += kC) of_queries<kQ, kC>(0, c);
    return c;
  }
};

// Four queries by two columns make the eight chains that keep the multipliers busy and load least;
// fewer queries take more columns. Twice the registers hold four by four, or eight by two, for what
// is converted while it is loaded.
template <typename Columns>
void multiply(const Multiplication<Columns>& product) {
  constexpr bool kWide = Columns::L::kGroups > 1;
  int64_t c = 0;
  if constexpr (kWide) {
    if (product.n_w > 4 && product.n_w <= 8) {
      c = product.template of_columns<8, 2>(c);
    } else {
      c = product.template of_columns<4, 4>(c);
    }
  } else if (product.n_w <= 2) {
    c = product.template of_columns<2, 4>(c);
  }
  c = product.template of_columns<4, 2>(c);
  product.template of_columns<4, 1>(c);
}

// ---- the cache's types --------------------------------------------------------------------------

// Calls f with the columns of the keys (or values) as they lie, converted in vectors of L; floats
// stay at eight lanes.
template <typename L, typename Function>
inline void with_keys(const AttentionArgs& args, Function&& f) {
  const int64_t stride = 8 * args.head_dim;
  if (args.key_type == KvType::kFloat32) {
    f(FloatColumns<Lanes8>{reinterpret_cast<const float*>(args.keys), stride});
  } else if (args.key_type == KvType::kFloat16) {
    f(HalfColumns<L>{reinterpret_cast<const uint16_t*>(args.keys), stride});
  } else {
    const std::byte* scales = args.keys + kSegmentPositions * args.head_dim;
    f(KeyCodeColumns<L>{reinterpret_cast<const int8_t*>(args.keys),
                        reinterpret_cast<const uint16_t*>(scales), stride});
  }
}

template <typename L, typename Function>
inline void with_values(const AttentionArgs& args, float* scale_scratch, Function&& f) {
  constexpr int64_t kStride = 8 * kSegmentPositions;
  if (args.value_type == KvType::kFloat32) {
    f(FloatColumns<Lanes8>{reinterpret_cast<const float*>(args.values), kStride});
  } else if (args.value_type == KvType::kFloat16) {
    f(HalfColumns<L>{reinterpret_cast<const uint16_t*>(args.values), kStride});
  } else {
    const std::byte* scales = args.values + kSegmentPositions * args.head_dim;
    from_f16(reinterpret_cast<const uint16_t*>(scales), scale_scratch,
             args.head_dim / 32 * kSegmentPositions);
    f(ValueCodeColumns<L>{reinterpret_cast<const int8_t*>(args.values), scale_scratch});
  }
}

// n_columns columns as floats, L::kGroups of them side by side: numbers [0, n) of each, of
// `length`.
template <typename L, typename Columns>
FloatColumns<L> expand(const Columns& columns, int64_t n_columns, int64_t length, int64_t n,
                       float* out) {
  const int64_t stride = 8 * L::kGroups * length;
  for (int64_t c = 0; c < n_columns; ++c) {
    auto cursor = columns.template at<1>(c);
    float* column = out + c / L::kGroups * stride + c % L::kGroups * 8;
    for (int64_t k = 0; k < n; ++k) {
      if (k % Columns::kStep == 0) cursor.enter(k);
      f32_store(column + 8 * L::kGroups * k, cursor.load(0, k));
    }
  }
  return {out, stride};
}

// Codes of 32 numbers and the bits of their scale.
inline uint16_t quantize_32(const float* x, int8_t* codes) {
  int16_t sum;
  const float scale = quantize_block<32, 32>(x, codes, &sum);
  uint16_t halves[8];
  f32_store_f16(halves, f32_set1(scale));
  return halves[0];
}

void store_key(KvType type, const float* key, int64_t head_dim, int64_t position,
               std::byte* segment) {
  const int64_t at = position / 8 * 8 * head_dim + position % 8;
  if (type == KvType::kFloat32) {
    auto* to = reinterpret_cast<float*>(segment) + at;
    for (int64_t d = 0; d < head_dim; ++d) to[8 * d] = key[d];
  } else if (type == KvType::kFloat16) {
    auto* to = reinterpret_cast<uint16_t*>(segment) + at;
    for (int64_t d = 0; d < head_dim; d += 8) {
      uint16_t halves[8];
      f32_store_f16(halves, f32_load(key + d));
      for (int i = 0; i < 8; ++i) to[8 * (d + i)] = halves[i];
    }
  } else {
    auto* to = reinterpret_cast<int8_t*>(segment) + at;
    auto* scales = reinterpret_cast<uint16_t*>(segment + kSegmentPositions * head_dim) +
                   position / 8 * (head_dim / 32) * 8 + position % 8;
    for (int64_t d = 0; d < head_dim; d += 32) {
      int8_t codes[32];
      scales[d / 32 * 8] = quantize_32(key + d, codes);
      for (int i = 0; i < 32; ++i) to[8 * (d + i)] = codes[i];
    }
  }
}

void store_value(KvType type, const float* value, int64_t head_dim, int64_t position,
                 std::byte* segment) {
  const int64_t at = 8 * position;
  constexpr int64_t kStride = kSegmentPositions;  // of one dimension
  if (type == KvType::kFloat32) {
    auto* to = reinterpret_cast<float*>(segment) + at;
    for (int64_t d = 0; d < head_dim; d += 8) f32_store(to + kStride * d, f32_load(value + d));
  } else if (type == KvType::kFloat16) {
    auto* to = reinterpret_cast<uint16_t*>(segment) + at;
    for (int64_t d = 0; d < head_dim; d += 8) f32_store_f16(to + kStride * d, f32_load(value + d));
  } else {
    auto* to = reinterpret_cast<int8_t*>(segment) + at;
    auto* scales = reinterpret_cast<uint16_t*>(segment + kSegmentPositions * head_dim) + position;
    for (int64_t d = 0; d < head_dim; d += 32) {
      int8_t codes[32];
      scales[d / 32 * kSegmentPositions] = quantize_32(value + d, codes);
      for (int i = 0; i < 32; i += 8) __builtin_memcpy(to + kStride * (d + i), codes + i, 8);
    }
  }
}

// ---- one segment --------------------------------------------------------------------------------

inline constexpr float kLowestScore = -3.0e38f;

// 2^x for x <= 0, relative error under 2e-7; what is below 2^-126 becomes that. Softmax takes
// powers of 2 instead of e, with the scores times log2(e): this costs two thirds of exp_lanes().
inline VecF32 exp2_lanes(VecF32 x) {
  x = max(x, f32_set1(-126.0f));
  const VecF32 n = round_even(x), r = sub(x, n);
  VecF32 p = f32_set1(0.001326472731307149f);
  p = fma(p, r, f32_set1(0.009671512991189957f));
  p = fma(p, r, f32_set1(0.05550733581185341f));
  p = fma(p, r, f32_set1(0.24022242426872253f));
  p = fma(p, r, f32_set1(0.6931470036506653f));
  p = fma(p, r, f32_set1(1.0f));
  return mul(p, exp2_of_integer(n));
}
inline constexpr float kLog2E = 1.44269504088896341f;

// What a score, capped or not yet scaled, is multiplied by.
inline float power_factor(float scale, float cap) { return cap > 0.0f ? kLog2E : scale * kLog2E; }

// The maximum of one query's scores at the positions [first, n), times `scale`, capped, in units of
// powers of 2. Capped scores are written back. What lies beside the positions in the same vectors
// of 8 is overwritten with something that counts for nothing: its power of 2 is 1e-38 beside the
// maximum's 1.
inline float segment_maximum(float* scores, int64_t first, int64_t n, float scale, float cap) {
  const int64_t begin = first / 8 * 8, end = (n + 7) / 8 * 8;
  if (cap > 0.0f) {
    for (int64_t i = begin; i < end; i += 8) {
      const VecF32 s = div(mul(f32_load(scores + i), f32_set1(scale)), f32_set1(cap));
      f32_store(scores + i, mul(tanh_lanes(s), f32_set1(cap)));
    }
  }
  for (int64_t i = begin; i < first; ++i) scores[i] = kLowestScore;
  for (int64_t i = n; i < end; ++i) scores[i] = kLowestScore;
  VecF32 largest = f32_set1(kLowestScore);
  for (int64_t i = begin; i < end; i += 8) largest = max(f32_load(scores + i), largest);
  return max_lanes(largest) * power_factor(scale, cap);
}

// Then these scores -> 2^(score - maximum) in place. Returns their sum.
inline float segment_exp(float* scores, int64_t first, int64_t n, float scale, float cap,
                         float maximum) {
  const VecF32 factor = f32_set1(power_factor(scale, cap)), shift = f32_set1(-maximum);
  VecF32 sums = f32_zero();
  for (int64_t i = first / 8 * 8; i < n; i += 8) {
    const VecF32 p = exp2_lanes(fma(f32_load(scores + i), factor, shift));
    f32_store(scores + i, p);
    sums = add(sums, p);
  }
  return sum_lanes(sums);
}

struct StateView {
  float *maxima, *sums, *values;
  StateView(float* state, int64_t n_queries)
      : maxima(state),
        sums(state + (n_queries + 7) / 8 * 8),
        values(state + (n_queries + 7) / 8 * 16) {}
};

// Queries [q0, q1), at most kAttentionBlock.
template <typename Keys, typename Values>
inline void attend_block(const AttentionArgs& args, int64_t q0, int64_t q1, const Keys& keys,
                         const Values& values, float* scores) {
  const StateView state(args.state, args.n_queries);
  const int64_t head_dim = args.head_dim;
  const auto first_of = [&](int64_t q) {
    return args.first_visible != nullptr ? args.first_visible[q] : 0;
  };
  int64_t n_positions = 0;
  for (int64_t q = q0; q < q1; ++q) {
    if (args.n_visible[q] > n_positions) n_positions = args.n_visible[q];
  }
  // Whole tiles: a segment always has memory for 128 positions.
  multiply(Multiplication<Keys>{args.queries + q0 * args.query_stride, args.query_stride, q1 - q0,
                                keys, (n_positions + 31) / 32 * 4 / Keys::L::kGroups, 0, head_dim,
                                scores, kSegmentPositions});
  // All maxima before the first powers, which would wait for their own.
  for (int64_t q = q0; q < q1; ++q) {
    const bool sees = first_of(q) < args.n_visible[q];
    state.maxima[q] = sees ? segment_maximum(scores + (q - q0) * kSegmentPositions, first_of(q),
                                             args.n_visible[q], args.scale, args.softcap)
                           : kLowestScore;
  }
  for (int64_t q = q0; q < q1; ++q) {
    const bool sees = first_of(q) < args.n_visible[q];
    state.sums[q] = sees ? segment_exp(scores + (q - q0) * kSegmentPositions, first_of(q),
                                       args.n_visible[q], args.scale, args.softcap, state.maxima[q])
                         : 0.0f;
  }
  for (int64_t q = q0; q < q1;) {  // together what sees the same positions, and nothing beyond them
    int64_t end = q + 1;
    while (end < q1 && first_of(end) == first_of(q) && args.n_visible[end] == args.n_visible[q])
      ++end;
    multiply(Multiplication<Values>{scores + (q - q0) * kSegmentPositions, kSegmentPositions,
                                    end - q, values, head_dim / 8 / Values::L::kGroups, first_of(q),
                                    args.n_visible[q], state.values + q * head_dim, head_dim});
    q = end;
  }
}

// From so many queries on, floats of the segment, made once, cost less than converting for each
// tile. At eight lanes halves convert beside the multiply-adds for nothing and take less of the
// caches.
inline constexpr int64_t kExpandQueries = 16;

template <typename Keys, typename Values>
inline void attend(const AttentionArgs& args, const Keys& keys, const Values& values,
                   float* scores) {
  for (int64_t q = 0; q < args.n_queries; q += kAttentionBlock) {
    const int64_t end = q + kAttentionBlock < args.n_queries ? q + kAttentionBlock : args.n_queries;
    attend_block(args, q, end, keys, values, scores);
  }
}

// The columns as f wants them: as floats in vectors of L, or as they lie.
template <typename L, typename Columns, typename Function>
inline void expanded(const Columns& columns, int64_t n_columns, int64_t length, int64_t n,
                     float* memory, Function&& f) {
  if constexpr (L::kGroups == Columns::L::kGroups && Columns::kPlain) {
    f(columns);
  } else {
    f(expand<L>(columns, n_columns, length, n, memory));
  }
}

template <typename L>
inline void attend_stored(const AttentionArgs& args, float* scores, float* value_scales) {
  with_keys<L>(args, [&](const auto& keys) {
    with_values<L>(args, value_scales,
                   [&](const auto& values) { attend(args, keys, values, scores); });
  });
}

template <typename L>
inline void attend_expanded(const AttentionArgs& args, float* scores, float* keys, float* values,
                            float* value_scales) {
  int64_t n = 0;
  for (int64_t q = 0; q < args.n_queries; ++q) n = args.n_visible[q] > n ? args.n_visible[q] : n;
  with_keys<Lanes8>(args, [&](const auto& stored_keys) {
    expanded<L>(stored_keys, (n + 31) / 32 * 4, args.head_dim, args.head_dim, keys,
                [&](const auto& key_columns) {
                  with_values<Lanes8>(args, value_scales, [&](const auto& stored_values) {
                    expanded<L>(stored_values, args.head_dim / 8, kSegmentPositions, n, values,
                                [&](const auto& value_columns) {
                                  attend(args, key_columns, value_columns, scores);
                                });
                  });
                });
  });
}

void attention_segment(const AttentionArgs& args) {
  const int64_t head_dim = args.head_dim, padded = (args.n_queries + 7) / 8 * 8;
  const StateView state(args.state, args.n_queries);
  for (int64_t q = args.n_queries; q < padded; ++q) {
    state.maxima[q] = kLowestScore;
    state.sums[q] = 0.0f;
  }
  float* scores = args.scratch;
  float* keys = scores + kAttentionBlock * kSegmentPositions;
  float* values = keys + kSegmentPositions * head_dim;
  float* value_scales = values + kSegmentPositions * head_dim;
  const bool wide = head_dim % (8 * WideLanes::kGroups) == 0;
  if (args.n_queries < kExpandQueries) {
    wide ? attend_stored<WideLanes>(args, scores, value_scales)
         : attend_stored<Lanes8>(args, scores, value_scales);
  } else {
    wide ? attend_expanded<WideLanes>(args, scores, keys, values, value_scales)
         : attend_expanded<Lanes8>(args, scores, keys, values, value_scales);
  }
}

// ---- states of several segments -----------------------------------------------------------------

void attention_clear(float* state, int64_t n_queries, int64_t head_dim) {
  const StateView view(state, n_queries);
  for (float* p = view.maxima; p < view.sums; ++p) *p = kLowestScore;
  for (float* p = view.sums; p < view.values + n_queries * head_dim; ++p) *p = 0.0f;
}

// Online softmax (Milakov and Gimelshein 2018). A segment that a query does not see has the lowest
// maximum and zeros: it changes nothing.
void attention_merge(float* state, const float* segment, int64_t n_queries, int64_t head_dim) {
  const StateView into(state, n_queries), from(const_cast<float*>(segment), n_queries);
  for (int64_t q0 = 0; q0 < n_queries; q0 += 8) {
    const VecF32 before = f32_load(into.maxima + q0), here = f32_load(from.maxima + q0);
    const VecF32 merged = max(before, here);
    float keep[8], take[8];
    f32_store(keep, exp2_lanes(sub(before, merged)));
    f32_store(take, exp2_lanes(sub(here, merged)));
    f32_store(into.maxima + q0, merged);
    f32_store(into.sums + q0, fma(f32_load(from.sums + q0), f32_load(take),
                                  mul(f32_load(into.sums + q0), f32_load(keep))));
    for (int64_t q = q0; q < n_queries && q < q0 + 8; ++q) {
      const VecF32 old_part = f32_set1(keep[q - q0]), new_part = f32_set1(take[q - q0]);
      const float* x = from.values + q * head_dim;
      float* y = into.values + q * head_dim;
      for (int64_t d = 0; d < head_dim; d += 8)
        f32_store(y + d, fma(f32_load(x + d), new_part, mul(f32_load(y + d), old_part)));
    }
  }
}

void attention_finish(const float* state, int64_t n_queries, int64_t i, int64_t head_dim,
                      float* out) {
  const StateView view(const_cast<float*>(state), n_queries);
  const VecF32 inverse = f32_set1(1.0f / view.sums[i]);
  for (int64_t d = 0; d < head_dim; d += 8)
    f32_store(out + d, mul(f32_load(view.values + i * head_dim + d), inverse));
}
