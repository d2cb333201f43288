// Seeded rows of weights, and the formats to try them on.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "formats/format.h"

namespace nibble::testing {

inline constexpr int kRowKinds = 8;
inline constexpr int64_t kRows = 8;
inline constexpr int64_t kRowLen = 512;

// [kRows, kRowLen]. The twin of make_rows() in tests/golden/make_format_golden.py: 0 Gaussian,
// 1 and 2 heavier tails (powers of a normal), 3 shifted, 4 constant, 5 zero, 6 tiny, 7 outliers.
inline std::vector<float> make_rows(int kind, int64_t rows = kRows, int64_t row_len = kRowLen) {
  Random random(1000 + static_cast<uint64_t>(kind));
  std::vector<float> x(static_cast<size_t>(rows * row_len));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < row_len; ++j) {
      double v = random.normal();
      if (kind == 1) v = v * std::fabs(v);
      if (kind == 2) v = v * v * v;
      if (kind == 3) v = v + 10.0;
      if (kind == 4) v = static_cast<double>(r) - 3.7;
      if (kind == 5) v = 0.0;
      if (kind == 6) v = v * 0x1p-14;
      if (kind == 7) v = j % 32 == r ? 64.0 : v;
      x[static_cast<size_t>(r * row_len + j)] = static_cast<float>(v * 0.0625);
    }
  }
  return x;
}

inline std::vector<uint8_t> encode(const Format& format, const std::vector<float>& x,
                                   const float* importance = nullptr, int64_t row_len = kRowLen) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<uint8_t> blocks(format.size_bytes(n));
  for (int64_t i = 0; i < n; i += row_len) {
    format.encode(x.data() + i, importance, blocks.data() + format.size_bytes(i), row_len);
  }
  return blocks;
}

inline std::vector<float> decode(const Format& format, const std::vector<uint8_t>& blocks) {
  const auto n = static_cast<int64_t>(blocks.size() / format.block_bytes) * format.block_len;
  std::vector<float> x(static_cast<size_t>(n));
  format.decode(blocks.data(), x.data(), n);
  return x;
}

// Sum of (a - b)^2.
inline double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double rest = static_cast<double>(a[i]) - b[i];
    sum += rest * rest;
  }
  return sum;
}

inline bool all_finite(const std::vector<float>& x) {
  for (const float v : x) {
    if (!std::isfinite(v)) return false;
  }
  return true;
}

// Formats that can be written.
inline std::vector<const Format*> writable_formats() {
  std::vector<const Format*> formats;
  for (const Format& format : all_formats()) {
    if (format.encode != nullptr) formats.push_back(&format);
  }
  return formats;
}

}  // namespace nibble::testing
