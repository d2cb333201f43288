// GPT-2 (Radford et al. 2019): LayerNorm, learned positions, Q, K and V in one matrix, GELU in its
// tanh form, biases everywhere. GPT-NeoX (Black et al. 2022; Pythia): the same with a rotary
// embedding on a part of each head, GELU by the error function, attention and feed-forward side by
// side on the same input, and an output matrix of its own.
#include "model/families.h"

namespace nibble {
namespace {

using D = Dim;
using R = TensorRole;
using P = TensorPart;

constexpr TensorRule kGpt2Rules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::position_embd, D::d_model, D::n_ctx_train, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always, P::bias},
    {R::output, D::d_model, D::vocab, false, Need::optional},
    {R::attn_norm, D::d_model, D::one, true, Need::always},
    {R::attn_norm, D::d_model, D::one, true, Need::always, P::bias},
    {R::attn_qkv, D::d_model, D::qkv_dim, true, Need::always},
    {R::attn_qkv, D::qkv_dim, D::one, true, Need::always, P::bias},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::attn_output, D::d_model, D::one, true, Need::always, P::bias},
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_norm, D::d_model, D::one, true, Need::always, P::bias},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_ff, D::one, true, Need::always, P::bias},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
    {R::ffn_down, D::d_model, D::one, true, Need::always, P::bias},
};

constexpr TensorRule kGptNeoxRules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always, P::bias},
    {R::output, D::d_model, D::vocab, false, Need::always},
    {R::attn_norm, D::d_model, D::one, true, Need::always},
    {R::attn_norm, D::d_model, D::one, true, Need::always, P::bias},
    {R::attn_qkv, D::d_model, D::qkv_dim, true, Need::always},
    {R::attn_qkv, D::qkv_dim, D::one, true, Need::always, P::bias},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::attn_output, D::d_model, D::one, true, Need::always, P::bias},
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_norm, D::d_model, D::one, true, Need::always, P::bias},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_ff, D::one, true, Need::always, P::bias},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
    {R::ffn_down, D::d_model, D::one, true, Need::always, P::bias},
};

Result<ModelConfig> read_gpt2_config(ConfigReader& reader) {
  ModelConfig config = read_transformer(reader, kLayerEpsilon);
  config.norm = NormKind::layer;
  config.nonlinearity = Nonlinearity::gelu_tanh;
  config.rope_dims = 0;
  RETURN_IF_ERROR(reader.status());
  return config;
}

Result<ModelConfig> read_gptneox_config(ConfigReader& reader) {
  ModelConfig config = read_transformer(reader, kLayerEpsilon);
  config.norm = NormKind::layer;
  config.nonlinearity = Nonlinearity::gelu_erf;
  config.rope_interleaved = false;
  config.parallel_residual = reader.flag("use_parallel_residual", true);
  RETURN_IF_ERROR(reader.status());
  return config;
}

}  // namespace

const Architecture kArchGpt2 = {"gpt2", read_gpt2_config, kGpt2Rules};
const Architecture kArchGptNeox = {"gptneox", read_gptneox_config, kGptNeoxRules};

}  // namespace nibble
