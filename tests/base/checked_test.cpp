#include "base/checked.h"

#include <gtest/gtest.h>

#include <limits>

namespace nibble {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

TEST(Checked, Add) {
  EXPECT_EQ(checked_add(1, 2), 3u);
  EXPECT_EQ(checked_add(kMax, 0), kMax);
  EXPECT_EQ(checked_add(kMax, 1), std::nullopt);
  EXPECT_EQ(checked_add(kMax, kMax), std::nullopt);
}

TEST(Checked, Mul) {
  EXPECT_EQ(checked_mul(0, kMax), 0u);
  EXPECT_EQ(checked_mul(1ull << 32, (1ull << 32) - 1), kMax - (1ull << 32) + 1);
  EXPECT_EQ(checked_mul(1ull << 32, 1ull << 32), std::nullopt);
  EXPECT_EQ(checked_mul(3, kMax / 3), kMax);
  EXPECT_EQ(checked_mul(3, kMax / 3 + 1), std::nullopt);
}

TEST(Checked, Align) {
  EXPECT_EQ(checked_align(0, 32), 0u);
  EXPECT_EQ(checked_align(1, 32), 32u);
  EXPECT_EQ(checked_align(32, 32), 32u);
  EXPECT_EQ(checked_align(33, 32), 64u);
  EXPECT_EQ(checked_align(77, 1), 77u);
  EXPECT_EQ(checked_align(kMax - 31, 32), kMax - 31);
  EXPECT_EQ(checked_align(kMax - 30, 32), std::nullopt);
  EXPECT_EQ(checked_align(kMax, 32), std::nullopt);
}

}  // namespace
}  // namespace nibble
