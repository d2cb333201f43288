// Divergence of one token against sums in double, and what becomes of many tokens.
#include "evaluate/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace nibble {
namespace {

std::vector<float> some_logits(size_t n, uint64_t seed, double spread) {
  Random random(seed);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = static_cast<float>(spread * random.normal() - 3.0);
  return logits;
}

// ln softmax by definition, in long double and without subtracting a maximum.
std::vector<double> log_softmax(const std::vector<float>& logits) {
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<long double>(logit));
  std::vector<double> result;
  for (const float logit : logits) {
    result.push_back(static_cast<double>(static_cast<long double>(logit) - std::log(sum)));
  }
  return result;
}

TokenScore score(std::vector<float> base, const std::vector<float>& other, int32_t next) {
  std::vector<float> p(base.size());
  normalize_reference(base, p);
  return score_token(base, p, other, next);
}

TEST(ScoreToken, EqualsAReferenceInDouble) {
  for (const size_t n : {5u, 70u, 1000u, 49152u}) {
    const auto base = some_logits(n, n, 3.0);
    auto other = base;
    Random random(n + 1);
    for (float& logit : other) logit += static_cast<float>(0.3 * random.normal());
    const auto log_p = log_softmax(base), log_q = log_softmax(other);
    double kld = 0;
    for (size_t i = 0; i < n; ++i) kld += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
    const size_t next = n / 3;
    const TokenScore got = score(base, other, static_cast<int32_t>(next));
    EXPECT_GT(kld, 1e-4);
    EXPECT_NEAR(got.kld, kld, 1e-6 + 1e-5 * kld) << n;
    EXPECT_NEAR(got.nll_base, -log_p[next], 1e-5) << n;
    EXPECT_NEAR(got.nll, -log_q[next], 1e-5) << n;
  }
}

TEST(ScoreToken, EqualLogitsHaveNoDivergence) {
  const auto logits = some_logits(5000, 3, 4.0);
  const TokenScore got = score(logits, logits, 17);
  EXPECT_NEAR(got.kld, 0, 1e-7);
  EXPECT_NEAR(got.nll, got.nll_base, 1e-6);
  EXPECT_TRUE(got.same_top);
}

TEST(ScoreToken, AConstantChangesNothing) {
  const auto base = some_logits(300, 4, 2.0);
  auto other = some_logits(300, 5, 2.0);
  const TokenScore before = score(base, other, 9);
  for (float& logit : other) logit += 64.0f;
  const TokenScore after = score(base, other, 9);
  EXPECT_NEAR(after.kld, before.kld, 1e-4);
  EXPECT_NEAR(after.nll, before.nll, 1e-4);
}

TEST(ScoreToken, ByHand) {
  // p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = (1/2) ln 2 - (1/4) ln 2.
  const float ln2 = std::log(2.0f);
  const TokenScore got = score({ln2, 0, 0}, {0, ln2, 0}, 1);
  EXPECT_NEAR(got.kld, 0.25 * std::log(2.0), 1e-6);
  EXPECT_NEAR(got.nll_base, std::log(4.0), 1e-6);
  EXPECT_NEAR(got.nll, std::log(2.0), 1e-6);
  EXPECT_FALSE(got.same_top);
}

TEST(ScoreToken, ExtremeLogitsStayFinite) {
  const TokenScore got = score({1000, -1000, 0}, {-1000, 1000, 0}, 0);
  EXPECT_NEAR(got.kld, 2000, 1e-3);
  EXPECT_NEAR(got.nll_base, 0, 1e-6);
  EXPECT_NEAR(got.nll, 2000, 1e-3);
}

