// IQ4_NL, IQ4_XS, MXFP4: codes into a fixed table of 16 values.

// The extreme value is tried around either end of the table, up to 12 beyond it (clipping).
constexpr Candidates kCandidatesIq4 = {-12, 2, 13};
constexpr WeightRule kSeeingIq4 = {Emphasis::kRoot, 2.0f};
constexpr WeightRule kBlindIq4 = {Emphasis::kRoot, 1.0f};
using FormatIQ4XS = SymmetricFormat<Iq4Codes, 32, -32, 31, 4>;

// Indices of the table values nearest to x * scale, n of them.
inline void code_iq4(const float* x, int n, float up, float scale, uint8_t* q) {
  for (int j = 0; j < n; ++j) {
    const float t = x[j] * up * scale;
    int index = 0;
    for (int k = 1; k < 16; ++k) {
      index += t > 0.5f * static_cast<float>(kIQ4Values[k - 1] + kIQ4Values[k]) ? 1 : 0;
    }
    q[j] = static_cast<uint8_t>(index);
  }
}

inline void pack_table_codes(const uint8_t q[32], uint8_t qs[16]) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>(q[j] | (q[j + 16] << 4));
}

// The table has no zero, so where d is near the smallest subnormal a block of zeros (d = 0) can be
// the better answer.
inline Half choose_iq4(const BlockGroup& group) {
  Half d = group.store_nonzero(
      fit_symmetric<Iq4Codes, false>(group.x, group.w, kGroupLen, kCandidatesIq4));
  const F scale = inverse(d.value);
  F error{}, error_of_zero{};
  for (int j = 0; j < kGroupLen; ++j) {
    const F rest = group.x[j] - d.value * Iq4Codes::nearest(group.x[j] * scale);
    error += group.w[j] * rest * rest;
    error_of_zero += group.w[j] * group.x[j] * group.x[j];
  }
  const I worse = error > error_of_zero;
  return {select(worse, I{}, d.bits), select(worse, F{}, d.value)};
}

inline void encode_blocks(const float* x, const float* importance, BlockIQ4_NL* blocks, int64_t n) {
  const WeightRule& rule = importance ? kSeeingIq4 : kBlindIq4;
  for_each_group<false>(
      x, importance, n, rule, Mean::kBlock, [&](const BlockGroup& group, int64_t first) {
        const Half d = choose_iq4(group);
        const F scale = inverse(d.value);
        for (int b = 0; b < group.n_blocks; ++b) {
          uint8_t q[kGroupLen];
          code_iq4(group.rows + b * kGroupLen, kGroupLen, group.up[b], scale[b], q);
          blocks[first + b].d = static_cast<uint16_t>(d.bits[b]);
          pack_table_codes(q, blocks[first + b].qs);
        }
      });
}

inline void encode_blocks(const float* x, const float* importance, BlockIQ4_XS* blocks, int64_t n) {
  const WeightRule& rule = importance ? kSeeingIq4 : kBlindIq4;
  SymmetricSuperBlock found;
  for (int64_t i = 0; i < n; i += BlockIQ4_XS::kLen, ++blocks) {
    search_symmetric<FormatIQ4XS>(x + i, importance ? importance + i : nullptr, rule,
                                  kCandidatesIq4, found);
    blocks->d = found.d;
    int high = 0;
    for (int j = 0; j < 8; ++j) high |= ((found.sc[j] + 32) >> 4) << (2 * j);
    blocks->scales_h = static_cast<uint16_t>(high);
    for (int j = 0; j < 4; ++j) {
      blocks->scales_l[j] = static_cast<uint8_t>(((found.sc[2 * j] + 32) & 15) |
                                                 (((found.sc[2 * j + 1] + 32) & 15) << 4));
    }
    uint8_t index[kSuper];
    for (int j = 0; j < kSuper; ++j) {
      int k = 0;
      for (int i4 = 0; i4 < 15; ++i4) k += found.q[j] > kIQ4Values[i4] ? 1 : 0;
      index[j] = static_cast<uint8_t>(k);
    }
    for (int j = 0; j < 8; ++j) pack_table_codes(index + 32 * j, blocks->qs + 16 * j);
  }
}

// ---- MXFP4 -------------------------------------------------------------------------------------

// The magnitude of kFp4Values nearest to t >= 0, the smaller one on ties.
inline F nearest_fp4(F t) {
  F value{};
#pragma GCC unroll 8
  for (int k = 1; k < 8; ++k) {
    const float middle = 0.5f * static_cast<float>(kFp4Values[k - 1] + kFp4Values[k]);
    const F rise = splat(static_cast<float>(kFp4Values[k] - kFp4Values[k - 1]));
    value += float_of((t > middle) & bits_of(rise));
  }
  return value;
}

// The exponents e of the scales, one per lane: that which brings the largest magnitude between the
// last two values, and its neighbours. From the standard's own choice on, which stays on ties.
struct Fp4Choice {
  I e{};
  F scale{};  // 2^(e - 128), normalised
  F error = splat(3e38f);
};
template <bool kPlain>
Fp4Choice choose_fp4(const BlockGroup& group) {
  const I exponent = bits_of(group.down) >> 23;  // of the largest magnitude
  Fp4Choice best;
  for (const int step : {0, -1, 1, -2}) {
    I e = exponent + (step - 2);
    e = select(e < 0, I{}, e);
    e = select(e > 254, splat_int(254), e);
    const F scale = float_of((e - exponent + 126) << 23);
    const F unit = inverse(scale);
    F error{};
    for (int j = 0; j < kGroupLen; ++j) {
      const F t = abs(group.x[j]);
      const F rest = t - scale * nearest_fp4(t * unit);
      error += weigh<kPlain>(group.w, j, rest) * rest;
    }
    const I better = error < best.error;
    best.e = select(better, e, best.e);
    best.scale = select(better, scale, best.scale);
    best.error = select(better, error, best.error);
  }
  return best;
}

inline void code_fp4(const float* x, float up, float scale, uint8_t q[32]) {
  for (int j = 0; j < 32; ++j) {
    const float t = x[j] * up * scale;
    const float magnitude = __builtin_fabsf(t);
    int index = 0;
    for (int k = 1; k < 8; ++k) {
      index += magnitude > 0.5f * static_cast<float>(kFp4Values[k - 1] + kFp4Values[k]) ? 1 : 0;
    }
    q[j] = static_cast<uint8_t>(index | (t < 0 && index > 0 ? 8 : 0));
  }
}

template <bool kPlain>
void encode_mxfp4(const float* x, const float* importance, BlockMXFP4* blocks, int64_t n) {
  for_each_group<kPlain>(x, importance, n, WeightRule{Emphasis::kNone, 0.0f}, Mean::kRow,
                         [&](const BlockGroup& group, int64_t first) {
                           const Fp4Choice choice = choose_fp4<kPlain>(group);
                           const F unit = inverse(choice.scale);
                           for (int b = 0; b < group.n_blocks; ++b) {
                             uint8_t q[kGroupLen];
                             code_fp4(group.rows + b * kGroupLen, group.up[b], unit[b], q);
                             blocks[first + b].e = static_cast<uint8_t>(choice.e[b]);
                             pack_table_codes(q, blocks[first + b].qs);
                           }
                         });
}

inline void encode_blocks(const float* x, const float* importance, BlockMXFP4* blocks, int64_t n) {
  if (importance == nullptr) {
    encode_mxfp4<true>(x, importance, blocks, n);
  } else {
    encode_mxfp4<false>(x, importance, blocks, n);
  }
}
