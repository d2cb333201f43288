#include "cli/program.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

using Strings = std::vector<std::string>;

TEST(Arguments, ThreeLetterFlagsAreSpelledOut) {
  const char* argv[] = {"nibble", "run", "m.gguf", "-ctk", "f32", "-ctv", "f16", "-c", "64"};
  EXPECT_EQ(spelled_out(9, argv), (Strings{"run", "m.gguf", "--cache-type-k", "f32",
                                           "--cache-type-v", "f16", "-c", "64"}));
}

TEST(Arguments, OthersStayWhatTheyAre) {
  const char* argv[] = {"nibble", "-ctkx", "--prompt=-ctk", "ctk", "", "--", "-ctk"};
  EXPECT_EQ(spelled_out(7, argv), (Strings{"-ctkx", "--prompt=-ctk", "ctk", "", "--", "-ctk"}));
}

TEST(Arguments, NoneAtAll) {
  const char* argv[] = {"nibble"};
  EXPECT_EQ(spelled_out(1, argv), Strings{});
  EXPECT_EQ(spelled_out(0, argv), Strings{});  // execve() allows it
}

}  // namespace
}  // namespace nibble
