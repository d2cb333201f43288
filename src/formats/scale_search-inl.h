// How the encoders find scales: candidate inverse scales, round to codes, then the scale that is
// best for these codes in closed form (weighted least squares). Every search works on kLanes blocks
// at once, one per lane, and gives the same bits on every machine.
//
// Sources of the methods: the candidate search with a closed-form scale is the one llama.cpp made
// common for ggml's formats; the walk over integer block scales with re-solved d and dmin
// (super_block_search-inl.h) is coordinate descent on the stored integers themselves. The text is
// our own.

// The weight of x_j in the squared error that a search minimises, h_j being the importance of its
// column and m = factor * mean(x^2): h_j alone, h_j * sqrt(m + x_j^2), or with kOutliers
// h_j * (m + x_j^2 + x_j^4 / m). With a large factor the last is nearly even over the bulk and
// steep beyond it: a model can hang on one weight of thirty times the deviation.
enum class Emphasis { kNone, kRoot, kOutliers };
struct WeightRule {
  Emphasis emphasis;
  float factor;
};

// Mean of x_j^2 over n values.
inline float mean_square(const float* x, int64_t n) {
  double sum[4] = {};  // four chains: the additions need not wait for each other
  for (int64_t j = 0; j < n; ++j) sum[j & 3] += static_cast<double>(x[j]) * x[j];
  const double mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / static_cast<double>(n);
  constexpr double kMax = 3e38;
  return static_cast<float>(mean < kMax ? mean : kMax);
}

// Weights of n normalised values; sigma2 is the m above in the same normalisation.
// h_j are floored at 2^-20 of their largest so that no block is left without weight; importance
// null means h_j = 1.
inline void search_weights(const float* x, const float* importance, int n, float sigma2,
                           Emphasis emphasis, float* w) {
  if (emphasis == Emphasis::kNone) {
    for (int j = 0; j < n; ++j) w[j] = 1.0f;
  } else if (emphasis == Emphasis::kRoot) {
    for (int j = 0; j < n; ++j) w[j] = __builtin_sqrtf(sigma2 + x[j] * x[j]);
  } else {
    const float over = sigma2 > 0 ? 1.0f / sigma2 : 0.0f;
    for (int j = 0; j < n; ++j) {
      const float square = x[j] * x[j];
      w[j] = sigma2 + square + square * square * over;
    }
  }
  if (importance == nullptr) return;
  const PowerOfTwo scale = normaliser(importance, n);
  float largest = 0;
  for (int j = 0; j < n; ++j) {
    const float h = importance[j] * scale.up;
    largest = h > largest ? h : largest;
  }
  if (!(largest > 0)) return;
  const float floor = largest * 0x1p-20f;
  for (int j = 0; j < n; ++j) {
    const float h = importance[j] * scale.up;
    w[j] *= h > floor ? h : floor;
  }
}

// w[j] * v; kPlain: every weight is 1 and the product is left out (the same bits).
template <bool kPlain>
F weigh(const F* w, int j, F v) {
  if constexpr (kPlain) {
    return v;
  } else {
    return w[j] * v;
  }
}

// Candidate inverse scales are (n + first + step * i) / extreme, i = 0 .. count - 1: the extreme
// value lands that far from the last code, beyond it (clipping) where positive.
struct Candidates {
  float first;
  float step;
  int count;
};

// The best scale so far: d = xq / qq reduces the squared error by xq^2 / qq.
struct BestScale {
  F d{};
  F score{};

  void offer(F xq, F qq) {
    const F candidate = xq * inverse(qq);
    const F gain = candidate * xq;
    const I better = gain > score;
    d = select(better, candidate, d);
    score = select(better, gain, score);
  }
};

// The value of largest magnitude per lane, with its sign; the first one on ties.
inline F extreme_value(const F* x, int len) {
  F extreme{}, magnitude{};
  for (int j = 0; j < len; ++j) {
    const F a = abs(x[j]);
    const I larger = a > magnitude;
    magnitude = select(larger, a, magnitude);
    extreme = select(larger, x[j], extreme);
  }
  return extreme;
}

// ---- codes -----------------------------------------------------------------------------------

// Integers kLo .. kHi: the representable multiple of d that is nearest to t * d, as a float.
template <int kLo, int kHi>
struct IntegerCodes {
  static constexpr int kFirst = kLo;
  static constexpr int kLast = kHi;
  static F nearest(F t) { return round(clamp(t, kLo, kHi)); }
};

// The table of IQ4_NL and IQ4_XS.
struct Iq4Codes {
  static constexpr int kFirst = kIQ4Values[0];
  static constexpr int kLast = kIQ4Values[15];
  static F nearest(F t) {
    F value = splat(kFirst);
#pragma GCC unroll 16
    for (int k = 1; k < 16; ++k) {
      const float middle = 0.5f * static_cast<float>(kIQ4Values[k - 1] + kIQ4Values[k]);
      const F rise = splat(static_cast<float>(kIQ4Values[k] - kIQ4Values[k - 1]));
      value += float_of((t > middle) & bits_of(rise));
    }
    return value;
  }
};

// Offers the scales that are best for the codes at N inverse scales. N at a time, so that the
// chains of additions of one fill the gaps of the others.
template <typename Codes, bool kPlain, int N>
void offer_scales(const F* x, const F* w, int len, const F (&scales)[N], BestScale& best) {
  F xq[N]{}, qq[N]{};
  for (int j = 0; j < len; ++j) {
    for (int k = 0; k < N; ++k) {
      const F q = Codes::nearest(x[j] * scales[k]);
      const F wq = weigh<kPlain>(w, j, q);
      xq[k] += wq * x[j];
      qq[k] += wq * q;
    }
  }
  for (int k = 0; k < N; ++k) best.offer(xq[k], qq[k]);
}

