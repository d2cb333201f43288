// A model against itself and against itself in fewer bits; what cannot be compared is refused.
#include "evaluate/compare.h"

#include <cmath>

#include "tests/support/spread_model.h"

namespace nibble {
namespace {

class Compare : public ::testing::Test {
 protected:
  void SetUp() override {
    write_model("f32.gguf", base_);
    testing::write_text(folder_ / "text.txt", testing::make_text(4, 250));
    options_.text = folder_ / "text.txt";
    options_.window = 128;
    options_.n_threads = 2;
    options_.speed_tokens = 2;
    options_.speed_repeats = 1;
  }
  std::filesystem::path write_model(std::string_view name, const testing::TinyModel& model) {
    testing::write_model(model, folder_ / name);
    return folder_ / name;
  }
  std::filesystem::path write_in(FormatId format) {
    return write_model(fmt::format("{}.gguf", format_of(format).name),
                       testing::in_format(base_, format));
  }
  Result<Comparison> compare(const std::vector<std::filesystem::path>& models,
                             const std::atomic<bool>* cancelled = nullptr) {
    return compare_models(
        folder_ / "f32.gguf", models, options_, [](int64_t, int64_t) {}, cancelled);
  }
  ErrorKind kind_of_error(const std::vector<std::filesystem::path>& models) {
    const auto result = compare(models);
    EXPECT_FALSE(result.ok());
    return result.ok() ? ErrorKind::kUsage : result.error().kind;
  }

  testing::ScratchFolder folder_;
  testing::TinyModel base_ = testing::make_spread_model();
  CompareOptions options_;
};

TEST_F(Compare, AModelAgainstItselfLosesNothing) {
  const auto result = compare({folder_ / "f32.gguf"});
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->models.size(), 1u);
  const ComparedModel& model = result->models[0];
  // Not exactly nothing: the base keeps its keys and values in F32, the other in F16.
  EXPECT_GE(model.divergence.kld_mean, -1e-7);
  EXPECT_LT(model.divergence.kld_mean, 1e-5);
  EXPECT_GT(model.divergence.same_top, 0.98);
  EXPECT_NEAR(model.divergence.ppl_ratio, 1, 1e-3);
  EXPECT_NEAR(model.divergence.ppl, result->base_ppl, 1e-3 * result->base_ppl);
  EXPECT_GT(result->base_ppl, 1);
  EXPECT_NEAR(model.bits_per_weight, 32, 1e-9);
  EXPECT_EQ(model.file_bytes, result->base_file_bytes);
  EXPECT_EQ(model.file_bytes,
            static_cast<int64_t>(std::filesystem::file_size(folder_ / "f32.gguf")));
  EXPECT_GT(model.decode_speedup, 0);
}

TEST_F(Compare, CountsWhatItScored) {
  const auto result = compare({folder_ / "f32.gguf"});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->n_documents, 4);
  // Two windows per document, the first of 128 tokens: 64 to 126 are scored.
  EXPECT_EQ(result->n_windows, 8);
  EXPECT_GT(result->n_scored, 4 * (63 + 60));
  EXPECT_LE(result->n_scored, 8 * 63);
  EXPECT_EQ(result->models[0].divergence.n_tokens, result->n_scored);
}

