#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/cpu.h"
#include "base/log.h"

namespace nibble {
namespace {

Result<int> half_of(int n) {
  if (n % 2 != 0) return make_error(ErrorKind::kUsage, "[{}] is odd", n);
  return n / 2;
}

Result<int> quarter_of(int n) {
  ASSIGN_OR_RETURN(const int half, half_of(n));
  ASSIGN_OR_RETURN(const int quarter, half_of(half));
  return quarter;
}

Status must_be_even(int n) {
  RETURN_IF_ERROR(half_of(n));
  return {};
}

TEST(Result, ValuesAndErrorsTravel) {
  EXPECT_EQ(*quarter_of(12), 3);
  const auto odd = quarter_of(6);
  ASSERT_FALSE(odd.ok());
  EXPECT_EQ(odd.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(odd.error().message, "[3] is odd");
  EXPECT_TRUE(must_be_even(2).ok());
  EXPECT_EQ(must_be_even(7).error().message, "[7] is odd");
}

TEST(Result, MovesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = result.take();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, TheWrongQuestionIsOurMistake) {
  EXPECT_DEATH((void)half_of(1).value(), "ok");
  EXPECT_DEATH((void)half_of(2).error(), "ok");
  EXPECT_DEATH((void)Status().error(), "ok");
}

TEST(Result, KindsAreExitCodes) {
  EXPECT_EQ(static_cast<int>(ErrorKind::kFailure), 1);
  EXPECT_EQ(static_cast<int>(ErrorKind::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ErrorKind::kNotFound), 3);
  EXPECT_EQ(static_cast<int>(ErrorKind::kInvalid), 4);
  EXPECT_EQ(static_cast<int>(ErrorKind::kResource), 5);
  EXPECT_EQ(static_cast<int>(ErrorKind::kInterrupted), 130);
}

TEST(Log, WarningsGoWhereTheProgramSays) {
  std::string seen;
  set_log_sink([&](std::string_view text) { seen += text; });
  warn("{} of {}", 1, 2);
  set_log_sink({});
  warn("unheard");
  EXPECT_EQ(seen, "1 of 2");
}

TEST(Cpu, CoresAreCounted) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), kMaxThreads);
}

}  // namespace
}  // namespace nibble
