#include "model/vocabulary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/hf_tokenizer_files.h"
#include "tests/support/golden.h"
#include "tests/support/small_vocabulary.h"
#include "text/tokenizer_json.h"

namespace nibble {
namespace {

GgufMetadata metadata_of(const VocabularyData& data) {
  GgufMetadata metadata;
  std::vector<int32_t> types;
  for (const TokenType type : data.types) types.push_back(static_cast<int32_t>(type));
  metadata.set("tokenizer.ggml.model", GgufValue::of_string(data.model));
  metadata.set("tokenizer.ggml.pre", GgufValue::of_string(data.pre));
  metadata.set("tokenizer.ggml.tokens", GgufValue::of_strings(data.tokens));
  metadata.set("tokenizer.ggml.token_type", GgufValue::of_int32s(types));
  metadata.set("tokenizer.ggml.merges", GgufValue::of_strings(data.merges));
  metadata.set("tokenizer.ggml.bos_token_id",
               GgufValue::of_uint32(static_cast<uint32_t>(data.bos)));
  metadata.set("tokenizer.ggml.eos_token_id",
               GgufValue::of_uint32(static_cast<uint32_t>(data.eos)));
  return metadata;
}

ErrorKind kind_of(const GgufMetadata& metadata) {
  const auto data = read_vocabulary(metadata);
  return data.ok() ? ErrorKind::kUsage : data.error().kind;
}

TEST(Vocabulary, ReadsWhatWasWritten) {
  const VocabularyData want = small_vocabulary();
  GgufMetadata metadata = metadata_of(want);
  metadata.set("tokenizer.ggml.eot_token_id", GgufValue::of_uint32(3));
  metadata.set("tokenizer.ggml.unknown_token_id", GgufValue::of_uint32(4));
  metadata.set("tokenizer.ggml.padding_token_id", GgufValue::of_uint32(5));
  metadata.set("tokenizer.ggml.add_bos_token", GgufValue::of_bool(true));
  metadata.set("tokenizer.ggml.add_eos_token", GgufValue::of_bool(true));
  const auto data = read_vocabulary(metadata);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->model, "gpt2");
  EXPECT_EQ(data->pre, "gpt-2");
  EXPECT_EQ(data->tokens, want.tokens);
  EXPECT_EQ(data->types, want.types);
  EXPECT_EQ(data->merges, want.merges);
  EXPECT_EQ(data->bos, want.bos);
  EXPECT_EQ(data->eos, want.eos);
  EXPECT_EQ(data->eot, 3);
  EXPECT_EQ(data->unknown, 4);
  EXPECT_EQ(data->padding, 5);
  EXPECT_TRUE(data->add_bos);
  EXPECT_TRUE(data->add_eos);
}

// Every kind of tokenizer, with and without its tokenizer.json beside the fields.
TEST(Vocabulary, WhatWriteVocabularyWritesIsRead) {
  for (const char* name : {"gpt2", "llama2", "gemma", "unigram", "word_piece", "smollm"}) {
    const auto text =
        read_text_file(NIBBLE_TEST_DATA "/golden/tokenizers/" + std::string(name) + ".json");
    ASSERT_TRUE(text.ok()) << name;
    const auto want = read_tokenizer_json(*text, name);
    ASSERT_TRUE(want.ok()) << name << ": " << want.error().message;
    GgufMetadata metadata;
    write_vocabulary(*want, metadata);
    const auto data = read_vocabulary(metadata);
    ASSERT_TRUE(data.ok()) << name << ": " << data.error().message;
    const auto ids = [](const VocabularyData& v) {
      return std::vector<int32_t>{v.bos, v.eos, v.eot, v.unknown, v.padding,
                                  v.eom, v.cls, v.sep, v.mask};
    };
    const auto flags = [](const VocabularyData& v) {
      return std::vector<bool>{v.add_bos, v.add_eos, v.add_sep};
    };
    EXPECT_EQ(data->model, want->model) << name;
    if (want->model == "gpt2") {
      EXPECT_EQ(data->pre, want->pre) << name;
    }
    EXPECT_EQ(data->tokens, want->tokens) << name;
    EXPECT_EQ(data->types, want->types) << name;
    EXPECT_EQ(data->merges, want->merges) << name;
    EXPECT_EQ(data->scores, want->scores) << name;
    // Ids that were not given are llama.cpp's defaults for the kind afterwards.
    for (size_t i = 0; i < ids(*want).size(); ++i) {
      if (ids(*want)[i] >= 0) {
        EXPECT_EQ(ids(*data)[i], ids(*want)[i]) << name << " " << i;
      }
    }
    EXPECT_EQ(flags(*data), flags(*want)) << name;
    EXPECT_EQ(data->precompiled_charsmap, want->precompiled_charsmap) << name;
    EXPECT_EQ(data->normalizer, want->normalizer) << name;
    EXPECT_EQ(data->huggingface_json, want->huggingface_json) << name;
    const auto before = Tokenizer::create(*want), after = Tokenizer::create(*data);
    ASSERT_TRUE(before.ok() && after.ok()) << name;
    const std::string sample = "Hello  w\u00f6rld, 12345\n don't";
    EXPECT_EQ((*after)->encode(sample, {}), (*before)->encode(sample, {})) << name;
  }
}

// A tokenizer.json written from the fields says what the one said that they came from.
TEST(Vocabulary, WordPieceAsAFolder) {
  const auto text = read_text_file(NIBBLE_TEST_DATA "/golden/tokenizers/word_piece.json");
  ASSERT_TRUE(text.ok());
  auto want = read_tokenizer_json(*text, "word_piece");
  ASSERT_TRUE(want.ok()) << want.error().message;
  want->huggingface_json.clear();
  GgufMetadata metadata;
  write_vocabulary(*want, metadata);
  std::vector<std::string> warnings;
  const auto files = tokenizer_files(metadata, warnings);
  ASSERT_TRUE(files.ok()) << files.error().message;
  const auto written = std::find_if(files->begin(), files->end(), [](const auto& file) {
    return file.first == "tokenizer.json";
  });
  ASSERT_NE(written, files->end());
  const auto data = read_tokenizer_json(written->second, "written");
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->tokens, want->tokens);
  EXPECT_EQ(data->types, want->types);
  const auto before = Tokenizer::create(*want), after = Tokenizer::create(*data);
  ASSERT_TRUE(before.ok() && after.ok());
  for (const char* sample :
       {"Hello  w\u00f6rld, 12345\n don't", "[CLS] [unused1] unbelievable ##s"}) {
    EXPECT_EQ((*after)->encode(sample, {}), (*before)->encode(sample, {})) << sample;
  }
}

