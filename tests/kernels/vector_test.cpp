// The kernels between linear layers against plain arithmetic in double, on every ISA.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"

namespace nibble {
namespace {

std::vector<const KernelTable*> tables() {
  std::vector<const KernelTable*> result;
  for (const char* name : {"portable", "avx2", "avx512", "neon", "neon_i8mm"}) {
    if (const KernelTable* table = kernels::find(name)) result.push_back(table);
  }
  return result;
}

std::vector<float> normals(int64_t n, double scale, uint64_t seed) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(random.normal() * scale);
  return x;
}

// Calls `kernel` on each table and compares with `expected` (by index), within `tolerance`.
void check(const std::function<std::vector<float>(const KernelTable&)>& kernel,
           const std::function<double(size_t)>& expected, double tolerance) {
  for (const KernelTable* table : tables()) {
    const std::vector<float> out = kernel(*table);
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(static_cast<double>(out[i]), expected(i), tolerance) << table->name << " " << i;
    }
  }
}

TEST(LayerKernels, LayerNorm) {
  for (const int64_t n : {3, 8, 100, 769}) {
    std::vector<float> x = normals(n, 3.0, 1);
    for (float& v : x) v += 5.0f;
    const std::vector<float> gain = normals(n, 1.0, 2), bias = normals(n, 1.0, 3);
    double mean = 0, variance = 0;
    for (const float v : x) mean += static_cast<double>(v) / static_cast<double>(n);
    for (const float v : x) {
      variance += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean) /
                  static_cast<double>(n);
    }
    for (const bool with_bias : {false, true}) {
      check(
          [&](const KernelTable& table) {
            std::vector<float> out = x;
            table.layer_norm(out.data(), gain.data(), with_bias ? bias.data() : nullptr, 1e-5f, n,
                             out.data());
            return out;
          },
          [&](size_t i) {
            return (static_cast<double>(x[i]) - mean) / std::sqrt(variance + 1e-5) *
                       static_cast<double>(gain[i]) +
                   (with_bias ? static_cast<double>(bias[i]) : 0.0);
          },
          1e-5);
    }
  }
}

TEST(LayerKernels, Gelu) {
  std::vector<float> x = normals(203, 2.0, 4);
  x[0] = -100.0f;
  x[1] = 100.0f;
  x[2] = 0.0f;
  const std::vector<float> up = normals(203, 1.0, 5);
  const auto gelu_tanh = [](double v) {
    return 0.5 * v * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v)));
  };
  const auto gelu_erf = [](double v) { return 0.5 * v * (1.0 + std::erf(v / std::sqrt(2.0))); };
  for (const bool gated : {false, true}) {
    const float* factor = gated ? up.data() : nullptr;
    const auto times = [&](size_t i) { return gated ? static_cast<double>(up[i]) : 1.0; };
    check(
        [&](const KernelTable& table) {
          std::vector<float> out(x.size());
          table.gelu_tanh_mul(x.data(), factor, static_cast<int64_t>(x.size()), out.data());
          return out;
        },
        [&](size_t i) { return gelu_tanh(static_cast<double>(x[i])) * times(i); }, 1e-5);
    check(
        [&](const KernelTable& table) {
          std::vector<float> out(x.size());
          table.gelu_erf_mul(x.data(), factor, static_cast<int64_t>(x.size()), out.data());
          return out;
        },
        [&](size_t i) { return gelu_erf(static_cast<double>(x[i])) * times(i); }, 1e-5);
  }
}

TEST(LayerKernels, SoftcapSoftmaxScaleAndAddScaled) {
  for (const int64_t n : {1, 5, 64, 77}) {
    const std::vector<float> x = normals(n, 20.0, 6), y = normals(n, 1.0, 7);
    check(
        [&](const KernelTable& table) {
          std::vector<float> out = x;
          table.softcap(out.data(), 30.0f, n);
          return out;
        },
        [&](size_t i) { return 30.0 * std::tanh(static_cast<double>(x[i]) / 30.0); }, 1e-5);
    double largest = -1e30, sum = 0;
    for (const float v : x) largest = std::max(largest, static_cast<double>(v));
    for (const float v : x) sum += std::exp(static_cast<double>(v) - largest);
    check(
        [&](const KernelTable& table) {
          std::vector<float> out = x;
          table.softmax(out.data(), n);
          return out;
        },
        [&](size_t i) { return std::exp(static_cast<double>(x[i]) - largest) / sum; }, 1e-6);
    check(
        [&](const KernelTable& table) {
          std::vector<float> out = x;
          table.scale(out.data(), 0.5f, n);
          table.add_scaled(out.data(), y.data(), 3.0f, n);
          return out;
        },
        [&](size_t i) { return 0.5 * static_cast<double>(x[i]) + 3.0 * static_cast<double>(y[i]); },
        1e-5);
  }
}

}  // namespace
}  // namespace nibble
