#include "lab/vocabulary_maker.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "model/vocabulary.h"
#include "tests/support/small_vocabulary.h"

namespace nibble::lab {
namespace {

std::unique_ptr<Tokenizer> make(VocabularyData data) {
  auto tokenizer = Tokenizer::create(std::move(data));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  return tokenizer.ok() ? tokenizer.take() : nullptr;
}

// Any bytes must survive, special tokens spelled in them included.
void expect_round_trip(const Tokenizer& tokenizer) {
  std::string text = "the quick brown fox <|im_end|> \xe2\x82\xac\n\t  1234";
  for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
  const auto tokens = tokenizer.encode(text, {.add_special = false});
  EXPECT_EQ(tokenizer.decode(tokens), text);
}

TEST(GeneratedVocabulary, IsATokenizerOfTheAskedSize) {
  for (const int64_t size : {kMinVocabulary, int64_t{512}, int64_t{49152}}) {
    SCOPED_TRACE(size);
    const auto tokenizer = make(generate_vocabulary(size));
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->vocab_size(), size);
    EXPECT_EQ(tokenizer->vocabulary().merges.size(), static_cast<size_t>(size - kMinVocabulary));
    expect_round_trip(*tokenizer);
    EXPECT_TRUE(tokenizer->is_end(tokenizer->find("<|im_end|>")));
  }
}

TEST(GeneratedVocabulary, MakesUseOfItsMerges) {
  const auto tokenizer = make(generate_vocabulary(49152));
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "a sentence of ordinary words is shorter in tokens than in letters";
  EXPECT_LT(tokenizer->encode(text, {}).size(), text.size() * 3 / 4);
}

TEST(GeneratedVocabulary, ASmallerOneIsTheBeginningOfALargerOne) {
  const VocabularyData small = generate_vocabulary(600), large = generate_vocabulary(5000);
  EXPECT_TRUE(std::equal(small.tokens.begin(), small.tokens.end(), large.tokens.begin()));
  EXPECT_TRUE(std::equal(small.merges.begin(), small.merges.end(), large.merges.begin()));
}

TEST(FittedVocabulary, CutKeepsWhatItsTokensAllow) {
  // small_vocabulary() has 256 bytes, 11 merges and 5 special tokens, in this order.
  const VocabularyData whole = small_vocabulary();
  const std::string eos = whole.tokens[static_cast<size_t>(whole.eos)];
  auto fitted = fit_vocabulary(whole, 264);
  ASSERT_TRUE(fitted.ok()) << fitted.error().message;
  EXPECT_EQ(fitted->tokens.size(), 264u);
  EXPECT_EQ(fitted->types.size(), 264u);
  // BOS and EOS have taken the last two places, so 6 of the 8 merged tokens are left.
  EXPECT_EQ(fitted->merges.size(), 6u);
  EXPECT_NE(fitted->bos, fitted->eos);
  EXPECT_GE(fitted->bos, 262);
  EXPECT_GE(fitted->eos, 262);
  EXPECT_EQ(fitted->tokens[static_cast<size_t>(fitted->eos)], eos);
  EXPECT_EQ(fitted->types[static_cast<size_t>(fitted->eos)], TokenType::kControl);
  const auto tokenizer = make(*fitted);
  ASSERT_NE(tokenizer, nullptr);
  expect_round_trip(*tokenizer);
  EXPECT_EQ(tokenizer->encode("aaaa", {.add_special = false}).size(), 1u);   // aa + aa is left
  EXPECT_EQ(tokenizer->encode("hello", {.add_special = false}).size(), 4u);  // he, l, l, o
}

TEST(FittedVocabulary, CutSparesSpecialTokensThatStay) {
  VocabularyData data = small_vocabulary();
  data.padding = 263;  // inside, and in the way
  auto fitted = fit_vocabulary(data, 264);
  ASSERT_TRUE(fitted.ok()) << fitted.error().message;
  EXPECT_EQ(fitted->padding, 263);
  EXPECT_EQ(fitted->tokens[263], data.tokens[263]);
  EXPECT_EQ((std::set<int32_t>{fitted->bos, fitted->eos}), (std::set<int32_t>{261, 262}));
  EXPECT_NE(make(*fitted), nullptr);
}

TEST(FittedVocabulary, CutBelowTheBytesHasNoRoom) {
  const auto fitted = fit_vocabulary(small_vocabulary(), 256);
  ASSERT_FALSE(fitted.ok());
  EXPECT_EQ(fitted.error().kind, ErrorKind::kInvalid);
}

TEST(FittedVocabulary, PaddedTokensAreNeverProduced) {
  VocabularyData data = small_vocabulary();
  const size_t n = data.tokens.size();
  auto fitted = fit_vocabulary(data, 512);
  ASSERT_TRUE(fitted.ok()) << fitted.error().message;
  EXPECT_EQ(fitted->merges, data.merges);
  EXPECT_EQ(fitted->eos, data.eos);
  for (size_t id = n; id < 512; ++id) {
    EXPECT_EQ(fitted->tokens[id], fmt::format("<|pad_{}|>", id));
    EXPECT_EQ(fitted->types[id], TokenType::kUnused);
  }
  const auto tokenizer = make(*fitted);
  ASSERT_NE(tokenizer, nullptr);
  expect_round_trip(*tokenizer);
  for (const int32_t token : tokenizer->encode("<|pad_300|>", {.parse_special = true})) {
    EXPECT_LT(token, static_cast<int32_t>(n));
  }
}

TEST(FittedVocabulary, PaddingNamesThatExistAreAvoided) {
  VocabularyData data = small_vocabulary();
  data.tokens.emplace_back(fmt::format("<|pad_{}|>", data.tokens.size() + 1));
  data.types.push_back(TokenType::kNormal);
  EXPECT_NE(make(fit_vocabulary(data, 300).take()), nullptr);
}

TEST(FittedVocabulary, ABrokenOneIsRefused) {
  VocabularyData data = small_vocabulary();
  data.tokens[5] = data.tokens[6];
  EXPECT_FALSE(fit_vocabulary(data, 300).ok());
}

TEST(FittedVocabulary, MetadataReadsBack) {
  GgufMetadata metadata;
  const VocabularyData data = generate_vocabulary(400);
  write_vocabulary(data, metadata);
  const auto read = read_vocabulary(metadata);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->tokens, data.tokens);
  EXPECT_EQ(read->types, data.types);
  EXPECT_EQ(read->merges, data.merges);
  EXPECT_EQ(read->eos, data.eos);
  EXPECT_EQ(read->unknown, -1);
  EXPECT_FALSE(read->add_bos);
}

}  // namespace
}  // namespace nibble::lab
