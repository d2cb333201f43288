#include "text/added_tokens.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace nibble {
namespace {

using Fragments = std::vector<std::pair<std::string, int32_t>>;

constexpr TextRange kEverywhere[] = {{0, SIZE_MAX}};

Fragments split(const AddedTokens& tokens, std::string_view text,
                std::span<const TextRange> special_ranges = kEverywhere) {
  Fragments fragments;
  for (const TextFragment& fragment : tokens.split(text, special_ranges)) {
    fragments.emplace_back(fragment.text, fragment.token);
  }
  return fragments;
}

TEST(AddedTokens, LongestAtEachPlaceFromLeftToRight) {
  const AddedTokens tokens({{.spelling = "<a>", .token = 1},
                            {.spelling = "<a><b>", .token = 2},
                            {.spelling = "<b>", .token = 3}});
  EXPECT_EQ(split(tokens, "x<a>y<b>"), (Fragments{{"x", -1}, {"<a>", 1}, {"y", -1}, {"<b>", 3}}));
  EXPECT_EQ(split(tokens, "<a><b><a>"), (Fragments{{"<a><b>", 2}, {"<a>", 1}}));
  EXPECT_EQ(split(tokens, "<a><b"), (Fragments{{"<a>", 1}, {"<b", -1}}));
  EXPECT_EQ(split(tokens, "<<a>>"), (Fragments{{"<", -1}, {"<a>", 1}, {">", -1}}));
  EXPECT_EQ(split(tokens, ""), Fragments{});
  EXPECT_EQ(split(AddedTokens(), "<a>"), (Fragments{{"<a>", -1}}));
}

TEST(AddedTokens, SpecialOnesOnlyInsideTheirRanges) {
  const AddedTokens tokens({{.spelling = "<s>", .token = 1, .is_special = true},
                            {.spelling = "<u>", .token = 2},
                            {.spelling = "<s><u>", .token = 3, .is_special = true}});
  EXPECT_EQ(split(tokens, "<s><u>", {}), (Fragments{{"<s>", -1}, {"<u>", 2}}));
  const TextRange first[] = {{0, 3}};
  EXPECT_EQ(split(tokens, "<s><s>", first), (Fragments{{"<s>", 1}, {"<s>", -1}}));
  EXPECT_EQ(split(tokens, "<s><u>", first), (Fragments{{"<s>", 1}, {"<u>", 2}}));
  const TextRange cut[] = {{0, 2}, {2, 6}};  // no token lies in one of them
  EXPECT_EQ(split(tokens, "<s><s", cut), (Fragments{{"<s><s", -1}}));
  const TextRange second[] = {{3, 6}};
  EXPECT_EQ(split(tokens, "<s><s>", second), (Fragments{{"<s>", -1}, {"<s>", 1}}));
}

TEST(AddedTokens, SpacesAndWords) {
  const AddedTokens tokens({{.spelling = "<l>", .token = 1, .lstrip = true},
                            {.spelling = "<r>", .token = 2, .rstrip = true},
                            {.spelling = "word", .token = 3, .single_word = true}});
  EXPECT_EQ(split(tokens, "a \u3000<l> b"), (Fragments{{"a", -1}, {" \u3000<l>", 1}, {" b", -1}}));
  EXPECT_EQ(split(tokens, "a <r>\n b"), (Fragments{{"a ", -1}, {"<r>\n ", 2}, {"b", -1}}));
  EXPECT_EQ(split(tokens, "<r> <l>"), (Fragments{{"<r> ", 2}, {"<l>", 1}}));
  EXPECT_EQ(split(tokens, "a word."), (Fragments{{"a ", -1}, {"word", 3}, {".", -1}}));
  EXPECT_EQ(split(tokens, "words"), (Fragments{{"words", -1}}));
  EXPECT_EQ(split(tokens, "\u00e9word"), (Fragments{{"\u00e9word", -1}}));
}

}  // namespace
}  // namespace nibble
