// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 weights, one f16 scale, in the _1 formats also an f16 minimum.

// x ~ d * q + min, q in [lo, hi]; min 0 in the symmetric formats. What is kept is a pair of numbers
// *as stored*: rounding to f16 is part of the error, not an accident after the search.
struct StoredChoice {
  Half d{}, min{};
  F error = splat(3e38f);

  template <bool kPlain>
  void offer(const BlockGroup& group, const Half& new_d, const Half& new_min, float lo, float hi) {
    const F scale = inverse(new_d.value);
    F sum{};
    for (int j = 0; j < kGroupLen; ++j) {
      const F y = group.x[j] - new_min.value;
      const F rest = y - new_d.value * round(clamp(y * scale, lo, hi));
      sum += weigh<kPlain>(group.w, j, rest) * rest;
    }
    keep(sum, new_d, new_min);
  }

  void keep(F new_error, const Half& new_d, const Half& new_min) {
    const I better = new_error < error;
    error = select(better, new_error, error);
    d = {select(better, new_d.bits, d.bits), select(better, new_d.value, d.value)};
    min = {select(better, new_min.bits, min.bits), select(better, new_min.value, min.value)};
  }
};

constexpr Candidates kSymmetric4 = {-0.8f, 0.2f, 13};
constexpr Candidates kSymmetric5 = {-0.8f, 0.3f, 13};
constexpr Candidates kAffine4 = {-0.9f, 0.15f, 19};
constexpr Candidates kAffine5 = {-1.2f, 0.25f, 18};
constexpr int kQ8Last = 127;

template <int kLo, int kHi, bool kPlain>
StoredChoice choose_symmetric(const BlockGroup& group, const Candidates& candidates) {
  const F d =
      fit_symmetric<IntegerCodes<kLo, kHi>, kPlain>(group.x, group.w, kGroupLen, candidates);
  StoredChoice choice;
  choice.offer<kPlain>(group, group.store_nonzero(d), Half{}, kLo, kHi);
  // Round to nearest without search: the search must never lose to it.
  const F extreme = extreme_value(group.x, kGroupLen);
  choice.offer<kPlain>(group, group.store(extreme / static_cast<float>(kLo)), Half{}, kLo, kHi);
  return choice;
}

// 8 bits: too fine for a closed-form score in float, and the f16 rounding of d counts: every
// candidate is stored and its error measured. No clipping: the last codes are 127 - i * step.
template <bool kPlain>
StoredChoice choose_q8(const BlockGroup& group) {
  constexpr int kCandidates = 9;
  constexpr int kAtOnce = 3;  // their chains of additions overlap
  constexpr float kStep = 0.375f;
  const F extreme = abs(extreme_value(group.x, kGroupLen));
  StoredChoice choice;
  for (int i = 0; i < kCandidates; i += kAtOnce) {
    Half d[kAtOnce];
    F scale[kAtOnce], sum[kAtOnce]{};
    for (int k = 0; k < kAtOnce; ++k) {
      d[k] = group.store_nonzero(extreme / splat(kQ8Last - kStep * static_cast<float>(i + k)));
      scale[k] = inverse(d[k].value);
    }
    for (int j = 0; j < kGroupLen; ++j) {
      for (int k = 0; k < kAtOnce; ++k) {
        const F q = round(clamp(group.x[j] * scale[k], -kQ8Last, kQ8Last));
        const F rest = group.x[j] - d[k].value * q;
        sum[k] += weigh<kPlain>(group.w, j, rest) * rest;
      }
    }
    for (int k = 0; k < kAtOnce; ++k) choice.keep(sum[k], d[k], Half{});
  }
  return choice;
}

template <int kHi, bool kPlain>
StoredChoice choose_affine(const BlockGroup& group, const Candidates& candidates) {
  const Affine fit = fit_affine<false, kPlain>(group.x, group.w, kGroupLen, kHi, candidates);
  StoredChoice choice;
  for (int step = 0; step < 2; ++step) {
    const Half min = step == 0 ? group.store(fit.min) : group.store_below(fit.min);
    // The scale that is best with the minimum as stored.
    const F scale = inverse(fit.d);
    F yq{}, qq{};
    for (int j = 0; j < kGroupLen; ++j) {
      const F y = group.x[j] - min.value;
      const F q = round(clamp(y * scale, 0, kHi));
      const F wq = weigh<kPlain>(group.w, j, q);
      yq += wq * y;
      qq += wq * q;
    }
    choice.offer<kPlain>(group, group.store_nonzero(yq * inverse(qq)), min, 0, kHi);
  }
  F lo = group.x[0], hi = group.x[0];
  for (int j = 1; j < kGroupLen; ++j) {
    lo = min(group.x[j], lo);
    hi = max(group.x[j], hi);
  }
  choice.offer<kPlain>(group, group.store((hi - lo) / static_cast<float>(kHi)), group.store(lo), 0,
                       kHi);
  return choice;
}

