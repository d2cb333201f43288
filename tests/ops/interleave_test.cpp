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
            static_cast<size_t>(interleaved_bytes(kernels::active(), format, n_rows, row_len)));
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

// Of a fused matrix or of experts, parts are taken where their groups begin: rows are as far apart
// as they are held, not as in the file.
TEST(Interleave, PartsOfAMatrixBeginAtTheirGroups) {
  const int64_t row_len = 256, n_rows = 48, first = 16, n = 24;
  std::vector<float> x(static_cast<size_t>(row_len));
  Random random(7);
  for (float& v : x) v = static_cast<float>(random.normal());
  ThreadPool pool(2);
  for (const FormatId id : {FormatId::Q4_K, FormatId::IQ1_S, FormatId::IQ1_M, FormatId::IQ2_S}) {
    const Format& format = format_of(id);
    const auto bytes = testing::random_blocks(format, n_rows * row_len, random);
    const Tensor rows = make_tensor(format, n_rows, row_len, bytes.data(), Storage::kMapped);
    const int64_t held = interleaved_bytes(kernels::active(), format, n_rows, row_len);
    std::vector<std::byte> arena(static_cast<size_t>(held) + 64, std::byte{0x5a});
    const Tensor groups = interleave_rows(kernels::active(), rows, pool, arena.data());
    EXPECT_EQ(groups.size_bytes(), held);
    EXPECT_EQ(groups.size_bytes() == rows.size_bytes(), id == FormatId::Q4_K) << format.name;
    for (size_t i = static_cast<size_t>(held); i < arena.size(); ++i) {
      ASSERT_EQ(arena[i], std::byte{0x5a}) << format.name << ": written past the end";
    }
    Workspace workspace =
        Workspace::create(kernels::active(), pool, ActivationMode::kQuantized, 1, row_len).take();
    std::vector<float> expected(static_cast<size_t>(n)), out(expected.size());
    Input input(workspace, x.data(), 1, row_len, row_len);
    matmul(rows_of(rows, first, n), input, expected.data(), n);
    matmul(rows_of(groups, first, n), input, out.data(), n);
    EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0)
        << format.name;
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
