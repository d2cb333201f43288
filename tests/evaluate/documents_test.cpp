// Text -> documents -> windows: where documents begin, how they are cut, what is scored.
#include "evaluate/documents.h"

#include <gtest/gtest.h>

#include "tests/support/small_vocabulary.h"

namespace nibble {
namespace {

using Documents = std::vector<std::string_view>;

std::unique_ptr<Tokenizer> make_tokenizer(bool add_bos) {
  VocabularyData data = small_vocabulary({});  // no merges: a byte is a token
  data.add_bos = add_bos;
  return Tokenizer::create(std::move(data)).take();
}

// A document of n tokens, its title line included.
std::string document(char letter, size_t n) {
  std::string text = " = A = \n";
  text.resize(n, letter);
  return text;
}

TEST(Documents, BeginAtTitles) {
  EXPECT_EQ(split_documents(" = One = \n\nfirst\n = Two = \n\nsecond\n"),
            (Documents{" = One = \n\nfirst\n", " = Two = \n\nsecond\n"}));
  EXPECT_EQ(split_documents(" = One =\n = Two ="), (Documents{" = One =\n", " = Two ="}));
}

TEST(Documents, DeeperHeadingsDoNotSplit) {
  const std::string_view text = " = One = \n = = Part = = \nx\n = = = Deeper = = = \ny\n";
  EXPECT_EQ(split_documents(text), Documents{text});
}

TEST(Documents, LinesThatOnlyLookLikeTitlesDoNotSplit) {
  const std::string_view text =
      "= One = \n = Two\nThree = \nx = 1 = y\n  = Four = \n = = \n = \n a = b = \n";
  EXPECT_EQ(split_documents(text), Documents{text});
}

TEST(Documents, CarriageReturns) {
  EXPECT_EQ(split_documents(" = One = \r\nfirst\r\n = Two = \r\nsecond\r\n"),
            (Documents{" = One = \r\nfirst\r\n", " = Two = \r\nsecond\r\n"}));
}

TEST(Documents, TextBeforeTheFirstTitleIsADocument) {
  EXPECT_EQ(split_documents("preface\n = One = \nx"), (Documents{"preface\n", " = One = \nx"}));
  EXPECT_EQ(split_documents("no title at all"), Documents{"no title at all"});
}

TEST(Documents, WhiteSpaceIsNoDocument) {
  EXPECT_EQ(split_documents("\n \r\n\t\n = One = \nx"), Documents{" = One = \nx"});
  EXPECT_TRUE(split_documents("").empty());
  EXPECT_TRUE(split_documents(" \n\n").empty());
}

TEST(Windows, CutDocumentsAndScoreTheSecondHalf) {
  const auto tokenizer = make_tokenizer(false);
  const std::string text = document('a', 250) + "\n" + document('b', 100);
  const auto windows = make_windows(*tokenizer, text, 100, 0);
  // 251 tokens: two full windows and 51, too few; then the second document, exactly one window.
  ASSERT_EQ(windows.size(), 3u);
  for (const Window& window : windows) {
    EXPECT_EQ(window.tokens.size(), 100u);
    EXPECT_EQ(window.first_scored, 50);
  }
  EXPECT_EQ(windows[0].document, 0);
  EXPECT_EQ(windows[1].document, 0);
  EXPECT_EQ(windows[2].document, 1);
  EXPECT_EQ(tokenizer->decode(windows[0].tokens), text.substr(0, 100));
  EXPECT_EQ(tokenizer->decode(windows[1].tokens), text.substr(100, 100));
  EXPECT_EQ(tokenizer->decode(windows[2].tokens), text.substr(251, 100));
}

TEST(Windows, BeginWithBosWhereTheModelAddsIt) {
  const auto tokenizer = make_tokenizer(true);
  const std::string text = document('a', 198);
  const auto windows = make_windows(*tokenizer, text, 100, 0);
  ASSERT_EQ(windows.size(), 2u);
  std::string joined;
  for (const Window& window : windows) {
    EXPECT_EQ(window.tokens.size(), 100u);
    EXPECT_EQ(window.tokens[0], tokenizer->vocabulary().bos);
    joined += tokenizer->decode(window.tokens);
  }
  EXPECT_EQ(joined, text);  // BOS itself has no text: nothing is lost between windows
}

TEST(Windows, TheLastOneMayBeShort) {
  const auto tokenizer = make_tokenizer(false);
  const auto size = [&](int64_t n_tokens) {
    return make_windows(*tokenizer, document('a', static_cast<size_t>(n_tokens)), 512, 0).size();
  };
  EXPECT_EQ(size(kMinWindow - 1), 0u);
  EXPECT_EQ(size(kMinWindow), 1u);
  EXPECT_EQ(size(512 + kMinWindow - 1), 1u);
  EXPECT_EQ(size(512 + kMinWindow), 2u);
  // A model of a shorter context than the least window: its windows are what it can do.
  EXPECT_EQ(make_windows(*tokenizer, document('a', 40), 16, 0).size(), 2u);
  const auto windows = make_windows(*tokenizer, document('a', 512 + 81), 512, 0);
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[1].tokens.size(), 81u);
  EXPECT_EQ(windows[1].first_scored, 40);
}

TEST(Windows, MaxTokensBoundsThemAll) {
  const auto tokenizer = make_tokenizer(false);
  const std::string text = document('a', 300) + "\n" + document('b', 300);
  const auto count = [&](int64_t max) { return make_windows(*tokenizer, text, 100, max).size(); };
  EXPECT_EQ(count(0), 6u);
  EXPECT_EQ(count(99), 0u);
  EXPECT_EQ(count(100), 1u);
  EXPECT_EQ(count(399), 3u);
  EXPECT_EQ(count(400), 4u);
  EXPECT_EQ(count(1 << 20), 6u);
}

TEST(Windows, SpecialTokensInTheTextStayText) {
  const auto tokenizer = make_tokenizer(false);
  const std::string text = document('a', 90) + "<|im_end|>";
  const auto windows = make_windows(*tokenizer, text, 100, 0);
  ASSERT_EQ(windows.size(), 1u);
  EXPECT_EQ(windows[0].tokens.size(), 100u);
  EXPECT_EQ(tokenizer->decode(windows[0].tokens), text);
}

}  // namespace
}  // namespace nibble
