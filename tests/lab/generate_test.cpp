#include "lab/generate.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "model/vocabulary.h"
#include "quantize/pipeline.h"
#include "tests/lab/lab_files.h"
#include "tests/support/tiny_model.h"

namespace nibble::lab {
namespace {

using testing::ScratchFolder;

std::span<const std::byte> bytes_of(const GgufFile& file, std::string_view name) {
  const GgufTensor* tensor = file.find_tensor(name);
  EXPECT_NE(tensor, nullptr) << name;
  return tensor == nullptr ? std::span<const std::byte>() : file.data(*tensor);
}

TEST(Generate, EveryShapeReadsBackAsItself) {
  for (const ModelShape& shape : all_shapes()) {
    SCOPED_TRACE(shape.name);
    const auto plan = plan_model(options_for(shape.name, "Q4_K_M"));
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    ConfigReader reader(plan->metadata, "llama", "test");
    const auto config = find_architecture("llama")->read_config(reader);
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_EQ(config->d_model, shape.d_model);
    EXPECT_EQ(config->n_layers, shape.n_layers);
    EXPECT_EQ(config->n_heads, shape.n_heads);
    EXPECT_EQ(config->n_kv_heads, shape.n_kv_heads);
    EXPECT_EQ(config->d_ff, shape.d_ff);
    EXPECT_EQ(config->n_ctx_train, shape.n_ctx);
    EXPECT_EQ(config->rope_base, static_cast<double>(shape.rope_base));
    EXPECT_EQ(config->norm_epsilon, shape.norm_epsilon);
    const auto vocabulary = read_vocabulary(plan->metadata);
    ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
    EXPECT_EQ(static_cast<int64_t>(vocabulary->tokens.size()), shape.vocab_size);
  }
}

TEST(Generate, ShapesHaveTheKnownNumbersOfParameters) {
  const auto n_params = [](std::string_view shape) {
    return plan_model(options_for(shape, "F32"))->n_params;
  };
  EXPECT_EQ(n_params("smollm2"), 134515008u);  // as published
  EXPECT_EQ(n_params("1b"), 1100048384u);      // TinyLlama-1.1B
  EXPECT_EQ(n_params("7b"), 7241732096u);      // Mistral-7B
}

TEST(Generate, TypesAreThoseQuantizeWouldChoose) {
  // The same rows of data decide, but by another way: the plan is made without a file here.
  const ScratchFolder folder;
  generate(options_for("tiny", "F32"), folder / "f32.gguf");
  const auto source = GgufFile::open(folder / "f32.gguf");
  ASSERT_TRUE(source.ok());
  for (const Recipe& recipe : all_recipes()) {
    SCOPED_TRACE(recipe.name);
    const auto ours = plan_model(options_for("tiny", std::string(recipe.name)));
    const auto theirs = plan_quantize(*source, {.to = std::string(recipe.name)});
    ASSERT_TRUE(ours.ok() && theirs.ok());
    ASSERT_EQ(ours->tensors.size(), theirs->tensors.size());
    for (size_t i = 0; i < ours->tensors.size(); ++i) {
      EXPECT_EQ(ours->tensors[i].name, theirs->tensors[i].source.name);
      EXPECT_EQ(ours->tensors[i].format, theirs->tensors[i].chosen) << ours->tensors[i].name;
    }
    EXPECT_EQ(ours->tensor_bytes, theirs->tensor_bytes);
  }
}

TEST(Generate, EveryWeightFormatIsAType) {
  for (const Format& format : all_formats()) {
    if (format.encode == nullptr) continue;
    const auto plan = plan_model(options_for("smollm2", std::string(format.name)));
    EXPECT_TRUE(plan.ok()) << format.name;
  }
}

TEST(Generate, ASmallModelIsWhatQuantizeMakesOfItsF32) {
  const ScratchFolder folder;
  generate(options_for("tiny", "F32"), folder / "f32.gguf");
  generate(options_for("tiny", "Q4_K_M"), folder / "generated.gguf");
  ThreadPool pool(2);
  const auto report = quantize_file(folder / "f32.gguf", folder / "quantized.gguf",
                                    {.to = "Q4_K_M"}, pool, {}, nullptr);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(hash_of(folder / "generated.gguf"), hash_of(folder / "quantized.gguf"));
}

TEST(Generate, BytesDependOnTheSeedButNotOnThreads) {
  const ScratchFolder folder;
  // The first is encoded weight by weight, the second has pools.
  GenerateOptions dealt = options_for("1b-6l", "Q4_0");
  dealt.shape.n_layers = 1;
  dealt.shape.vocab_size = 2048;
  for (GenerateOptions options : {options_for("tiny", "Q4_K_M"), dealt}) {
    SCOPED_TRACE(options.shape.name);
    generate(options, folder / "1.gguf", 1);
    for (int n_threads = 2; n_threads <= 4; ++n_threads) {
      generate(options, folder / "n.gguf", n_threads);
      EXPECT_EQ(hash_of(folder / "n.gguf"), hash_of(folder / "1.gguf")) << n_threads;
    }
    ++options.seed;
    generate(options, folder / "n.gguf");
    EXPECT_NE(hash_of(folder / "n.gguf"), hash_of(folder / "1.gguf"));
  }
}

TEST(Generate, DealtRowsAreDistinctAndSized) {
  const ScratchFolder folder;
  for (const char* type : {"Q4_K_M", "Q8_0"}) {
    SCOPED_TRACE(type);
    GenerateOptions options = options_for("1b-6l", type);
    options.shape.n_layers = 1;
    options.shape.vocab_size = 2048;
    ASSERT_GT(plan_model(options)->n_params, kExactWeights);
    generate(options, folder / "model.gguf");
    const auto file = GgufFile::open(folder / "model.gguf");
    ASSERT_TRUE(file.ok());
    for (const GgufTensor& tensor : file->tensors()) {
      if (tensor.n_dims == 1) continue;
      SCOPED_TRACE(tensor.name);
      const auto data = file->data(tensor);
      const size_t row_bytes = tensor.format->size_bytes(tensor.row_len());
      std::set<std::string> rows;
      double squares = 0;
      std::vector<float> x(static_cast<size_t>(tensor.row_len()));
      for (size_t at = 0; at < data.size(); at += row_bytes) {
        rows.emplace(reinterpret_cast<const char*>(data.data()) + at, row_bytes);
        tensor.format->decode(data.data() + at, x.data(), tensor.row_len());
        for (const float value : x) squares += static_cast<double>(value) * value;
      }
      EXPECT_EQ(static_cast<int64_t>(rows.size()), tensor.n_rows());
      const double variance = squares / static_cast<double>(tensor.n_elements());
      const bool ends_branch = tensor.name.find("attn_output") != std::string::npos ||
                               tensor.name.find("ffn_down") != std::string::npos;
      const double expected = 1.0 / static_cast<double>(tensor.row_len() * (ends_branch ? 2 : 1));
      EXPECT_NEAR(variance / expected, 1.0, 0.02);
    }
  }
}

TEST(Generate, ASmallModelRuns) {
  const ScratchFolder folder;
  generate(options_for("tiny", "F32"), folder / "f32.gguf");
  generate(options_for("tiny", "Q8_0"), folder / "q8.gguf");
  const auto tokens = some_tokens(16, 512);
  const auto exact = logits_of(folder / "f32.gguf", tokens);
  const double difference = largest_difference(exact, logits_of(folder / "q8.gguf", tokens), 16);
  EXPECT_GT(difference, 0.0);
  EXPECT_LT(difference, 0.1);
}

TEST(Generate, TheContextAndTheTokenizerAreTheAskedOnes) {
  const ScratchFolder folder;
  GenerateOptions options = options_for("tiny", "F16");
  options.shape.n_ctx = 77;
  options.shape.vocab_size = 300;
  generate(options, folder / "small.gguf");
  const auto file = GgufFile::open(folder / "small.gguf");
  ASSERT_TRUE(file.ok());
  const auto config = read_config(*file, "test");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->n_ctx_train, 77);
  EXPECT_EQ(config->vocab_size, 300);

