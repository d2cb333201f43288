// Qwen 2 and 2.5 (biases at Q, K, V); Qwen 3 (norms of Q and K instead), dense and with experts.
#include <limits>

#include "model/hf_families.h"

namespace nibble {
namespace {

using D = HfDim;
constexpr auto kNone = HfTransform::none;
constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();

constexpr std::string_view kQwen2Classes[] = {"Qwen2ForCausalLM"};
constexpr std::string_view kQwen3Classes[] = {"Qwen3ForCausalLM"};
constexpr std::string_view kQwen3MoeClasses[] = {"Qwen3MoeForCausalLM"};
constexpr std::string_view kPrefixes[] = {""};
constexpr std::string_view kScalings[] = {"linear", "dynamic", "yarn"};

constexpr HfTensorRule kQwen2Tensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", {D::vocab, D::d_model}},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", {D::d_model}},
    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight", {D::q, D::d_model}},
    {"blk.{i}.attn_q.bias", "model.layers.{i}.self_attn.q_proj.bias", {D::q}},
    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_k.bias", "model.layers.{i}.self_attn.k_proj.bias", {D::kv}},
    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_v.bias", "model.layers.{i}.self_attn.v_proj.bias", {D::kv}},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", {D::d_model, D::q}},
    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", {D::d_model}},
    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight", {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight", {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight", {D::d_model, D::d_ff}},
    {"output_norm.weight", "model.norm.weight", {D::d_model}},
    {"output.weight", "lm_head.weight", {D::vocab, D::d_model}, kNone, kHfUntied},
};

constexpr HfTensorRule kQwen3Tensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", {D::vocab, D::d_model}},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", {D::d_model}},
    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight", {D::q, D::d_model}},
    {"blk.{i}.attn_q_norm.weight", "model.layers.{i}.self_attn.q_norm.weight", {D::head}},
    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_k_norm.weight", "model.layers.{i}.self_attn.k_norm.weight", {D::head}},
    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", {D::d_model, D::q}},
    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", {D::d_model}},
    {"blk.{i}.ffn_gate.weight",
     "model.layers.{i}.mlp.gate_proj.weight",
     {D::d_ff, D::d_model},
     kNone,
     kHfDense},
    {"blk.{i}.ffn_up.weight",
     "model.layers.{i}.mlp.up_proj.weight",
     {D::d_ff, D::d_model},
     kNone,
     kHfDense},
    {"blk.{i}.ffn_down.weight",
     "model.layers.{i}.mlp.down_proj.weight",
     {D::d_model, D::d_ff},
     kNone,
     kHfDense},
    {"blk.{i}.ffn_gate_inp.weight",
     "model.layers.{i}.mlp.gate.weight",
     {D::experts, D::d_model},
     kNone,
     kHfExperts},
    {"blk.{i}.ffn_gate_exps.weight",
     "model.layers.{i}.mlp.experts.{e}.gate_proj.weight",
     {D::expert_ff, D::d_model},
     HfTransform::stack,
     kHfExperts},
    {"blk.{i}.ffn_down_exps.weight",
     "model.layers.{i}.mlp.experts.{e}.down_proj.weight",
     {D::d_model, D::expert_ff},
     HfTransform::stack,
     kHfExperts},
    {"blk.{i}.ffn_up_exps.weight",
     "model.layers.{i}.mlp.experts.{e}.up_proj.weight",
     {D::expert_ff, D::d_model},
     HfTransform::stack,
     kHfExperts},
    {"output_norm.weight", "model.norm.weight", {D::d_model}},
    {"output.weight", "lm_head.weight", {D::vocab, D::d_model}, kNone, kHfUntied},
};

void read_qwen(HfConfig& config, HfModel& model) {
  read_basics(config, model);
  read_rope(config, model, model[D::head], kScalings);
  model.set_float("attention.layer_norm_rms_epsilon",
                  config.number("rms_norm_eps", 0.0, 1.0, kRequired));
  if (config.find("head_dim") != nullptr) {
    model.set_number("attention.key_length", model[D::head]);
    model.set_number("attention.value_length", model[D::head]);
  }
  if (!config.flag("tie_word_embeddings", false)) model.flags |= kHfUntied;
  config.expect_text("hidden_act", {"silu"});
  config.expect_flag("attention_bias", false);
  config.expect_flag("use_mrope", false);
  config.expect_flag("use_sliding_window", false);
  config.ignore({"sliding_window", "max_window_layers"});  // of use_sliding_window
  check_layer_types(config, model, 1);
}

void read_dense(HfConfig& config, HfModel& model) {
  read_qwen(config, model);
  model.flags |= kHfDense;
}

void read_experts(HfConfig& config, HfModel& model) {
  read_qwen(config, model);
  model.flags |= kHfExperts;
  const int64_t n_experts = config.integer("num_experts", 1, 4096);
  model[D::experts] = n_experts;
  model[D::expert_ff] = config.integer("moe_intermediate_size", 8, 1 << 22);
  model.set_number("expert_count", n_experts);
  model.set_number("expert_used_count", config.integer("num_experts_per_tok", 1, n_experts));
  model.set_number("expert_feed_forward_length", model[D::expert_ff]);
  if (!config.flag("norm_topk_prob", false)) config.refuse("norm_topk_prob", "true");
  config.expect_number("decoder_sparse_step", 1);
  if (const auto* layers = config.find("mlp_only_layers"); layers != nullptr && !layers->empty()) {
    config.refuse("mlp_only_layers", "none");
  }
}

void write(const ModelSource& source, ConfigReader& reader, nlohmann::json& config) {
  write_basics(reader, config);
  write_rope(source, reader, config);
  config["rms_norm_eps"] =
      plain_number(reader.number("attention.layer_norm_rms_epsilon", 0.0, 1.0, kRequired));
  config["hidden_act"] = "silu";
  config["tie_word_embeddings"] = source.find_tensor("output.weight") == nullptr;
  const std::string& architecture = reader.architecture();
  config["model_type"] = architecture == "qwen3moe" ? "qwen3_moe" : architecture;
  if (architecture != "qwen3moe") return;
  const int64_t n_experts = reader.integer("expert_count", 1, 4096);
  config["num_experts"] = n_experts;
  config["num_experts_per_tok"] = reader.integer("expert_used_count", 1, n_experts);
  config["moe_intermediate_size"] = reader.integer("expert_feed_forward_length", 8, 1 << 22);
  config["norm_topk_prob"] = true;
}

}  // namespace

const HfFamily kHfQwen2 = {"qwen2", kQwen2Classes, kPrefixes, read_dense, kQwen2Tensors, {}, write};
const HfFamily kHfQwen3 = {"qwen3", kQwen3Classes, kPrefixes, read_dense, kQwen3Tensors, {}, write};
const HfFamily kHfQwen3Moe = {
    "qwen3moe", kQwen3MoeClasses, kPrefixes, read_experts, kQwen3Tensors, {}, write};

}  // namespace nibble
