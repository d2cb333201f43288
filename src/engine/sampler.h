// Choosing the next token: repeat penalty, top-k, top-p, min-p, temperature, in llama.cpp's order
// and with its defaults; greedy at temperature 0. The same seed and logits give the same token
// everywhere.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/random.h"

namespace nibble {

struct SamplerOptions {
  float temperature = 0.8f;     // 0: the most probable token
  int32_t top_k = 40;           // <= 0: all
  float top_p = 0.95f;          // >= 1: off
  float min_p = 0.05f;          // 0: off; relative to the most probable token
  float repeat_penalty = 1.0f;  // 1: off
  int32_t repeat_last_n = 64;   // tokens the penalty looks back
  uint64_t seed = 0;
};

class Sampler {
 public:
  Sampler(const SamplerOptions& options, int64_t vocab_size);

  // The next token; logits: [vocab_size].
  int32_t sample(std::span<const float> logits);
  // Tells the sampler what the text holds (prompt and generated tokens), for the repeat penalty.
  void accept(int32_t token);

 private:
  struct Candidate {
    float logit;
    int32_t token;
  };
  static bool better(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }
  std::span<const float> penalized(std::span<const float> logits);
  // The best k to candidates_, in no order; k <= 0: all, in the order of their tokens.
  void collect(std::span<const float> logits, int32_t k);
  // Brings the best n to the front, in order.
  void sort_to(size_t n);
  // How many of the best top-p and min-p leave.
  size_t cut_tail();
  // exp((logit - best) / temperature)
  double weight(const Candidate& c, double temperature) const;

  SamplerOptions options_;
  Random random_;
  std::deque<int32_t> recent_;
  std::vector<float> penalized_;
  std::vector<Candidate> candidates_;
  size_t n_sorted_ = 0;
  float best_ = 0;  // logit
};

}  // namespace nibble
