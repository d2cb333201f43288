#include "container/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace nibble {
namespace {

TEST(Printable, PlainTextStays) {
  EXPECT_EQ(printable("blk.0.attn_q.weight"), "blk.0.attn_q.weight");
  EXPECT_EQ(printable("schl\xc3\xbcssel \xe6\xa8\xa1\xf0\x9f\x98\x80"),
            "schl\xc3\xbcssel \xe6\xa8\xa1\xf0\x9f\x98\x80");
}

TEST(Printable, NothingThatATerminalObeys) {
  EXPECT_EQ(printable("\x1b[2J\r\n\x7f"), "\\x1b[2J\\x0d\\x0a\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "CSI as a C1 control";
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
}

TEST(Printable, LongTextIsCut) {
  EXPECT_EQ(printable("12345", 5), "12345");
  EXPECT_EQ(printable("123456", 5), "12345...");
  EXPECT_LE(printable(std::string(100000, '\x01')).size(), 80u + 4 + 3);
}

}  // namespace
}  // namespace nibble
