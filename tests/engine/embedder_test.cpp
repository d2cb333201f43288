// Texts to vectors: pooling, length, limits; encoders and models that continue texts.
#include "engine/embedder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/encoder.h"
#include "tests/support/arch_golden.h"
#include "tests/support/runnable_model.h"

namespace nibble {
namespace {

// The golden encoder with a vocabulary of words: 96 tokens.
std::filesystem::path write_encoder(const testing::ScratchFolder& folder) {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  std::vector<int32_t> types = {3, 3, 3, 3, 3};
  for (int i = 0; tokens.size() < 96; ++i) {
    tokens.push_back((i % 2 == 0 ? "\u2581" : "") + std::string(1, static_cast<char>('a' + i / 2)) +
                     (i >= 52 ? "x" : ""));
    types.push_back(1);
  }
  const auto path = folder / "encoder.gguf";
  golden::write_edited(
      golden::arch_folder("bert") / "model.gguf",
      [&](GgufMetadata& metadata) {
        metadata.set("tokenizer.ggml.model", GgufValue::of_string("bert"));
        metadata.set("tokenizer.ggml.tokens", GgufValue::of_strings(tokens));
        metadata.set("tokenizer.ggml.token_type", GgufValue::of_int32s(types));
        metadata.set("tokenizer.ggml.unknown_token_id", GgufValue::of_uint32(1));
        metadata.set("tokenizer.ggml.bos_token_id", GgufValue::of_uint32(2));
        metadata.set("tokenizer.ggml.cls_token_id", GgufValue::of_uint32(2));
        metadata.set("tokenizer.ggml.seperator_token_id", GgufValue::of_uint32(3));
        metadata.set("tokenizer.ggml.eos_token_id", GgufValue::of_uint32(3));
      },
      path);
  return path;
}

std::unique_ptr<Embedder> load(const std::filesystem::path& path, EmbedderOptions options = {}) {
  options.n_threads = 2;
  options.activations = ActivationMode::kFloat;
  auto embedder = Embedder::load(path, options);
  EXPECT_TRUE(embedder.ok()) << embedder.error().message;
  return embedder.take();
}

double length(std::span<const float> x) {
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(squares);
}

TEST(Embedder, PoolsTheStatesOfAnEncoder) {
  testing::ScratchFolder folder;
  const auto path = write_encoder(folder);
  ThreadPool pool(2);
  const auto model = Model::load(path, pool).take();
  Encoder::Options encoder_options;
  encoder_options.max_tokens = 64;
  encoder_options.activations = ActivationMode::kFloat;
  const auto encoder = Encoder::create(*model, pool, encoder_options).take();

  const auto embedder = load(path);
  EXPECT_EQ(embedder->info().architecture, "bert");
  EXPECT_EQ(embedder->info().width, 32);
  EXPECT_EQ(embedder->info().pooling, PoolBy::mean);  // as the file says
  const std::vector<int32_t> tokens = embedder->tokenizer().encode("a b cb", {});
  ASSERT_GE(tokens.size(), 5u);
  EXPECT_EQ(tokens.front(), 2);
  EXPECT_EQ(tokens.back(), 3);
  const std::span<const float> states = encoder->run(tokens);
  for (const auto& [by, pooling] : {std::pair{PoolBy::mean, Pooling::mean},
                                    {PoolBy::cls, Pooling::cls},
                                    {PoolBy::last, Pooling::last}}) {
    EmbedderOptions options;
    options.pooling = by;
    options.normalize = false;
    std::vector<float> expected(32);
    pool_hidden(kernels::active(), pooling, states, expected);
    EXPECT_EQ(load(path, options)->embed("a b cb").take(), expected);
    normalize_length(expected);
    options.normalize = true;
    const auto normalized = load(path, options)->embed("a b cb").take();
    EXPECT_EQ(normalized, expected);
    EXPECT_NEAR(length(normalized), 1.0, 1e-6);
  }
}

TEST(Embedder, LongTextsFailOrAreCut) {
  testing::ScratchFolder folder;
  EmbedderOptions options;
  options.n_ctx = 8;
  const auto embedder = load(write_encoder(folder), options);
  const std::string text = "a b c d e f g h i";
  const auto whole = embedder->embed(text);
  ASSERT_FALSE(whole.ok());
  EXPECT_EQ(whole.error().kind, ErrorKind::kFailure);
  EXPECT_NE(whole.error().message.find("11 tokens; 1 to 8"), std::string::npos)
      << whole.error().message;
  const auto cut = embedder->embed(text, /*cut=*/true);
  ASSERT_TRUE(cut.ok()) << cut.error().message;
  EXPECT_EQ(*cut, embedder->embed("a b c d e f").take());
  const int32_t outside[] = {2, 96, 3};
  EXPECT_FALSE(embedder->embed(outside).ok());
}

TEST(Embedder, ModelsThatContinueTextsGiveTheStateOfTheLastToken) {
  testing::ScratchFolder folder;
  testing::TinyShape shape;
  shape.vocab_size = 400;
  testing::write_model(testing::make_runnable_model(shape), folder / "tiny.gguf");
  const auto embedder = load(folder / "tiny.gguf");
  EXPECT_EQ(embedder->info().pooling, PoolBy::last);
  const auto vector = embedder->embed("hello world");
  ASSERT_TRUE(vector.ok()) << vector.error().message;
  EXPECT_NEAR(length(*vector), 1.0, 1e-6);
  // More tokens than one step takes, and the same bits again.
  std::vector<int32_t> tokens;
  for (int i = 0; i < 700; ++i) tokens.push_back(i % 250);
  const auto first = embedder->embed(tokens).take();
  EXPECT_NE(first, *vector);
  EXPECT_EQ(embedder->embed(tokens).take(), first);
  tokens[0] = 77;  // the last token sees the first
  EXPECT_NE(embedder->embed(tokens).take(), first);
}

TEST(Embedder, EncodersHaveNoSessions) {
  testing::ScratchFolder folder;
  const auto engine = Engine::load(write_encoder(folder), {});
  ASSERT_FALSE(engine.ok());
  EXPECT_NE(engine.error().message.find("nibble embed"), std::string::npos);
}

TEST(Embedder, MemoryOfEncodersIsKnown) {
  testing::ScratchFolder folder;
  const auto needs = memory_needs(write_encoder(folder));
  ASSERT_EQ(needs.size(), 1u);
  EXPECT_EQ(needs[0].n_ctx, 256);
  EXPECT_GT(needs[0].bytes, 100000);
}

}  // namespace
}  // namespace nibble
