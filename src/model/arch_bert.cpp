// BERT (Devlin et al. 2019; MiniLM, BGE, E5): an encoder. Word, position and type embeddings are
// added and normalised; every block is normalised after the residual; GELU by the error function.
// nomic-bert (Nussbaum et al. 2024): rotary embedding instead of positions, SwiGLU, no biases at
// the linear layers.
#include "model/families.h"

namespace nibble {
namespace {

using D = Dim;
using R = TensorRole;
using P = TensorPart;

constexpr TensorRule kBertRules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::token_types, D::d_model, D::token_types, false, Need::optional},
    {R::position_embd, D::d_model, D::n_ctx_train, false, Need::always},
    {R::token_embd_norm, D::d_model, D::one, false, Need::always},
    {R::token_embd_norm, D::d_model, D::one, false, Need::always, P::bias},
    {R::attn_q, D::d_model, D::q_dim, true, Need::always},
    {R::attn_q, D::q_dim, D::one, true, Need::optional, P::bias},
    {R::attn_k, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_k, D::kv_dim, D::one, true, Need::optional, P::bias},
    {R::attn_v, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_v, D::kv_dim, D::one, true, Need::optional, P::bias},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::attn_output, D::d_model, D::one, true, Need::optional, P::bias},
    {R::attn_output_norm, D::d_model, D::one, true, Need::always},
    {R::attn_output_norm, D::d_model, D::one, true, Need::always, P::bias},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_ff, D::one, true, Need::optional, P::bias},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
    {R::ffn_down, D::d_model, D::one, true, Need::optional, P::bias},
    {R::layer_output_norm, D::d_model, D::one, true, Need::always},
    {R::layer_output_norm, D::d_model, D::one, true, Need::always, P::bias},
};

constexpr TensorRule kNomicRules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::token_types, D::d_model, D::token_types, false, Need::optional},
    {R::token_embd_norm, D::d_model, D::one, false, Need::always},
    {R::token_embd_norm, D::d_model, D::one, false, Need::always, P::bias},
    {R::attn_qkv, D::d_model, D::qkv_dim, true, Need::always},
    {R::attn_qkv, D::qkv_dim, D::one, true, Need::optional, P::bias},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::attn_output, D::d_model, D::one, true, Need::optional, P::bias},
    {R::attn_output_norm, D::d_model, D::one, true, Need::always},
    {R::attn_output_norm, D::d_model, D::one, true, Need::always, P::bias},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_ff, D::one, true, Need::optional, P::bias},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
    {R::ffn_down, D::d_model, D::one, true, Need::optional, P::bias},
    {R::layer_output_norm, D::d_model, D::one, true, Need::always},
    {R::layer_output_norm, D::d_model, D::one, true, Need::always, P::bias},
};

ModelConfig read_encoder(ConfigReader& reader) {
  ModelConfig config = read_transformer(reader, kLayerEpsilon);
  config.norm = NormKind::layer;
  config.is_encoder = true;
  config.n_token_types = 2;
  const GgufValue* types = reader.metadata().find("tokenizer.ggml.token_type_count");
  if (types != nullptr) {
    const auto count = types->as_int();
    if (!count || *count < 1 || *count > 1 << 16) {
      reader.fail(make_error(ErrorKind::kInvalid,
                             "[{}] tokenizer.ggml.token_type_count must be 1 to 65536",
                             reader.where()));
    }
    config.n_token_types = count.value_or(1);
  }
  return config;
}

Result<ModelConfig> read_bert_config(ConfigReader& reader) {
  ModelConfig config = read_encoder(reader);
  config.nonlinearity = Nonlinearity::gelu_erf;
  config.rope_dims = 0;
  RETURN_IF_ERROR(reader.status());
  return config;
}

Result<ModelConfig> read_nomic_config(ConfigReader& reader) {
  ModelConfig config = read_encoder(reader);
  config.rope_interleaved = false;
  RETURN_IF_ERROR(reader.status());
  return config;
}

}  // namespace

const Architecture kArchBert = {"bert", read_bert_config, kBertRules};
const Architecture kArchNomicBert = {"nomic-bert", read_nomic_config, kNomicRules};

}  // namespace nibble