TEST(Summary, MeansAndPerplexities) {
  const std::vector<TokenScore> scores = {
      {0.1, 1.0, 1.5, true}, {0.3, 2.0, 2.0, true}, {0.2, 3.0, 3.1, false}, {0.0, 2.0, 1.8, true}};
  const std::vector<int32_t> clusters = {0, 0, 1, 1};
  const DivergenceSummary got = summarize(scores, clusters);
  EXPECT_EQ(got.n_tokens, 4);
  EXPECT_NEAR(got.kld_mean, 0.15, 1e-12);
  EXPECT_NEAR(got.same_top, 0.75, 1e-12);
  EXPECT_NEAR(got.ppl_base, std::exp(2.0), 1e-12);
  EXPECT_NEAR(got.ppl, std::exp(2.1), 1e-12);
  EXPECT_NEAR(got.ppl_ratio, got.ppl / got.ppl_base, 1e-12);
  // Sums of the documents minus mean times length: 0.4 - 0.3 and 0.2 - 0.3.
  EXPECT_NEAR(got.kld_stderr, std::sqrt(2.0 * (0.01 + 0.01)) / 4, 1e-12);
  // Differences 0.5, 0 | 0.1, -0.2: mean 0.1, 0.5 - 0.2 and -0.1 - 0.2.
  EXPECT_NEAR(got.ppl_ratio_stderr, std::exp(0.1) * std::sqrt(2.0 * (0.09 + 0.09)) / 4, 1e-12);
}

TEST(Summary, P99IsTheNearestRank) {
  // Of n values the ceil(0.99 n)-th smallest, whatever their order.
  const auto p99 = [](int n) {
    std::vector<TokenScore> scores(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) scores[static_cast<size_t>(i)].kld = (i * 7 + 3) % n + 1;
    return summarize(scores, std::vector<int32_t>(static_cast<size_t>(n), 0)).kld_p99;
  };
  EXPECT_EQ(p99(1), 1);
  EXPECT_EQ(p99(50), 50);
  EXPECT_EQ(p99(100), 99);
  EXPECT_EQ(p99(101), 100);
  EXPECT_EQ(p99(200), 198);
  EXPECT_EQ(p99(1000), 990);
}

TEST(Summary, OneDocumentHasNoError) {
  const std::vector<TokenScore> scores(5, {0.1, 1.0, 1.1, true});
  const DivergenceSummary got = summarize(scores, std::vector<int32_t>(5, 3));
  EXPECT_TRUE(std::isnan(got.kld_stderr));
  EXPECT_TRUE(std::isnan(got.ppl_ratio_stderr));
  EXPECT_NEAR(got.kld_mean, 0.1, 1e-12);
  EXPECT_EQ(summarize({}, {}).n_tokens, 0);
}

TEST(ClusteredStderr, ByHand) {
  // Documents of 3, 2 and 1 tokens: sums 6, 9, 3; mean 3; deviations -3, 3, 0.
  const std::vector<double> values = {1, 2, 3, 4, 5, 3};
  const std::vector<int32_t> clusters = {7, 7, 7, 2, 2, 9};
  EXPECT_NEAR(clustered_stderr(values, clusters), std::sqrt(3.0 / 2.0 * 18.0) / 6.0, 1e-12);
  // The documents' tokens need not stand together.
  const std::vector<double> mixed = {4, 1, 3, 2, 5, 3};
  const std::vector<int32_t> mixed_clusters = {2, 7, 9, 7, 2, 7};
  EXPECT_NEAR(clustered_stderr(mixed, mixed_clusters), std::sqrt(3.0 / 2.0 * 18.0) / 6.0, 1e-12);
}

TEST(ClusteredStderr, OneTokenPerDocumentIsThePlainOne) {
  const std::vector<double> values = {1, 4, 2, 8, 5};
  const std::vector<int32_t> clusters = {0, 1, 2, 3, 4};
  double squares = 0;
  for (const double value : values) squares += (value - 4) * (value - 4);
  EXPECT_NEAR(clustered_stderr(values, clusters), std::sqrt(squares / 4 / 5), 1e-12);
}

TEST(ClusteredStderr, TokensThatMoveTogetherWidenIt) {
  std::vector<double> values;
  std::vector<int32_t> documents, tokens;
  for (int i = 0; i < 100; ++i) {
    values.push_back(i / 10 % 2);  // ten documents of ten equal tokens each
    documents.push_back(i / 10);
    tokens.push_back(i);
  }
  EXPECT_NEAR(clustered_stderr(values, documents) / clustered_stderr(values, tokens),
              std::sqrt(10.0 * 99.0 / 90.0), 1e-9);
}

}  // namespace
}  // namespace nibble
