#include "text/special_tokens.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace nibble {
namespace {

using Fragments = std::vector<std::pair<std::string, int32_t>>;

Fragments split(const SpecialTokens& tokens, std::string_view text) {
  Fragments fragments;
  for (const TextFragment& fragment : tokens.split(text)) {
    fragments.emplace_back(fragment.text, fragment.token);
  }
  return fragments;
}

TEST(SpecialTokens, LongestAtEachPlaceFromLeftToRight) {
  SpecialTokens tokens;
  tokens.add("<a>", 1);
  tokens.add("<a><b>", 2);
  tokens.add("<b>", 3);
  EXPECT_EQ(split(tokens, "x<a>y<b>"), (Fragments{{"x", -1}, {"<a>", 1}, {"y", -1}, {"<b>", 3}}));
  EXPECT_EQ(split(tokens, "<a><b><a>"), (Fragments{{"<a><b>", 2}, {"<a>", 1}}));
  EXPECT_EQ(split(tokens, "<a><b"), (Fragments{{"<a>", 1}, {"<b", -1}}));
  EXPECT_EQ(split(tokens, "<<a>>"), (Fragments{{"<", -1}, {"<a>", 1}, {">", -1}}));
  EXPECT_EQ(split(tokens, ""), Fragments{});
}

TEST(SpecialTokens, NoneAtAll) {
  EXPECT_EQ(split(SpecialTokens(), "<a>"), (Fragments{{"<a>", -1}}));
}

}  // namespace
}  // namespace nibble
