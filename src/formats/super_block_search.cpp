// Super-blocks: 256 weights whose sub-block scales are themselves integers (Q4_K, Q5_K, Q6_K).
//
// 1. Fit every sub-block in float. 2. Fit d (and dmin) to these scales, round them to f16.
// 3. With the rounded d, walk the integer scales: around the current ones try their neighbours,
// code the weights again and keep the lowest weighted error. 4. Solve d (and dmin) for the codes
// found, round, and go to 3 until the error no longer falls.
#include <bit>
#include <cmath>

#include "base/half.h"
#include "formats/scale_search.h"

namespace nibble::search {

using lanes::I4;
using lanes::select;
using lanes::splat;

namespace {

constexpr int kSuper = 256;
constexpr int kMaxPasses = 4;

F4 clamp(F4 v, float lo, float hi) { return lanes::max(lanes::min(v, splat(hi)), splat(lo)); }

float sum_lanes(F4 v) { return (v[0] + v[1]) + (v[2] + v[3]); }

// Lane by lane, the block scales (and minima) that give the lowest error so far.
struct BestScales {
  F4 error = splat(3e38f);
  F4 sc{}, m{};

  void offer(F4 candidate_error, F4 candidate_sc, F4 candidate_m) {
    const I4 better = candidate_error < error;
    error = select(better, candidate_error, error);
    sc = select(better, candidate_sc, sc);
    m = select(better, candidate_m, m);
  }
};

// ---- x ~ scale * q - offset ------------------------------------------------------------------

constexpr int kAffineLen = 32;
constexpr int kAffineGroups = kSuper / (kAffineLen * lanes::kCount);
constexpr float kMaxBlockScale = 63;

// Measured on Gaussian, Laplace and Student-t (3) rows, plain squared error: twice as many
// candidates lower it by 0.1 %; a first walk of +-3 against +-2 by 0.4 % (Q4_K) to 0.8 % (Q5_K) for
// a fifth of the speed; later walks of +-2, or more passes, by less than 0.2 %.
constexpr Candidates kAffineCandidates15 = {-0.9f, 0.15f, 16};
constexpr Candidates kAffineCandidates31 = {-1.5f, 0.3f, 12};
constexpr int kFirstAffineReach = 3;

F4 affine_error(const F4* x, const F4* w, F4 scale, F4 offset, F4 last_code) {
  const F4 inverse = lanes::inverse(scale);
  F4 error{};
  for (int j = 0; j < kAffineLen; ++j) {
    const F4 y = x[j] + offset;
    const F4 q = lanes::round(lanes::max(lanes::min(y * inverse, last_code), splat(0.0f)));
    const F4 rest = y - scale * q;
    error += w[j] * rest * rest;
  }
  return error;
}

struct AffineState {
  uint16_t d = 0, dmin = 0;
  F4 sc[kAffineGroups]{}, m[kAffineGroups]{};
};

// d and dmin that minimise the squared error for the codes which `state` gives.
struct AffineSolution {
  float d, dmin;
};
AffineSolution solve_affine(const F4 (*x)[kAffineLen], const F4 (*w)[kAffineLen],
                            const AffineState& state, float d, float dmin, F4 last_code) {
  F4 a11{}, a12{}, a22{}, b1{}, b2{};
  for (int g = 0; g < kAffineGroups; ++g) {
    const F4 sc = state.sc[g], m = state.m[g];
    const F4 offset = m * dmin;
    const F4 inverse = lanes::inverse(sc * d);
    F4 sum_w{}, sum_x{}, sum_q{}, sum_qq{}, sum_xq{};
    for (int j = 0; j < kAffineLen; ++j) {
      const F4 y = x[g][j] + offset;
      const F4 q = lanes::round(lanes::max(lanes::min(y * inverse, last_code), splat(0.0f)));
      const F4 wq = w[g][j] * q;
      sum_w += w[g][j];
      sum_x += w[g][j] * x[g][j];
      sum_q += wq;
      sum_qq += wq * q;
      sum_xq += wq * x[g][j];
    }
    a11 += sc * sc * sum_qq;
    a12 += sc * m * sum_q;
    a22 += m * m * sum_w;
    b1 += sc * sum_xq;
    b2 += m * sum_x;
  }
  const double s11 = sum_lanes(a11), s12 = sum_lanes(a12), s22 = sum_lanes(a22);
  const double t1 = sum_lanes(b1), t2 = sum_lanes(b2);
  const double determinant = s11 * s22 - s12 * s12;
  if (determinant > 1e-9 * s11 * s22) {
    const double new_d = (s22 * t1 - s12 * t2) / determinant;
    const double new_dmin = (s12 * t1 - s11 * t2) / determinant;
    if (new_d > 0 && new_dmin >= 0) {
      return {static_cast<float>(new_d), static_cast<float>(new_dmin)};
    }
  }
  return {d, dmin};
}

}  // namespace

void search_affine_super_block(const float* x, const float* importance, int max_code,
                               AffineSuperBlock& out) {
  const PowerOfTwo scale = normaliser(x, kSuper);
  float values[kSuper], weights[kSuper];
  for (int j = 0; j < kSuper; ++j) values[j] = x[j] * scale.up;
  search_weights(values, importance, kSuper, 2.0f * mean_square(values, kSuper), false, weights);

  F4 xs[kAffineGroups][kAffineLen], ws[kAffineGroups][kAffineLen];
  float s[8], m[8], sum_w[8];
  const Candidates& candidates = max_code > 15 ? kAffineCandidates31 : kAffineCandidates15;
  for (int g = 0; g < kAffineGroups; ++g) {
    lanes::transpose(values + g * kAffineLen * lanes::kCount, kAffineLen, xs[g]);
    lanes::transpose(weights + g * kAffineLen * lanes::kCount, kAffineLen, ws[g]);
    const Affine fit = fit_affine(xs[g], ws[g], kAffineLen, max_code, true, candidates, 1);
    F4 sum{};
    for (int j = 0; j < kAffineLen; ++j) sum += ws[g][j];
    for (int lane = 0; lane < lanes::kCount; ++lane) {
      s[g * lanes::kCount + lane] = fit.d[lane];
      m[g * lanes::kCount + lane] = -fit.min[lane];
      sum_w[g * lanes::kCount + lane] = sum[lane];
    }
  }

  const F4 last_code = splat(static_cast<float>(max_code));
  AffineState state, best;
  state.d = finite_f16_nonzero(fit_block_scales(s, sum_w, 8, 63) * scale.down);
  state.dmin = finite_f16_nonzero(fit_block_scales(m, sum_w, 8, 63) * scale.down);
  float best_error = 3e38f;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const float d = f16_to_f32(state.d) * scale.up;
    const float dmin = f16_to_f32(state.dmin) * scale.up;
    float error = 0;
    for (int g = 0; g < kAffineGroups; ++g) {
      if (pass == 0) {
        const float* sg = s + g * lanes::kCount;
        const float* mg = m + g * lanes::kCount;
        const F4 sc = F4{sg[0], sg[1], sg[2], sg[3]} * lanes::inverse(splat(d));
        const F4 mm = F4{mg[0], mg[1], mg[2], mg[3]} * lanes::inverse(splat(dmin));
        state.sc[g] = lanes::round(clamp(sc, 0, kMaxBlockScale));
        state.m[g] = lanes::round(clamp(mm, 0, kMaxBlockScale));
      }
      BestScales found;
      const int reach = pass == 0 ? kFirstAffineReach : 1;
      for (int ds = -reach; ds <= reach; ++ds) {
        const F4 sc = clamp(state.sc[g] + static_cast<float>(ds), 0, kMaxBlockScale);
        for (int dm = -reach; dm <= reach; ++dm) {
          const F4 mm = clamp(state.m[g] + static_cast<float>(dm), 0, kMaxBlockScale);
          found.offer(affine_error(xs[g], ws[g], sc * d, mm * dmin, last_code), sc, mm);
        }
      }
      state.sc[g] = found.sc;
      state.m[g] = found.m;
      error += sum_lanes(found.error);
    }
    if (!(error < best_error)) break;
    best_error = error;
    best = state;
    const AffineSolution next = solve_affine(xs, ws, state, d, dmin, last_code);
    state.d = finite_f16_nonzero(next.d * scale.down);
    state.dmin = finite_f16_nonzero(next.dmin * scale.down);
    if (state.d == best.d && state.dmin == best.dmin) break;
  }

