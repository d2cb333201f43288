// Are these numbers?
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

namespace nibble {

// Whether none of the values is a NaN or an infinity: such a value times zero is a NaN, and stays
// one in a sum.
inline bool all_finite(std::span<const float> values) {
  constexpr size_t kLanes = 32;  // side by side, so that the compiler makes vectors of it
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) sums[k] += values[i + k] * 0.0f;
  }
  for (; i < values.size(); ++i) sums[0] += values[i] * 0.0f;
  return std::all_of(sums, sums + kLanes, [](float sum) { return sum == 0.0f; });
}

}  // namespace nibble
