// What a quantized model's next-token distribution has lost against the original's, per token and
// in sum.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nibble {

// In place: logits in log_p become log-probabilities, p their exponentials. (float32, maximum
// subtracted, sum in double.)
void normalize_reference(std::span<float> log_p, std::span<float> p);

struct TokenScore {
  double kld = 0;       // sum p ln(p / q), nats
  double nll_base = 0;  // -ln p(next token)
  double nll = 0;       // -ln q(next token)
  bool same_top = false;
};

// One position: reference against candidate logits, [vocab_size] each.
TokenScore score_token(std::span<const float> log_p, std::span<const float> p,
                       std::span<const float> logits, int32_t next_token);

struct DivergenceSummary {
  int64_t n_tokens = 0;
  double kld_mean = 0;
  double kld_stderr = 0;  // clustered; NaN with a single cluster
  double kld_p99 = 0;
  double same_top = 0;  // 0..1
  double ppl_base = 0;
  double ppl = 0;
  double ppl_ratio = 0;         // ppl / ppl_base
  double ppl_ratio_stderr = 0;  // from the paired differences, clustered
};

// clusters[i]: which document token i belongs to.
DivergenceSummary summarize(std::span<const TokenScore> scores, std::span<const int32_t> clusters);

// Standard error of the mean of `values` whose errors are dependent inside a cluster:
// Var(mean) = D / (D - 1) * sum over clusters d of (S_d - mean * n_d)^2 / N^2.
double clustered_stderr(std::span<const double> values, std::span<const int32_t> clusters);

}  // namespace nibble
