// Rotary position embedding (Su et al. 2021) and the ways to stretch it over longer contexts.
#pragma once

#include <cstdint>
#include <span>

#include "ops/matmul.h"

namespace nibble {

// Pair i of a head is turned by the angle position * frequency[i]. Pairs are (2i, 2i+1) when
// interleaved (Llama GGUF files), (i, i + n_dims/2) otherwise.
class Rope {
 public:
  struct Options {
    double base = 10000.0;
    int64_t n_dims = 0;  // rotated values per head, even, at most head_dim
    bool interleaved = true;
    std::span<const float> factors;  // [n_dims / 2] divisors of the frequencies, or empty
    double position_scale = 1.0;     // linear scaling: angles of position * position_scale
    double magnitude = 1.0;          // of the turned values

    // YaRN (Peng et al. 2023): pairs that turn more than beta_fast times within n_ctx_original
    // positions keep their frequency, those below beta_slow turns are scaled, between them a ramp.
    // extrapolation 0: off (every pair is scaled).
    double extrapolation = 0.0;
    double beta_fast = 32.0, beta_slow = 1.0;
    int64_t n_ctx_original = 0;
  };
  static Result<Rope> create(const Options& options, int64_t max_tokens);

  // Fills the table of angles for these positions, [n_tokens, n_dims]; free when they are the ones
  // it was filled for last.
  void set_positions(std::span<const int32_t> positions);
  // x: [n_tokens, n_heads, head_dim], in place.
  void apply(Workspace& workspace, float* x, int64_t n_tokens, int64_t n_heads,
             int64_t head_dim) const;

 private:
  int64_t n_dims_ = 0;
  bool interleaved_ = true;
  double magnitude_ = 1.0;
  Buffer frequencies_;  // double [n_dims / 2]
  Buffer angles_;       // float [max_tokens, n_dims / 2, 2]: cosine, sine
  Buffer positions_;    // int32 [max_tokens]: what angles_ holds
  size_t n_positions_ = 0;
};

}  // namespace nibble
