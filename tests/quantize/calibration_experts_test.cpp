// What calibrate() collects of a mixture of experts: each expert sees its own tokens.
#include <gtest/gtest.h>

#include <numeric>

#include "quantize/calibration.h"
#include "tests/support/arch_golden.h"
#include "tests/support/spread_model.h"

namespace nibble {
namespace {

TEST(CalibrationOfExperts, TheirSumsStandOneAfterTheOther) {
  testing::ScratchFolder folder;
  // 96 tokens: the printable ASCII characters and an end, byte-level.
  std::vector<std::string> tokens;
  for (char c = '!'; c <= '~'; ++c) tokens.emplace_back(1, c);
  tokens.push_back("\u0120");
  tokens.push_back("</s>");
  const auto path = folder / "experts.gguf";
  golden::write_edited(
      golden::arch_folder("mixtral") / "model.gguf",
      [&](GgufMetadata& metadata) {
        metadata.set("tokenizer.ggml.model", GgufValue::of_string("gpt2"));
        metadata.set("tokenizer.ggml.pre", GgufValue::of_string("gpt-2"));
        metadata.set("tokenizer.ggml.tokens", GgufValue::of_strings(tokens));
        metadata.set("tokenizer.ggml.merges", GgufValue::of_strings({}));
        metadata.set("tokenizer.ggml.eos_token_id", GgufValue::of_uint32(95));
      },
      path);
  testing::write_text(folder / "text.txt", testing::make_text(3, 250));
  CalibrateOptions options;
  options.text = folder / "text.txt";
  options.chunk_tokens = 128;
  options.n_threads = 2;
  const auto matrix = calibrate(
      path, options, [](int64_t, int64_t) {}, nullptr);
  ASSERT_TRUE(matrix.ok()) << matrix.error().message;

  const auto& entries = matrix->entries();
  const ImportanceEntry& q = entries.at("blk.0.attn_q.weight");
  ASSERT_EQ(q.counts.size(), 1u);
  const ImportanceEntry& up = entries.at("blk.0.ffn_up_exps.weight");
  const ImportanceEntry& down = entries.at("blk.0.ffn_down_exps.weight");
  ASSERT_EQ(up.counts.size(), 5u);
  ASSERT_EQ(up.sums.size(), 5u * 32u);
  ASSERT_EQ(down.sums.size(), 5u * 64u);
  EXPECT_EQ(up.counts, down.counts);
  EXPECT_EQ(entries.at("blk.0.ffn_gate_exps.weight").sums, up.sums);
  // Two of five experts per token.
  EXPECT_EQ(std::accumulate(up.counts.begin(), up.counts.end(), 0.0f), 2 * q.counts[0]);
  for (size_t e = 0; e < 5; ++e) {
    const float sum = std::accumulate(up.sums.begin() + static_cast<ptrdiff_t>(e * 32),
                                      up.sums.begin() + static_cast<ptrdiff_t>(e * 32 + 32), 0.0f);
    EXPECT_EQ(sum > 0, up.counts[e] > 0) << e;
  }
  // The factors fit the tensor, expert by expert.
  const GgufFile file = GgufFile::open(path).take();
  const auto factors = matrix->factors(*file.find_tensor("blk.0.ffn_up_exps.weight"));
  ASSERT_TRUE(factors.ok()) << factors.error().message;
  EXPECT_EQ(factors->size(), 5u * 32u);
}

}  // namespace
}  // namespace nibble
