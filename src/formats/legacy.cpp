// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 weights, one f16 scale, in the _1 formats also an f16 minimum.
#include "base/half.h"
#include "formats/block_group.h"
#include "formats/codecs.h"

namespace nibble::codecs {

namespace {

using lanes::F4;
using lanes::I4;
using lanes::select;
using lanes::splat;
using search::BlockGroup;
using search::kGroupLen;
using search::Weighting;

// ---- the fifth bit and the nibbles -----------------------------------------------------------

void pack_nibbles(const int* q, uint8_t qs[16]) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>((q[j] & 15) | ((q[j + 16] & 15) << 4));
}

void pack_fifth_bits(const int* q, uint8_t qh[4]) {
  for (int k = 0; k < 4; ++k) {
    int bits = 0;
    for (int i = 0; i < 8; ++i) bits |= ((q[8 * k + i] >> 4) & 1) << i;
    qh[k] = static_cast<uint8_t>(bits);
  }
}

int nibble_of(const uint8_t qs[16], int j) { return j < 16 ? qs[j] & 15 : qs[j - 16] >> 4; }
int fifth_bit_of(const uint8_t qh[4], int j) { return ((qh[j >> 3] >> (j & 7)) & 1) << 4; }

// ---- choosing among stored scales ------------------------------------------------------------

// x ~ d * q + min, q in [lo, hi]; min 0 in the symmetric formats. What is kept is a pair of numbers
// *as stored*: rounding to f16 is part of the error, not an accident after the search.
struct Choice {
  BlockGroup::Stored d{}, min{};
  F4 error = splat(3e38f);

  void offer(const BlockGroup& group, const BlockGroup::Stored& new_d,
             const BlockGroup::Stored& new_min, float lo, float hi) {
    const F4 inverse = lanes::inverse(new_d.value);
    const F4 last = splat(hi), first = splat(lo);
    F4 sum{};
    for (int j = 0; j < kGroupLen; ++j) {
      const F4 y = group.x[j] - new_min.value;
      const F4 q = lanes::round(lanes::max(lanes::min(y * inverse, last), first));
      const F4 rest = y - new_d.value * q;
      sum += group.w[j] * rest * rest;
    }
    for (int lane = 0; lane < lanes::kCount; ++lane) {
      if (!(sum[lane] < error[lane])) continue;
      error[lane] = sum[lane];
      d.bits[lane] = new_d.bits[lane];
      d.value[lane] = new_d.value[lane];
      min.bits[lane] = new_min.bits[lane];
      min.value[lane] = new_min.value[lane];
    }
  }

  // codes[lane][j]
  void codes(const BlockGroup& group, float lo, float hi, int out[lanes::kCount][kGroupLen]) const {
    const F4 inverse = lanes::inverse(d.value);
    for (int j = 0; j < kGroupLen; ++j) {
      const F4 y = group.x[j] - min.value;
      const F4 q = lanes::round(lanes::max(lanes::min(y * inverse, splat(hi)), splat(lo)));
      for (int lane = 0; lane < lanes::kCount; ++lane) out[lane][j] = static_cast<int>(q[lane]);
    }
  }
};

// The value of largest magnitude, with its sign.
F4 extreme_of(const BlockGroup& group) {
  F4 lo = group.x[0], hi = group.x[0];
  for (int j = 1; j < kGroupLen; ++j) {
    lo = lanes::min(group.x[j], lo);
    hi = lanes::max(group.x[j], hi);
  }
  return select(-lo >= hi, lo, hi);
}

Choice choose_symmetric(const BlockGroup& group, int n, const search::Candidates& candidates) {
  const float lo = static_cast<float>(-n), hi = static_cast<float>(n - 1);
  const F4 d = search::fit_symmetric(group.x, group.w, kGroupLen, -n, n - 1, candidates, 1);
  Choice choice;
  choice.offer(group, group.store_nonzero(d), BlockGroup::Stored{}, lo, hi);
  // Round to nearest without search: the search must never lose to it.
  choice.offer(group, group.store(extreme_of(group) / lo), BlockGroup::Stored{}, lo, hi);
  return choice;
}

constexpr float kQ8Last = 127;

// 8 bits: too fine for a closed-form score in float, and the f16 rounding of d counts: every
// candidate is stored and its error measured. No clipping: the last codes are 127 - i * step.
Choice choose_q8(const BlockGroup& group) {
  constexpr int kCandidates = 9;
  constexpr float kStep = 0.375f;
  const F4 extreme = lanes::abs(extreme_of(group));
  Choice choice;
  for (int i = 0; i < kCandidates; ++i) {
    const F4 d = extreme / splat(kQ8Last - kStep * static_cast<float>(i));
    choice.offer(group, group.store_nonzero(d), BlockGroup::Stored{}, -kQ8Last, kQ8Last);
  }
  return choice;
}

Choice choose_affine(const BlockGroup& group, int n, const search::Candidates& candidates) {
  const float last = static_cast<float>(n);
  const search::Affine fit =
      search::fit_affine(group.x, group.w, kGroupLen, n, false, candidates, 1);
  Choice choice;
  for (const BlockGroup::Stored& min : {group.store(fit.min), group.store_below(fit.min)}) {
    // The scale that is best with the minimum as stored.
    const F4 inverse = lanes::inverse(fit.d);
    F4 yq{}, qq{};
    for (int j = 0; j < kGroupLen; ++j) {
      const F4 y = group.x[j] - min.value;
      const F4 q = lanes::round(lanes::max(lanes::min(y * inverse, splat(last)), splat(0.0f)));
      const F4 wq = group.w[j] * q;
      yq += wq * y;
      qq += wq * q;
    }
    choice.offer(group, group.store_nonzero(yq * lanes::inverse(qq)), min, 0, last);
  }
  F4 lo = group.x[0], hi = group.x[0];
  for (int j = 1; j < kGroupLen; ++j) {
    lo = lanes::min(group.x[j], lo);
    hi = lanes::max(group.x[j], hi);
  }
  choice.offer(group, group.store((hi - lo) / last), group.store(lo), 0, last);
  return choice;
}

constexpr search::Candidates kSymmetric4 = {-0.8f, 0.2f, 13};
constexpr search::Candidates kSymmetric5 = {-0.8f, 0.3f, 13};
constexpr search::Candidates kAffine4 = {-0.9f, 0.15f, 19};
constexpr search::Candidates kAffine5 = {-1.2f, 0.25f, 18};

}  // namespace

