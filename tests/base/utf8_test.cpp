#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace nibble {
namespace {

TEST(Utf8, EveryCodePointRoundTrips) {
  for (uint32_t c = 0; c <= 0x10ffff; ++c) {
    std::string text;
    append_utf8(c, text);
    const bool surrogate = c >= 0xd800 && c <= 0xdfff;
    ASSERT_EQ(text.size(), c < 0x80 ? 1u : c < 0x800 ? 2u : c < 0x10000 ? 3u : 4u);
    ASSERT_EQ(is_valid_utf8(text), !surrogate) << c;
    if (surrogate) continue;
    const CodePoint point = decode_utf8(text);
    ASSERT_TRUE(point.valid);
    ASSERT_EQ(point.value, c);
    ASSERT_EQ(point.length, text.size());
  }
}

// Every one of the 2^16 two-byte strings, and every lead with every second byte of longer ones.
TEST(Utf8, TwoBytes) {
  for (uint32_t a = 0; a < 256; ++a) {
    for (uint32_t b = 0; b < 256; ++b) {
      const std::string text = {static_cast<char>(a), static_cast<char>(b)};
      const bool expected =
          (a < 0x80 && b < 0x80) || (a >= 0xc2 && a <= 0xdf && b >= 0x80 && b <= 0xbf);
      ASSERT_EQ(is_valid_utf8(text), expected) << a << " " << b;
    }
  }
}

TEST(Utf8, InvalidSequences) {
  const char* const invalid[] = {
      "\x80",              // continuation alone
      "\xc0\x80",          // overlong NUL
      "\xc1\xbf",          // overlong U+7F
      "\xe0\x9f\xbf",      // overlong U+7FF
      "\xf0\x8f\xbf\xbf",  // overlong U+FFFF
      "\xed\xa0\x80",      // U+D800
      "\xed\xbf\xbf",      // U+DFFF
      "\xf4\x90\x80\x80",  // U+110000
      "\xf5\x80\x80\x80",
      "\xfe",
      "\xff",
      "\xe2\x82",          // cut off
      "\xf0\x9f\x98",      // cut off
      "\xe2\x28\xa1",      // wrong second byte
      "\xe2\x82\x28",      // wrong third byte
      "\xf0\x9f\x98\x28",  // wrong fourth byte
  };
  for (const char* text : invalid) {
    EXPECT_FALSE(is_valid_utf8(text)) << text;
    const CodePoint point = decode_utf8(text);
    EXPECT_FALSE(point.valid);
    EXPECT_EQ(point.value, 0xfffdu);
    EXPECT_EQ(point.length, 1u);
    EXPECT_FALSE(is_valid_utf8(std::string("ok ") + text + " ok"));
  }
  EXPECT_TRUE(is_valid_utf8(""));
  EXPECT_TRUE(is_valid_utf8(std::string_view("a\0b", 3)));
  EXPECT_TRUE(is_valid_utf8("\xef\xbf\xbf"));  // U+FFFF is a code point
  EXPECT_TRUE(is_valid_utf8("\xf4\x8f\xbf\xbf"));
}

TEST(Utf8, IncompleteTail) {
  EXPECT_EQ(incomplete_utf8_tail(""), 0u);
  EXPECT_EQ(incomplete_utf8_tail("abc"), 0u);
  const std::string smile = "\xf0\x9f\x98\x80";
  for (size_t n = 1; n < 4; ++n) {
    EXPECT_EQ(incomplete_utf8_tail("abc" + smile.substr(0, n)), n);
    EXPECT_EQ(incomplete_utf8_tail(smile.substr(0, n)), n);
  }
  EXPECT_EQ(incomplete_utf8_tail(smile), 0u);
  EXPECT_EQ(incomplete_utf8_tail("\xc3"), 1u);
  EXPECT_EQ(incomplete_utf8_tail("\xe2\x82"), 2u);
  EXPECT_EQ(incomplete_utf8_tail("\xe2\x82\xac"), 0u);
  EXPECT_EQ(incomplete_utf8_tail("\x80\x80\x80\x80"), 0u) << "no lead, nothing to wait for";
  EXPECT_EQ(incomplete_utf8_tail("\xe0\x80"), 0u) << "overlong: nothing can complete it";
  EXPECT_EQ(incomplete_utf8_tail("\xed\xa0"), 0u) << "a surrogate";
  EXPECT_EQ(incomplete_utf8_tail("\xf4\x90"), 0u) << "beyond U+10FFFF";
  EXPECT_EQ(incomplete_utf8_tail("\xff"), 0u);
  EXPECT_EQ(incomplete_utf8_tail("\xc3\xa9\xc3"), 1u);
}

// What is held back plus any cut of the rest is never split inside a character.
TEST(Utf8, StreamingNeverSplitsACharacter) {
  const std::string text = "a\xc3\xa9\xe6\xa8\xa1\xf0\x9f\x98\x80z";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string head = text.substr(0, cut);
    EXPECT_TRUE(is_valid_utf8(head.substr(0, cut - incomplete_utf8_tail(head)))) << cut;
  }
}

}  // namespace
}  // namespace nibble
