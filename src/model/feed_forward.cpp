#include "model/feed_forward.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

namespace nibble {
namespace {

// Values per token of each buffer of FeedForward; all have 4 bytes.
struct Widths {
  int64_t d_ff, experts, used, one, d_model;
  explicit Widths(const ModelConfig& c)
      : d_ff(c.d_ff),
        experts(c.n_experts),
        used(c.n_experts_used),
        one(c.n_experts > 0 ? 1 : 0),
        d_model(c.n_experts > 0 ? c.d_model : 0) {}
  int64_t total() const { return 2 * (d_ff + used + one + d_model + experts); }
};

}  // namespace

int64_t FeedForward::buffer_bytes(const ModelConfig& config, int64_t max_batch) {
  return Widths(config).total() * max_batch * 4;
}

Result<FeedForward> FeedForward::create(const ModelConfig& config, int64_t max_batch) {
  FeedForward result;
  const Widths widths(config);
  const std::pair<Buffer*, int64_t> buffers[] = {
      {&result.gate_, widths.d_ff},        {&result.up_, widths.d_ff},
      {&result.router_, widths.experts},   {&result.order_, widths.experts},
      {&result.chosen_, widths.used},      {&result.weights_, widths.used},
      {&result.members_, widths.one},      {&result.shares_, widths.one},
      {&result.gathered_, widths.d_model}, {&result.parts_, widths.d_model},
  };
  for (const auto& [buffer, width] : buffers) {
    ASSIGN_OR_RETURN(*buffer, Buffer::allocate(static_cast<size_t>(width * max_batch) * 4));
  }
  return result;
}

void FeedForward::run(Workspace& workspace, const ModelConfig& config, const LayerPlan& plan,
                      int64_t layer, const float* x, int64_t n_tokens, float* out,
                      const LinearHook& hook) {
  if (plan.ffn_gate_inp.present()) {
    mixture(workspace, config, plan, layer, x, n_tokens, out, hook);
  } else {
    network(workspace, config, plan.ffn_gate, plan.ffn_up, plan.ffn_down,
            {TensorRole::ffn_gate, layer}, x, n_tokens, out, hook);
  }
}

// down (f(gate x) * up x), or down f(up x) without a gate.
void FeedForward::network(Workspace& workspace, const ModelConfig& config, const Tensor& gate,
                          const Tensor& up, const Tensor& down, LinearSite site, const float* x,
                          int64_t n_tokens, float* out, const LinearHook& hook) {
  float* inner = gate_.as<float>();
  float* beside = gate.present() ? up_.as<float>() : nullptr;
  if (hook) hook(site, x, n_tokens, config.d_model);
  {
    Input input(workspace, x, n_tokens, config.d_model, config.d_model);
    if (gate.present()) matmul(gate, input, inner, config.d_ff);
    matmul(up, input, gate.present() ? beside : inner, config.d_ff);
  }
  activate_rows(workspace, config.nonlinearity, inner, beside, n_tokens, config.d_ff);
  site.role = TensorRole::ffn_down;
  if (hook) hook(site, inner, n_tokens, config.d_ff);
  Input input(workspace, inner, n_tokens, config.d_ff, config.d_ff);
  matmul(down, input, out, config.d_model);
}

// The experts with the largest probability of each token, at a tie the first, and their weights.
void FeedForward::choose_experts(Workspace& workspace, const ModelConfig& config,
                                 int64_t n_tokens) {
  const int64_t n_used = config.n_experts_used;
  workspace.pool().parallel_for(n_tokens, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* probabilities = router_.as<float>() + t * config.n_experts;
      workspace.kernels().softmax(probabilities, config.n_experts);
      int32_t* order = order_.as<int32_t>() + t * config.n_experts;
      std::iota(order, order + config.n_experts, 0);
      std::partial_sort(order, order + n_used, order + config.n_experts, [&](int32_t a, int32_t b) {
        return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
      });
      int32_t* chosen = chosen_.as<int32_t>() + t * n_used;
      float* weights = weights_.as<float>() + t * n_used;
      float total = 0;
      for (int64_t k = 0; k < n_used; ++k) {
        chosen[k] = order[k];
        total += probabilities[order[k]];
      }
      std::sort(chosen, chosen + n_used);
      for (int64_t k = 0; k < n_used; ++k) {
        weights[k] = probabilities[chosen[k]];
        // The lower bound keeps a router without a preference from dividing by nothing.
        if (config.normalize_experts) weights[k] /= std::max(total, 6.1e-5f);
      }
    }
  });
}

void FeedForward::mixture(Workspace& workspace, const ModelConfig& config, const LayerPlan& plan,
                          int64_t layer, const float* x, int64_t n_tokens, float* out,
                          const LinearHook& hook) {
  const int64_t d_model = config.d_model, d_ff = config.d_ff, n_used = config.n_experts_used;
  if (hook) hook({TensorRole::ffn_gate_inp, layer}, x, n_tokens, d_model);
  {
    Input input(workspace, x, n_tokens, d_model, d_model);
    matmul(plan.ffn_gate_inp, input, router_.as<float>(), config.n_experts);
  }
  choose_experts(workspace, config, n_tokens);
  std::memset(out, 0, static_cast<size_t>(n_tokens * d_model) * sizeof(float));
  auto* members = members_.as<int32_t>();
  auto* shares = shares_.as<float>();
  auto* gathered = gathered_.as<float>();
  auto* parts = parts_.as<float>();
  const auto* chosen = chosen_.as<int32_t>();
  const auto* weights = weights_.as<float>();
  for (int64_t expert = 0; expert < config.n_experts; ++expert) {
    int64_t n = 0;
    for (int64_t i = 0; i < n_tokens * n_used; ++i) {
      if (chosen[i] != expert) continue;
      members[n] = static_cast<int32_t>(i / n_used);
      shares[n] = weights[i];
      std::memcpy(gathered + n++ * d_model, x + i / n_used * d_model,
                  static_cast<size_t>(d_model) * sizeof(float));
    }
    if (n == 0) continue;
    network(workspace, config, rows_of(plan.ffn_gate, expert * d_ff, d_ff),
            rows_of(plan.ffn_up, expert * d_ff, d_ff),
            rows_of(plan.ffn_down, expert * d_model, d_model),
            {TensorRole::ffn_gate, layer, expert}, gathered, n, parts, hook);
    workspace.pool().parallel_for(n, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        workspace.kernels().add_scaled(out + members[i] * d_model, parts + i * d_model, shares[i],
                                       d_model);
      }
    });
  }
}

}  // namespace nibble
