// Super-blocks: 256 weights whose sub-block scales are themselves integers.
//
// 1. Fit every sub-block in float. 2. Fit d (and dmin) to these scales, round them to f16.
// 3. With the rounded d, walk the integer scales: around the current ones try their neighbours,
// code the weights again and keep the lowest weighted error. 4. Solve d (and dmin) for the codes
// found, round, and go to 3 until the error no longer falls.

constexpr int kSuper = 256;
constexpr int kMaxSubBlocks = 16;
constexpr int kMaxPasses = 4;

// A super-block, normalised and weighted: sub-block s = g * kLanes + lane is lane `lane` of group
// g.
template <int kLen>
struct SuperBlock {
  static constexpr int kSubBlocks = kSuper / kLen;
  static constexpr int kGroups = kSubBlocks / kLanes;
  PowerOfTwo scale;
  float values[kSuper];
  F x[kGroups][kLen], w[kGroups][kLen];
  float sum_w[kSubBlocks];

  SuperBlock(const float* original, const float* importance, const WeightRule& rule)
      : scale(normaliser(original, kSuper)) {
    float weights[kSuper];
    for (int j = 0; j < kSuper; ++j) values[j] = original[j] * scale.up;
    const float sigma2 = rule.factor > 0 ? rule.factor * mean_square(values, kSuper) : 0.0f;
    search_weights(values, importance, kSuper, sigma2, rule.emphasis, weights);
    for (int g = 0; g < kGroups; ++g) {
      transpose(values + g * kLen * kLanes, kLen, x[g]);
      transpose(weights + g * kLen * kLanes, kLen, w[g]);
      F sum{};
      for (int j = 0; j < kLen; ++j) sum += w[g][j];
      store(sum, sum_w + g * kLanes);
    }
  }
};

// The sum over all sub-blocks, in their order however many lanes there are.
template <int kGroups>
double sum_sub_blocks(const F (&v)[kGroups]) {
  double sum = 0;
  for (int g = 0; g < kGroups; ++g) {
    for (int lane = 0; lane < kLanes; ++lane) sum += static_cast<double>(v[g][lane]);
  }
  return sum;
}

// Lane by lane, the block scales (and minima) that give the lowest error so far.
struct BestScales {
  F error = splat(3e38f);
  F sc{}, m{};

  void offer(F candidate_error, F candidate_sc, F candidate_m) {
    const I better = candidate_error < error;
    error = select(better, candidate_error, error);
    sc = select(better, candidate_sc, sc);
    m = select(better, candidate_m, m);
  }
};

// ---- x ~ d * sc * q - dmin * m, q in 0..kLastCode, sc and m in 0..kLastScale --------------------

// kReach: the first walk tries that many steps to either side.
template <int kLen_, int kLastCode_, int kLastScale_, int kReach_>
struct AffineFormat {
  static constexpr int kLen = kLen_;
  static constexpr int kLastCode = kLastCode_;
  static constexpr int kLastScale = kLastScale_;
  static constexpr int kReach = kReach_;
};

struct AffineSuperBlock {
  uint16_t d, dmin;                             // f16
  uint8_t sc[kMaxSubBlocks], m[kMaxSubBlocks];  // 0..kLastScale
  int8_t q[kSuper];                             // 0..kLastCode
};

// Offers the block scale sc with the block minima m - kReach .. m + kReach. All of them in one
// loop, so that their chains of additions overlap.
template <typename Format, int kReach>
void offer_affine(const F* x, const F* w, F d, F dmin, F sc, F m, BestScales& found) {
  constexpr int kCount = 2 * kReach + 1;
  const F scale = sc * d;
  const F unit = inverse(scale);
  F minima[kCount], offsets[kCount], errors[kCount];
  for (int k = 0; k < kCount; ++k) {
    minima[k] = clamp(m + static_cast<float>(k - kReach), 0, Format::kLastScale);
    offsets[k] = minima[k] * dmin;
    errors[k] = F{};
  }
  for (int j = 0; j < Format::kLen; ++j) {
    for (int k = 0; k < kCount; ++k) {
      const F y = x[j] + offsets[k];
      const F rest = y - scale * round(clamp(y * unit, 0, Format::kLastCode));
      errors[k] += w[j] * rest * rest;
    }
  }
  for (int k = 0; k < kCount; ++k) found.offer(errors[k], sc, minima[k]);
}

// The best of the block scales and minima at most kReach from sc and m.
template <typename Format, int kReach>
BestScales walk_affine(const F* x, const F* w, F d, F dmin, F sc, F m) {
  BestScales found;
  for (int step = -kReach; step <= kReach; ++step) {
    const F candidate = clamp(sc + static_cast<float>(step), 0, Format::kLastScale);
    offer_affine<Format, kReach>(x, w, d, dmin, candidate, m, found);
  }
  return found;
}

template <typename Format>
struct AffineState {
  static constexpr int kGroups = SuperBlock<Format::kLen>::kGroups;
  HalfScalar d{}, dmin{};
  F sc[kGroups]{}, m[kGroups]{};
};

