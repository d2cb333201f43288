// Phi-3 and Phi-4 (Abdin et al. 2024): Llama with Q, K and V in one matrix, gate and up in one,
// pairs (i, i + n/2), a part of each head rotated in some models, a sliding window in some, and for
// long contexts one divisor per pair, chosen by the context in use (LongRoPE, Ding et al. 2024).
#include "model/families.h"

namespace nibble {
namespace {

using D = Dim;
using R = TensorRole;

constexpr TensorRule kRules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always},
    {R::output, D::d_model, D::vocab, false, Need::optional},
    {R::rope_factors_long, D::rope_pairs, D::one, false, Need::optional},
    {R::rope_factors_short, D::rope_pairs, D::one, false, Need::optional},
    {R::attn_norm, D::d_model, D::one, true, Need::always},
    {R::attn_qkv, D::d_model, D::qkv_dim, true, Need::always},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_up, D::d_model, D::gate_and_up, true, Need::always},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::always},
};

Result<ModelConfig> read_phi3_config(ConfigReader& reader) {
  ModelConfig config = read_transformer(reader, kRmsEpsilon);
  config.rope_interleaved = false;
  config.fused_gate_up = true;
  read_window(reader, config, 0);  // 0 in the files of Phi-4: none
  RETURN_IF_ERROR(reader.status());
  return config;
}

}  // namespace

const Architecture kArchPhi3 = {"phi3", read_phi3_config, kRules};

}  // namespace nibble
