#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/random.h"

namespace nibble {
namespace {

SamplerOptions plain() {
  SamplerOptions options;
  options.temperature = 1.0f;
  options.top_k = 0;
  options.top_p = 1.0f;
  options.min_p = 0.0f;
  options.seed = 1;
  return options;
}

std::map<int32_t, int> draw(const SamplerOptions& options, const std::vector<float>& logits,
                            int n) {
  Sampler sampler(options, static_cast<int64_t>(logits.size()));
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.sample(logits)];
  return counts;
}

const std::vector<float> kLogits = {std::log(0.5f), std::log(0.25f), std::log(0.15f),
                                    std::log(0.1f)};

TEST(Sampler, FollowsTheProbabilities) {
  const auto counts = draw(plain(), kLogits, 20000);
  EXPECT_NEAR(counts.at(0), 10000, 300);
  EXPECT_NEAR(counts.at(1), 5000, 300);
  EXPECT_NEAR(counts.at(2), 3000, 300);
  EXPECT_NEAR(counts.at(3), 2000, 300);
}

TEST(Sampler, TemperatureSharpensAndZeroIsGreedyWithTheFirstOfEquals) {
  SamplerOptions options = plain();
  options.temperature = 0.5f;  // probabilities squared: .25 : .0625 : .0225 : .01
  EXPECT_NEAR(draw(options, kLogits, 20000).at(0), 20000 * 0.25 / 0.345, 300);
  options.temperature = 0.0f;
  EXPECT_EQ(draw(options, {1.0f, 3.0f, 3.0f, -1.0f}, 10), (std::map<int32_t, int>{{1, 10}}));
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
  SamplerOptions options = plain();
  options.top_k = 2;
  EXPECT_EQ(draw(options, kLogits, 1000).size(), 2u);
  options = plain();
  options.top_p = 0.7f;  // .5 + .25 reach it
  EXPECT_EQ(draw(options, kLogits, 1000).size(), 2u);
  options.top_p = 0.8f;
  EXPECT_EQ(draw(options, kLogits, 1000).size(), 3u);
  options.top_p = 0.0f;  // never fewer than one
  EXPECT_EQ(draw(options, kLogits, 100).size(), 1u);
  options = plain();
  options.min_p = 0.25f;  // at least .125
  EXPECT_EQ(draw(options, kLogits, 1000).size(), 3u);
}

TEST(Sampler, MinPLooksAtProbabilitiesBeforeTemperature) {
  SamplerOptions options = plain();
  options.min_p = 0.25f;
  options.temperature = 100.0f;  // flattens, but the cut was made before
  const auto counts = draw(options, kLogits, 3000);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_NEAR(counts.at(2), 1000, 120);
}

TEST(Sampler, RepeatPenaltyLooksBackSoManyTokens) {
  SamplerOptions options = plain();
  options.temperature = 0.0f;
  options.repeat_penalty = 2.0f;
  options.repeat_last_n = 2;
  const std::vector<float> logits = {4.0f, 3.0f, -1.0f};
  Sampler sampler(options, 3);
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(0);
  EXPECT_EQ(sampler.sample(logits), 1);  // 4 / 2 < 3
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(logits), 0);  // 2 against 1.5
  sampler.accept(2);                     // pushes token 0 out of the window
  EXPECT_EQ(sampler.sample(logits), 0);
  sampler.accept(2);
  const std::vector<float> negative = {-0.5f, -2.0f, -0.3f};
  EXPECT_EQ(sampler.sample(negative), 0);  // a negative logit is multiplied: -0.6 < -0.5
}

// Against the definition over a large vocabulary, where the sampler looks at few candidates: all
// sorted, cut to k, then to the shortest run that reaches top-p, then by min-p.
TEST(Sampler, LeavesWhatTheDefinitionLeaves) {
  Random random(3);
  std::vector<float> logits(5000);
  for (float& v : logits) v = std::round(8.0f * static_cast<float>(random.normal())) / 8.0f;
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  for (const int32_t top_k : {0, 1, 7, 300, 6000}) {
    for (const float top_p : {1.0f, 0.9f, 0.3f}) {
      for (const float min_p : {0.0f, 0.2f}) {
        SamplerOptions options = plain();
        options.temperature = 50.0f;  // nearly flat: whatever is left is drawn
        options.top_k = top_k;
        options.top_p = top_p;
        options.min_p = min_p;
        const size_t n_k =
            top_k > 0 ? std::min<size_t>(static_cast<size_t>(top_k), order.size()) : order.size();
        std::vector<double> weights;
        for (size_t i = 0; i < n_k; ++i) {
          weights.push_back(std::exp(double{logits[static_cast<size_t>(order[i])]} -
                                     logits[static_cast<size_t>(order[0])]));
        }
        const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
        size_t n = 0;
        double cumulated = 0;
        while (n < n_k && (n == 0 || top_p >= 1 || cumulated < double{top_p} * total))
          cumulated += weights[n++];
        while (n > 1 && weights[n - 1] < double{min_p}) --n;
        const std::set<int32_t> expected(order.begin(), order.begin() + static_cast<ptrdiff_t>(n));
        const auto counts = draw(options, logits, n <= 300 ? static_cast<int>(20 * n) : 200);
        std::set<int32_t> drawn;
        for (const auto& [token, count] : counts) drawn.insert(token);
        EXPECT_TRUE(std::includes(expected.begin(), expected.end(), drawn.begin(), drawn.end()))
            << top_k << ' ' << top_p << ' ' << min_p;
        if (n <= 300) {
          EXPECT_EQ(drawn, expected) << top_k << ' ' << top_p << ' ' << min_p;
        }
      }
    }
  }
}

TEST(Sampler, OneSeedGivesOneSequence) {
  const auto sequence = [](uint64_t seed) {
    SamplerOptions options = plain();
    options.seed = seed;
    Sampler sampler(options, 4);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 50; ++i) tokens.push_back(sampler.sample(kLogits));
    return tokens;
  };
  EXPECT_EQ(sequence(5), sequence(5));
  EXPECT_NE(sequence(5), sequence(6));
}

}  // namespace
}  // namespace nibble
