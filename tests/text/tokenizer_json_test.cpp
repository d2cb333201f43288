#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/tokenizer_config.h"

namespace nibble {
namespace {

using nlohmann::json;

// Characters a, b, c and space, and the token "ab".
json small_bpe() {
  return json::parse(R"({
    "added_tokens": [{"id": 5, "content": "<s>", "special": true, "normalized": false},
                     {"id": 6, "content": "<tool>", "special": false, "normalized": false}],
    "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, " ": 3, "ab": 4},
              "merges": [["a", "b"]]}})");
}

Error error_of(const json& document) {
  const auto data = read_tokenizer_json(document.dump(), "tokenizer.json");
  return data.ok() ? Error{ErrorKind::kUsage, "no error"} : data.error();
}

void expect_error(ErrorKind kind, const char* named, const json& document) {
  const Error error = error_of(document);
  EXPECT_EQ(error.kind, kind) << error.message;
  EXPECT_NE(error.message.find(named), std::string::npos) << error.message << " / " << named;
}

std::vector<int32_t> ids(const json& document, std::string_view text,
                         const EncodeOptions& options = {.add_special = false}) {
  const auto data = read_tokenizer_json(document.dump(), "tokenizer.json");
  EXPECT_TRUE(data.ok()) << (data.ok() ? "" : data.error().message);
  if (!data.ok()) return {};
  const auto tokenizer = Tokenizer::create(*data);
  EXPECT_TRUE(tokenizer.ok());
  return (*tokenizer)->encode(text, options);
}

using Ids = std::vector<int32_t>;

TEST(TokenizerJson, ReadsASmallOne) {
  EXPECT_EQ(ids(small_bpe(), "abc a"), (Ids{4, 2, 3, 0}));
  EXPECT_EQ(ids(small_bpe(), "a<s>b<tool>"), (Ids{4, 6}));  // what cannot be spelled is dropped
  EXPECT_EQ(ids(small_bpe(), "a<s>b", {.add_special = false, .parse_special = true}),
            (Ids{0, 5, 1}));
  json old_merges = small_bpe();
  old_merges["model"]["merges"] = {"a b"};
  EXPECT_EQ(ids(old_merges, "abc"), (Ids{4, 2}));
}

TEST(TokenizerJson, SplitBehaviors) {
  const auto with = [](const char* behavior, bool invert) {
    json document = small_bpe();
    document["pre_tokenizer"] = {{"type", "Split"},
                                 {"pattern", {{"String", "c"}}},
                                 {"behavior", behavior},
                                 {"invert", invert}};
    document["model"]["vocab"] = {{"a", 0}, {"c", 1}, {"ac", 2}, {"ca", 3}, {"cc", 4}};
    document["model"]["merges"] = json::parse(R"([["c", "c"], ["a", "c"], ["c", "a"]])");
    return ids(document, "acca");
  };
  EXPECT_EQ(with("Removed", false), (Ids{0, 0}));
  EXPECT_EQ(with("Removed", true), (Ids{1, 1}));
  EXPECT_EQ(with("Isolated", false), (Ids{0, 1, 1, 0}));
  EXPECT_EQ(with("Contiguous", false), (Ids{0, 4, 0}));
  EXPECT_EQ(with("MergedWithPrevious", false), (Ids{2, 1, 0}));
  EXPECT_EQ(with("MergedWithNext", false), (Ids{0, 1, 3}));
}

