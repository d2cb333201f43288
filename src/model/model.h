// A loaded model: configuration, vocabulary and weights, every shape checked. Immutable but for
// replace(), which tests of quantization use.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "container/model_source.h"
#include "kernels/kernels.h"
#include "model/architecture.h"
#include "ops/rope.h"
#include "ops/tensor.h"
#include "text/tokenizer.h"

namespace nibble {

// The weights of one layer and what distinguishes it; the forward pass is driven by these fields
// and those of ModelConfig. Linear layers carry their bias (ops/tensor.h); parts of fused matrices
// are views of rows.
struct LayerPlan {
  Norm attn_norm;                 // of the layer's input; absent: taken as it is
  Tensor attn_q;                  // [q_dim, d_model]
  Tensor attn_k, attn_v;          // [kv_dim, d_model]
  Norm attn_q_norm, attn_k_norm;  // of each head, [head_dim]
  int64_t window = 0;             // positions a token sees, itself included; 0: all before it
  enum class Turn { none, global, local } turn = Turn::global;  // which rotary embedding
  Tensor attn_output;                                           // [d_model, q_dim]
  Norm attn_post_norm;    // of the output of attention, before the residual
  Norm attn_output_norm;  // of the sum with the residual (encoders)
  Norm ffn_norm;          // of the input of the feed-forward network
  Tensor ffn_gate_inp;    // [n_experts, d_model]; absent: no experts
  Tensor ffn_gate;        // [d_ff, d_model], experts on top of each other; may be absent
  Tensor ffn_up;          // [d_ff, d_model], the same
  Tensor ffn_down;        // [d_model, d_ff], the same
  Norm ffn_post_norm, layer_output_norm;  // as those of attention
};

class Model {
 public:
  // Opens a file or folder (model/source.h), maps what it can and checks it: architecture known
  // (kFailure), tensors present and of the right shape, no NaN or infinity in norms (kInvalid).
  // Before it is computed with, check_values() must have passed.
  static Result<std::unique_ptr<Model>> open(const std::filesystem::path& path);
  // That no block scale is a NaN or an infinity (kInvalid), of tensors not yet looked at. Reads all
  // of the file that interleave() has not read.
  Status check_values(ThreadPool& pool);
  // Both.
  static Result<std::unique_ptr<Model>> load(const std::filesystem::path& path, ThreadPool& pool);
  // Moves the matrices that have an interleaved form (ops/interleave.h) into private memory; the
  // pages of the file are let go. Results stay the same, decoding becomes faster. Only for decoders
  // with quantized activations and the same kernels. kResource: they do not fit into the memory
  // that is available beside reserved_bytes, nothing moved; kInvalid: the file was cut meanwhile,
  // or what check_values() finds.
  Status interleave(const KernelTable& kernels, ThreadPool& pool, int64_t reserved_bytes = 0);

  const ModelConfig& config() const { return config_; }
  const ModelSource& source() const { return *source_; }
  // Of weights that are held in memory of our own, beside what is mapped.
  int64_t held_bytes() const { return held_bytes_; }
  const std::vector<LayerPlan>& layers() const { return layers_; }
  const Tensor& token_embd() const { return token_embd_; }  // [vocab_size, d_model]
  const Tensor& output() const {
    return output_.present() ? output_ : tied_output_.present() ? tied_output_ : token_embd_;
  }
  bool tied() const { return !output_.present(); }
  const Norm& output_norm() const { return output_norm_; }  // [d_model]
  // Encoders: norm of the sum of the embeddings; the embeddings of positions and of token types,
  // absent where the family has none. GPT-2 has positions, too.
  const Norm& token_embd_norm() const { return token_embd_norm_; }
  const Tensor& position_embd() const { return position_embd_; }  // [n_ctx_train, d_model]
  const Tensor& token_types() const { return token_types_; }      // [n_token_types, d_model]
  // Divisors of the frequencies of the rotary embedding for a context of this length; may be empty.
  std::span<const float> rope_factors(int64_t n_ctx) const;

  // Puts another matrix of the same shape in the place of one. The bytes must outlive the model.
  // Its bias stays.
  void replace(TensorRole role, int layer, const Tensor& tensor);
  // Lets tests switch parts of an architecture off; before a decoder is made.
  void alter(const std::function<void(ModelConfig&, std::span<LayerPlan>)>& change);
  // GGUF names of the tensors that the input of a linear layer in this role (decoder.h, LinearHook)
  // is multiplied with.
  std::vector<std::string> weights_behind(TensorRole role, int layer) const;

  // Bytes of weights that decoding one token reads: every matrix once, of experts those that
  // are used; the embedding only as the head when tied.
  int64_t bytes_read_per_token() const;
  // Longest row of any matrix.
  int64_t max_row_len() const;

 private:
  Result<const std::byte*> hold(const GgufTensor& tensor);
  Status bind(const TensorRule& rule, int layer);
  Status bind_vector(const TensorRule& rule, int layer, const GgufTensor& tensor);
  Tensor* slot(TensorRole role, int layer);
  Norm* norm_slot(TensorRole role, int layer);
  void place(TensorRole role, int layer, const Tensor& matrix);
  void place_bias(TensorRole role, int layer, const float* bias);
  Tensor move_by_eights(const KernelTable& kernels, const GgufTensor& tensor, const Tensor& matrix,
                        ThreadPool& pool, std::byte* out, int64_t* n_bad_scales) const;
  Status bad_scales(const GgufTensor& tensor, int64_t n) const;
  Tensor interleavable(const KernelTable& kernels, const TensorRule& rule, int layer) const;
  template <typename Visit>
  void for_interleavable(const KernelTable& kernels, Visit&& visit) const;

  std::unique_ptr<ModelSource> source_;
  std::unordered_set<const GgufTensor*> checked_;  // whose block scales have been looked at
  bool all_checked_ = false;
  bool moved_ = false;        // interleave() did
  std::vector<Buffer> held_;  // tensors that a file does not have as they are
  int64_t held_bytes_ = 0;
  ModelConfig config_;
  std::vector<LayerPlan> layers_;
  Tensor token_embd_, output_;
  Tensor tied_output_;  // the embedding as the head, when it had to be held in another form
  Tensor position_embd_, token_types_;
  Norm output_norm_, token_embd_norm_;
  std::span<const float> rope_factors_, rope_factors_long_, rope_factors_short_;
  std::vector<std::unique_ptr<float[]>> vectors_;  // norms, biases, factors
};

// The rotary embedding of a model's layers (the windowed ones may have another) in sequences of up
// to n_ctx positions.
Rope::Options rope_options(const Model& model, int64_t n_ctx);

}  // namespace nibble