TEST_F(Compare, FewerBitsLoseMore) {
  const auto result =
      compare({write_in(FormatId::Q4_0), write_in(FormatId::Q8_0), write_in(FormatId::F16)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->models.size(), 3u);
  const auto& q4 = result->models[0];
  const auto& q8 = result->models[1];
  const auto& f16 = result->models[2];
  EXPECT_GT(q4.divergence.kld_mean, 10 * q8.divergence.kld_mean);
  EXPECT_GT(q8.divergence.kld_mean, 2 * f16.divergence.kld_mean);
  EXPECT_GT(q4.divergence.kld_p99, q4.divergence.kld_mean);
  EXPECT_GT(q4.divergence.kld_stderr, 0);
  EXPECT_LT(q4.divergence.kld_stderr, q4.divergence.kld_mean);
  EXPECT_LE(q4.divergence.same_top, q8.divergence.same_top);
  EXPECT_LT(q4.file_bytes, q8.file_bytes);
  EXPECT_LT(q4.bits_per_weight, 4.6);  // a few vectors stay F32
  EXPECT_GT(q4.bits_per_weight, 4.5);
}

TEST_F(Compare, SameDigitsForAnyThreads) {
  const auto q4 = write_in(FormatId::Q4_0);
  std::vector<DivergenceSummary> summaries;
  for (const int n_threads : {1, 2, 3}) {
    options_.n_threads = n_threads;
    const auto result = compare({q4});
    ASSERT_TRUE(result.ok()) << result.error().message;
    summaries.push_back(result->models[0].divergence);
  }
  for (const DivergenceSummary& one : summaries) {
    EXPECT_EQ(one.kld_mean, summaries[0].kld_mean);
    EXPECT_EQ(one.kld_stderr, summaries[0].kld_stderr);
    EXPECT_EQ(one.kld_p99, summaries[0].kld_p99);
    EXPECT_EQ(one.same_top, summaries[0].same_top);
    EXPECT_EQ(one.ppl, summaries[0].ppl);
    EXPECT_EQ(one.ppl_ratio, summaries[0].ppl_ratio);
  }
}

TEST_F(Compare, NeighboursChangeNothing) {
  const auto q4 = write_in(FormatId::Q4_0), q8 = write_in(FormatId::Q8_0);
  const auto alone = compare({q4}), together = compare({q8, q4});
  ASSERT_TRUE(alone.ok() && together.ok());
  EXPECT_EQ(alone->models[0].divergence.kld_mean, together->models[1].divergence.kld_mean);
  EXPECT_EQ(alone->models[0].divergence.ppl, together->models[1].divergence.ppl);
  EXPECT_EQ(alone->base_ppl, together->base_ppl);
}

TEST_F(Compare, OneDocumentHasNoError) {
  testing::write_text(folder_ / "text.txt", testing::make_text(1, 250));
  const auto result = compare({write_in(FormatId::Q4_0)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->n_documents, 1);
  EXPECT_TRUE(std::isnan(result->models[0].divergence.kld_stderr));
}

TEST_F(Compare, MaxTokensIsObeyed) {
  options_.max_tokens = 300;
  const auto result = compare({folder_ / "f32.gguf"});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->n_windows, 2);
  EXPECT_EQ(result->n_documents, 1);
}

TEST_F(Compare, WindowsDoNotExceedTheContextOfAnyModel) {
  testing::TinyModel small = testing::in_format(base_, FormatId::Q8_0);
  small.metadata.set("llama.context_length", GgufValue::of_uint32(96));
  const auto result = compare({write_model("small.gguf", small)});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_LE(result->n_scored, result->n_windows * 48);
}

TEST_F(Compare, AnotherVocabularyIsRefused) {
  testing::TinyModel other = base_;
  VocabularyData vocabulary = small_vocabulary();
  std::swap(vocabulary.tokens[65], vocabulary.tokens[66]);
  testing::set_vocabulary(other.metadata, vocabulary);
  const auto path = write_model("other.gguf", other);
  const auto result = compare({path});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kFailure);
  EXPECT_NE(result.error().message.find(path.string()), std::string::npos);
  EXPECT_NE(result.error().message.find("vocabulary"), std::string::npos);

  testing::TinyShape shape;
  shape.vocab_size = 400;  // the same tokens and rows to spare
  EXPECT_EQ(kind_of_error({write_model("wide.gguf", testing::make_runnable_model(shape))}),
            ErrorKind::kFailure);
}

TEST_F(Compare, ATextThatIsTooShortIsRefused) {
  for (const std::string& text : {std::string(), testing::make_text(5, 20)}) {
    testing::write_text(folder_ / "text.txt", text);
    const auto result = compare({folder_ / "f32.gguf"});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kFailure);
    EXPECT_NE(result.error().message.find("longer text"), std::string::npos);
  }
}

TEST_F(Compare, MissingFilesAreNotFound) {
  EXPECT_EQ(kind_of_error({folder_ / "none.gguf"}), ErrorKind::kNotFound);
  options_.text = folder_ / "none.txt";
  EXPECT_EQ(kind_of_error({folder_ / "f32.gguf"}), ErrorKind::kNotFound);
}

TEST_F(Compare, CancelEndsIt) {
  std::atomic<bool> cancelled{false};
  int64_t last = 0, all = 0;
  const auto result = compare_models(
      folder_ / "f32.gguf", {folder_ / "f32.gguf"}, options_,
      [&](int64_t done, int64_t total) {
        last = done;
        all = total;
        if (done == 3) cancelled = true;
      },
      &cancelled);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::kInterrupted);
  EXPECT_GE(last, 3);
  EXPECT_LE(last, 4);
  EXPECT_EQ(all, 16);
}

}  // namespace
}  // namespace nibble
