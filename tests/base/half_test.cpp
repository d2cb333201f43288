#include "base/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/random.h"

namespace nibble {
namespace {

// The value of a finite binary16 by its definition, in double.
double value_of_f16(uint16_t h) {
  const int exponent = (h >> 10) & 31;
  const int mantissa = h & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

// The binary16 nearest to x >= 0, ties to even, by search over all of them.
uint16_t nearest_f16(double x) {
  uint16_t low = 0, high = 0x7c00;  // as if infinity were the next value, 65536
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (value_of_f16(middle) <= x ? low : high) = middle;
  }
  const double above = high == 0x7c00 ? 65536.0 : value_of_f16(high);
  const double down = x - value_of_f16(low), up = above - x;
  if (down == up) return (low & 1) == 0 ? low : high;
  return down < up ? low : high;
}

TEST(Half, EveryF16IsExactInF32AndComesBack) {
  for (uint32_t i = 0; i <= 0xffff; ++i) {
    const auto h = static_cast<uint16_t>(i);
    const float value = f16_to_f32(h);
    if ((h & 0x7c00) != 0x7c00) {
      ASSERT_EQ(static_cast<double>(value), value_of_f16(h)) << i;
      ASSERT_EQ(std::signbit(value), (h & 0x8000) != 0) << i;
    } else if ((h & 0x3ff) == 0) {
      ASSERT_TRUE(std::isinf(value) && std::signbit(value) == ((h & 0x8000) != 0)) << i;
    } else {
      ASSERT_TRUE(std::isnan(value)) << i;
      ASSERT_EQ(f32_to_f16(value), h | 0x200) << i;  // quieted, payload kept
      continue;
    }
    ASSERT_EQ(f32_to_f16(value), h) << i;
  }
}

TEST(Half, TiesGoToEvenAndNeighboursToTheNearer) {
  for (uint32_t i = 0; i < 0x7c00; ++i) {
    const auto h = static_cast<uint16_t>(i);
    const double next = i == 0x7bff ? 65536.0 : value_of_f16(static_cast<uint16_t>(i + 1));
    const auto middle = static_cast<float>((value_of_f16(h) + next) / 2);  // exact
    const auto even = static_cast<uint16_t>(i + (i & 1));
    ASSERT_EQ(f32_to_f16(middle), even) << i;
    ASSERT_EQ(f32_to_f16(std::nextafterf(middle, 0.0f)), h) << i;
    ASSERT_EQ(f32_to_f16(std::nextafterf(middle, 1e9f)), i + 1) << i;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << i;
  }
}

TEST(Half, RandomFloatsGoToTheNearestF16) {
  Random random(1);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<uint32_t>(random.next()) & 0x7fffffffu;
    const auto value = std::bit_cast<float>(bits);
    if (std::isnan(value)) continue;
    const uint16_t expected = value >= 65536.0f ? uint16_t{0x7c00} : nearest_f16(value);
    ASSERT_EQ(f32_to_f16(value), expected) << value;
  }
}

TEST(Half, F16Edges) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_EQ(f32_to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);  // half of the smallest, a tie
  EXPECT_EQ(f32_to_f16(0x1.000002p-25f), 1);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7f800001u)) & 0x7e00, 0x7e00) << "NaN stays NaN";
}

TEST(Half, EveryBf16ComesBack) {
  for (uint32_t i = 0; i <= 0xffff; ++i) {
    const auto b = static_cast<uint16_t>(i);
    const float value = bf16_to_f32(b);
    ASSERT_EQ(std::bit_cast<uint32_t>(value), i << 16);
    ASSERT_EQ(f32_to_bf16(value), std::isnan(value) ? b | 0x40 : b) << i;
  }
}

TEST(Half, Bf16RoundsToNearestEven) {
  for (uint32_t i = 0; i < 0x7f80; ++i) {
    const uint32_t middle = (i << 16) | 0x8000u;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle)), i + (i & 1)) << i;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle - 1)), i) << i;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle + 1)), i + 1) << i;
  }
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80) << "rounds up to infinity";
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7fffffffu)), 0x7fff) << "NaN never becomes infinity";
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
}

}  // namespace
}  // namespace nibble