TEST(Vocabulary, WhatIsNotSaid) {
  GgufMetadata metadata = metadata_of(small_vocabulary());
  metadata.erase("tokenizer.ggml.token_type");
  auto data = read_vocabulary(metadata);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_TRUE(data->types.empty());
  EXPECT_EQ(data->eot, -1);
  EXPECT_FALSE(data->add_bos);
  EXPECT_FALSE(data->add_eos);
  // Llama 3 puts BOS first unless the file says otherwise.
  metadata.set("tokenizer.ggml.pre", GgufValue::of_string("llama-bpe"));
  EXPECT_TRUE(read_vocabulary(metadata)->add_bos);
  metadata.set("tokenizer.ggml.add_bos_token", GgufValue::of_bool(false));
  EXPECT_FALSE(read_vocabulary(metadata)->add_bos);
  metadata.erase("tokenizer.ggml.add_bos_token");
  metadata.erase("tokenizer.ggml.bos_token_id");
  EXPECT_FALSE(read_vocabulary(metadata)->add_bos);
}

TEST(Vocabulary, MissingParts) {
  EXPECT_EQ(kind_of(GgufMetadata()), ErrorKind::kInvalid);
  for (const char* key :
       {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    GgufMetadata metadata = metadata_of(small_vocabulary());
    metadata.erase(key);
    EXPECT_EQ(kind_of(metadata), ErrorKind::kInvalid) << key;
  }
}

TEST(Vocabulary, WrongElementTypes) {
  const std::vector<std::string> strings(small_vocabulary().tokens.size(), "x");
  const std::vector<float> floats(strings.size(), 1.0f);
  const std::vector<int32_t> ints(strings.size(), 1);
  const std::string bytes(strings.size(), '\1');
  const std::vector<std::pair<std::string, GgufValue>> values = {
      {"strings", GgufValue::of_strings(strings)},
      {"float32", GgufValue::of_float32s(floats)},
      {"int32", GgufValue::of_int32s(ints)},
      {"uint8", GgufValue::of_raw(GgufType::kArray, GgufType::kUint8, bytes.size(), bytes)},
      {"bool", GgufValue::of_raw(GgufType::kArray, GgufType::kBool, bytes.size(), bytes)},
      {"one string", GgufValue::of_string("x")},
      {"one number", GgufValue::of_uint32(1)},
      {"one float", GgufValue::of_float32(1)},
      {"one bool", GgufValue::of_bool(true)}};
  const std::vector<std::pair<std::string, std::vector<std::string>>> allowed = {
      {"tokenizer.ggml.tokens", {"strings"}},
      {"tokenizer.ggml.merges", {"strings"}},
      {"tokenizer.ggml.scores", {"float32", "int32"}},
      {"tokenizer.ggml.token_type", {"int32"}},
      {"tokenizer.ggml.model", {"one string"}},
      {"tokenizer.ggml.pre", {"one string"}},
      {"tokenizer.ggml.bos_token_id", {"one number"}},
      {"tokenizer.ggml.add_bos_token", {"one bool"}}};
  for (const auto& [key, good] : allowed) {
    for (const auto& [name, value] : values) {
      GgufMetadata metadata = metadata_of(small_vocabulary());
      metadata.set(key, value);
      const bool is_good = std::find(good.begin(), good.end(), name) != good.end();
      EXPECT_EQ(read_vocabulary(metadata).ok(), is_good) << key << " as " << name;
      if (!is_good) {
        EXPECT_EQ(kind_of(metadata), ErrorKind::kInvalid) << key << " as " << name;
      }
    }
  }
}

TEST(Vocabulary, CountsThatDisagree) {
  const size_t n = small_vocabulary().tokens.size();
  for (const size_t count : {size_t{0}, n - 1, n + 1}) {
    GgufMetadata metadata = metadata_of(small_vocabulary());
    metadata.set("tokenizer.ggml.token_type", GgufValue::of_int32s(std::vector<int32_t>(count, 1)));
    EXPECT_EQ(kind_of(metadata), ErrorKind::kInvalid);
    metadata = metadata_of(small_vocabulary());
    metadata.set("tokenizer.ggml.scores", GgufValue::of_float32s(std::vector<float>(count, 0)));
    EXPECT_EQ(kind_of(metadata), ErrorKind::kInvalid);
  }
}

TEST(Vocabulary, WrongNumbers) {
  for (const int32_t type : {-1, 7, INT32_MAX, INT32_MIN}) {
    GgufMetadata metadata = metadata_of(small_vocabulary());
    std::vector<int32_t> types(small_vocabulary().tokens.size(), 1);
    types[9] = type;
    metadata.set("tokenizer.ggml.token_type", GgufValue::of_int32s(types));
    EXPECT_EQ(kind_of(metadata), ErrorKind::kInvalid) << type;
  }
  GgufMetadata metadata = metadata_of(small_vocabulary());
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::of_uint32(UINT32_MAX));
  EXPECT_EQ(kind_of(metadata), ErrorKind::kInvalid);
}

class DemoTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(NIBBLE_DEMO_MODEL)) {
      GTEST_SKIP() << "the demo model is missing: " << NIBBLE_DEMO_MODEL;
    }
    auto file = GgufFile::open(NIBBLE_DEMO_MODEL);
    ASSERT_TRUE(file.ok()) << file.error().message;
    auto data = read_vocabulary(file->metadata());
    ASSERT_TRUE(data.ok()) << data.error().message;
    auto tokenizer = Tokenizer::create(data.take());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = tokenizer.take();
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(DemoTokenizer, IdsEqualAnIndependentEngine) {
  const auto cases = golden::read_token_cases(NIBBLE_TEST_DATA "/golden/smollm2_tokens.json");
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  ASSERT_GE(cases->size(), 60u);
  for (const golden::TokenCase& one : *cases) {
    EXPECT_EQ(tokenizer_->encode(one.text, {.add_special = false, .parse_special = false}),
              one.plain)
        << one.text;
    EXPECT_EQ(tokenizer_->encode(one.text, {.add_special = false, .parse_special = true}),
              one.special)
        << one.text;
  }
}

TEST_F(DemoTokenizer, GoldenPromptsAreTheTokensOfTheirText) {
  const auto runs = golden::read_greedy(NIBBLE_TEST_DATA "/golden/smollm2_greedy.json");
  ASSERT_TRUE(runs.ok()) << runs.error().message;
  ASSERT_EQ(runs->size(), 5u);
  for (const golden::GreedyRun& run : *runs) {
    EXPECT_EQ(tokenizer_->encode(run.prompt, {}), run.prompt_ids);
    EXPECT_EQ(run.continuation_ids.size(), 64u);
    EXPECT_EQ(run.top2_gaps.size(), 64u);
  }
  const auto logits = golden::read_logits(NIBBLE_TEST_DATA "/golden/smollm2_logits.bin");
  ASSERT_TRUE(logits.ok()) << logits.error().message;
  const auto text = read_text_file(NIBBLE_TEST_DATA "/golden/smollm2_text.txt");
  ASSERT_TRUE(text.ok()) << text.error().message;
  auto tokens = tokenizer_->encode(*text, {});
  tokens.resize(logits->tokens.size());
  EXPECT_EQ(tokens, logits->tokens);
  EXPECT_EQ(logits->vocab_size, tokenizer_->vocab_size());
  EXPECT_EQ(logits->positions.size(), 200u);
  EXPECT_EQ(logits->sampled_ids.size(), 1024u);
}

TEST_F(DemoTokenizer, EndTokens) {
  EXPECT_TRUE(tokenizer_->is_end(tokenizer_->find("<|im_end|>")));
  EXPECT_TRUE(tokenizer_->is_end(tokenizer_->find("<|endoftext|>")));
  EXPECT_FALSE(tokenizer_->is_end(tokenizer_->find("<|im_start|>")));
}

TEST_F(DemoTokenizer, TextOfEverySpecialTokenStaysText) {
  const VocabularyData& data = tokenizer_->vocabulary();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.types[id] != TokenType::kControl) continue;
    for (const int32_t token : tokenizer_->encode(data.tokens[id], {.add_special = false})) {
      EXPECT_NE(data.types[static_cast<size_t>(token)], TokenType::kControl) << data.tokens[id];
    }
  }
}

}  // namespace
}  // namespace nibble
