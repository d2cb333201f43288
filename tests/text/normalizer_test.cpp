#include "text/normalizer.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "base/utf8.h"

namespace nibble {
namespace {

TEST(Normalizer, NormalForms) {
  EXPECT_EQ(normal_form("e\u0301", NormalForm::kNfc), "\u00e9");
  EXPECT_EQ(normal_form("\u00e9", NormalForm::kNfd), "e\u0301");
  EXPECT_EQ(normal_form("\ufb01\u00bd", NormalForm::kNfkc), "fi1\u20442");
  EXPECT_EQ(normal_form("\u1e9b\u0323", NormalForm::kNfkd), "s\u0323\u0307");
  // Bytes that are no text stay.
  EXPECT_EQ(normal_form("e\u0301\xff\xc3", NormalForm::kNfc), "\u00e9\xff\xc3");
  // To the library that models were trained with, this is no decomposable character yet.
  EXPECT_EQ(normal_form("\u32ff", NormalForm::kNfkc), "\u32ff");
}

TEST(Normalizer, LongRunsOfMarksAreOrderedInTime) {
  std::string marks, want = "e";
  for (int i = 0; i < 100'000; ++i) marks += "\u0301\u0316";
  for (int i = 0; i < 100'000; ++i) want += "\u0316";
  for (int i = 0; i < 100'000; ++i) want += "\u0301";
  const std::clock_t start = std::clock();
  EXPECT_EQ(normal_form("e" + marks, NormalForm::kNfd), want);
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 5.0);
}

TEST(Normalizer, Bert) {
  const auto bert = make_bert({});
  EXPECT_EQ(bert->apply("H\u00c9llo\tW\u0007\u0130"), "hello wi");
  EXPECT_EQ(bert->apply("\u4f60\u597d"), " \u4f60  \u597d ");
  EXPECT_EQ(bert->apply("a\ufffd\u200d\u0007\xff"
                        "b"),
            "ab");
  const auto cased = make_bert({.strip_accents = false, .lowercase = false});
  EXPECT_EQ(cased->apply("\u00c9"), "\u00c9");
}

TEST(Normalizer, SimpleSteps) {
  EXPECT_EQ(make_strip(true, true)->apply(" \u3000a b\n"), "a b");
  EXPECT_EQ(make_strip(false, true)->apply(" a "), " a");
  EXPECT_EQ(make_strip(true, true)->apply("\u3000"), "");
  EXPECT_EQ(make_prepend("_")->apply("a"), "_a");
  EXPECT_EQ(make_prepend("_")->apply(""), "");
  EXPECT_EQ(make_replace("aa", "b")->apply("aaa"), "ba");
  EXPECT_EQ(make_lowercase()->apply("\u0130\u03a3\u1e9e"), "i\u0307\u03c3\u00df");
  EXPECT_EQ(make_strip_accents()->apply("e\u0301\u0903"), "e");
  EXPECT_EQ(make_nmt()->apply("a\u0001\u200b\ufeff"), "a  ");
  EXPECT_EQ(make_byte_level_normalizer()->apply(" \n"), "\u0120\u010a");
  EXPECT_EQ(make_squeeze_spaces()->apply("  a   b "), "a b");
  auto regex = Regex::compile(" {2,}");
  ASSERT_TRUE(regex.ok());
  EXPECT_EQ(make_regex_replace(regex.take(), " ")->apply("a   b c"), "a b c");
}

// A table with one entry, "A" -> "bc": units by place; see charsmap.h.
std::string one_entry_map() {
  std::string bytes;
  const auto put = [&](uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift);
  };
  put(128 * 4);
  for (uint32_t place = 0; place < 128; ++place) {
    if (place == 0) {
      put(1u << 10);  // the root's children are around 1
    } else if (place == (1u ^ 'A')) {
      put('A' | (1u << 8) | (2u << 10));  // has a value, at its place XOR 2
    } else if (place == (1u ^ 'A' ^ 2u)) {
      put(1u << 31);  // replacement 0
    } else {
      put(0xff);
    }
  }
  bytes += std::string("bc\0", 3);
  return bytes;
}

TEST(Charsmap, FindsItsEntries) {
  auto map = Charsmap::parse(one_entry_map());
  ASSERT_TRUE(map.ok()) << map.error().message;
  EXPECT_EQ(map->longest("Ax").length, 1u);
  EXPECT_EQ(map->longest("Ax").replacement, "bc");
  EXPECT_EQ(map->longest("B").length, 0u);
  EXPECT_EQ(map->shortest("A"), "bc");
  EXPECT_EQ(make_charsmap(*map)->apply("xAAy\xff"), "xbcbcy\ufffd");
  EXPECT_EQ(make_precompiled(map.take())->apply("xAy"), "xbcy");
}

TEST(Charsmap, DamagedTablesFindNothingOrAreRefused) {
  const std::string good = one_entry_map();
  for (size_t n = 0; n < 4 + 128 * 4; n += 7) EXPECT_FALSE(Charsmap::parse(good.substr(0, n)).ok());
  // Every bit of the units flipped: whatever is found lies inside.
  for (size_t bit = 32; bit < (4 + 128 * 4) * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const auto map = Charsmap::parse(bytes);
    ASSERT_TRUE(map.ok());
    for (const char* text : {"A", "AA", "\x7f", "B"}) {
      EXPECT_LE(map->longest(text).replacement.size(), 64u);
    }
  }
}

}  // namespace
}  // namespace nibble
