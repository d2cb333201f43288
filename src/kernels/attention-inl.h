// Attention over one segment of at most 128 positions, folded into a running state per query
// (online softmax; Milakov and Gimelshein 2018). The result of a segment depends only on the query
// and on which positions it sees, so prefill, decode and any split of the work give the same bits.
//
// State of a query: [0] running maximum, [1] running sum, [2 ...] weighted sum of values.

inline void segment_scores(const AttentionArgs& args) {  // scores[q * 128 + position]
  constexpr int kR = 4, kC = 3;
  for (int64_t q = 0; q < args.n_queries; q += kC) {
    const float* columns[kC];
    int64_t n_positions = 0;
    for (int i = 0; i < kC; ++i) {
      const int64_t valid = q + i < args.n_queries ? q + i : args.n_queries - 1;
      columns[i] = args.queries + valid * args.query_stride;
      if (args.n_visible[valid] > n_positions) n_positions = args.n_visible[valid];
    }
    for (int64_t p = 0; p < n_positions; p += kR) {
      const float* rows[kR];
      for (int i = 0; i < kR; ++i) rows[i] = args.keys + (p + i) * args.head_dim;  // p + 3 <= 127
      VecF32 acc[kR * kC];
      for (int i = 0; i < kR * kC; ++i) acc[i] = f32_zero();
      dot_lanes<LoadF32, kR, kC>(rows, columns, 0, args.head_dim, acc);
      for (int c = 0; c < kC && q + c < args.n_queries; ++c) {
        for (int r = 0; r < kR; ++r)
          args.scores[(q + c) * kSegmentPositions + p + r] = sum_lanes(acc[r * kC + c]);
      }
    }
  }
}

// Scores of one query -> probabilities relative to their maximum, in place; zeros before `first`
// and behind n up to the next multiple of 8. Returns the maximum, *total the sum.
inline float segment_softmax(float* scores, int64_t first, int64_t n, float scale, float cap,
                             float* total) {
  const float lowest = -3.0e38f;
  int64_t padded = n;
  for (; padded % 8 != 0; ++padded) scores[padded] = lowest;
  VecF32 largest = f32_set1(lowest);
  for (int64_t i = 0; i < padded; i += 8) {
    VecF32 s = mul(f32_load(scores + i), f32_set1(scale));
    if (cap > 0.0f) s = mul(tanh_lanes(div(s, f32_set1(cap))), f32_set1(cap));
    f32_store(scores + i, s);
    if (i < first || (cap > 0.0f && i + 8 > n)) {  // hidden positions take no part in the maximum
      for (int64_t k = i; k < first && k < i + 8; ++k) scores[k] = lowest;
      for (int64_t k = n; k < i + 8; ++k) scores[k] = lowest;
      s = f32_load(scores + i);
    }
    largest = max(largest, s);
  }
  // The padding took part with lowest * scale: harmless for scale > 0, as every real score is
  // larger.
  const float maximum = max_lanes(largest);
  for (int64_t i = 0; i < padded; i += 8) {
    f32_store(scores + i, exp_lanes(sub(f32_load(scores + i), f32_set1(maximum))));
  }
  for (int64_t i = 0; i < first; ++i) scores[i] = 0.0f;
  for (int64_t i = n; i < padded; ++i) scores[i] = 0.0f;
  VecF32 sums = f32_zero();
  for (int64_t i = 0; i < padded; i += 8) sums = add(sums, f32_load(scores + i));
  *total = sum_lanes(sums);
  return maximum;
}

// values[d .. d + 8 * kVectors) of one query: sum over positions in ascending order, then the
// merge.
template <int kVectors>
inline void segment_values(const float* probabilities, const float* values, int64_t head_dim,
                           int64_t first, int64_t n, float keep, float take, float* state) {
  VecF32 acc[kVectors];
  for (int v = 0; v < kVectors; ++v) acc[v] = f32_zero();
  for (int64_t i = first; i < n; ++i) {
    const VecF32 p = f32_set1(probabilities[i]);
    for (int v = 0; v < kVectors; ++v)
      acc[v] = fma(p, f32_load(values + i * head_dim + 8 * v), acc[v]);
  }
  for (int v = 0; v < kVectors; ++v) {
    const VecF32 old = mul(f32_load(state + 8 * v), f32_set1(keep));
    f32_store(state + 8 * v, fma(acc[v], f32_set1(take), old));
  }
}

void attention_segment(const AttentionArgs& args) {
  segment_scores(args);
  for (int64_t q = 0; q < args.n_queries; ++q) {
    const int64_t n = args.n_visible[q];
    const int64_t first = args.first_visible != nullptr ? args.first_visible[q] : 0;
    if (n <= first) continue;
    float* scores = args.scores + q * kSegmentPositions;
    float* state = args.state + q * (args.head_dim + 2);
    float total;
    const float maximum = segment_softmax(scores, first, n, args.scale, args.softcap, &total);
    const float merged = maximum > state[0] ? maximum : state[0];
    const float keep = exp_scalar(state[0] - merged), take = exp_scalar(maximum - merged);
    state[1] = scalar_fma(total, take, state[1] * keep);
    state[0] = merged;
    int64_t d = 0;
    for (; d + 64 <= args.head_dim; d += 64) {
      segment_values<8>(scores, args.values + d, args.head_dim, first, n, keep, take,
                        state + 2 + d);
    }
    for (; d < args.head_dim; d += 8) {
      segment_values<1>(scores, args.values + d, args.head_dim, first, n, keep, take,
                        state + 2 + d);
    }
  }
}

void attention_finish(const float* state, int64_t head_dim, float* out) {
  const VecF32 inverse = f32_set1(1.0f / state[1]);
  for (int64_t d = 0; d < head_dim; d += 8)
    f32_store(out + d, mul(f32_load(state + 2 + d), inverse));
}