void decode_block(const BlockQ4_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(nibble_of(block.qs, j) - 8);
}

void decode_block(const BlockQ4_1& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(nibble_of(block.qs, j)) + m;
}

void decode_block(const BlockQ5_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) {
    x[j] = d * static_cast<float>((nibble_of(block.qs, j) | fifth_bit_of(block.qh, j)) - 16);
  }
}

void decode_block(const BlockQ5_1& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 32; ++j) {
    x[j] = d * static_cast<float>(nibble_of(block.qs, j) | fifth_bit_of(block.qh, j)) + m;
  }
}

void decode_block(const BlockQ8_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(block.qs[j]);
}

void encode_blocks(const float* x, const float* importance, BlockQ4_0* blocks, int64_t n) {
  search::for_each_group(x, importance, n, Weighting::kRow,
                         [&](const BlockGroup& group, int64_t i) {
                           const Choice choice = choose_symmetric(group, 8, kSymmetric4);
                           int q[lanes::kCount][kGroupLen];
                           choice.codes(group, -8, 7, q);
                           for (int b = 0; b < group.n_blocks; ++b) {
                             for (int& code : q[b]) code += 8;
                             blocks[i + b].d = choice.d.bits[b];
                             pack_nibbles(q[b], blocks[i + b].qs);
                           }
                         });
}

void encode_blocks(const float* x, const float* importance, BlockQ5_0* blocks, int64_t n) {
  search::for_each_group(x, importance, n, Weighting::kRow,
                         [&](const BlockGroup& group, int64_t i) {
                           const Choice choice = choose_symmetric(group, 16, kSymmetric5);
                           int q[lanes::kCount][kGroupLen];
                           choice.codes(group, -16, 15, q);
                           for (int b = 0; b < group.n_blocks; ++b) {
                             for (int& code : q[b]) code += 16;
                             blocks[i + b].d = choice.d.bits[b];
                             pack_nibbles(q[b], blocks[i + b].qs);
                             pack_fifth_bits(q[b], blocks[i + b].qh);
                           }
                         });
}

void encode_blocks(const float* x, const float* importance, BlockQ4_1* blocks, int64_t n) {
  search::for_each_group(x, importance, n, Weighting::kRow,
                         [&](const BlockGroup& group, int64_t i) {
                           const Choice choice = choose_affine(group, 15, kAffine4);
                           int q[lanes::kCount][kGroupLen];
                           choice.codes(group, 0, 15, q);
                           for (int b = 0; b < group.n_blocks; ++b) {
                             blocks[i + b].d = choice.d.bits[b];
                             blocks[i + b].m = choice.min.bits[b];
                             pack_nibbles(q[b], blocks[i + b].qs);
                           }
                         });
}

void encode_blocks(const float* x, const float* importance, BlockQ5_1* blocks, int64_t n) {
  search::for_each_group(x, importance, n, Weighting::kRow,
                         [&](const BlockGroup& group, int64_t i) {
                           const Choice choice = choose_affine(group, 31, kAffine5);
                           int q[lanes::kCount][kGroupLen];
                           choice.codes(group, 0, 31, q);
                           for (int b = 0; b < group.n_blocks; ++b) {
                             blocks[i + b].d = choice.d.bits[b];
                             blocks[i + b].m = choice.min.bits[b];
                             pack_nibbles(q[b], blocks[i + b].qs);
                             pack_fifth_bits(q[b], blocks[i + b].qh);
                           }
                         });
}

void encode_blocks(const float* x, const float* importance, BlockQ8_0* blocks, int64_t n) {
  search::for_each_group(x, importance, n, Weighting::kRow,
                         [&](const BlockGroup& group, int64_t i) {
                           const Choice choice = choose_q8(group);
                           int q[lanes::kCount][kGroupLen];
                           choice.codes(group, -kQ8Last, kQ8Last, q);
                           for (int b = 0; b < group.n_blocks; ++b) {
                             blocks[i + b].d = choice.d.bits[b];
                             for (int j = 0; j < 32; ++j)
                               blocks[i + b].qs[j] = static_cast<int8_t>(q[b][j]);
                           }
                         });
}

}  // namespace nibble::codecs
