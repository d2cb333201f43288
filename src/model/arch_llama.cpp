// Llama: RMSNorm, rotary embedding on interleaved pairs, grouped-query attention, SwiGLU, output
// matrix tied to the embedding when absent. (Touvron et al. 2023; the GGUF names and the pair order
// are those of files written by llama.cpp's converter, which permutes the rows of Q and K.)
#include <limits>

#include "model/families.h"

namespace nibble {
namespace {

constexpr TensorRule kRules[] = {
    {TensorRole::token_embd, Dim::d_model, Dim::vocab, false, true},
    {TensorRole::output_norm, Dim::d_model, Dim::one, false, true},
    {TensorRole::output, Dim::d_model, Dim::vocab, false, false},
    {TensorRole::rope_freqs, Dim::rope_pairs, Dim::one, false, false},
    {TensorRole::attn_norm, Dim::d_model, Dim::one, true, true},
    {TensorRole::attn_q, Dim::d_model, Dim::q_dim, true, true},
    {TensorRole::attn_k, Dim::d_model, Dim::kv_dim, true, true},
    {TensorRole::attn_v, Dim::d_model, Dim::kv_dim, true, true},
    {TensorRole::attn_output, Dim::q_dim, Dim::d_model, true, true},
    {TensorRole::ffn_norm, Dim::d_model, Dim::one, true, true},
    {TensorRole::ffn_gate, Dim::d_model, Dim::d_ff, true, true},
    {TensorRole::ffn_up, Dim::d_model, Dim::d_ff, true, true},
    {TensorRole::ffn_down, Dim::d_ff, Dim::d_model, true, true},
};

Result<ModelConfig> read_llama_config(ConfigReader& reader) {
  constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();
  ModelConfig config;
  config.n_layers = reader.integer("block_count", 1, 512);
  config.d_model = reader.integer("embedding_length", 8, 1 << 18);
  config.d_ff = reader.per_layer_integer("feed_forward_length", config.n_layers, 8, 1 << 22);
  config.n_heads = reader.per_layer_integer("attention.head_count", config.n_layers, 1, 4096);
  config.n_kv_heads =
      reader.per_layer_integer("attention.head_count_kv", config.n_layers, 1, 4096, config.n_heads);
  config.n_ctx_train = reader.integer("context_length", 1, int64_t{1} << 30);
  config.norm_epsilon =
      static_cast<float>(reader.number("attention.layer_norm_rms_epsilon", 0.0, 1.0, kRequired));
  config.rope_base = reader.number("rope.freq_base", 1.0, 1e15, 10000.0);
  if (reader.integer("expert_count", 0, 1 << 20, 0) > 0) {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] is a mixture of experts ({}.expert_count); nibble "
                           "runs dense Llama models",
                           reader.where(), reader.architecture()));
  }
  if (config.d_model % config.n_heads != 0 &&
      reader.metadata().find("llama.attention.key_length") == nullptr) {
    reader.fail(make_error(ErrorKind::kInvalid,
                           "[{}] embedding_length {} is not a multiple of head_count {}",
                           reader.where(), config.d_model, config.n_heads));
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    reader.fail(make_error(ErrorKind::kInvalid,
                           "[{}] head_count {} is not a multiple of head_count_kv {}",
                           reader.where(), config.n_heads, config.n_kv_heads));
  }
  config.head_dim =
      reader.integer("attention.key_length", 8, 1024, config.d_model / config.n_heads);
  if (reader.integer("attention.value_length", 1, 1024, config.head_dim) != config.head_dim) {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] keys and values have different lengths; nibble runs "
                           "models where they are equal",
                           reader.where()));
  }
  config.rope_dims = reader.integer("rope.dimension_count", 2, 1024, config.head_dim);
  if (config.head_dim % 8 != 0 || config.head_dim < 8 || config.rope_dims % 2 != 0 ||
      config.rope_dims > config.head_dim) {
    reader.fail(make_error(ErrorKind::kInvalid,
                           "[{}] head size {} with {} rotated dimensions; a multiple "
                           "of 8 and an even number not above it are allowed",
                           reader.where(), config.head_dim, config.rope_dims));
  }
  const std::string scaling = reader.text("rope.scaling.type", "none");
  if (scaling == "linear") {
    config.rope_position_scale = 1.0 / reader.number("rope.scaling.factor", 1e-3, 1e6, 1.0);
  } else if (scaling != "none") {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] RoPE scaling '{}' is not supported; none and linear are",
                           reader.where(), scaling));
  }
  RETURN_IF_ERROR(reader.status());
  return config;
}

}  // namespace

const Architecture kArchLlama = {"llama", read_llama_config, kRules};

}  // namespace nibble