TEST(TokenizerJson, UnknownPartsAreNamed) {
  const auto with = [](const char* part, json value) {
    json document = small_bpe();
    document[part] = std::move(value);
    return document;
  };
  expect_error(ErrorKind::kFailure, "Sparkle", with("normalizer", {{"type", "Sparkle"}}));
  expect_error(ErrorKind::kFailure, "UnicodeScripts",
               with("pre_tokenizer", {{"type", "UnicodeScripts"}}));
  expect_error(ErrorKind::kFailure, "CTC", with("decoder", {{"type", "CTC"}}));
  expect_error(ErrorKind::kFailure, "Wrap", with("post_processor", {{"type", "Wrap"}}));
  expect_error(ErrorKind::kFailure, "Magic",
               with("model", {{"type", "Magic"}, {"vocab", {{"a", 0}}}}));
  const json nested = {{"type", "Sequence"},
                       {"normalizers", {{{"type", "NFC"}}, {{"type", "Sparkle"}}}}};
  expect_error(ErrorKind::kFailure, "Sparkle", with("normalizer", nested));
  json dropout = small_bpe();
  dropout["model"]["dropout"] = 0.1;
  expect_error(ErrorKind::kFailure, "dropout", dropout);
}

TEST(TokenizerJson, HostileExpressions) {
  const auto with = [](const std::string& expression) {
    json document = small_bpe();
    document["pre_tokenizer"] = {{"type", "Split"},
                                 {"pattern", {{"Regex", expression}}},
                                 {"behavior", "Isolated"},
                                 {"invert", false}};
    return document;
  };
  expect_error(ErrorKind::kFailure, "regular expression", with("(a"));
  expect_error(ErrorKind::kFailure, "regular expression", with(std::string(5000, '(')));
  // One that never ends leaves the text in one piece.
  EXPECT_EQ(ids(with("(a+a+)+c"), std::string(3000, 'a')), Ids(3000, 0));
}

TEST(TokenizerJson, ABpeModelNeedsItsMerges) {
  json document = small_bpe();
  document["model"].erase("merges");
  expect_error(ErrorKind::kInvalid, "no merges", document);
  document["model"]["merges"] = json::array();
  expect_error(ErrorKind::kInvalid, "no merges", document);
  document["model"]["vocab"].erase("ab");  // single characters need none
  EXPECT_EQ(ids(document, "ab"), (Ids{0, 1}));
}

