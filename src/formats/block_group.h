// Four consecutive blocks of 32 weights, normalised, weighted and transposed: what the encoders of
// the 32-wide formats search in.
#pragma once

#include <cstdint>

#include "formats/scale_search.h"

namespace nibble::search {

inline constexpr int kGroupLen = 32;

struct BlockGroup {
  int n_blocks;                     // 1..kCount; further lanes hold zeros
  F4 x[kGroupLen], w[kGroupLen];    // normalised values, search weights
  PowerOfTwo scale[lanes::kCount];  // per block

  // The scale (or minimum) v, one per lane, as stored: f16 bits, and what they decode to.
  struct Stored {
    uint16_t bits[lanes::kCount];
    F4 value;  // normalised like x
  };
  Stored store(F4 v) const;
  // As store(), but the smallest subnormal instead of zero where v is not zero.
  Stored store_nonzero(F4 v) const;
  // As store(), one f16 step towards minus infinity.
  Stored store_below(F4 v) const;
};

// sigma2 of the search weights w = h * sqrt(sigma2 + x^2). kRow: the mean of x^2 over the row, and
// plain squared error (w = 1) where there is no importance. kBlock: twice the mean over the block,
// with h = 1 where there is no importance.
enum class Weighting { kRow, kBlock };

// Calls encode(group, block_index) for every four blocks of a row of n weights.
template <typename Encode>
void for_each_group(const float* x, const float* importance, int64_t n, Weighting weighting,
                    Encode&& encode);

// Fills one group from up to four blocks; row_sigma2 < 0 means kBlock.
void load_group(const float* x, const float* importance, int n_blocks, float row_sigma2,
                BlockGroup& group);

// ---- implementation --------------------------------------------------------------------------

template <typename Encode>
void for_each_group(const float* x, const float* importance, int64_t n, Weighting weighting,
                    Encode&& encode) {
  float row_sigma2 = -1;
  if (weighting == Weighting::kRow) row_sigma2 = importance ? mean_square(x, n) : 0;
  const int64_t n_blocks = n / kGroupLen;
  BlockGroup group;
  for (int64_t i = 0; i < n_blocks; i += lanes::kCount) {
    const int64_t left = n_blocks - i;
    load_group(x + i * kGroupLen, importance ? importance + i * kGroupLen : nullptr,
               static_cast<int>(left < lanes::kCount ? left : lanes::kCount), row_sigma2, group);
    encode(group, i);
  }
}

}  // namespace nibble::search
