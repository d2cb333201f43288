// The small operators between linear layers, over a batch of rows.
#pragma once

#include <cstdint>

#include "ops/matmul.h"

namespace nibble {

enum class NormKind {
  rms,    // x / sqrt(mean(x^2) + epsilon) * gain            (Zhang and Sennrich 2019)
  layer,  // (x - mean) / sqrt(variance + epsilon) * gain + bias   (Ba et al. 2016)
};

// The weights of one normalisation, [n] each.
struct Norm {
  const float* gain = nullptr;
  const float* bias = nullptr;  // null: none

  bool present() const { return gain != nullptr; }
};

// out[t] = norm(x[t]); x, out: [n_tokens, n]. out may be x.
void norm_rows(Workspace& workspace, NormKind kind, const float* x, const Norm& norm, float epsilon,
               int64_t n_tokens, int64_t n, float* out);

// What stands between the two halves of a feed-forward network.
enum class Nonlinearity { silu, gelu_tanh, gelu_erf };

// gate = f(gate) * up, or f(gate) when up is null; [n_tokens, n].
void activate_rows(Workspace& workspace, Nonlinearity kind, float* gate, const float* up,
                   int64_t n_tokens, int64_t n);

// x += y; [n_tokens, n].
void add_rows(Workspace& workspace, float* x, const float* y, int64_t n_tokens, int64_t n);

// x = cap * tanh(x / cap); [n_tokens, n].
void softcap_rows(Workspace& workspace, float* x, float cap, int64_t n_tokens, int64_t n);

}  // namespace nibble
