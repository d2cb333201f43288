#include "text/plain_vocabulary.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nibble {
namespace {

using Ids = std::vector<int32_t>;

constexpr std::string_view kWords =
    "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\nun\n##aff\n##able\ncaf\xc3\xa9\ncafe\n,"
    "\nUn\n\xe4\xb8\xad";

Ids ids_of(Result<VocabularyData> data, std::string_view text, bool add_special = true) {
  EXPECT_TRUE(data.ok()) << data.error().message;
  if (!data.ok()) return {};
  const auto tokenizer = Tokenizer::create(data.take());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  if (!tokenizer.ok()) return {};
  return (*tokenizer)->encode(text, {.add_special = add_special, .parse_special = true});
}

void expect_error(const Result<VocabularyData>& data, ErrorKind kind, std::string_view part) {
  ASSERT_FALSE(data.ok()) << part;
  EXPECT_EQ(data.error().kind, kind) << data.error().message;
  EXPECT_NE(data.error().message.find(part), std::string::npos) << data.error().message;
}

TEST(WordList, IsWhatBertTokenizerMakes) {
  const auto ids = [](std::string_view config, std::string_view text) {
    return ids_of(read_word_list(kWords, config, "vocab.txt"), text);
  };
  // small letters, accents gone, CJK characters alone
  EXPECT_EQ(ids("", "Unaffable, caf\xc3\xa9\xe4\xb8\xad zz"), (Ids{2, 5, 6, 7, 10, 9, 12, 1, 3}));
  EXPECT_EQ(ids(R"({"tokenizer_class": "BertTokenizerFast", "do_lower_case": false})",
                "Unaffable caf\xc3\xa9"),
            (Ids{2, 11, 6, 7, 8, 3}));
  EXPECT_EQ(ids(R"({"strip_accents": false})", "Caf\xc3\xa9"), (Ids{2, 8, 3}));
  EXPECT_EQ(ids(R"({"tokenize_chinese_chars": false})", "un\xe4\xb8\xad"), (Ids{2, 1, 3}));
  EXPECT_EQ(ids(R"({"cls_token": {"content": "un"}, "mask_token": "none"})", "un [MASK]"),
            (Ids{5, 5, 1, 1, 1, 3}));
}

TEST(WordList, WhatIsNoListForBert) {
  expect_error(read_word_list("a\nb\n", "", "vocab.txt"), ErrorKind::kInvalid, "[UNK]");
  expect_error(read_word_list("", "", "vocab.txt"), ErrorKind::kInvalid, "[UNK]");
  expect_error(read_word_list(kWords, R"({"tokenizer_class": "EsmTokenizer"})", "vocab.txt"),
               ErrorKind::kFailure, "'EsmTokenizer'");
  expect_error(read_word_list(kWords, R"({"do_lower_case": 3})", "vocab.txt"), ErrorKind::kInvalid,
               "do_lower_case");
  expect_error(read_word_list(kWords, "[", "vocab.txt"), ErrorKind::kInvalid,
               "tokenizer_config.json");
}

constexpr std::string_view kVocab = R"({"a": 0, "b": 1, "ab": 2, "\u0120": 3, "\u0120ab": 4,)"
                                    R"( "1": 5, "11": 6, "<|endoftext|>": 7})";
constexpr std::string_view kMerges = "#version: 0.2\r\na b\n\u0120 ab\n\n1 1";

TEST(VocabularyAndMerges, AreWhatTheClassMakesOfThem) {
  const auto read = [](std::string_view config, std::string_view type,
                       std::string_view added = "") {
    return read_vocabulary_and_merges({kVocab, kMerges, added, config}, type, "vocab.json");
  };
  EXPECT_EQ(ids_of(read("", "gpt2"), "ab ab11<|endoftext|>"), (Ids{2, 4, 6, 7}));
  EXPECT_EQ(read("", "gpt2")->pre, "gpt-2");
  EXPECT_TRUE(read("", "gpt2")->huggingface_json.empty());
  // Qwen takes digits one by one
  EXPECT_EQ(ids_of(read("", "qwen2"), "ab ab11"), (Ids{2, 4, 5, 5}));
  EXPECT_EQ(read("", "qwen3")->pre, "qwen2");
  EXPECT_EQ(read("", "qwen3")->normalizer, "NFC");
  EXPECT_EQ(ids_of(read(R"({"tokenizer_class": "Qwen2Tokenizer"})", "llama"), "11"), (Ids{5, 5}));
  EXPECT_EQ(ids_of(read(R"({"add_prefix_space": true})", "gpt2"), "ab"), (Ids{4}));
  const auto more = read("", "qwen2", R"({"<|im_end|>": 9, "<|endoftext|>": 7})");
  EXPECT_EQ(ids_of(more, "ab<|im_end|>"), (Ids{2, 9}));
  EXPECT_EQ(more->types[9], TokenType::kControl);
  EXPECT_EQ(more->types[8], TokenType::kUnused);
}

TEST(VocabularyAndMerges, WhatIsWrongIsNamed) {
  const auto read = [](MergeFiles files, std::string_view type = "gpt2") {
    return read_vocabulary_and_merges(files, type, "vocab.json");
  };
  expect_error(read({kVocab, kMerges, "", ""}, "gptj"), ErrorKind::kFailure, "tokenizer.json");
  expect_error(read({kVocab, kMerges, "", R"({"tokenizer_class": "BartTokenizer"})"}),
               ErrorKind::kFailure, "'BartTokenizer'");
  expect_error(read({"[]", kMerges, "", ""}), ErrorKind::kInvalid, "vocab.json");
  expect_error(read({kVocab, "ab\n", "", ""}), ErrorKind::kInvalid, "merge");
  expect_error(read({kVocab, "a nothing\n", "", ""}), ErrorKind::kInvalid, "merge 0");
  expect_error(read({kVocab, kMerges, R"({"x": -1})", ""}), ErrorKind::kInvalid, "id");
  expect_error(read({kVocab, kMerges, "{", ""}), ErrorKind::kInvalid, "added_tokens.json");
}

}  // namespace
}  // namespace nibble
