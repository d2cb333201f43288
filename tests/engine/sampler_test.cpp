#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

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