// ---- packing: q are the codes as the format stores them, never negative but in Q8_0 -------------

inline void pack_nibbles(const int8_t* q, uint8_t qs[16]) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((q[j] & 15) | ((q[j + 16] & 15) << 4));
}

inline void pack_fifth_bits(const int8_t* q, uint8_t qh[4]) {
  for (int k = 0; k < 4; ++k) {
    int bits = 0;
    for (int i = 0; i < 8; ++i) bits |= ((q[8 * k + i] >> 4) & 1) << i;
    qh[k] = static_cast<uint8_t>(bits);
  }
}

template <typename Block>
void pack(const int8_t q[32], int offset, Block& block) {
  int8_t stored[32];
  for (int j = 0; j < 32; ++j) stored[j] = static_cast<int8_t>(q[j] + offset);
  pack_nibbles(stored, block.qs);
  if constexpr (requires { block.qh; }) pack_fifth_bits(stored, block.qh);
}
inline void pack(const int8_t q[32], int, BlockQ8_0& block) {
  __builtin_memcpy(block.qs, q, sizeof block.qs);
}

// ---- the formats -----------------------------------------------------------------------------

template <bool kPlain>
StoredChoice choose(const BlockGroup& group, const BlockQ4_0*) {
  return choose_symmetric<-8, 7, kPlain>(group, kSymmetric4);
}
template <bool kPlain>
StoredChoice choose(const BlockGroup& group, const BlockQ5_0*) {
  return choose_symmetric<-16, 15, kPlain>(group, kSymmetric5);
}
template <bool kPlain>
StoredChoice choose(const BlockGroup& group, const BlockQ4_1*) {
  return choose_affine<15, kPlain>(group, kAffine4);
}
template <bool kPlain>
StoredChoice choose(const BlockGroup& group, const BlockQ5_1*) {
  return choose_affine<31, kPlain>(group, kAffine5);
}
template <bool kPlain>
StoredChoice choose(const BlockGroup& group, const BlockQ8_0*) {
  return choose_q8<kPlain>(group);
}

template <bool kPlain, typename Block>
void encode_legacy(const float* x, const float* importance, Block* blocks, int64_t n, int lo,
                   int hi) {
  for_each_group<kPlain>(x, importance, n, WeightRule{Emphasis::kRoot, 1.0f}, Mean::kRow,
                         [&](const BlockGroup& group, int64_t first) {
                           const StoredChoice choice = choose<kPlain>(group, blocks);
                           const F scale = inverse(choice.d.value);
                           for (int b = 0; b < group.n_blocks; ++b) {
                             Block& block = blocks[first + b];
                             int8_t q[kGroupLen];
                             code_block(group.rows + b * kGroupLen, kGroupLen, group.up[b],
                                        choice.min.value[b], scale[b], static_cast<float>(lo),
                                        static_cast<float>(hi), q);
                             block.d = static_cast<uint16_t>(choice.d.bits[b]);
                             if constexpr (requires { block.m; }) {
                               block.m = static_cast<uint16_t>(choice.min.bits[b]);
                             }
                             pack(q, -lo, block);
                           }
                         });
}

template <typename Block>
void encode_legacy(const float* x, const float* importance, Block* blocks, int64_t n, int lo,
                   int hi) {
  if (importance == nullptr) {
    encode_legacy<true>(x, importance, blocks, n, lo, hi);
  } else {
    encode_legacy<false>(x, importance, blocks, n, lo, hi);
  }
}

inline void encode_blocks(const float* x, const float* importance, BlockQ4_0* blocks, int64_t n) {
  encode_legacy(x, importance, blocks, n, -8, 7);
}
inline void encode_blocks(const float* x, const float* importance, BlockQ5_0* blocks, int64_t n) {
  encode_legacy(x, importance, blocks, n, -16, 15);
}
inline void encode_blocks(const float* x, const float* importance, BlockQ4_1* blocks, int64_t n) {
  encode_legacy(x, importance, blocks, n, 0, 15);
}
inline void encode_blocks(const float* x, const float* importance, BlockQ5_1* blocks, int64_t n) {
  encode_legacy(x, importance, blocks, n, 0, 31);
}
inline void encode_blocks(const float* x, const float* importance, BlockQ8_0* blocks, int64_t n) {
  encode_legacy(x, importance, blocks, n, -kQ8Last, kQ8Last);
}
