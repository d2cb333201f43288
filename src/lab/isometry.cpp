#include "lab/isometry.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/random.h"
#include "lab/tensor_stream.h"

namespace nibble::lab {
namespace {

double dot(const double* a, const double* b, int64_t n) {
  double sum[4] = {};  // four chains: one would wait for each addition
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int k = 0; k < 4; ++k) sum[k] += a[i + k] * b[i + k];
  }
  for (; i < n; ++i) sum[0] += a[i] * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

Isometry random_isometry(int64_t narrow, int64_t wide, uint64_t seed, ThreadPool& pool) {
  CHECK(0 < narrow && narrow <= wide);
  const auto size = static_cast<size_t>(narrow * wide);
  std::vector<double> rows(
      size);  // [narrow, wide]: the transposed matrix, so that columns are rows
  const auto row = [&](int64_t k) { return rows.data() + k * wide; };
  for (int64_t k = 0; k < narrow; ++k) {
    Random random(derive_seed(seed, 0, static_cast<uint64_t>(k)));
    std::generate(row(k), row(k) + wide, [&] { return random.normal(); });
  }
  for (int64_t k = 0; k < narrow; ++k) {
    double* axis = row(k);
    const double inverse = 1.0 / std::sqrt(dot(axis, axis, wide));
    for (int64_t i = 0; i < wide; ++i) axis[i] *= inverse;
    pool.parallel_for(narrow - k - 1, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t j = k + 1 + begin; j < k + 1 + end; ++j) {
        double* other = row(j);
        const double along = dot(axis, other, wide);
        for (int64_t i = 0; i < wide; ++i) other[i] -= along * axis[i];
      }
    });
  }
  Isometry isometry{narrow, wide, std::vector<float>(size), std::vector<float>(size)};
  for (int64_t k = 0; k < narrow; ++k) {
    for (int64_t i = 0; i < wide; ++i) {
      const auto value = static_cast<float>(row(k)[i]);
      isometry.q_transposed[static_cast<size_t>(k * wide + i)] = value;
      isometry.q[static_cast<size_t>(i * narrow + k)] = value;
    }
  }
  return isometry;
}

void multiply(const float* a, const float* b, int64_t n, int64_t depth, int64_t width, float* out) {
  for (int64_t r = 0; r < n; ++r) {
    const float* weights = a + r * depth;
    float* sum = out + r * width;
    std::fill(sum, sum + width, 0.0f);
    int64_t k = 0;
    for (; k + 4 <= depth; k += 4) {  // four rows of b per pass over the sums
      const float *b0 = b + k * width, *b1 = b0 + width, *b2 = b1 + width, *b3 = b2 + width;
      const float w0 = weights[k], w1 = weights[k + 1], w2 = weights[k + 2], w3 = weights[k + 3];
      for (int64_t j = 0; j < width; ++j) {
        sum[j] += (w0 * b0[j] + w1 * b1[j]) + (w2 * b2[j] + w3 * b3[j]);
      }
    }
    for (; k < depth; ++k) {
      const float* b0 = b + k * width;
      for (int64_t j = 0; j < width; ++j) sum[j] += weights[k] * b0[j];
    }
  }
}

}  // namespace nibble::lab
