#include "evaluate/divergence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace nibble {
namespace {

struct LogSum {
  float maximum;
  double log_sum;  // ln(sum exp(x - maximum))
  size_t argmax;
};

LogSum log_sum_exp(std::span<const float> x) {
  const auto top = std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(std::exp(v - *top));
  return {*top, std::log(sum), static_cast<size_t>(top - x.begin())};
}

}  // namespace

void normalize_reference(std::span<float> log_p, std::span<float> p) {
  const LogSum total = log_sum_exp(log_p);
  for (size_t i = 0; i < log_p.size(); ++i) {
    log_p[i] = static_cast<float>(static_cast<double>(log_p[i] - total.maximum) - total.log_sum);
    p[i] = std::exp(log_p[i]);
  }
}

TokenScore score_token(std::span<const float> log_p, std::span<const float> p,
                       std::span<const float> logits, int32_t next_token) {
  const LogSum total = log_sum_exp(logits);
  TokenScore score;
  size_t top = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double log_q = static_cast<double>(logits[i] - total.maximum) - total.log_sum;
    score.kld += static_cast<double>(p[i]) * (static_cast<double>(log_p[i]) - log_q);
    if (log_p[i] > log_p[top]) top = i;
  }
  const auto next = static_cast<size_t>(next_token);
  score.nll_base = -static_cast<double>(log_p[next]);
  score.nll = -(static_cast<double>(logits[next] - total.maximum) - total.log_sum);
  score.same_top = top == total.argmax;
  return score;
}

double clustered_stderr(std::span<const double> values, std::span<const int32_t> clusters) {
  struct Cluster {
    double sum = 0, n = 0;
  };
  std::map<int32_t, Cluster> by_cluster;
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    Cluster& cluster = by_cluster[clusters[i]];
    cluster.sum += values[i];
    cluster.n += 1;
    sum += values[i];
  }
  const auto d = static_cast<double>(by_cluster.size());
  if (by_cluster.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const auto n = static_cast<double>(values.size());
  const double mean = sum / n;
  double squares = 0;
  for (const auto& [id, cluster] : by_cluster) {
    squares += (cluster.sum - mean * cluster.n) * (cluster.sum - mean * cluster.n);
  }
  return std::sqrt(d / (d - 1) * squares) / n;
}

DivergenceSummary summarize(std::span<const TokenScore> scores, std::span<const int32_t> clusters) {
  DivergenceSummary summary;
  summary.n_tokens = static_cast<int64_t>(scores.size());
  if (scores.empty()) return summary;
  std::vector<double> kld, log_ratio;
  double kld_sum = 0, nll_base = 0, nll = 0, same = 0;
  for (const TokenScore& score : scores) {
    kld.push_back(score.kld);
    log_ratio.push_back(score.nll - score.nll_base);
    kld_sum += score.kld;
    nll_base += score.nll_base;
    nll += score.nll;
    same += score.same_top ? 1 : 0;
  }
  const auto n = static_cast<double>(scores.size());
  summary.kld_mean = kld_sum / n;
  summary.kld_stderr = clustered_stderr(kld, clusters);
  summary.same_top = same / n;
  summary.ppl_base = std::exp(nll_base / n);
  summary.ppl = std::exp(nll / n);
  summary.ppl_ratio = std::exp((nll - nll_base) / n);
  summary.ppl_ratio_stderr = summary.ppl_ratio * clustered_stderr(log_ratio, clusters);
  // Nearest-rank percentile.
  const auto rank = static_cast<size_t>(std::ceil(0.99 * n)) - 1;
  std::nth_element(kld.begin(), kld.begin() + static_cast<ptrdiff_t>(rank), kld.end());
  summary.kld_p99 = kld[rank];
  return summary;
}

}  // namespace nibble