// d and dmin, both normalised.
struct AffineScales {
  float d, dmin;
};

// Those that minimise the squared error for the codes which `state` gives with d and dmin; these
// themselves where the equations have no usable solution.
template <typename Format>
AffineScales solve_affine(const SuperBlock<Format::kLen>& block, const AffineState<Format>& state,
                          float d, float dmin) {
  constexpr int kGroups = AffineState<Format>::kGroups;
  F a11[kGroups], a12[kGroups], a22[kGroups], b1[kGroups], b2[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    const F* x = block.x[g];
    const F* w = block.w[g];
    const F sc = state.sc[g], m = state.m[g];
    const F offset = m * dmin;
    const F unit = inverse(sc * d);
    F sum_w{}, sum_x{}, sum_q{}, sum_qq{}, sum_xq{};
    for (int j = 0; j < Format::kLen; ++j) {
      const F q = round(clamp((x[j] + offset) * unit, 0, Format::kLastCode));
      const F wq = w[j] * q;
      sum_w += w[j];
      sum_x += w[j] * x[j];
      sum_q += wq;
      sum_qq += wq * q;
      sum_xq += wq * x[j];
    }
    a11[g] = sc * sc * sum_qq;
    a12[g] = sc * m * sum_q;
    a22[g] = m * m * sum_w;
    b1[g] = sc * sum_xq;
    b2[g] = m * sum_x;
  }
  const double s11 = sum_sub_blocks(a11), s12 = sum_sub_blocks(a12), s22 = sum_sub_blocks(a22);
  const double t1 = sum_sub_blocks(b1), t2 = sum_sub_blocks(b2);
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

template <typename Format>
void search_affine(const float* x, const float* importance, const WeightRule& rule,
                   const Candidates& candidates, AffineSuperBlock& out) {
  using Block = SuperBlock<Format::kLen>;
  constexpr int kGroups = Block::kGroups;
  constexpr float kLast = Format::kLastScale;
  const Block block(x, importance, rule);
  const float up = block.scale.up, down = block.scale.down;

  float s[kMaxSubBlocks], m[kMaxSubBlocks];
  for (int g = 0; g < kGroups; ++g) {
    const Affine fit = fit_affine<true, false>(block.x[g], block.w[g], Format::kLen,
                                               Format::kLastCode, candidates);
    store(fit.d, s + g * kLanes);
    store(-fit.min, m + g * kLanes);
  }

  AffineState<Format> state, best;
  state.d =
      to_half_nonzero(fit_block_scales(s, block.sum_w, Block::kSubBlocks, 0, kLast, kLast) * down);
  state.dmin =
      to_half_nonzero(fit_block_scales(m, block.sum_w, Block::kSubBlocks, 0, kLast, kLast) * down);
  double best_error = 3e38;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const float d = state.d.value * up, dmin = state.dmin.value * up;
    F error[kGroups];
    for (int g = 0; g < kGroups; ++g) {
      if (pass == 0) {
        state.sc[g] = round(clamp(load(s + g * kLanes) * inverse(splat(d)), 0, kLast));
        state.m[g] = round(clamp(load(m + g * kLanes) * inverse(splat(dmin)), 0, kLast));
      }
      const BestScales found =
          pass == 0 ? walk_affine<Format, Format::kReach>(block.x[g], block.w[g], splat(d),
                                                          splat(dmin), state.sc[g], state.m[g])
                    : walk_affine<Format, 1>(block.x[g], block.w[g], splat(d), splat(dmin),
                                             state.sc[g], state.m[g]);
      state.sc[g] = found.sc;
      state.m[g] = found.m;
      error[g] = found.error;
    }
    const double total = sum_sub_blocks(error);
    if (!(total < best_error)) break;
    best_error = total;
    best = state;
    const AffineScales next = solve_affine(block, state, d, dmin);
    state.d = to_half_nonzero(next.d * down);
    state.dmin = to_half_nonzero(next.dmin * down);
    if (state.d.bits == best.d.bits && state.dmin.bits == best.dmin.bits) break;
  }

  out.d = best.d.bits;
  out.dmin = best.dmin.bits;
  for (int g = 0; g < kGroups; ++g) {
    const F offset = best.m[g] * (best.dmin.value * up);
    const F unit = inverse(best.sc[g] * (best.d.value * up));
    for (int lane = 0; lane < kLanes; ++lane) {
      const int i = g * kLanes + lane;
      out.sc[i] = static_cast<uint8_t>(best.sc[g][lane]);
      out.m[i] = static_cast<uint8_t>(best.m[g][lane]);
      code_block(x + i * Format::kLen, Format::kLen, up, -offset[lane], unit[lane], 0,
                 Format::kLastCode, out.q + i * Format::kLen);
    }
  }
}

// ---- x ~ d * sc * q, q a value of Codes, sc in kFirstScale..kLastScale --------------------------

