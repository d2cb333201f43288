#include "text/regex.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace nibble {
namespace {

using Spans = std::vector<std::pair<size_t, size_t>>;

Spans find(std::string_view expression, std::string_view text) {
  const auto regex = Regex::compile(expression);
  EXPECT_TRUE(regex.ok()) << (regex.ok() ? "" : regex.error().message);
  Spans spans;
  if (!regex.ok()) return spans;
  const auto matches = regex->find_all(text);
  EXPECT_TRUE(matches.has_value()) << expression;
  if (!matches) return spans;
  for (const Regex::Match& match : *matches) spans.emplace_back(match.begin, match.end);
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
  for (const char* expression : {"a(", "[a", R"([\W])", "[a[^b]]", R"(\K)", "(?~a)", "[a-z&&b]",
                                 R"(\p{NoSuchScript})", "\\", R"(\u00g0)", "(?<n>a)\\g<n>"}) {
    const auto regex = Regex::compile(expression);
    ASSERT_FALSE(regex.ok()) << expression;
    EXPECT_EQ(regex.error().kind, ErrorKind::kFailure) << expression;
    EXPECT_NE(regex.error().message.find("regular expression"), std::string::npos);
  }
  EXPECT_FALSE(Regex::compile(std::string(1000, '(')).ok());
  EXPECT_FALSE(Regex::compile(std::string(100'000, 'a')).ok());
  EXPECT_FALSE(Regex::compile(std::string(1000, '[') + std::string(1000, ']')).ok());
}

TEST(Regex, WorkIsLimited) {
  const auto seconds = [](std::string_view expression, const std::string& text) {
    const auto regex = Regex::compile(expression);
    EXPECT_TRUE(regex.ok());
    const std::clock_t start = std::clock();
    (void)regex->find_all(text);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  // Runaway backtracking, and a look to the end of the text from every place.
  EXPECT_LT(seconds("(a+a+)+b", std::string(2000, 'a')), 5.0);
  EXPECT_LT(seconds(R"(\d{1,3}(?=(?:\d{3})*\b))", std::string(1 << 19, '1') + "x"), 10.0);
  const auto regex = Regex::compile("(a+a+)+b");
  EXPECT_FALSE(regex->find_all(std::string(2000, 'a')).has_value());
}

}  // namespace
}  // namespace nibble
