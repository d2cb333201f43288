// Gemma 2 and 3 (Gemma Team 2024, 2025): embeddings times sqrt(d_model), a norm before and after
// each block, GELU, layers with a sliding window between layers that see everything. Gemma 2 caps
// scores and logits by tanh; Gemma 3 normalises the heads of Q and K, and turns windowed layers by
// a base of their own. The gains in GGUF files already have the 1 added that the papers leave out.
#include <cmath>

#include "model/families.h"

namespace nibble {
namespace {

using D = Dim;
using R = TensorRole;

constexpr TensorRule kGemma2Rules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always},
    {R::attn_norm, D::d_model, D::one, true, Need::always},
    {R::attn_q, D::d_model, D::q_dim, true, Need::always},
    {R::attn_k, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_v, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::attn_post_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
    {R::ffn_post_norm, D::d_model, D::one, true, Need::always},
};

constexpr TensorRule kGemma3Rules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always},
    {R::output, D::d_model, D::vocab, false, Need::optional},
    {R::attn_norm, D::d_model, D::one, true, Need::always},
    {R::attn_q, D::d_model, D::q_dim, true, Need::always},
    {R::attn_k, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_v, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_q_norm, D::head_dim, D::one, true, Need::always},
    {R::attn_k_norm, D::head_dim, D::one, true, Need::always},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::attn_post_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
    {R::ffn_post_norm, D::d_model, D::one, true, Need::always},
};

// largest: number of layers of the 27B model of the generation. It alone scales its scores by the
// width per head instead of the head's size; files do not say so, and llama.cpp goes by this, too.
ModelConfig read_gemma(ConfigReader& reader, int64_t largest) {
  ModelConfig config = read_transformer(reader, kRmsEpsilon);
  config.rope_interleaved = false;
  config.nonlinearity = Nonlinearity::gelu_tanh;
  config.embedding_scale = std::sqrt(static_cast<float>(config.d_model));
  config.logit_softcap =
      static_cast<float>(reader.number("final_logit_softcapping", 0.0, 1e6, 0.0));
  if (config.n_layers == largest && !reader.has("attention.scale")) {
    config.attention_scale = 1.0f / std::sqrt(static_cast<float>(config.d_model / config.n_heads));
  }
  return config;
}

Result<ModelConfig> read_gemma2_config(ConfigReader& reader) {
  ModelConfig config = read_gemma(reader, 46);
  read_window(reader, config, 2, 4096);
  config.attention_softcap =
      static_cast<float>(reader.number("attn_logit_softcapping", 0.0, 1e6, 50.0));
  if (!reader.has("final_logit_softcapping")) config.logit_softcap = 30.0f;
  RETURN_IF_ERROR(reader.status());
  return config;
}

Result<ModelConfig> read_gemma3_config(ConfigReader& reader) {
  ModelConfig config = read_gemma(reader, 62);
  read_window(reader, config, 6);
  config.rope_local_base = reader.number("rope.freq_base_swa", 1.0, 1e15, 10000.0);
  RETURN_IF_ERROR(reader.status());
  return config;
}

}  // namespace

const Architecture kArchGemma2 = {"gemma2", read_gemma2_config, kGemma2Rules};
const Architecture kArchGemma3 = {"gemma3", read_gemma3_config, kGemma3Rules};

}  // namespace nibble