  out.d = best.d;
  out.dmin = best.dmin;
  const float d = f16_to_f32(best.d) * scale.up;
  const float dmin = f16_to_f32(best.dmin) * scale.up;
  for (int g = 0; g < kAffineGroups; ++g) {
    const F4 offset = best.m[g] * dmin;
    const F4 inverse = lanes::inverse(best.sc[g] * d);
    for (int lane = 0; lane < lanes::kCount; ++lane) {
      out.sc[g * lanes::kCount + lane] = static_cast<uint8_t>(best.sc[g][lane]);
      out.m[g * lanes::kCount + lane] = static_cast<uint8_t>(best.m[g][lane]);
    }
    for (int j = 0; j < kAffineLen; ++j) {
      const F4 y = xs[g][j] + offset;
      const F4 q = lanes::round(lanes::max(lanes::min(y * inverse, last_code), splat(0.0f)));
      for (int lane = 0; lane < lanes::kCount; ++lane) {
        out.q[(g * lanes::kCount + lane) * kAffineLen + j] = static_cast<uint8_t>(q[lane]);
      }
    }
  }
}

// ---- x ~ scale * q ---------------------------------------------------------------------------

namespace {

constexpr int kSymmetricLen = 16;
constexpr int kSymmetricGroups = kSuper / (kSymmetricLen * lanes::kCount);

// The block scales of Q6_K are fine (a step is 1/128 of the largest): walking +-16 of them in the
// first pass is the real search, 3 % (plain) to 5 % (weighted) below a walk of +-4.
constexpr Candidates kSymmetricCandidates = {-0.9f, 0.4f, 6};
constexpr int kFirstSymmetricReach = 16;

F4 symmetric_code(F4 x, F4 inverse) { return lanes::round(clamp(x * inverse, -32, 31)); }

F4 symmetric_error(const F4* x, const F4* w, F4 scale) {
  const F4 inverse = lanes::inverse(scale);
  F4 error{};
  for (int j = 0; j < kSymmetricLen; ++j) {
    const F4 rest = x[j] - scale * symmetric_code(x[j], inverse);
    error += w[j] * rest * rest;
  }
  return error;
}

}  // namespace