TEST(TokenizerJson, ContradictionsAreErrors) {
  const auto changed = [](auto change) {
    json document = small_bpe();
    change(document);
    return document;
  };
  const auto expect_invalid = [&](const char* named, auto change) {
    expect_error(ErrorKind::kInvalid, named, changed(change));
  };
  expect_invalid("merge", [](json& j) { j["model"]["merges"] = json::parse(R"([["a", "z"]])"); });
  expect_invalid("merge", [](json& j) { j["model"]["merges"] = json::parse(R"([["b", "c"]])"); });
  expect_invalid("merges", [](json& j) { j["model"]["merges"] = {{"a"}}; });
  expect_invalid("merges", [](json& j) { j["model"]["merges"] = {1}; });
  expect_invalid("same id", [](json& j) { j["model"]["vocab"]["d"] = 0; });
  expect_invalid("id", [](json& j) { j["model"]["vocab"]["d"] = 2000000000; });
  expect_invalid("vocab", [](json& j) { j["model"]["vocab"]["d"] = -1; });
  expect_invalid("vocab", [](json& j) { j["model"]["vocab"] = {1, 2}; });
  expect_invalid("unknown token", [](json& j) { j["model"]["unk_token"] = "<unk>"; });
  expect_invalid("content", [](json& j) { j["added_tokens"][0].erase("content"); });
  expect_invalid("content",
                 [](json& j) { j["added_tokens"][0]["content"] = std::string(300, 'x'); });
  expect_invalid("id", [](json& j) { j["added_tokens"][0]["id"] = "5"; });
  expect_invalid("model", [](json& j) { j.erase("model"); });
  expect_invalid("content", [](json& j) {
    j["normalizer"] = {
        {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'x')}};
  });
  expect_invalid("pattern", [](json& j) {
    j["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "x"}};
  });
  expect_invalid("charsmap", [](json& j) {
    j["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}};
  });
  expect_invalid("ids", [](json& j) {
    j["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A"}}],
        "special_tokens": {"x": {"id": "x", "ids": [99], "tokens": ["x"]}}})");
  });
  for (const char* text : {"", "[]", "{", "{\"model\": \"\xff\"}", "null", "\"\\ud800\""}) {
    const auto data = read_tokenizer_json(text, "tokenizer.json");
    ASSERT_FALSE(data.ok()) << text;
    EXPECT_EQ(data.error().kind, ErrorKind::kInvalid);
  }
  EXPECT_FALSE(read_tokenizer_json(std::string(100'000, '['), "deep").ok());
}

TEST(TokenizerJson, TextInPartsIsOneText) {
  const auto data = read_tokenizer_json(small_bpe().dump(), "tokenizer.json");
  ASSERT_TRUE(data.ok()) << data.error().message;
  const auto tokenizer = Tokenizer::create(*data);
  ASSERT_TRUE(tokenizer.ok());
  const auto encode = [&](std::vector<TextPart> parts) {
    return (*tokenizer)->encode_parts(parts, {.add_special = false});
  };
  // Merges go across parts; control tokens come only out of markup, not out of what joins it.
  EXPECT_EQ(encode({{"a", true}, {"b", false}}), (Ids{4}));
  EXPECT_EQ(encode({{"<s>a", true}, {"<s>", false}}), (Ids{5, 0}));
  EXPECT_EQ(encode({{"<", true}, {"s>", false}, {"c", true}}), (Ids{2}));
  EXPECT_EQ(encode({{"<s", true}, {">a", true}}), (Ids{5, 0}));
  EXPECT_EQ(encode({{"<to", false}, {"ol>", true}}), (Ids{6}));
  EXPECT_EQ(encode({}), Ids{});
}

TEST(TokenizerConfig, SetsWhatIsSpecial) {
  auto data = read_tokenizer_json(small_bpe().dump(), "tokenizer.json");
  ASSERT_TRUE(data.ok());
  const Status status = apply_tokenizer_config(
      R"({"bos_token": "<s>", "eos_token": {"content": "<tool>"}, "pad_token": null,
          "mask_token": "[MASK]", "add_bos_token": true, "add_eos_token": false,
          "added_tokens_decoder": {"6": {"content": "<tool>", "special": true},
                                   "9": {"content": "<x>", "special": true}}, "other": 1})",
      *data);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(data->bos, 5);
  EXPECT_EQ(data->eos, 6);
  EXPECT_EQ(data->padding, -1);
  EXPECT_EQ(data->mask, -1);  // not in the vocabulary: a warning
  EXPECT_TRUE(data->add_bos);
  EXPECT_FALSE(data->add_eos);
  EXPECT_EQ(data->types[6], TokenType::kControl);
  ASSERT_EQ(data->tokens.size(), 10u);
  EXPECT_EQ(data->tokens[8], "[PAD8]");
  EXPECT_EQ(data->types[8], TokenType::kUnused);
  EXPECT_EQ(data->tokens[9], "<x>");
  EXPECT_FALSE(data->warnings.empty());
  // Special now, so not found in plain text any more, and BOS goes first.
  const auto tokenizer = Tokenizer::create(*data);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("a<tool>", {}), (Ids{5, 0}));
}

TEST(TokenizerConfig, WrongTypesAreErrors) {
  auto read = read_tokenizer_json(small_bpe().dump(), "tokenizer.json");
  ASSERT_TRUE(read.ok());
  for (const char* text :
       {"", "[1]", R"({"bos_token": 5})", R"({"add_bos_token": "yes"})",
        R"({"added_tokens_decoder": []})", R"({"added_tokens_decoder": {"x": {"content": "a"}}})",
        R"({"added_tokens_decoder": {"99999999999": {"content": "a"}}})",
        R"({"added_tokens_decoder": {"3000000": {"content": "a"}}})",
        R"({"added_tokens_decoder": {"7": {}}})"}) {
    VocabularyData data = *read;
    const Status status = apply_tokenizer_config(text, data);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.error().kind, ErrorKind::kInvalid) << text;
  }
}

}  // namespace
}  // namespace nibble
