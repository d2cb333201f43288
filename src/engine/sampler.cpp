#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nibble {
namespace {

// Side by side, so that the compiler makes vectors of it.
float largest(std::span<const float> values) {
  constexpr size_t kLanes = 32;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, values[0]);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k)
      lanes[k] = values[i + k] > lanes[k] ? values[i + k] : lanes[k];
  }
  for (; i < values.size(); ++i) lanes[0] = std::max(lanes[0], values[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

}  // namespace

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
std::span<const float> Sampler::penalized(std::span<const float> logits) {
  if (options_.repeat_penalty == 1.0f || recent_.empty()) return logits;
  penalized_.assign(logits.begin(), logits.end());
  std::vector<int32_t> seen(recent_.begin(), recent_.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (const int32_t token : seen) {
    if (token < 0 || static_cast<size_t>(token) >= logits.size()) continue;
    float& logit = penalized_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
  }
  return penalized_;
}

void Sampler::collect(std::span<const float> logits, int32_t k) {
  constexpr size_t kBlock = 32;  // few blocks of a large vocabulary hold one of the best
  candidates_.clear();
  n_sorted_ = 0;
  const auto n_best = static_cast<ptrdiff_t>(k);
  const size_t wanted = k > 0 ? std::min(static_cast<size_t>(k), logits.size()) : logits.size();
  float bar = -std::numeric_limits<float>::infinity();  // the wanted are there, none under it
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const size_t end = std::min(begin + kBlock, logits.size());
    int above = 0;
    for (size_t i = begin; i < end; ++i) above += logits[i] > bar ? 1 : 0;
    if (above == 0 && candidates_.size() >= wanted) continue;
    for (size_t i = begin; i < end; ++i) {
      if (logits[i] > bar || candidates_.size() < wanted)
        candidates_.push_back({logits[i], static_cast<int32_t>(i)});
    }
    if (wanted == logits.size() || candidates_.size() < 2 * wanted + kBlock) continue;
    std::nth_element(candidates_.begin(), candidates_.begin() + n_best - 1, candidates_.end(),
                     better);
    candidates_.resize(wanted);
    bar = candidates_.back().logit;
  }
  if (candidates_.size() == wanted) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + n_best - 1, candidates_.end(),
                   better);
  candidates_.resize(wanted);
}

void Sampler::sort_to(size_t n) {
  while (n_sorted_ < n) {
    const size_t next = std::min(candidates_.size(), std::max<size_t>(128, 2 * n_sorted_));
    std::partial_sort(candidates_.begin() + static_cast<ptrdiff_t>(n_sorted_),
                      candidates_.begin() + static_cast<ptrdiff_t>(next), candidates_.end(),
                      better);
    n_sorted_ = next;
  }
}

double Sampler::weight(const Candidate& c, double temperature) const {
  return std::exp((static_cast<double>(c.logit) - static_cast<double>(best_)) / temperature);
}

size_t Sampler::cut_tail() {
  const double top_p = static_cast<double>(options_.top_p);
  const double min_p = static_cast<double>(options_.min_p);
  if (top_p >= 1 && min_p <= 0) return candidates_.size();
  double total = 0, cumulated = 0;
  if (top_p < 1) {
    for (const Candidate& c : candidates_) total += weight(c, 1);
  }
  size_t kept = 0;
  while (kept < candidates_.size()) {
    sort_to(kept + 1);
    const double w = weight(candidates_[kept], 1);  // relative to the most probable token
    if (kept > 0 && w < min_p) break;
    ++kept;
    cumulated += w;
    if (top_p < 1 && cumulated / total >= top_p) break;
  }
  return kept;
}

int32_t Sampler::sample(std::span<const float> logits) {
  const std::span<const float> values = penalized(logits);
  best_ = largest(values);
  if (options_.temperature <= 0.0f)  // the first of equals
    return static_cast<int32_t>(std::find(values.begin(), values.end(), best_) - values.begin());
  collect(values, options_.top_k);
  const size_t kept = cut_tail();
  const double temperature = static_cast<double>(options_.temperature);
  double total = 0;
  for (size_t i = 0; i < kept; ++i) total += weight(candidates_[i], temperature);
  double point = random_.uniform() * total;
  for (size_t i = 0; i < kept; ++i) {
    sort_to(i + 1);
    point -= weight(candidates_[i], temperature);
    if (point < 0) return candidates_[i].token;
  }
  return candidates_[kept - 1].token;
}

}  // namespace nibble
