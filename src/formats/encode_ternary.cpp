// TQ1_0, TQ2_0: the search for the one scale of a super-block of -d, 0, d, and the packing.
#include <algorithm>
#include <cstdint>

#include "formats/blocks.h"
#include "formats/codecs.h"

#define NIBBLE_LANES 4

namespace nibble::codecs {

namespace {

#include "formats/lanes-inl.h"

#include "formats/scale_search-inl.h"

constexpr int kSuper = 256;

constexpr WeightRule kSeeingTernary = {Emphasis::kNone, 0.0f};
// Even weights give the least squared error, but cut the few large ones that a model hangs on.
constexpr WeightRule kBlindTernary = {Emphasis::kOutliers, 8.0f};

struct Ternary {
  uint16_t d;      // f16
  uint8_t q[256];  // 0, 1, 2 for -d, 0, d
};

// The least squares optimum: with scale d the weights beyond d / 2 become +-d, so the best set of
// them is the k largest for some k, with d their (weighted) mean; all k are tried. A block that is
// ternary already, all weights -a, 0 or a, gives a as the mean of equal numbers: exactly a.
// (llama.cpp takes the largest magnitude, which is the same for such blocks only.)
double best_ternary_scale(const float* values, const float* weights) {
  struct Entry {
    float magnitude;
    int index;
  };
  Entry order[kSuper];
  for (int j = 0; j < kSuper; ++j) order[j] = {__builtin_fabsf(values[j]), j};
  std::sort(order, order + kSuper, [](const Entry& a, const Entry& b) {
    return a.magnitude != b.magnitude ? a.magnitude > b.magnitude : a.index < b.index;
  });
  double sum_wx = 0, sum_w = 0, best_gain = 0, best = 0;
  for (const Entry& entry : order) {
    const double w = static_cast<double>(weights[entry.index]);
    sum_wx += w * static_cast<double>(entry.magnitude);
    sum_w += w;
    const double gain = sum_wx * sum_wx / sum_w;
    if (!(gain > best_gain)) continue;
    best_gain = gain;
    best = sum_wx / sum_w;
  }
  return best;
}

void search_ternary(const float* x, const float* importance, Ternary& out) {
  const PowerOfTwo scale = normaliser(x, kSuper);
  float values[kSuper], weights[kSuper];
  for (int j = 0; j < kSuper; ++j) values[j] = x[j] * scale.up;
  const WeightRule& rule = importance ? kSeeingTernary : kBlindTernary;
  search_weights(values, importance, kSuper, rule.factor * mean_square(values, kSuper),
                 rule.emphasis, weights);
  const float best = static_cast<float>(best_ternary_scale(values, weights));
  const HalfScalar d = to_half_nonzero(best * scale.down);
  out.d = d.bits;
  const float half = 0.5f * d.value;
  for (int j = 0; j < kSuper; ++j) {
    out.q[j] = static_cast<uint8_t>(x[j] > half ? 2 : x[j] < -half ? 0 : 1);
  }
}

// Bytes of n_digits digits, leading digit first: digit n of byte l is q[n_bytes * n + l]. As the
// numerator over 243 (five digits) in units of 1 / 256, rounded up.
void pack_digits(const uint8_t* q, int n_bytes, int n_digits, uint8_t* bytes) {
  for (int l = 0; l < n_bytes; ++l) {
    int number = 0;
    for (int n = 0; n < 5; ++n) number = 3 * number + (n < n_digits ? q[n_bytes * n + l] : 0);
    bytes[l] = static_cast<uint8_t>((number * 256 + 242) / 243);
  }
}

}  // namespace

void encode_blocks(const float* x, const float* importance, BlockTQ1_0* blocks, int64_t n) {
  Ternary found;
  for (int64_t i = 0; i < n; i += kSuper, ++blocks) {
    search_ternary(x + i, importance ? importance + i : nullptr, found);
    blocks->d = found.d;
    pack_digits(found.q, 32, 5, blocks->qs);
    pack_digits(found.q + 160, 16, 5, blocks->qs + 32);
    pack_digits(found.q + 240, 4, 4, blocks->qh);
  }
}

void encode_blocks(const float* x, const float* importance, BlockTQ2_0* blocks, int64_t n) {
  Ternary found;
  for (int64_t i = 0; i < n; i += kSuper, ++blocks) {
    search_ternary(x + i, importance ? importance + i : nullptr, found);
    blocks->d = found.d;
    for (int half = 0; half < 2; ++half) {
      const uint8_t* q = found.q + 128 * half;
      for (int l = 0; l < 32; ++l) {
        blocks->qs[32 * half + l] =
            static_cast<uint8_t>(q[l] | (q[32 + l] << 2) | (q[64 + l] << 4) | (q[96 + l] << 6));
      }
    }
  }
}

}  // namespace nibble::codecs
