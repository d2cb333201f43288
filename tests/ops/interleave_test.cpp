// Rows by eights: the same products as the rows of the file, whatever the shape and the threads.
#include "ops/interleave.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "ops/matmul.h"
#include "tests/support/random_blocks.h"

namespace nibble {
namespace {

TEST(Interleave, SameProductsForAnyRowsColumnsAndThreads) {
  const int64_t row_len = 512, n_columns = 5;
  for (const Format& format : all_formats()) {
    if (!format.is_weight || !can_interleave(kernels::active(), format)) continue;
    for (const int64_t n_rows : {1, 8, 131}) {
      Random random(static_cast<uint64_t>(n_rows));
      std::vector<float> x(static_cast<size_t>(n_columns * row_len));
      for (float& v : x) v = static_cast<float>(random.normal());
      const auto bytes = testing::random_blocks(format, n_rows * row_len, random);
      const Tensor rows = make_tensor(format, n_rows, row_len, bytes.data(), Storage::kMapped);
      for (const int n_threads : {1, 3}) {
        ThreadPool pool(n_threads);
        std::vector<std::byte> arena(
            static_cast<size_t>(interleaved_bytes(format, n_rows, row_len)));
        const Tensor groups = interleave_rows(kernels::active(), rows, pool, arena.data());
        EXPECT_EQ(groups.storage, Storage::kInterleaved);
        Workspace workspace = Workspace::create(kernels::active(), pool, ActivationMode::kQuantized,
                                                n_columns, row_len)
                                  .take();
        for (const int64_t n : {int64_t{1}, n_columns}) {
          std::vector<float> expected(static_cast<size_t>(n_rows * n)), out(expected.size());
          Input input(workspace, x.data(), n, row_len, row_len);
          matmul(rows, input, expected.data(), n_rows);
          matmul(groups, input, out.data(), n_rows);
          EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0)
              << format.name << " " << n_rows << " rows, " << n << " columns";
        }
      }
    }
  }
}

TEST(InterleaveDeathTest, FloatActivationsNeedRowsAsTheyLieInTheFile) {
  const Format& format = format_of(FormatId::Q4_0);
  Random random(1);
  const auto bytes = testing::random_blocks(format, 8 * 32, random);
  const Tensor rows = make_tensor(format, 8, 32, bytes.data(), Storage::kMapped);
  ThreadPool pool(1);
  std::vector<std::byte> arena(bytes.size());
  const Tensor groups = interleave_rows(kernels::active(), rows, pool, arena.data());
  Workspace workspace =
      Workspace::create(kernels::active(), pool, ActivationMode::kFloat, 1, 32).take();
  const std::vector<float> x(32, 1.0f);
  std::vector<float> out(8);
  EXPECT_DEATH(
      {
        Input input(workspace, x.data(), 1, 32, 32);
        matmul(groups, input, out.data(), 8);
      },
      "decoded");
}

}  // namespace
}  // namespace nibble
