// The forward pass: batch first. A step takes tokens of any number of sequences, each with its
// position, and says for which the logits are wanted. Results do not depend on how tokens were
// grouped into steps.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "model/feed_forward.h"
#include "model/kv_cache.h"
#include "model/model.h"
#include "ops/attention.h"
#include "ops/layers.h"
#include "ops/rope.h"

namespace nibble {

struct BatchToken {
  int32_t token;
  int32_t position;  // absolute, reserved in the KV cache
  int32_t sequence;
  bool want_logits;
};

class Decoder {
 public:
  struct Options {
    int64_t max_batch = 512;  // tokens per step
    // Positions a sequence may have: some models turn by other angles in long contexts. 0: as many
    // as the model was made for.
    int64_t n_ctx = 0;
    ActivationMode activations = ActivationMode::kQuantized;
    const KernelTable* kernels = nullptr;  // null: the active table
  };
  // The model and the pool must outlive the decoder. Allocates everything the steps will need.
  // kFailure: an encoder; a context longer than the model has embeddings for positions.
  static Result<std::unique_ptr<Decoder>> create(const Model& model, ThreadPool& pool,
                                                 const Options& options);

  int64_t max_batch() const { return max_batch_; }
  const Model& model() const { return model_; }
  // Bytes of buffers a decoder with these options holds.
  static int64_t buffer_bytes(const ModelConfig& config, int64_t max_row_len,
                              const Options& options, int n_threads);

  // One step; batch.size() <= max_batch. Of one sequence, tokens stand in ascending positions.
  // logits: [number of tokens that want them, vocab_size], in batch order.
  void forward(std::span<const BatchToken> batch, KvCache& cache, float* logits);

  // The same in pieces, over hidden states that the caller keeps: [n_tokens, d_model].
  void embed(std::span<const BatchToken> batch, float* hidden);
  void run_layer(int64_t layer, std::span<const BatchToken> batch, KvCache& cache, float* hidden);
  void head(std::span<const BatchToken> batch, const float* hidden, float* logits);
  // What head() begins with, on all rows of hidden: [n_tokens, d_model].
  void final_norm(float* hidden, int64_t n_tokens);

  // Called on every linear layer's input until replaced; empty: none.
  void set_hook(LinearHook hook) { hook_ = std::move(hook); }

 private:
  explicit Decoder(const Model& model) : model_(model) {}
  Status allocate(ThreadPool& pool, const Options& options);
  void call_hook(TensorRole role, int64_t layer, const float* x, int64_t n_tokens, int64_t n);
  void project(const LayerPlan& plan, int64_t layer, std::span<const BatchToken> batch,
               KvCache& cache);
  std::span<const AttentionRun> split_into_runs(std::span<const BatchToken> batch);
  void attention(int64_t layer, std::span<const BatchToken> batch, const KvCache& cache);

  const Model& model_;
  int64_t max_batch_ = 0;
  Workspace workspace_;
  Rope global_rope_, local_rope_;
  FeedForward feed_forward_;
  LinearHook hook_;
  Buffer hidden_, normed_, q_, k_, v_, attended_, projected_;
  Buffer positions_, runs_;
  Attention attention_;
};

}  // namespace nibble
