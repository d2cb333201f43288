// Configurations that are wrong or that nibble does not know: one sentence each, and the kind of
// error.
#include "model/config.h"

#include <gtest/gtest.h>

#include "model/model.h"
#include "tests/support/arch_golden.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

struct Case {
  const char* model;
  const char* key;
  GgufValue value;
  ErrorKind kind;
  const char* part;  // of the message
};

TEST(Config, WrongAndUnknownValuesAreNamed) {
  const auto text = [](const char* value) { return GgufValue::of_string(value); };
  const auto number = [](uint32_t value) { return GgufValue::of_uint32(value); };
  const auto real = [](float value) { return GgufValue::of_float32(value); };
  const int32_t three[] = {1, 0, 1};
  const Case cases[] = {
      {"llama3", "general.architecture", text("mamba"), ErrorKind::kFailure,
       "architecture 'mamba'; nibble runs: llama, qwen2, qwen3, qwen3moe, gemma2, gemma3, phi3, "
       "gptneox, gpt2, bert, nomic-bert"},
      {"llama3", "llama.rope.scaling.type", text("dynamic"), ErrorKind::kFailure,
       "'dynamic' is not supported; none, linear, yarn and longrope are"},
      {"llama_yarn", "llama.rope.scaling.yarn_log_multiplier", real(0.1f), ErrorKind::kFailure,
       "yarn_log_multiplier"},
      {"llama_yarn", "llama.rope.freq_base", real(1.0f), ErrorKind::kInvalid, "more than 1"},
      {"llama3", "llama.rope.dimension_count", number(18), ErrorKind::kInvalid,
       "18 rotated dimensions"},
      {"llama3", "llama.attention.value_length", number(8), ErrorKind::kFailure,
       "different lengths"},
      {"llama3", "llama.attention.head_count_kv", number(3), ErrorKind::kInvalid,
       "not a multiple of head_count_kv 3"},
      {"llama3", "llama.expert_count", number(4), ErrorKind::kInvalid, "expert_used_count"},
      {"mixtral", "llama.expert_used_count", number(6), ErrorKind::kInvalid, "expert_used_count"},
      {"mixtral", "llama.expert_count", number(4), ErrorKind::kInvalid, "ffn_gate_inp"},
      {"mixtral", "llama.expert_weights_scale", real(2.0f), ErrorKind::kFailure,
       "expert_weights_scale"},
      {"qwen3moe", "qwen3moe.expert_count", number(0), ErrorKind::kInvalid, "expert_count"},
      {"gemma2", "gemma2.attention.sliding_window_pattern", GgufValue::of_int32s({three, 2}),
       ErrorKind::kInvalid, "sliding_window_pattern must be a number or 3 integers"},
      {"gptneox", "gptneox.use_parallel_residual", number(1), ErrorKind::kInvalid, "no bool"},
      {"bert", "bert.pooling_type", number(4), ErrorKind::kFailure, "ranks pairs of texts"},
      {"bert", "tokenizer.ggml.token_type_count", number(0), ErrorKind::kInvalid,
       "token_type_count must be 1 to 65536"},
      {"bert", "tokenizer.ggml.token_type_count", number(3), ErrorKind::kInvalid, "token_types"},
      {"gpt2", "gpt2.context_length", number(300), ErrorKind::kInvalid, "position_embd"},
  };
  testing::ScratchFolder folder;
  ThreadPool pool(1);
  for (const Case& c : cases) {
    golden::write_edited(
        golden::arch_folder(c.model) / "model.gguf",
        [&](GgufMetadata& metadata) { metadata.set(c.key, c.value); }, folder / "edited.gguf");
    const auto model = Model::load(folder / "edited.gguf", pool);
    ASSERT_FALSE(model.ok()) << c.key;
    EXPECT_EQ(model.error().kind, c.kind) << c.key << ": " << model.error().message;
    EXPECT_NE(model.error().message.find(c.part), std::string::npos) << model.error().message;
  }
}

TEST(Config, ThePatternOfWindowsMayStandInTheFile) {
  testing::ScratchFolder folder;
  ThreadPool pool(1);
  const auto windows_of = [&](GgufValue pattern) {
    golden::write_edited(
        golden::arch_folder("gemma2") / "model.gguf",
        [&](GgufMetadata& metadata) {
          metadata.set("gemma2.attention.sliding_window_pattern", pattern);
        },
        folder / "edited.gguf");
    const auto model = Model::load(folder / "edited.gguf", pool).take();
    std::vector<int64_t> windows;
    for (const LayerPlan& plan : model->layers()) windows.push_back(plan.window);
    return windows;
  };
  const int32_t marks[] = {0, 1, 1};
  EXPECT_EQ(windows_of(GgufValue::of_int32s(marks)), (std::vector<int64_t>{0, 40, 40}));
  EXPECT_EQ(windows_of(GgufValue::of_uint32(2)), (std::vector<int64_t>{40, 0, 40}));
  EXPECT_EQ(windows_of(GgufValue::of_uint32(3)), (std::vector<int64_t>{40, 40, 0}));
  EXPECT_EQ(windows_of(GgufValue::of_uint32(1)), (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(windows_of(GgufValue::of_uint32(0)), (std::vector<int64_t>{40, 40, 40}));
}

}  // namespace
}  // namespace nibble
