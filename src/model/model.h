// A loaded model: configuration, vocabulary and weights, every shape checked. Immutable but for
// replace(), which tests of quantization use.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "model/architecture.h"
#include "ops/tensor.h"
#include "text/tokenizer.h"

namespace nibble {

// The weights of one layer and what distinguishes it; the forward pass is driven by these fields.
struct LayerPlan {
  const float* attn_norm = nullptr;  // [d_model]
  Tensor attn_q;                     // [q_dim, d_model]
  Tensor attn_k, attn_v;             // [kv_dim, d_model]
  Tensor attn_output;                // [d_model, q_dim]
  const float* ffn_norm = nullptr;   // [d_model]
  Tensor ffn_gate, ffn_up;           // [d_ff, d_model]
  Tensor ffn_down;                   // [d_model, d_ff]
};

class Model {
 public:
  // Maps the file and checks it: architecture known (kFailure), tensors present and of the right
  // shape, no NaN or infinity in norms and block scales (kInvalid).
  static Result<std::unique_ptr<Model>> load(const std::filesystem::path& path, ThreadPool& pool);

  const ModelConfig& config() const { return config_; }
  const GgufFile& file() const { return file_; }
  const std::vector<LayerPlan>& layers() const { return layers_; }
  const Tensor& token_embd() const { return token_embd_; }  // [vocab_size, d_model]
  const Tensor& output() const { return output_.present() ? output_ : token_embd_; }
  bool tied() const { return !output_.present(); }
  const float* output_norm() const { return output_norm_; }  // [d_model]
  std::span<const float> rope_factors() const { return rope_factors_; }

  // Puts another matrix of the same shape in the place of one. The bytes must outlive the model.
  void replace(TensorRole role, int layer, const Tensor& tensor);

  // Bytes of weights that decoding one token reads: every matrix once; the embedding only as the
  // head when tied.
  int64_t bytes_read_per_token() const;
  // Longest row of any matrix.
  int64_t max_row_len() const;

 private:
  Status bind(const TensorRule& rule, int layer);
  Tensor* slot(TensorRole role, int layer);
  const float** vector_slot(TensorRole role, int layer);
  Status check_values(ThreadPool& pool) const;

  GgufFile file_;
  ModelConfig config_;
  std::vector<LayerPlan> layers_;
  Tensor token_embd_, output_;
  const float* output_norm_ = nullptr;
  std::span<const float> rope_factors_;
  std::vector<std::unique_ptr<float[]>>
      converted_;  // vectors that the file keeps in another float type
};

}  // namespace nibble
