// What bench reports is there, positive and of the right order; how fast it is nobody can promise.
#include "evaluate/bench.h"

#include <algorithm>
#include <array>

#include "evaluate/median.h"
#include "tests/support/spread_model.h"

namespace nibble {
namespace {

class Bench : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = folder_ / "q8.gguf";
    testing::write_model(testing::in_format(testing::make_spread_model(), FormatId::Q8_0), path_);
    options_.n_prefill = {32};
    options_.n_decode = {8};
    options_.repeats = 2;
    options_.n_threads = {2};
  }
  testing::ScratchFolder folder_;
  std::filesystem::path path_;
  BenchOptions options_;
};

TEST_F(Bench, MeasuresEverything) {
  std::vector<int64_t> done;
  int64_t all = 0;
  const auto runs = bench_model(
      path_, options_,
      [&](int64_t step, int64_t total) {
        done.push_back(step);
        all = total;
      },
      nullptr);
  ASSERT_TRUE(runs.ok()) << runs.error().message;
  ASSERT_EQ(runs->size(), 1u);
  const BenchRun& run = runs->front();
  ASSERT_EQ(run.rows.size(), 2u);
  for (const BenchRow& row : run.rows) {
    EXPECT_GT(row.lowest, 0);
    EXPECT_LE(row.lowest, row.tokens_per_s);
    EXPECT_LE(row.tokens_per_s, row.highest);
  }
  EXPECT_GT(run.load_ms, 0);
  EXPECT_EQ(run.n_threads, 2);
  EXPECT_GT(run.int8_ops_per_s_one, 1e8);
  EXPECT_GT(run.int8_ops_per_s_all, 1e8);
  EXPECT_GT(run.fma_ops_per_s_all, 1e8);
  EXPECT_GT(run.cores_seen, 0.2);
  EXPECT_LT(run.cores_seen, 4);
  EXPECT_EQ(run.disturbed, run.cores_seen < 0.85 * 2);
  // A machine reads between 0.1 GB/s and 1 TB/s.
  EXPECT_GT(run.read_bandwidth_bytes_per_s, 1e8);
  EXPECT_LT(run.read_bandwidth_bytes_per_s, 1e12);
  // The model fits a cache, so it may beat the memory, but not by any factor.
  EXPECT_EQ(run.rows[0].bandwidth_fraction, 0);
  EXPECT_GT(run.rows[1].bandwidth_fraction, 1e-6);
  EXPECT_LT(run.rows[1].bandwidth_fraction, 10);

  ASSERT_EQ(all, 2 * (options_.repeats + 1));
  ASSERT_EQ(done.size(), static_cast<size_t>(all));
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), all);
}

TEST_F(Bench, MeasuresEveryCombination) {
  options_.n_prefill = {16, 32};
  options_.n_decode = {4};
  options_.depths = {0, 40};
  options_.batches = {1, 3};
  options_.n_threads = {1, 2};
  options_.key_types = {FormatId::F16, FormatId::F32};
  options_.repeats = 1;
  const auto runs = bench_model(
      path_, options_, [](int64_t, int64_t) {}, nullptr);
  ASSERT_TRUE(runs.ok()) << runs.error().message;
  ASSERT_EQ(runs->size(), 4u);
  std::vector<std::pair<int, FormatId>> kinds;
  for (const BenchRun& run : *runs) {
    kinds.emplace_back(run.n_threads, run.key_type);
    std::vector<std::array<int64_t, 4>> rows;
    for (const BenchRow& row : run.rows)
      rows.push_back({row.decode, row.n_tokens, row.depth, row.batch});
    EXPECT_EQ(rows, (std::vector<std::array<int64_t, 4>>{{0, 16, 0, 1},
                                                         {0, 32, 0, 1},
                                                         {1, 4, 0, 1},
                                                         {1, 4, 0, 3},
                                                         {0, 16, 40, 1},
                                                         {0, 32, 40, 1},
                                                         {1, 4, 40, 1},
                                                         {1, 4, 40, 3}}));
  }
  EXPECT_EQ(kinds,
            (std::vector<std::pair<int, FormatId>>{
                {1, FormatId::F16}, {1, FormatId::F32}, {2, FormatId::F16}, {2, FormatId::F32}}));
}

TEST_F(Bench, MemoryIsThatOfTheModelAndNotOfTheProbe) {
  const auto runs = bench_model(
      path_, options_, [](int64_t, int64_t) {}, nullptr);
  ASSERT_TRUE(runs.ok()) << runs.error().message;
  const BenchRun& run = runs->front();
  EXPECT_GT(run.peak_anon_bytes, 0);
  EXPECT_LE(run.peak_anon_bytes, run.peak_rss_bytes);
  // The rate of reading is taken from the numbers that are returned.
  const double bytes_per_token =
      run.rows[1].bandwidth_fraction * run.read_bandwidth_bytes_per_s / run.rows[1].tokens_per_s;
  const auto file_bytes = static_cast<double>(std::filesystem::file_size(path_));
  EXPECT_GT(bytes_per_token, 0.2 * file_bytes);
  EXPECT_LT(bytes_per_token, 5 * file_bytes);
}

TEST_F(Bench, OneThreadIsNeverDisturbed) {
  options_.n_threads = {1};
  options_.repeats = 1;
  const auto runs = bench_model(
      path_, options_, [](int64_t, int64_t) {}, nullptr);
  ASSERT_TRUE(runs.ok()) << runs.error().message;
  EXPECT_EQ(runs->front().n_threads, 1);
  EXPECT_FALSE(runs->front().disturbed);
}

TEST_F(Bench, ErrorsAndInterruption) {
  const auto nothing = [](int64_t, int64_t) {};
  const auto missing = bench_model(folder_ / "none.gguf", options_, nothing, nullptr);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  const std::atomic<bool> cancelled{true};
  const auto stopped = bench_model(path_, options_, nothing, &cancelled);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
}

TEST(Median, OfOddAndEvenNumbers) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3}), 3);
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({4, 1, 3, 100}), 3.5);
}

}  // namespace
}  // namespace nibble
