// The forward pass of encoders: every token sees the whole text, there is no cache and there are no
// logits. A text is computed by itself, so a result never depends on what else is computed.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/feed_forward.h"
#include "model/model.h"
#include "ops/attention.h"
#include "ops/layers.h"
#include "ops/rope.h"

namespace nibble {

class Encoder {
 public:
  struct Options {
    int64_t max_tokens = 512;  // of one text
    ActivationMode activations = ActivationMode::kQuantized;
    const KernelTable* kernels = nullptr;  // null: the active table
  };
  // The model and the pool must outlive the encoder. Allocates everything that is needed.
  // kFailure: the model is no encoder; more tokens than it has embeddings for positions.
  static Result<std::unique_ptr<Encoder>> create(const Model& model, ThreadPool& pool,
                                                 const Options& options);
  // Bytes of buffers an encoder with these options holds.
  static int64_t buffer_bytes(const ModelConfig& config, int64_t max_row_len,
                              const Options& options, int n_threads);

  int64_t max_tokens() const { return max_tokens_; }
  // The final hidden states of a text of 1 to max_tokens() tokens: [tokens, d_model], valid until
  // the next call. Allocates nothing.
  std::span<const float> run(std::span<const int32_t> tokens);

 private:
  explicit Encoder(const Model& model) : model_(model) {}
  Status allocate(ThreadPool& pool, const Options& options);
  void embed(std::span<const int32_t> tokens);
  void run_layer(int64_t layer, int64_t n_tokens);
  void attention(int64_t n_tokens);

  const Model& model_;
  int64_t max_tokens_ = 0;
  Workspace workspace_;
  Rope rope_;
  FeedForward feed_forward_;
  Buffer hidden_, q_, k_, v_, attended_, projected_, positions_;
  Buffer keys_, values_;  // [n_kv_heads, max_tokens rounded up to segments], in segments
  Attention attention_;
  std::vector<AttentionRun> runs_;
};

// One vector out of the hidden states of a text, [d_model]: their mean, the first, or the last.
// Pooling::none counts as the mean.
void pool_hidden(const KernelTable& kernels, Pooling pooling, std::span<const float> hidden,
                 std::span<float> out);

// Length one; a vector of zeros stays.
void normalize_length(std::span<float> x);

}  // namespace nibble
