// The small operators between linear layers, over a batch of rows.
#pragma once

#include <cstdint>
#include <span>

#include "ops/matmul.h"

namespace nibble {

// out[t] = rms_norm(x[t]) * gain; x, out: [n_tokens, n].
void rms_norm_rows(Workspace& workspace, const float* x, const float* gain, float epsilon,
                   int64_t n_tokens, int64_t n, float* out);

// gate = silu(gate) * up; [n_tokens, n].
void silu_mul_rows(Workspace& workspace, float* gate, const float* up, int64_t n_tokens, int64_t n);

// x += y; [n_tokens, n].
void add_rows(Workspace& workspace, float* x, const float* y, int64_t n_tokens, int64_t n);

// Rotary position embedding (Su et al. 2021). Pairs (2i, 2i+1) of a head when interleaved (Llama
// GGUF files), (i, i + n/2) otherwise.
class Rope {
 public:
  struct Options {
    double base = 10000.0;
    double position_scale = 1.0;  // linear scaling: angles of position * position_scale
    int64_t n_dims = 0;           // rotated values per head, even, at most head_dim
    bool interleaved = true;
    std::span<const float> factors;  // [n_dims / 2] divisors of the frequencies, or empty
  };
  static Result<Rope> create(const Options& options, int64_t max_tokens);

  // Fills the table of angles for these positions; [n_tokens, n_dims].
  void set_positions(const int32_t* positions, int64_t n_tokens);
  // x: [n_tokens, n_heads, head_dim], in place.
  void apply(Workspace& workspace, float* x, int64_t n_tokens, int64_t n_heads,
             int64_t head_dim) const;

 private:
  int64_t n_dims_ = 0;
  bool interleaved_ = true;
  Buffer frequencies_;  // double [n_dims / 2]
  Buffer angles_;       // float [max_tokens, n_dims / 2, 2]: cosine, sine
};

}  // namespace nibble
