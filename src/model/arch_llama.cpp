// Llama: RMSNorm, rotary embedding on interleaved pairs, grouped-query attention, SwiGLU, output
// matrix tied to the embedding when absent (Touvron et al. 2023; the GGUF names and the pair order
// are those of files written by llama.cpp's converter, which permutes the rows of Q and K). Also
// Mistral with its sliding window, and Mixtral: experts in the place of the feed-forward network
// (Jiang et al. 2024).
#include "model/families.h"

namespace nibble {
namespace {

using D = Dim;
using R = TensorRole;
using P = TensorPart;

constexpr TensorRule kRules[] = {
    {R::token_embd, D::d_model, D::vocab, false, Need::always},
    {R::output_norm, D::d_model, D::one, false, Need::always},
    {R::output, D::d_model, D::vocab, false, Need::optional},
    {R::rope_freqs, D::rope_pairs, D::one, false, Need::optional},
    {R::rope_factors_long, D::rope_pairs, D::one, false, Need::optional},
    {R::rope_factors_short, D::rope_pairs, D::one, false, Need::optional},
    {R::attn_norm, D::d_model, D::one, true, Need::always},
    {R::attn_q, D::d_model, D::q_dim, true, Need::always},
    {R::attn_q, D::q_dim, D::one, true, Need::optional, P::bias},
    {R::attn_k, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_k, D::kv_dim, D::one, true, Need::optional, P::bias},
    {R::attn_v, D::d_model, D::kv_dim, true, Need::always},
    {R::attn_v, D::kv_dim, D::one, true, Need::optional, P::bias},
    {R::attn_output, D::q_dim, D::d_model, true, Need::always},
    {R::attn_output, D::d_model, D::one, true, Need::optional, P::bias},
    {R::ffn_norm, D::d_model, D::one, true, Need::always},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::dense},
    {R::ffn_gate, D::d_ff, D::one, true, Need::optional, P::bias},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::dense},
    {R::ffn_up, D::d_ff, D::one, true, Need::optional, P::bias},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::dense},
    {R::ffn_down, D::d_model, D::one, true, Need::optional, P::bias},
    {R::ffn_gate_inp, D::d_model, D::experts, true, Need::experts},
    {R::ffn_gate, D::d_model, D::d_ff, true, Need::experts, P::experts},
    {R::ffn_up, D::d_model, D::d_ff, true, Need::experts, P::experts},
    {R::ffn_down, D::d_ff, D::d_model, true, Need::experts, P::experts},
};

Result<ModelConfig> read_llama_config(ConfigReader& reader) {
  ModelConfig config = read_transformer(reader, kRmsEpsilon);
  read_window(reader, config, 0);
  read_experts(reader, config);
  RETURN_IF_ERROR(reader.status());
  return config;
}

}  // namespace

const Architecture kArchLlama = {"llama", read_llama_config, kRules};

}  // namespace nibble
