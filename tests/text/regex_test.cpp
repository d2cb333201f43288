#include "text/regex.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace nibble {
namespace {

#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kLimitSeconds = 30;
#else
constexpr double kLimitSeconds = 1;
#endif

using Spans = std::vector<std::pair<size_t, size_t>>;

Spans find(std::string_view expression, std::string_view text) {
  const auto regex = Regex::compile(expression);
  EXPECT_TRUE(regex.ok()) << (regex.ok() ? "" : regex.error().message);
  Spans spans;
  if (!regex.ok()) return spans;
  uint64_t work = Regex::work_for(text.size());
  for (const Regex::Match& match : regex->find_all(text, work))
    spans.emplace_back(match.begin, match.end);
  EXPECT_GT(work, 0U) << expression;
  return spans;
}

TEST(Regex, MatchesFromLeftToRightEmptyOnesToo) {
  EXPECT_EQ(find("a+", "aabab"), (Spans{{0, 2}, {3, 4}}));
  EXPECT_EQ(find("(?=b)", "abb"), (Spans{{1, 1}, {2, 2}}));
  // No empty match right at the end of the one before.
  EXPECT_EQ(find("a*", "aab"), (Spans{{0, 2}, {3, 3}}));
  EXPECT_EQ(find("x", ""), Spans{});
}

TEST(Regex, MeansWhatRubysSyntaxMeans) {
  EXPECT_EQ(find("^b", "a\nb"), (Spans{{2, 3}}));            // lines
  EXPECT_EQ(find("(?m:.)+", "a\nb"), (Spans{{0, 3}}));       // m is "dot matches newline"
  EXPECT_EQ(find(R"(\h+)", "xafg"), (Spans{{1, 3}}));        // hexadecimal digits
  EXPECT_EQ(find(R"(\d{1,2}+)", "12345"), (Spans{{0, 5}}));  // repeats the repeat
  EXPECT_EQ(find(R"([a-c&&[^b]]+)", "abca"), (Spans{{0, 1}, {2, 4}}));
  EXPECT_EQ(find("[^a[bc]]+", "abcd"), (Spans{{3, 4}}));
  EXPECT_EQ(find(R"(\u0041+)", "xAA"), (Spans{{1, 3}}));
  EXPECT_EQ(find(R"(\w+)", "e\u0301 x"), (Spans{{0, 3}, {4, 5}}));  // marks are of words
  EXPECT_EQ(find(R"(\bx)", "ax x"), (Spans{{3, 4}}));
  EXPECT_EQ(find("a{,2}", "aaa"), (Spans{{0, 2}, {2, 3}}));
}

TEST(Regex, WhitespaceIsTheUnicodeProperty) {
  EXPECT_EQ(find(R"(\s+)", "a\u3000\u0085 b"), (Spans{{1, 7}}));
  EXPECT_EQ(find(R"(\s)", "\u180e\u200b"), Spans{});
  EXPECT_EQ(find(R"([^\s]+)", "a\u2028b"), (Spans{{0, 1}, {4, 5}}));
  EXPECT_EQ(find(R"([\S]+)", "a\u2028b"), (Spans{{0, 1}, {4, 5}}));
  EXPECT_EQ(find(R"(\\s[\]x])", R"(\s])"), (Spans{{0, 3}}));
}

TEST(Regex, InvalidBytesAreOneCharacterEach) {
  EXPECT_EQ(find(".", "a\xff\xc3z"), (Spans{{0, 1}, {1, 2}, {2, 3}, {3, 4}}));
  EXPECT_EQ(find("z", "\xff\xffz\xffz"), (Spans{{2, 3}, {4, 5}}));
  EXPECT_EQ(find(R"(\p{L}+)", "\xed\xa0\x80z"), (Spans{{3, 4}}));
}

TEST(Regex, WhatIsNotTranslatedIsNamed) {
  for (const char* expression :
       {"a(", "[a", R"([\W])", "[a[^b]]", R"(\K)", "(?~a)", "[a-z&&b]", R"(\p{NoSuchScript})", "\\",
        R"(\u00g0)", "(?<n>a)\\g<n>", R"((a)\1)", R"((?<n>a)\k<n>)", "(?P<n>a)", "a{1001}",
        "a{1,99999999999999999999}"}) {
    const auto regex = Regex::compile(expression);
    ASSERT_FALSE(regex.ok()) << expression;
    EXPECT_EQ(regex.error().kind, ErrorKind::kFailure) << expression;
    EXPECT_NE(regex.error().message.find("regular expression"), std::string::npos);
  }
  EXPECT_FALSE(Regex::compile(std::string(1000, '(')).ok());
  EXPECT_FALSE(Regex::compile(std::string(100'000, 'a')).ok());
  EXPECT_FALSE(Regex::compile(std::string(1000, '[') + std::string(1000, ']')).ok());
}

// Every search ends, in the time that its budget buys, whatever the expression.
TEST(Regex, WorkIsLimited) {
  constexpr size_t kLength = 1 << 20;
  for (const char* expression :
       {"(a+a+)+c", R"(\d{1,3}(?=(?:\d{3})*\b))", R"(\w+[-,;])", R"(\w++[-,;])",
        R"((?:\w|\d)*[-,])", R"((?:(?=\w*+[-,])|\w)*-)",
        R"((?:(?=(?:(?=\w*+[-,])|\w)*+[-,])|\w)*[-,])", R"(\w{1000}-)",
        R"((?:\w{1,1000}){1,1000}[-,])", R"(.*?.*?.*?[-,])", R"((?=\w*$)\w{2}[-,])", R"(\X+[-,])",
        R"((?<!-)(?=.*[-,]))", R"((?>\w+)(?<=-))", R"(\w*)", R"((\w+\w+)+|[^-])"}) {
    const auto regex = Regex::compile(expression);
    ASSERT_TRUE(regex.ok()) << expression;
    for (const char c : {'a', '1'}) {
      const std::string text = std::string(kLength, c) + "_b";
      uint64_t work = Regex::work_for(text.size());
      const std::clock_t start = std::clock();
      (void)regex->find_all(text, work);
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      EXPECT_LT(seconds, kLimitSeconds) << expression << " on " << c;
    }
  }
}

TEST(Regex, WhatWasFoundBeforeTheWorkRanOutIsKept) {
  const auto regex = Regex::compile("x|(a+a+)+c");
  ASSERT_TRUE(regex.ok());
  const std::string text = "xx" + std::string(3000, 'a') + "bx";
  uint64_t work = Regex::work_for(text.size());
  EXPECT_EQ(regex->find_all(text, work).size(), 2U);
  EXPECT_EQ(work, 0U);
  EXPECT_TRUE(regex->find_all("x", work).empty());
}

}  // namespace
}  // namespace nibble
