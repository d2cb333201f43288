// The second half of a layer, one network for every token or a mixture of experts, with the buffers
// it needs. Decoder and encoder share it.
#pragma once

#include <cstdint>
#include <functional>

#include "model/model.h"
#include "ops/layers.h"

namespace nibble {

// Where the hook of a forward pass stands.
struct LinearSite {
  TensorRole role;  // attn_q: input of Q, K and V; ffn_gate: of gate and up; else of that matrix
  int64_t layer;    // -1: of no layer
  int64_t expert = -1;  // which matrix of a mixture; -1: there is one

  friend auto operator<=>(const LinearSite&, const LinearSite&) = default;
};
// Sees the float input of each linear layer: x [n_tokens, n]. Of an expert: the tokens it gets.
using LinearHook =
    std::function<void(const LinearSite& site, const float* x, int64_t n_tokens, int64_t n)>;

class FeedForward {
 public:
  static Result<FeedForward> create(const ModelConfig& config, int64_t max_batch);
  // Bytes that create() allocates.
  static int64_t buffer_bytes(const ModelConfig& config, int64_t max_batch);

  // out = network(x); x, out: [n_tokens, d_model], not the same. The result for a token does not
  // depend on its neighbours: the experts it goes to are added in ascending order. Allocates
  // nothing.
  void run(Workspace& workspace, const ModelConfig& config, const LayerPlan& plan, int64_t layer,
           const float* x, int64_t n_tokens, float* out, const LinearHook& hook);

 private:
  void network(Workspace& workspace, const ModelConfig& config, const Tensor& gate,
               const Tensor& up, const Tensor& down, LinearSite site, const float* x,
               int64_t n_tokens, float* out, const LinearHook& hook);
  void choose_experts(Workspace& workspace, const ModelConfig& config, int64_t n_tokens);
  void mixture(Workspace& workspace, const ModelConfig& config, const LayerPlan& plan,
               int64_t layer, const float* x, int64_t n_tokens, float* out, const LinearHook& hook);

  Buffer gate_, up_;  // [max_batch, d_ff]
  // Of a mixture:
  Buffer router_, order_;  // [max_batch, n_experts]: probabilities, experts by them
  Buffer chosen_,
      weights_;     // [max_batch, n_experts_used]: experts in ascending order, their weight
  Buffer members_;  // [max_batch] tokens of the expert at hand
  Buffer shares_;   // [max_batch] their weights
  Buffer gathered_, parts_;  // [max_batch, d_model]: inputs and outputs of the expert at hand
};

}  // namespace nibble
