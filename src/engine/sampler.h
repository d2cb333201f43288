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
  void penalize();
  void keep_top_k();
  // The candidates that top-p and min-p leave, as a count of the sorted list; fills weights_ with
  // their probabilities at temperature 1.
  size_t cut_tail();

  SamplerOptions options_;
  Random random_;
  std::deque<int32_t> recent_;
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
};

}  // namespace nibble
