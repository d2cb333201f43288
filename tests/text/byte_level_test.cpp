#include "text/byte_level.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace nibble {
namespace {

TEST(ByteLevel, EveryByteHasACharacterOfItsOwnAndComesBack) {
  std::set<std::string> spellings;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    const std::string spelling = byte_level_spelling(bytes);
    EXPECT_TRUE(spellings.insert(spelling).second) << byte;
    EXPECT_EQ(bytes_of_spelling(spelling), bytes) << byte;
  }
}

TEST(ByteLevel, KnownCharacters) {
  EXPECT_EQ(byte_level_spelling("a~!"), "a~!");
  EXPECT_EQ(byte_level_character(' '), 0x120u);
  EXPECT_EQ(byte_level_character('\n'), 0x10au);
  EXPECT_EQ(byte_level_character(0x00), 0x100u);
  EXPECT_EQ(byte_level_character(0x7f), 0x121u);
  EXPECT_EQ(byte_level_character(0xad), 0x143u);
  EXPECT_EQ(byte_level_character(0xff), 0xffu);
}

TEST(ByteLevel, OtherSpellingsAreNone) {
  EXPECT_EQ(bytes_of_spelling("a b"), std::nullopt);     // a space is spelled U+0120
  EXPECT_EQ(bytes_of_spelling("\u0144"), std::nullopt);  // one past the last
  EXPECT_EQ(bytes_of_spelling("\u00ad"), std::nullopt);
  EXPECT_EQ(bytes_of_spelling("\xff"), std::nullopt);
  EXPECT_EQ(bytes_of_spelling(""), "");
}

}  // namespace
}  // namespace nibble
