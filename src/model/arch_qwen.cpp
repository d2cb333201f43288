// Qwen 2, 2.5 and 3: Llama with pairs (i, i + n/2) in the rotary embedding. Qwen 2 has biases at Q,
// K and V (Yang et al. 2024); Qwen 3 has none and normalises each head of Q and K instead (Yang et
// al. 2025). qwen3moe: experts in the place of the feed-forward network.
#include "model/families.h"

namespace nibble {
namespace {

using D = Dim;
using R = TensorRole;
using P = TensorPart;

constexpr TensorRule kQwen2Rules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always},
    {R::output, D::d_model, D::vocab, false, Need::optional},
    {R::output, D::vocab, D::one, false, Need::optional, P::bias},
    {R::attn_norm, D::d_model, D::one, true, Need::always},
    {R::attn_q, D::d_model, D::q_dim, true, Need::always},
    {R::attn_q, D::q_dim, D::one, true, Need::optional, P::bias},
    {R::attn_k, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_k, D::kv_dim, D::one, true, Need::optional, P::bias},
    {R::attn_v, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_v, D::kv_dim, D::one, true, Need::optional, P::bias},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::always},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
};

constexpr TensorRule kQwen3Rules[] = {
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
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::dense},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::dense},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::dense},
    {R::ffn_gate_inp, D::d_model, D::experts, true, Need::experts},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::experts, P::experts},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::experts, P::experts},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::experts, P::experts},
};

Result<ModelConfig> read_qwen_config(ConfigReader& reader) {
  ModelConfig config = read_transformer(reader, kRmsEpsilon);
  config.rope_interleaved = false;
  read_window(reader, config, 0);
  RETURN_IF_ERROR(reader.status());
  return config;
}

Result<ModelConfig> read_qwen3moe_config(ConfigReader& reader) {
  ModelConfig config = read_transformer(reader, kRmsEpsilon);
  config.rope_interleaved = false;
  read_experts(reader, config);
  RETURN_IF_ERROR(reader.status());
  if (config.n_experts == 0) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] qwen3moe.expert_count is missing or 0; a mixture of experts has some",
                      reader.where());
  }
  return config;
}

}  // namespace

const Architecture kArchQwen2 = {"qwen2", read_qwen_config, kQwen2Rules};
const Architecture kArchQwen3 = {"qwen3", read_qwen_config, kQwen3Rules};
const Architecture kArchQwen3Moe = {"qwen3moe", read_qwen3moe_config, kQwen3Rules};

}  // namespace nibble
