// Linear layers through the pool: every thread count the same bits, mixed activations, RoPE by
// hand.
#include "ops/matmul.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "ops/layers.h"
#include "ops/rope.h"
#include "tests/support/random_blocks.h"

namespace nibble {
namespace {

std::vector<float> random_floats(size_t n, Random& random) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random.normal());
  return x;
}

TEST(Matmul, SameBitsForAnyThreadCountAndBatch) {
  const int64_t n_rows = 131, row_len = 512, n_columns = 10;
  for (const Format& format : all_formats()) {
    if (!format.is_weight) continue;
    Random random(1);
    const auto values = random_floats(static_cast<size_t>(n_rows * row_len), random);
    const auto x = random_floats(static_cast<size_t>(n_columns * row_len), random);
    std::vector<std::byte> bytes = testing::random_blocks(format, n_rows * row_len, random);
    if (format.encode != nullptr) {
      format.encode(values.data(), nullptr, bytes.data(), n_rows * row_len);
    } else {
      ASSERT_TRUE(testing::set_unit_scales(format, bytes)) << format.name;
    }
    const Tensor weights = make_tensor(format, n_rows, row_len, bytes.data(), Storage::kArena);
    for (const ActivationMode mode : {ActivationMode::kQuantized, ActivationMode::kFloat}) {
      std::vector<float> expected;
      for (const int n_threads : {1, 2, 3, 4}) {
        ThreadPool pool(n_threads);
        Workspace workspace =
            Workspace::create(kernels::active(), pool, mode, n_columns, row_len).take();
        std::vector<float> out(static_cast<size_t>(n_rows * n_columns));
        Input input(workspace, x.data(), n_columns, row_len, row_len);
        matmul(weights, input, out.data(), n_rows);
        if (expected.empty()) expected = out;
        EXPECT_EQ(out, expected) << format.name << " " << n_threads;
        std::vector<float> one(static_cast<size_t>(n_rows));
        Input last(workspace, x.data() + 9 * row_len, 1, row_len, row_len);
        matmul(weights, last, one.data(), n_rows);
        EXPECT_TRUE(std::equal(one.begin(), one.end(), expected.begin() + 9 * n_rows))
            << format.name;
      }
    }
  }
}

TEST(Matmul, FloatModeIsExactWhereQuantizedModeRounds) {
  const int64_t n_rows = 8, row_len = 256;
  Random random(2);
  const auto values = random_floats(static_cast<size_t>(n_rows * row_len), random);
  const auto x = random_floats(static_cast<size_t>(row_len), random);
  const Format& format = format_of(FormatId::Q8_0);
  std::vector<std::byte> bytes(format.size_bytes(n_rows * row_len));
  format.encode(values.data(), nullptr, bytes.data(), n_rows * row_len);
  std::vector<float> decoded(values.size());
  format.decode(bytes.data(), decoded.data(), n_rows * row_len);
  const Tensor weights = make_tensor(format, n_rows, row_len, bytes.data(), Storage::kArena);
  ThreadPool pool(1);
  double error[2];
  for (const ActivationMode mode : {ActivationMode::kQuantized, ActivationMode::kFloat}) {
    Workspace workspace = Workspace::create(kernels::active(), pool, mode, 1, row_len).take();
    std::vector<float> out(static_cast<size_t>(n_rows));
    Input input(workspace, x.data(), 1, row_len, row_len);
    matmul(weights, input, out.data(), n_rows);
    double& total = error[mode == ActivationMode::kFloat] = 0;
    for (int64_t r = 0; r < n_rows; ++r) {
      double sum = 0;
      for (int64_t k = 0; k < row_len; ++k) {
        sum += static_cast<double>(decoded[static_cast<size_t>(r * row_len + k)]) *
               static_cast<double>(x[static_cast<size_t>(k)]);
      }
      total += std::abs(sum - static_cast<double>(out[static_cast<size_t>(r)]));
    }
  }
  EXPECT_LT(error[1], 1e-4);
  EXPECT_GT(error[0], 10 * error[1]);
}

TEST(Rope, TurnsPairsByPositionTimesFrequency) {
  ThreadPool pool(2);
  Workspace workspace =
      Workspace::create(kernels::active(), pool, ActivationMode::kFloat, 4, 64).take();
  const std::vector<float> factors = {1.0f, 2.0f};
  for (const bool interleaved : {true, false}) {
    Rope::Options options;
    options.base = 100.0;
    options.position_scale = 0.5;
    options.n_dims = 4;  // of 8: the rest stays
    options.interleaved = interleaved;
    options.factors = factors;
    Rope rope = Rope::create(options, 2).take();
    const int32_t positions[] = {0, 6};
    rope.set_positions(positions);
    std::vector<float> x;
    for (int i = 0; i < 2 * 2 * 8; ++i)
      x.push_back(static_cast<float>(i + 1));  // 2 tokens, 2 heads of 8
    const std::vector<float> before = x;
    rope.apply(workspace, x.data(), 2, 2, 8);
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(x[i], before[i]);  // position 0
    for (size_t head = 0; head < 2; ++head) {
      for (size_t pair = 0; pair < 2; ++pair) {
        const size_t base = 16 + head * 8;
        const size_t a = base + (interleaved ? 2 * pair : pair),
                     b = base + (interleaved ? 2 * pair + 1 : pair + 2);
        const double angle =
            6 * 0.5 * std::pow(100.0, -static_cast<double>(pair) / 2) / (pair == 0 ? 1.0 : 2.0);
        const double c = std::cos(angle), s = std::sin(angle);
        const double va = static_cast<double>(before[a]), vb = static_cast<double>(before[b]);
        EXPECT_NEAR(static_cast<double>(x[a]), va * c - vb * s, 1e-5);
        EXPECT_NEAR(static_cast<double>(x[b]), va * s + vb * c, 1e-5);
      }
      for (size_t i = 4; i < 8; ++i) EXPECT_EQ(x[16 + head * 8 + i], before[16 + head * 8 + i]);
    }
  }
}

}  // namespace
}  // namespace nibble
