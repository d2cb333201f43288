#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(TerminalSafe, TextPassesUnchanged) {
  for (const char* text :
       {"", "plain", "two\nlines\n", "\ttab", "Größe 日本語 🙂", "\n\n\t\n"}) {
    EXPECT_EQ(terminal_safe(text), text);
  }
}

TEST(TerminalSafe, ControlCharactersAreShown) {
  EXPECT_EQ(terminal_safe("\x1b]0;title\x07"), "\\x1b]0;title\\x07");
  EXPECT_EQ(terminal_safe("a\rb\bc\x7f"), "a\\x0db\\x08c\\x7f");
  EXPECT_EQ(terminal_safe(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(terminal_safe("\xc2\x9b"
                          "31m"),
            "\\xc2\\x9b31m");  // U+009B is ESC [ in one
}

TEST(TerminalSafe, BytesThatAreNoUtf8AreShown) {
  EXPECT_EQ(terminal_safe("a\xff\xe6\x97\n"), "a\\xff\\xe6\\x97\n");
  EXPECT_EQ(terminal_safe("\xc0\x9b"), "\\xc0\\x9b");  // an overlong escape character
}

TEST(TerminalSafe, LongTextIsNotCut) {
  const std::string text(100000, 'x');
  EXPECT_EQ(terminal_safe(text), text);
}

TEST(HistoryPath, FollowsTheBaseDirectories) {
  EXPECT_EQ(history_path("/state", "/home/u"), "/state/nibble/history");
  EXPECT_EQ(history_path(nullptr, "/home/u"), "/home/u/.local/state/nibble/history");
  EXPECT_EQ(history_path("", "/home/u"), "/home/u/.local/state/nibble/history");
  EXPECT_EQ(history_path("relative", "/home/u"), "/home/u/.local/state/nibble/history");
  EXPECT_EQ(history_path(nullptr, nullptr), "");
  EXPECT_EQ(history_path("", ""), "");
}

}  // namespace
}  // namespace nibble