void search_symmetric_super_block(const float* x, const float* importance,
                                  SymmetricSuperBlock& out) {
  const PowerOfTwo scale = normaliser(x, kSuper);
  float values[kSuper], weights[kSuper];
  for (int j = 0; j < kSuper; ++j) values[j] = x[j] * scale.up;
  search_weights(values, importance, kSuper, 0, true, weights);

  F4 xs[kSymmetricGroups][kSymmetricLen], ws[kSymmetricGroups][kSymmetricLen];
  F4 fit[kSymmetricGroups];
  float extreme = 0;  // the block scale of largest magnitude goes to code -128
  for (int g = 0; g < kSymmetricGroups; ++g) {
    lanes::transpose(values + g * kSymmetricLen * lanes::kCount, kSymmetricLen, xs[g]);
    lanes::transpose(weights + g * kSymmetricLen * lanes::kCount, kSymmetricLen, ws[g]);
    fit[g] = fit_symmetric(xs[g], ws[g], kSymmetricLen, -32, 31, kSymmetricCandidates, 1);
    for (int lane = 0; lane < lanes::kCount; ++lane) {
      if (std::fabs(fit[g][lane]) > std::fabs(extreme)) extreme = fit[g][lane];
    }
  }

  F4 sc[kSymmetricGroups]{}, best_sc[kSymmetricGroups]{};
  uint16_t d_bits = finite_f16_nonzero(extreme * (-1.0f / 128) * scale.down);
  uint16_t best_d = 0;
  float best_error = 3e38f;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const float d = f16_to_f32(d_bits) * scale.up;
    float error = 0;
    F4 xq{}, qq{};
    for (int g = 0; g < kSymmetricGroups; ++g) {
      if (pass == 0) sc[g] = lanes::round(clamp(fit[g] * lanes::inverse(splat(d)), -128, 127));
      BestScales found;
      const int reach = pass == 0 ? kFirstSymmetricReach : 1;
      for (int step = -reach; step <= reach; ++step) {
        const F4 candidate = clamp(sc[g] + static_cast<float>(step), -128, 127);
        found.offer(symmetric_error(xs[g], ws[g], candidate * d), candidate, F4{});
      }
      sc[g] = found.sc;
      error += sum_lanes(found.error);
      const F4 inverse = lanes::inverse(sc[g] * d);
      for (int j = 0; j < kSymmetricLen; ++j) {
        const F4 q = sc[g] * symmetric_code(xs[g][j], inverse);
        const F4 wq = ws[g][j] * q;
        xq += wq * xs[g][j];
        qq += wq * q;
      }
    }
    if (!(error < best_error)) break;
    best_error = error;
    best_d = d_bits;
    for (int g = 0; g < kSymmetricGroups; ++g) best_sc[g] = sc[g];
    const float denominator = sum_lanes(qq);
    if (!(denominator > 0)) break;
    d_bits = finite_f16_nonzero(sum_lanes(xq) / denominator * scale.down);
    if (d_bits == best_d) break;
  }

  out.d = best_d;
  const float d = f16_to_f32(best_d) * scale.up;
  for (int g = 0; g < kSymmetricGroups; ++g) {
    const F4 inverse = lanes::inverse(best_sc[g] * d);
    for (int lane = 0; lane < lanes::kCount; ++lane) {
      out.sc[g * lanes::kCount + lane] = static_cast<int8_t>(best_sc[g][lane]);
    }
    for (int j = 0; j < kSymmetricLen; ++j) {
      const F4 q = symmetric_code(xs[g][j], inverse);
      for (int lane = 0; lane < lanes::kCount; ++lane) {
        out.q[(g * lanes::kCount + lane) * kSymmetricLen + j] = static_cast<int8_t>(q[lane]);
      }
    }
  }
}

}  // namespace nibble::search
