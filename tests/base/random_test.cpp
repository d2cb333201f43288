#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace nibble {
namespace {

// The published reference values of SplitMix64: generated weights and seeds of users stand on them.
TEST(Random, FirstValuesNeverChange) {
  Random zero(0);
  EXPECT_EQ(zero.next(), 0xe220a8397b1dcdafull);
  EXPECT_EQ(zero.next(), 0x6e789e6aa1b965f4ull);
  EXPECT_EQ(zero.next(), 0x06c45d188009454full);
  Random seeded(1234567);
  EXPECT_EQ(seeded.next(), 6457827717110365317ull);
  EXPECT_EQ(seeded.next(), 3203168211198807973ull);
}

TEST(Random, UniformIsInRangeAndSpread) {
  Random random(1);
  double sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = random.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    sum += x;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.01);
}

TEST(Random, BelowReachesEveryValueAndNoOther) {
  Random random(2);
  std::vector<int> seen(7);
  for (int i = 0; i < 7000; ++i) {
    const uint64_t x = random.below(7);
    ASSERT_LT(x, 7u);
    ++seen[x];
  }
  for (const int n : seen) EXPECT_NEAR(n, 1000, 150);
  EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, NormalHasMeanZeroAndVarianceOne) {
  Random random(3);
  double sum = 0, squares = 0, biggest = 0;
  constexpr int kN = 200000;
  for (int i = 0; i < kN; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
    biggest = std::max(biggest, std::abs(x));
  }
  EXPECT_NEAR(sum / kN, 0.0, 0.01);
  EXPECT_NEAR(squares / kN, 1.0, 0.01);
  EXPECT_LE(biggest, 6.0);
  EXPECT_GT(biggest, 3.5);
}

}  // namespace
}  // namespace nibble
