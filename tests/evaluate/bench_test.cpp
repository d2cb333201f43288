// What bench reports is there, positive and of the right order; how fast it is nobody can promise.
#include "evaluate/bench.h"

#include <algorithm>

#include "evaluate/median.h"
#include "tests/support/spread_model.h"

namespace nibble {
namespace {

class Bench : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = folder_ / "q8.gguf";
    testing::write_model(testing::in_format(testing::make_spread_model(), FormatId::Q8_0), path_);
    options_.n_prefill = 32;
    options_.n_decode = 8;
    options_.repeats = 2;
    options_.n_threads = 2;
  }
  testing::ScratchFolder folder_;
  std::filesystem::path path_;
  BenchOptions options_;
};

TEST_F(Bench, MeasuresEverything) {
  std::vector<int64_t> done;
  int64_t all = 0;
  const auto result = bench_model(
      path_, options_,
      [&](int64_t step, int64_t total) {
        done.push_back(step);
        all = total;
      },
      nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_GT(result->prefill_tps, 0);
  EXPECT_GT(result->decode_tps, 0);
  EXPECT_GT(result->load_ms, 0);
  EXPECT_EQ(result->n_threads, 2);
  EXPECT_GT(result->int8_ops_per_s_one, 1e8);
  EXPECT_GT(result->int8_ops_per_s_all, 1e8);
  EXPECT_GT(result->cores_seen, 0.2);
  EXPECT_LT(result->cores_seen, 4);
  EXPECT_EQ(result->disturbed, result->cores_seen < 0.85 * 2);
  // A machine reads between 0.1 GB/s and 1 TB/s.
  EXPECT_GT(result->read_bandwidth_bytes_per_s, 1e8);
  EXPECT_LT(result->read_bandwidth_bytes_per_s, 1e12);
  // The model fits a cache, so it may beat the memory, but not by any factor.
  EXPECT_GT(result->decode_bandwidth_fraction, 1e-6);
  EXPECT_LT(result->decode_bandwidth_fraction, 10);

  ASSERT_EQ(all, options_.repeats + 1);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), all);
}

TEST_F(Bench, MemoryIsThatOfTheModelAndNotOfTheProbe) {
  const auto result = bench_model(
      path_, options_, [](int64_t, int64_t) {}, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_GT(result->peak_anon_bytes, 0);
  EXPECT_LE(result->peak_anon_bytes, result->peak_rss_bytes);
  // The rate of reading is taken from the numbers that are returned.
  const double bytes_per_token =
      result->decode_bandwidth_fraction * result->read_bandwidth_bytes_per_s / result->decode_tps;
  const auto file_bytes = static_cast<double>(std::filesystem::file_size(path_));
  EXPECT_GT(bytes_per_token, 0.2 * file_bytes);
  EXPECT_LT(bytes_per_token, 5 * file_bytes);
}

TEST_F(Bench, OneThreadIsNeverDisturbed) {
  options_.n_threads = 1;
  options_.repeats = 1;
  const auto result = bench_model(
      path_, options_, [](int64_t, int64_t) {}, nullptr);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->n_threads, 1);
  EXPECT_FALSE(result->disturbed);
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
