#include "formats/scale_search.h"

#include <bit>
#include <cmath>

#include "base/half.h"
#include "formats/blocks.h"

namespace nibble::search {

using lanes::I4;
using lanes::select;
using lanes::splat;

PowerOfTwo normaliser(const float* x, int n) {
  uint32_t largest = 0;  // magnitudes of floats order like their bits
  for (int j = 0; j < n; ++j) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(x[j]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  // Exponent clamped so that both factors are normal numbers: the largest normalised magnitude is
  // then below 4, and at least 2^-23 where the block is all subnormal.
  uint32_t exponent = largest >> 23;
  exponent = exponent < 1 ? 1 : exponent > 253 ? 253 : exponent;
  return {std::bit_cast<float>((254 - exponent) << 23), std::bit_cast<float>(exponent << 23)};
}

uint16_t finite_f16(float v) {
  constexpr float kMax = 65504.0f;
  return f32_to_f16(v > kMax ? kMax : v < -kMax ? -kMax : v);
}

uint16_t finite_f16_nonzero(float v) {
  const uint16_t bits = finite_f16(v);
  if ((bits & 0x7fffu) != 0 || v == 0) return bits;
  return static_cast<uint16_t>(bits | 1u);
}

float mean_square(const float* x, int64_t n) {
  double sum[4] = {};  // four chains: the additions need not wait for each other
  for (int64_t j = 0; j < n; ++j) sum[j & 3] += static_cast<double>(x[j]) * x[j];
  const double mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / static_cast<double>(n);
  constexpr double kMax = 3e38;
  return static_cast<float>(mean < kMax ? mean : kMax);
}

void search_weights(const float* x, const float* importance, int n, float sigma2, bool plain_values,
                    float* w) {
  for (int j = 0; j < n; ++j) w[j] = plain_values ? 1.0f : std::sqrt(sigma2 + x[j] * x[j]);
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

namespace {

struct SymmetricSums {
  F4 xq, qq;
};

SymmetricSums symmetric_sums(const F4* x, const F4* w, int len, F4 inverse, F4 lo, F4 hi) {
  SymmetricSums s{};
  for (int j = 0; j < len; ++j) {
    const F4 q = lanes::round(lanes::max(lanes::min(x[j] * inverse, hi), lo));
    const F4 wq = w[j] * q;
    s.xq += wq * x[j];
    s.qq += wq * q;
  }
  return s;
}

// The best scale so far: d = xq / qq reduces the squared error by xq^2 / qq.
struct BestScale {
  F4 d{};
  F4 score{};

  void offer(F4 xq, F4 qq) {
    const F4 candidate = xq * lanes::inverse(qq);
    const F4 gain = candidate * xq;
    const I4 better = gain > score;
    d = select(better, candidate, d);
    score = select(better, gain, score);
  }
};

// The value of largest magnitude per lane, with its sign; the first one on ties.
F4 extreme_value(const F4* x, int len) {
  F4 extreme{}, magnitude{};
  for (int j = 0; j < len; ++j) {
    const F4 a = lanes::abs(x[j]);
    const I4 larger = a > magnitude;
    magnitude = select(larger, a, magnitude);
    extreme = select(larger, x[j], extreme);
  }
  return extreme;
}

}  // namespace

F4 fit_symmetric(const F4* x, const F4* w, int len, int lo, int hi, const Candidates& candidates,
                 int refit_passes) {
  const F4 first_code = splat(static_cast<float>(lo));
  const F4 last_code = splat(static_cast<float>(hi));
  const F4 unit = lanes::inverse(extreme_value(x, len));
  BestScale best;
  for (int i = 0; i < candidates.count; ++i) {
    const float beyond = candidates.first + candidates.step * static_cast<float>(i);
    const F4 inverse = unit * splat(static_cast<float>(lo) - beyond);
    const SymmetricSums s = symmetric_sums(x, w, len, inverse, first_code, last_code);
    best.offer(s.xq, s.qq);
    if (lo == -hi) continue;
    const F4 opposite = unit * splat(static_cast<float>(hi) + beyond);
    const SymmetricSums t = symmetric_sums(x, w, len, opposite, first_code, last_code);
    best.offer(t.xq, t.qq);
  }
  for (int pass = 0; pass < refit_passes; ++pass) {
    const F4 inverse = lanes::inverse(best.d);
    const SymmetricSums s = symmetric_sums(x, w, len, inverse, first_code, last_code);
    best.offer(s.xq, s.qq);
  }
  return best.d;
}

Affine fit_affine(const F4* x, const F4* w, int len, int n, bool nonpositive_min,
                  const Candidates& candidates, int refit_passes) {
  F4 lo = nonpositive_min ? splat(0.0f) : x[0];
  F4 hi = lo;
  for (int j = 0; j < len; ++j) {
    lo = lanes::min(x[j], lo);
    hi = lanes::max(x[j], hi);
  }
  // Everything below is about y = x - lo >= 0: no cancellation when the block sits far from 0.
  F4 sum_w{}, sum_y{};
  for (int j = 0; j < len; ++j) {
    sum_w += w[j];
    sum_y += w[j] * (x[j] - lo);
  }
  const F4 last_code = splat(static_cast<float>(n));
  F4 best_d{}, best_min{}, best_gain{};
  // Codes from (inverse, from), then the best d and min for these codes.
  const auto offer = [&](F4 inverse, F4 from) {
    F4 sum_q{}, sum_qq{}, sum_yq{};
    for (int j = 0; j < len; ++j) {
      const F4 y = x[j] - lo;
      const F4 t = (y - from) * inverse;
      const F4 q = lanes::round(lanes::max(lanes::min(t, last_code), splat(0.0f)));
      const F4 wq = w[j] * q;
      sum_q += wq;
      sum_qq += wq * q;
      sum_yq += wq * y;
    }
    const F4 determinant = sum_w * sum_qq - sum_q * sum_q;
    const F4 over = lanes::inverse(determinant);
    F4 d = (sum_w * sum_yq - sum_y * sum_q) * over;
    F4 min = (sum_qq * sum_y - sum_q * sum_yq) * over;
    if (nonpositive_min) {
      const I4 positive = lo + min > 0.0f;
      min = select(positive, -lo, min);
      d = select(positive, (sum_yq - min * sum_q) * lanes::inverse(sum_qq), d);
    }
    // By how much d * q + min lowers the squared error of y.
    const F4 gain =
        d * (2.0f * sum_yq - d * sum_qq - 2.0f * min * sum_q) + min * (2.0f * sum_y - min * sum_w);
    const I4 better = (gain > best_gain) & (d > 0.0f) & (determinant > 0.0f);
    best_d = select(better, d, best_d);
    best_min = select(better, min, best_min);
    best_gain = select(better, gain, best_gain);
  };
  const F4 range = hi - lo;
  const F4 unit = lanes::inverse(range);
  for (int i = 0; i < candidates.count; ++i) {
    const float beyond = candidates.first + candidates.step * static_cast<float>(i);
    // The best minimum so far starts the next codes: the lower end is searched along with the
    // scale.
    offer(unit * splat(static_cast<float>(n) + beyond), best_min);
  }
  for (int pass = 0; pass < refit_passes; ++pass) offer(lanes::inverse(best_d), best_min);
  return {best_d, lo + best_min};
}

F4 nearest_iq4_value(F4 t) {
  F4 value = splat(kIQ4Values[0]);
  for (int k = 1; k < 16; ++k) {
    const float middle = 0.5f * static_cast<float>(kIQ4Values[k - 1] + kIQ4Values[k]);
    const float rise = static_cast<float>(kIQ4Values[k] - kIQ4Values[k - 1]);
    value += select(t > middle, splat(rise), splat(0.0f));
  }
  return value;
}

F4 fit_iq4(const F4* x, const F4* w, int len) {
  // The extreme value is tried around either end of the table, up to 12 beyond it (clipping).
  constexpr int kReach = 12;
  constexpr int kStep = 2;
  const F4 unit = lanes::inverse(extreme_value(x, len));
  BestScale best;
  const auto offer = [&](F4 inverse) {
    F4 xq{}, qq{};
    for (int j = 0; j < len; ++j) {
      const F4 q = nearest_iq4_value(x[j] * inverse);
      const F4 wq = w[j] * q;
      xq += wq * x[j];
      qq += wq * q;
    }
    best.offer(xq, qq);
  };
  for (int i = -kReach; i <= kReach; i += kStep) {
    offer(unit * splat(static_cast<float>(kIQ4Values[0] + i)));
    offer(unit * splat(static_cast<float>(kIQ4Values[15] + i)));
  }
  offer(lanes::inverse(best.d));
  return best.d;
}

float fit_block_scales(const float* s, const float* weight, int n, int max_code) {
  float largest = 0;
  for (int j = 0; j < n; ++j) largest = s[j] > largest ? s[j] : largest;
  if (!(largest > 0)) return 0;
  const float last_code = static_cast<float>(max_code);
  float best_d = largest / last_code;
  float best_gain = 0;
  for (int i = -4; i <= 4; ++i) {
    const float inverse = (last_code + 0.1f * static_cast<float>(i)) / largest;
    float sq = 0, qq = 0;
    for (int j = 0; j < n; ++j) {
      float q = s[j] * inverse;
      q = q < last_code ? q : last_code;
      q = (q + 12582912.0f) - 12582912.0f;
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

}  // namespace nibble::search