  GenerateOptions with_tokenizer = options_for("tiny", "F16");
  with_tokenizer.tokenizer = folder / "small.gguf";
  const auto plan = plan_model(with_tokenizer);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  const auto vocabulary = read_vocabulary(plan->metadata);
  ASSERT_TRUE(vocabulary.ok());
  ASSERT_EQ(vocabulary->tokens.size(), 512u);
  EXPECT_EQ(vocabulary->tokens[300], "<|pad_300|>");

  ThreadPool pool(1);
  const auto onto_itself =
      generate_model(with_tokenizer, folder / "small.gguf", {pool, {}, nullptr});
  ASSERT_FALSE(onto_itself.ok());
  EXPECT_EQ(onto_itself.error().kind, ErrorKind::kUsage);
}

TEST(Generate, WhatCannotBeMadeIsRefused) {
  const ScratchFolder folder;
  const auto unknown = plan_model(options_for("tiny", "Q4_X"));
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().kind, ErrorKind::kFailure);
  EXPECT_NE(unknown.error().message.find("Q4_X"), std::string::npos);
  EXPECT_FALSE(plan_model(options_for("tiny", "I32")).ok());

  GenerateOptions options = options_for("tiny", "F16");
  options.tokenizer = folder / "missing.gguf";
  const auto missing = plan_model(options);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);

  ThreadPool pool(2);
  const std::atomic<bool> cancelled{true};
  const auto stopped =
      generate_model(options_for("tiny", "F16"), folder / "out.gguf", {pool, {}, &cancelled});
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_TRUE(folder.names().empty());
}

TEST(Generate, ProgressNeverFallsAndEndsWithEverything) {
  const ScratchFolder folder;
  ThreadPool pool(2);
  uint64_t last = 0, total = 0;
  const auto progress = [&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
  };
  const auto plan =
      generate_model(options_for("tiny", "Q4_0"), folder / "out.gguf", {pool, progress, nullptr});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, plan->tensor_bytes);
}

TEST(Generate, GainsAreOne) {
  const ScratchFolder folder;
  generate(options_for("tiny", "Q4_0"), folder / "out.gguf");
  const auto file = GgufFile::open(folder / "out.gguf");
  ASSERT_TRUE(file.ok());
  const auto bytes = bytes_of(*file, "blk.1.ffn_norm.weight");
  const auto* gains = reinterpret_cast<const float*>(bytes.data());
  EXPECT_EQ(bytes.size(), 256 * sizeof(float));
  EXPECT_TRUE(std::all_of(gains, gains + 256, [](float gain) { return gain == 1.0f; }));
}

}  // namespace
}  // namespace nibble::lab
