// What calibrate() collects, against the same sums computed here, and the ways it can fail.
#include "quantize/calibration.h"

#include <cmath>

#include "engine/engine.h"
#include "evaluate/documents.h"
#include "tests/support/spread_model.h"

namespace nibble {
namespace {

class Calibration : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::write_model(model_, folder_ / "model.gguf");
    testing::write_text(folder_ / "text.txt", text_);
    options_.text = folder_ / "text.txt";
    options_.chunk_tokens = 128;
  }
  Result<ImportanceMatrix> collect(const std::atomic<bool>* cancelled = nullptr) {
    return calibrate(
        folder_ / "model.gguf", options_, [](int64_t, int64_t) {}, cancelled);
  }

  testing::ScratchFolder folder_;
  testing::TinyModel model_ = testing::make_spread_model();
  std::string text_ = testing::make_text(3, 250);
  CalibrateOptions options_;
};

TEST_F(Calibration, TheFirstLayerSeesTheNormalisedEmbeddings) {
  const auto matrix = collect();
  ASSERT_TRUE(matrix.ok()) << matrix.error().message;
  const auto tokenizer = load_tokenizer(folder_ / "model.gguf");
  ASSERT_TRUE(tokenizer.ok());
  constexpr int64_t kWidth = 256;
  std::vector<double> expected(kWidth);
  int64_t n_tokens = 0;
  const float* gain = model_.find("blk.0.attn_norm.weight").floats();
  for (const Window& window : make_windows(**tokenizer, text_, 128, 0)) {
    for (const int32_t token : window.tokens) {
      const float* row = model_.find("token_embd.weight").floats() + token * kWidth;
      double mean = 0;
      for (int64_t j = 0; j < kWidth; ++j) mean += double{row[j]} * row[j] / kWidth;
      for (int64_t j = 0; j < kWidth; ++j) {
        const double v = row[j] / std::sqrt(mean + 1e-5) * gain[j];
        expected[static_cast<size_t>(j)] += v * v;
      }
      ++n_tokens;
    }
  }
  const ImportanceEntry& entry = matrix->entries().at("blk.0.attn_q.weight");
  ASSERT_EQ(entry.counts, std::vector<float>{static_cast<float>(n_tokens)});
  ASSERT_EQ(entry.sums.size(), expected.size());
  for (size_t j = 0; j < expected.size(); ++j) {
    EXPECT_NEAR(entry.sums[j], expected[j], 1e-4 * expected[j]) << j;
  }
}

TEST_F(Calibration, EveryLinearLayerHasAnEntryUnderTheNameOfItsWeight) {
  const auto matrix = collect();
  ASSERT_TRUE(matrix.ok());
  size_t n_linear = 0;
  for (const testing::TinyTensor& tensor : model_.tensors) {
    if (tensor.dims.size() < 2) continue;
    ++n_linear;
    const auto entry = matrix->entries().find(tensor.name);
    ASSERT_NE(entry, matrix->entries().end()) << tensor.name;
    EXPECT_EQ(entry->second.sums.size(), static_cast<size_t>(tensor.dims[0])) << tensor.name;
  }
  EXPECT_EQ(matrix->entries().size(), n_linear);
  const auto& entries = matrix->entries();
  EXPECT_EQ(entries.at("blk.1.attn_q.weight").sums, entries.at("blk.1.attn_v.weight").sums);
  EXPECT_EQ(entries.at("blk.1.ffn_gate.weight").sums, entries.at("blk.1.ffn_up.weight").sums);
  EXPECT_NE(entries.at("blk.0.attn_q.weight").sums, entries.at("blk.1.attn_q.weight").sums);
  EXPECT_NE(entries.at("blk.0.attn_q.weight").sums, entries.at("blk.0.attn_output.weight").sums);
  EXPECT_EQ(matrix->source().datasets, std::vector<std::string>{"text.txt"});
  EXPECT_EQ(matrix->source().chunk_tokens, 128u);
}

TEST_F(Calibration, TheBytesDoNotDependOnThreads) {
  std::string hashes[3];
  for (int n_threads = 1; n_threads <= 3; ++n_threads) {
    options_.n_threads = n_threads;
    const auto matrix = collect();
    ASSERT_TRUE(matrix.ok());
    const auto path = folder_ / fmt::format("{}.gguf", n_threads);
    ASSERT_TRUE(matrix->write(path).ok());
    hashes[n_threads - 1] = testing::hash_of(path);
  }
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_EQ(hashes[0], hashes[2]);
}

TEST_F(Calibration, ShortTextsAndInterruptionsAreErrors) {
  std::atomic<bool> cancelled{true};
  auto result = collect(&cancelled);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kInterrupted);
  testing::write_text(folder_ / "text.txt", "abc");
  result = collect();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kFailure);
  EXPECT_NE(result.error().message.find("too short"), std::string::npos);
  options_.text = folder_ / "nothing.txt";
  result = collect();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kNotFound);
}

TEST_F(Calibration, MaxTokensBoundsTheWork) {
  options_.max_tokens = 200;
  const auto matrix = collect();
  ASSERT_TRUE(matrix.ok()) << matrix.error().message;
  EXPECT_LE(matrix->n_tokens(), 200);
  EXPECT_GT(matrix->n_tokens(), 0);
}

}  // namespace
}  // namespace nibble
