#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

namespace nibble {

Sampler::Sampler(const SamplerOptions& options, int64_t vocab_size)
    : options_(options), random_(options.seed) {
  candidates_.reserve(static_cast<size_t>(vocab_size));
}

void Sampler::accept(int32_t token) {
  if (options_.repeat_last_n <= 0) return;
  recent_.push_back(token);
  if (recent_.size() > static_cast<size_t>(options_.repeat_last_n)) recent_.pop_front();
}

// Keskar et al. 2019 (CTRL), once per token however often it occurred.
void Sampler::penalize() {
  if (options_.repeat_penalty == 1.0f) return;
  std::vector<int32_t> seen(recent_.begin(), recent_.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const int32_t token : seen) {
    if (token < 0 || static_cast<size_t>(token) >= candidates_.size()) continue;
    float& logit = candidates_[static_cast<size_t>(token)].logit;
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
  }
}

void Sampler::keep_top_k() {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  size_t k = candidates_.size();
  if (options_.top_k > 0) k = std::min(k, static_cast<size_t>(options_.top_k));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k),
                    candidates_.end(), better);
  candidates_.resize(k);
}

size_t Sampler::cut_tail() {
  weights_.clear();
  double total = 0;
  for (const Candidate& c : candidates_) {
    weights_.push_back(
        std::exp(static_cast<double>(c.logit) - static_cast<double>(candidates_.front().logit)));
    total += weights_.back();
  }
  size_t kept = weights_.size();
  if (options_.top_p < 1.0f) {
    double cumulated = 0;
    for (size_t i = 0; i < kept; ++i) {
      cumulated += weights_[i] / total;
      if (cumulated >= static_cast<double>(options_.top_p)) kept = i + 1;
    }
  }
  // weights_[0] is 1, so a weight is already relative to the most probable token.
  while (kept > 1 && weights_[kept - 1] < static_cast<double>(options_.min_p)) --kept;
  return kept;
}

int32_t Sampler::sample(std::span<const float> logits) {
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {logits[i], static_cast<int32_t>(i)};
  penalize();
  if (options_.temperature <= 0.0f) {
    const auto best =
        std::max_element(candidates_.begin(), candidates_.end(),
                         [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; });
    return best->token;  // the first of equals
  }
  keep_top_k();
  const size_t kept = cut_tail();
  double total = 0;
  for (size_t i = 0; i < kept; ++i) {
    const double gap =
        static_cast<double>(candidates_[i].logit) - static_cast<double>(candidates_[0].logit);
    weights_[i] = std::exp(gap / static_cast<double>(options_.temperature));
    total += weights_[i];
  }
  double point = random_.uniform() * total;
  for (size_t i = 0; i < kept; ++i) {
    point -= weights_[i];
    if (point < 0) return candidates_[i].token;
  }
  return candidates_[kept - 1].token;
}

}  // namespace nibble
