// Small tokenizers of every kind against what Hugging Face's `tokenizers` package made of the same
// texts (tests/golden/make_tokenizer_golden.py); the same on many more texts is in
// tests/e2e/test_tokenizers.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/support/golden.h"
#include "text/tokenizer_json.h"

namespace nibble {
namespace {

const std::filesystem::path kFolder = NIBBLE_TEST_DATA "/golden/tokenizers";

VocabularyData read(const std::string& name) {
  const auto text = read_text_file(kFolder / (name + ".json"));
  EXPECT_TRUE(text.ok()) << name;
  if (!text.ok()) return {};
  auto data = read_tokenizer_json(*text, name + ".json");
  EXPECT_TRUE(data.ok()) << name << ": " << (data.ok() ? "" : data.error().message);
  return data.ok() ? data.take() : VocabularyData();
}

TEST(TokenizerGolden, IdsAndTextEqualThePackage) {
  const auto cases = golden::read_json(kFolder / "cases.json");
  ASSERT_TRUE(cases.ok()) << cases.error().message;
  ASSERT_GE(cases->size(), 13u);
  for (const auto& [name, rows] : cases->items()) {
    const auto tokenizer = Tokenizer::create(read(name));
    ASSERT_TRUE(tokenizer.ok()) << name << ": " << tokenizer.error().message;
    const std::vector<TokenType>& types = (*tokenizer)->vocabulary().types;
    ASSERT_GE(rows.size(), 80u);
    for (const auto& row : rows) {
      const std::string text = row.at("text");
      const std::vector<int32_t> want = row.at("ids");
      // Its Unigram takes "<s>" in a text for the token even when asked not to.
      const bool has_control = std::any_of(want.begin(), want.end(), [&](int32_t id) {
        return types[static_cast<size_t>(id)] == TokenType::kControl;
      });
      if (has_control) continue;
      EXPECT_EQ((*tokenizer)->encode(text, {.add_special = false}), want) << name << ": " << text;
      EXPECT_EQ((*tokenizer)->encode(text, {}), row.at("all").get<std::vector<int32_t>>())
          << name << ": " << text;
      const std::string decoded = row.at("decoded");
      if (decoded.find("\ufffd") == std::string::npos) {
        EXPECT_EQ((*tokenizer)->decode(want), decoded) << name << ": " << text;
      }
    }
  }
}

// What GGUF has a name for is stored under it; the rest carries its tokenizer.json.
TEST(TokenizerGolden, NamesForWhatGgufCanSay) {
  const auto expect = [](const char* name, const char* model, const char* pre, bool has_json) {
    const VocabularyData data = read(name);
    EXPECT_EQ(data.model, model) << name;
    EXPECT_EQ(data.pre, pre) << name;
    EXPECT_EQ(!data.huggingface_json.empty(), has_json) << name;
    // A warning goes with it, and with a normal form that llama.cpp does not know.
    EXPECT_EQ(!data.warnings.empty(), has_json || !data.normalizer.empty()) << name;
  };
  expect("gpt2", "gpt2", "gpt-2", false);
  expect("llama3", "gpt2", "llama-bpe", false);
  expect("qwen2", "gpt2", "qwen2", false);
  expect("smollm", "gpt2", "smollm", false);
  expect("roberta", "gpt2", "default", true);
  expect("llama2", "llama", "", false);
  expect("gemma", "llama", "", false);
  expect("mistral", "llama", "", true);
  expect("unigram", "t5", "", true);
  expect("word_piece", "bert", "", false);
  expect("word_level", "gpt2", "default", true);
  EXPECT_EQ(read("qwen2").normalizer, "NFC");
  EXPECT_TRUE(read("llama2").add_space_prefix);
  EXPECT_FALSE(read("gemma").add_space_prefix);
  EXPECT_TRUE(read("llama3").add_bos);
  EXPECT_TRUE(read("word_piece").add_sep);
}

// With any of these changed, the row of the table is another one or none.
TEST(TokenizerGolden, TheNameDependsOnEveryPart) {
  const auto text = read_text_file(kFolder / "llama3.json");
  ASSERT_TRUE(text.ok());
  const auto import = [&](auto change) {
    auto json = nlohmann::json::parse(*text);
    change(json);
    const auto data = read_tokenizer_json(json.dump(), "changed");
    EXPECT_TRUE(data.ok()) << (data.ok() ? "" : data.error().message);
    return data.ok() ? *data : VocabularyData();
  };
  EXPECT_EQ(import([](auto&) {}).pre, "llama-bpe");
  EXPECT_EQ(import([](auto& j) { j["model"]["ignore_merges"] = false; }).pre, "dbrx");
  const auto other = import([](auto& j) {
    j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = R"(\p{L}+|\P{L}+)";
  });
  EXPECT_FALSE(other.huggingface_json.empty());
  EXPECT_FALSE(import([](auto& j) {
                 j["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true;
               }).huggingface_json.empty());
  EXPECT_FALSE(import([](auto& j) {
                 j["normalizer"] = {{"type", "Lowercase"}};
               }).huggingface_json.empty());
  EXPECT_FALSE(
      import([](auto& j) { j["added_tokens"][0]["lstrip"] = true; }).huggingface_json.empty());
}

// Merges that scores cannot order: one of two ways to make a token is gone.
TEST(TokenizerGolden, ScoresOnlyWhereTheyGiveTheMerges) {
  const auto text = read_text_file(kFolder / "llama2.json");
  ASSERT_TRUE(text.ok());
  auto json = nlohmann::json::parse(*text);
  auto& merges = json["model"]["merges"];
  std::set<std::string> seen;
  for (size_t i = 0; i < merges.size(); ++i) {
    const std::string made = merges[i][0].get<std::string>() + merges[i][1].get<std::string>();
    if (seen.insert(made).second) continue;
    merges.erase(i);
    break;
  }
  const auto data = read_tokenizer_json(json.dump(), "changed");
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_FALSE(data->huggingface_json.empty());
}

}  // namespace
}  // namespace nibble
