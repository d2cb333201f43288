#include "base/finite.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace nibble {
namespace {

TEST(AllFinite, FindsOneInAnyPlace) {
  using Limits = std::numeric_limits<float>;
  for (size_t n : {1u, 31u, 32u, 33u, 100u}) {
    std::vector<float> values(n, Limits::max());
    values[n / 2] = -0.0f;
    EXPECT_TRUE(all_finite(values));
    for (size_t i = 0; i < n; ++i) {
      for (float bad : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
        std::vector<float> changed = values;
        changed[i] = bad;
        EXPECT_FALSE(all_finite(changed)) << i << " of " << n;
      }
    }
  }
  EXPECT_TRUE(all_finite({}));
}

}  // namespace
}  // namespace nibble