// x ~ d * q, q a value of Codes (which holds values of both signs). Returns d, of either sign, per
// lane; 0 for a lane without a non-zero value. Both signs of the extreme value are tried, and at
// the end the best scale itself. x, w: [len] lanes.
template <typename Codes, bool kPlain>
F fit_symmetric(const F* x, const F* w, int len, const Candidates& candidates) {
  BestScale best;
  const F unit = inverse(extreme_value(x, len));
  for (int i = 0; i < candidates.count; ++i) {
    const float beyond = candidates.first + candidates.step * static_cast<float>(i);
    const F scales[2] = {unit * splat(static_cast<float>(Codes::kFirst) - beyond),
                         unit * splat(static_cast<float>(Codes::kLast) + beyond)};
    offer_scales<Codes, kPlain>(x, w, len, scales, best);
  }
  const F refit[1] = {inverse(best.d)};
  offer_scales<Codes, kPlain>(x, w, len, refit, best);
  return best.d;
}

// x ~ d * q + min, q integer in [0, n]; d >= 0. Each candidate starts from the best minimum so far,
// so that the lower end is searched along with the scale (1 to 2 % less error than a fixed start).
struct Affine {
  F d;
  F min;
};
// kNegativeMin: K-quants cannot store a positive minimum; the range then always includes 0.
template <bool kNegativeMin, bool kPlain>
Affine fit_affine(const F* x, const F* w, int len, int n, const Candidates& candidates) {
  F lo = kNegativeMin ? splat(0.0f) : x[0];
  F hi = lo;
  for (int j = 0; j < len; ++j) {
    lo = min(x[j], lo);
    hi = max(x[j], hi);
  }
  // Everything below is about y = x - lo >= 0: no cancellation when the block sits far from 0.
  F sum_w{}, sum_y{};
  for (int j = 0; j < len; ++j) {
    sum_w += weigh<kPlain>(w, j, splat(1.0f));
    sum_y += weigh<kPlain>(w, j, x[j] - lo);
  }
  F best_d{}, best_min{}, best_gain{};
  // Codes from (scale, from), then the best d and min for these codes.
  const auto offer = [&](F scale, F from) {
    F sum_q{}, sum_qq{}, sum_yq{};
    for (int j = 0; j < len; ++j) {
      const F y = x[j] - lo;
      const F q = round(clamp((y - from) * scale, 0, static_cast<float>(n)));
      const F wq = weigh<kPlain>(w, j, q);
      sum_q += wq;
      sum_qq += wq * q;
      sum_yq += wq * y;
    }
    const F determinant = sum_w * sum_qq - sum_q * sum_q;
    const F over = inverse(determinant);
    F d = (sum_w * sum_yq - sum_y * sum_q) * over;
    F offset = (sum_qq * sum_y - sum_q * sum_yq) * over;
    if constexpr (kNegativeMin) {
      const I positive = lo + offset > 0.0f;
      offset = select(positive, -lo, offset);
      d = select(positive, (sum_yq - offset * sum_q) * inverse(sum_qq), d);
    }
    // By how much d * q + offset lowers the squared error of y.
    const F gain = d * (2.0f * sum_yq - d * sum_qq - 2.0f * offset * sum_q) +
                   offset * (2.0f * sum_y - offset * sum_w);
    const I better = (gain > best_gain) & (d > 0.0f) & (determinant > 0.0f);
    best_d = select(better, d, best_d);
    best_min = select(better, offset, best_min);
    best_gain = select(better, gain, best_gain);
  };
  const F unit = inverse(hi - lo);
  for (int i = 0; i < candidates.count; ++i) {
    const float beyond = candidates.first + candidates.step * static_cast<float>(i);
    // The best minimum so far starts the next codes: the lower end is searched along with the
    // scale.
    offer(unit * splat(static_cast<float>(n) + beyond), best_min);
  }
  offer(inverse(best_d), best_min);
  return {best_d, lo + best_min};
}

// Block scales as integers: s_j ~ d * q_j, q_j in [lo, hi], weighted; n <= 16. The scale of largest
// magnitude goes near `end`, one of lo and hi. Returns d (0 when all scales are 0). Only d: it is
// rounded before the integers are made.
inline float fit_block_scales(const float* s, const float* weight, int n, float lo, float hi,
                              float end) {
  float extreme = 0;
  for (int j = 0; j < n; ++j) {
    extreme = __builtin_fabsf(s[j]) > __builtin_fabsf(extreme) ? s[j] : extreme;
  }
  if (extreme == 0) return 0;
  float best_d = extreme / end;
  float best_gain = 0;
  for (int i = -4; i <= 4; ++i) {
    const float beyond = 0.1f * static_cast<float>(i);
    const float scale = (end < 0 ? end - beyond : end + beyond) / extreme;
    float sq = 0, qq = 0;
    for (int j = 0; j < n; ++j) {
      float q = s[j] * scale;
      q = q < hi ? q : hi;
      q = q > lo ? q : lo;
      q = (q + kRoundMagic) - kRoundMagic;
      sq += weight[j] * q * s[j];
      qq += weight[j] * q * q;
    }
    if (qq > 0 && sq * sq > best_gain * qq) {
      best_d = sq / qq;
      best_gain = best_d * sq;
    }
  }
  return best_d;
}
