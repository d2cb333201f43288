#include "text/pretokenize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "base/random.h"
#include "text/byte_level.h"

namespace nibble {
namespace {

#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kLimitSeconds = 30;
#else
constexpr double kLimitSeconds = 1;
#endif

using Words = std::vector<std::string>;

// The pieces, bytes instead of the byte alphabet.
Words split(const PreTokenizerSpec& spec, std::string_view text) {
  const auto splitters = make_splitters(spec);
  if (!splitters.ok()) return {splitters.error().message};
  Pieces pieces;
  pieces.text = text;
  if (!text.empty()) pieces.list.push_back({0, text.size(), true});
  for (const auto& splitter : *splitters) splitter->apply(pieces);
  Words words;
  for (const Piece& piece : pieces.list) {
    const std::string word(pieces.view(piece));
    words.push_back(spec.is_byte_level ? bytes_of_spelling(word).value_or("?") : word);
  }
  return words;
}

Words split(std::string_view name, std::string_view text) {
  const PreTokenizerSpec* spec = find_pre_tokenizer(name);
  if (spec == nullptr) return {"unknown splitter"};
  return split(*spec, text);
}

TEST(PreTokenizer, EveryRowCompilesAndKeepsEveryByte) {
  Random random(1);
  for (const PreTokenizerSpec& spec : all_pre_tokenizers()) {
    const auto splitters = make_splitters(spec);
    ASSERT_TRUE(splitters.ok()) << spec.names[0] << ": " << splitters.error().message;
    if (spec.drops_spaces) continue;
    for (int round = 0; round < 200; ++round) {
      std::string text;
      for (uint64_t i = 0, n = random.below(60); i < n; ++i) {
        constexpr std::string_view kAlphabet = "aZ09 \n\t.'$\xc3\xa9\xe4\xbd\xa0\xff";
        text += kAlphabet[random.below(kAlphabet.size())];
      }
      std::string joined;
      for (const std::string& word : split(spec, text)) {
        EXPECT_FALSE(word.empty());
        joined += word;
      }
      EXPECT_EQ(joined, text) << spec.names[0];
    }
  }
}

TEST(PreTokenizer, NamesAreUniqueAndTheEmptyNameIsDefault) {
  std::vector<std::string_view> seen;
  for (const PreTokenizerSpec& spec : all_pre_tokenizers()) {
    for (const std::string_view name : spec.names) {
      EXPECT_EQ(std::count(seen.begin(), seen.end(), name), 0) << name;
      EXPECT_EQ(find_pre_tokenizer(name), &spec);
      seen.push_back(name);
    }
  }
  EXPECT_EQ(find_pre_tokenizer(""), find_pre_tokenizer("default"));
  EXPECT_EQ(find_pre_tokenizer("gpt-9"), nullptr);
}

TEST(PreTokenizer, Gpt2) {
  EXPECT_EQ(split("gpt-2", "Hello world's 1234!!  x"),
            (Words{"Hello", " world", "'s", " 1234", "!!", " ", " x"}));
  EXPECT_EQ(split("gpt-2", "a   \n"), (Words{"a", "   \n"}));
  EXPECT_EQ(split("gpt-2", "I'LL"), (Words{"I", "'", "LL"}));
  EXPECT_EQ(split("gpt-2", ""), Words{});
}

TEST(PreTokenizer, SmolLmTakesDigitsOneByOne) {
  EXPECT_EQ(split("smollm", "in 1987"), (Words{"in", " ", "1", "9", "8", "7"}));
  EXPECT_EQ(split("starcoder", "a12"), split("smollm", "a12"));
}

TEST(PreTokenizer, Llama3) {
  EXPECT_EQ(split("llama-bpe", "I'LL pay 12345.\n\n  ok"),
            (Words{"I", "'LL", " pay", " ", "123", "45", ".\n\n", " ", " ok"}));
  EXPECT_EQ(split("llama-bpe", "(word)"), (Words{"(word", ")"}));
}

TEST(PreTokenizer, Qwen2TakesDigitsOneByOne) {
  EXPECT_EQ(split("qwen2", "x 12"), (Words{"x", " ", "1", "2"}));
}

TEST(PreTokenizer, FalconCutsPunctuationFirstAndDigitsByThree) {
  EXPECT_EQ(split("falcon", "a,b 12345"), (Words{"a", ",", "b", " ", "123", "45"}));
}

TEST(PreTokenizer, DefaultCutsNumbersFromTheirSpace) {
  EXPECT_EQ(split("default", "a 1234"), (Words{"a", " ", "123", "4"}));
}

TEST(PreTokenizer, DeepSeek3) {
  EXPECT_EQ(split("deepseek-v3", "abc 12345 \xe4\xbd\xa0\xe5\xa5\xbd"),
            (Words{"abc", " ", "123", "45", " ", "\xe4\xbd\xa0\xe5\xa5\xbd"}));
  EXPECT_EQ(split("deepseek-v3", "#tag"), (Words{"#tag"}));
}

TEST(PreTokenizer, Gpt4oCutsAtCase) {
  EXPECT_EQ(split("gpt-4o", "camelCase HTTPServer's"), (Words{"camel", "Case", " HTTPServer's"}));
  EXPECT_EQ(split("tekken", "camelCase x/y"), (Words{"camel", "Case", " x", "/y"}));
}

TEST(PreTokenizer, WhitespaceIsTheUnicodeProperty) {
  // U+0085 and U+3000 are white space, U+180E and U+200B are not.
  EXPECT_EQ(split("gpt-2", "a\u3000\u0085 b"), (Words{"a", "\u3000\u0085", " b"}));
  EXPECT_EQ(split("gpt-2", "a \u180e"), (Words{"a", " \u180e"}));
}

TEST(PreTokenizer, InvalidBytesAreSymbols) {
  EXPECT_EQ(split("gpt-2",
                  "ab\xff\xfe"
                  "cd \xc3"),
            (Words{"ab", "\xff\xfe", "cd", " \xc3"}));
  // A real U+FFFD beside an invalid byte: lengths must not be confused.
  EXPECT_EQ(split("gpt-2", "\ufffd\xff x"), (Words{"\ufffd\xff", " x"}));
  EXPECT_EQ(split("gpt-2", "\xed\xa0\x80z"), (Words{"\xed\xa0\x80", "z"}));  // a surrogate
}

TEST(PreTokenizer, AnExpressionFromAFileMayBeWrong) {
  const PreTokenizerSpec spec{.names = {"x"}, .patterns = {"a("}};
  const auto splitters = make_splitters(spec);
  ASSERT_FALSE(splitters.ok());
  EXPECT_EQ(splitters.error().kind, ErrorKind::kFailure);
}

double seconds_to_split(const PreTokenizerSpec& spec, const std::string& text) {
  const std::clock_t start = std::clock();
  size_t n_bytes = 0;
  for (const std::string& word : split(spec, text)) n_bytes += word.size();
  EXPECT_EQ(n_bytes, text.size());
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// Digits in threes from the right: each place looks to the end of the number, and finds a letter.
TEST(PreTokenizer, NumbersWithoutAnEndTakeLittleTime) {
  for (const char* name : {"tiny_aya", "afmoe", "superbpe"}) {
    const PreTokenizerSpec* spec = find_pre_tokenizer(name);
    ASSERT_NE(spec, nullptr);
    EXPECT_LT(seconds_to_split(*spec, std::string(16'000, '1') + "x"), kLimitSeconds) << name;
    EXPECT_LT(seconds_to_split(*spec, std::string(1 << 19, '1') + "x"), 2 * kLimitSeconds) << name;
  }
  // What the expressions behind the one that gave up find is not lost.
  EXPECT_EQ(split("tiny_aya", std::string(16'000, '1') + "x word").back(), " word");
  // Not too long, it is exact: 1 is left over at the front of 3001 digits.
  const Words words = split("tiny_aya", std::string(3001, '1') + " x");
  ASSERT_EQ(words.size(), 1002U);
  EXPECT_EQ(words[0], "1");
  EXPECT_EQ(words[1], "111");
}

// Runs of one thing, through every row: less than a tenth of the text of which a second is allowed,
// in a quarter of the time.
TEST(PreTokenizer, RunsTakeLittleTimeInEveryRow) {
  for (const PreTokenizerSpec& spec : all_pre_tokenizers()) {
    for (const std::string_view unit : {"a", "A", " ", "1", "\n", "\r\n", "\t", "'", ".", "a1",
                                        "a ", "\U0001F600", "\u0301", "\u4f60", "\xff"}) {
      std::string text;
      while (text.size() < 1 << 16) text += unit;
      if (spec.drops_spaces) text = std::string(text.size(), 'a');
      EXPECT_LT(seconds_to_split(spec, text), kLimitSeconds / 4) << spec.names[0] << ": " << unit;
    }
  }
}

// A chain of expressions as a file may have it.
TEST(PreTokenizer, AChainOfRunawayExpressionsIsLimitedAsAWhole) {
  const PreTokenizerSpec spec{
      .names = {"x"}, .patterns = {"(a+a+)+b", "a{1,900}+[bc]", ".*?.*?.*?b", "(?:a|aa)+b"}};
  EXPECT_LT(seconds_to_split(spec, std::string(1 << 19, 'a')), 2 * kLimitSeconds);
}

TEST(PreTokenizer, ARunawayExpressionLeavesThePieceWhole) {
  const PreTokenizerSpec spec{.names = {"x"}, .patterns = {"(a+a+)+b"}};
  const std::string text(2000, 'a');
  const std::clock_t start = std::clock();
  const auto words = split(spec, text);
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 2.0);
  ASSERT_EQ(words.size(), 1u);
  EXPECT_EQ(words[0], text);
}

}  // namespace
}  // namespace nibble