template <typename Codes_, int kLen_, int kFirstScale_, int kLastScale_, int kReach_>
struct SymmetricFormat {
  using Codes = Codes_;
  static constexpr int kLen = kLen_;
  static constexpr int kFirstScale = kFirstScale_;
  static constexpr int kLastScale = kLastScale_;
  static constexpr int kReach = kReach_;
  static_assert(kReach % 3 == 1);
};

struct SymmetricSuperBlock {
  uint16_t d;                // f16
  int8_t sc[kMaxSubBlocks];  // kFirstScale..kLastScale
  int8_t q[kSuper];          // values of Codes
};

// The best of the block scales at most `reach` from sc, three at a time so that their chains of
// additions overlap: reach is 1 more than a multiple of 3. Zero is tried too: not every table of
// values has one.
template <typename Format>
BestScales walk_symmetric(const F* x, const F* w, F d, F sc, int reach) {
  BestScales found;
  for (int step = -reach; step <= reach; step += 3) {
    F candidates[3], scales[3], units[3], errors[3]{};
    for (int k = 0; k < 3; ++k) {
      candidates[k] =
          clamp(sc + static_cast<float>(step + k), Format::kFirstScale, Format::kLastScale);
      scales[k] = candidates[k] * d;
      units[k] = inverse(scales[k]);
    }
    for (int j = 0; j < Format::kLen; ++j) {
      for (int k = 0; k < 3; ++k) {
        const F rest = x[j] - scales[k] * Format::Codes::nearest(x[j] * units[k]);
        errors[k] += w[j] * rest * rest;
      }
    }
    for (int k = 0; k < 3; ++k) found.offer(errors[k], candidates[k], F{});
  }
  F error_of_zero{};
  for (int j = 0; j < Format::kLen; ++j) error_of_zero += w[j] * x[j] * x[j];
  found.offer(error_of_zero, F{}, F{});
  return found;
}

template <typename Format>
void search_symmetric(const float* x, const float* importance, const WeightRule& rule,
                      const Candidates& candidates, SymmetricSuperBlock& out) {
  using Block = SuperBlock<Format::kLen>;
  constexpr int kGroups = Block::kGroups;
  constexpr float kFirst = Format::kFirstScale, kLast = Format::kLastScale;
  const Block block(x, importance, rule);
  const float up = block.scale.up, down = block.scale.down;

  float fit[kMaxSubBlocks];
  for (int g = 0; g < kGroups; ++g) {
    store(fit_symmetric<typename Format::Codes, false>(block.x[g], block.w[g], Format::kLen,
                                                       candidates),
          fit + g * kLanes);
  }

  F sc[kGroups]{}, best_sc[kGroups]{};
  HalfScalar stored = to_half_nonzero(
      fit_block_scales(fit, block.sum_w, Block::kSubBlocks, kFirst, kLast, kFirst) * down);
  HalfScalar best{};
  double best_error = 3e38;
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    const float d = stored.value * up;
    const int reach = pass == 0 ? Format::kReach : 1;
    F error[kGroups], xq[kGroups], qq[kGroups];
    for (int g = 0; g < kGroups; ++g) {
      if (pass == 0) {
        sc[g] = round(clamp(load(fit + g * kLanes) * inverse(splat(d)), kFirst, kLast));
      }
      const BestScales found =
          walk_symmetric<Format>(block.x[g], block.w[g], splat(d), sc[g], reach);
      sc[g] = found.sc;
      error[g] = found.error;
      const F unit = inverse(sc[g] * d);
      F sum_xq{}, sum_qq{};
      for (int j = 0; j < Format::kLen; ++j) {
        const F q = sc[g] * Format::Codes::nearest(block.x[g][j] * unit);
        const F wq = block.w[g][j] * q;
        sum_xq += wq * block.x[g][j];
        sum_qq += wq * q;
      }
      xq[g] = sum_xq;
      qq[g] = sum_qq;
    }
    const double total = sum_sub_blocks(error);
    if (!(total < best_error)) break;
    best_error = total;
    best = stored;
    for (int g = 0; g < kGroups; ++g) best_sc[g] = sc[g];
    const double denominator = sum_sub_blocks(qq);
    if (!(denominator > 0)) break;
    stored = to_half_nonzero(static_cast<float>(sum_sub_blocks(xq) / denominator) * down);
    if (stored.bits == best.bits) break;
  }

  out.d = best.bits;
  for (int g = 0; g < kGroups; ++g) {
    const F unit = inverse(best_sc[g] * (best.value * up));
    for (int lane = 0; lane < kLanes; ++lane) {
      out.sc[g * kLanes + lane] = static_cast<int8_t>(best_sc[g][lane]);
    }
    for (int j = 0; j < Format::kLen; ++j) {
      const F q = Format::Codes::nearest(block.x[g][j] * unit);
      for (int lane = 0; lane < kLanes; ++lane) {
        out.q[(g * kLanes + lane) * Format::kLen + j] = static_cast<int8_t>(q[lane]);
      }
    }
  }
}
