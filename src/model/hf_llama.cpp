// Llama, Mistral, SmolLM, TinyLlama, Yi; Mixtral, whose layers have experts.
#include <limits>

#include "model/hf_families.h"

namespace nibble {
namespace {

constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();

constexpr std::string_view kClasses[] = {"LlamaForCausalLM", "LLaMAForCausalLM",
                                         "MistralForCausalLM", "MixtralForCausalLM"};
constexpr std::string_view kPrefixes[] = {""};
constexpr std::string_view kScalings[] = {"linear", "dynamic", "yarn", "llama3", "longrope"};

constexpr HfTensorRule kTensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", {HfDim::vocab, HfDim::d_model}},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", {HfDim::d_model}},
    {"blk.{i}.attn_q.weight",
     "model.layers.{i}.self_attn.q_proj.weight",
     {HfDim::q, HfDim::d_model},
     HfTransform::pair_q},
    {"blk.{i}.attn_q.bias",
     "model.layers.{i}.self_attn.q_proj.bias",
     {HfDim::q},
     HfTransform::pair_q,
     kHfAttentionBias},
    {"blk.{i}.attn_k.weight",
     "model.layers.{i}.self_attn.k_proj.weight",
     {HfDim::kv, HfDim::d_model},
     HfTransform::pair_k},
    {"blk.{i}.attn_k.bias",
     "model.layers.{i}.self_attn.k_proj.bias",
     {HfDim::kv},
     HfTransform::pair_k,
     kHfAttentionBias},
    {"blk.{i}.attn_v.weight",
     "model.layers.{i}.self_attn.v_proj.weight",
     {HfDim::kv, HfDim::d_model}},
    {"blk.{i}.attn_v.bias",
     "model.layers.{i}.self_attn.v_proj.bias",
     {HfDim::kv},
     HfTransform::none,
     kHfAttentionBias},
    {"blk.{i}.attn_output.weight",
     "model.layers.{i}.self_attn.o_proj.weight",
     {HfDim::d_model, HfDim::q}},
    {"blk.{i}.attn_output.bias",
     "model.layers.{i}.self_attn.o_proj.bias",
     {HfDim::d_model},
     HfTransform::none,
     kHfOutputBias},
    {"blk.{i}.ffn_norm.weight",
     "model.layers.{i}.post_attention_layernorm.weight",
     {HfDim::d_model}},
    {"blk.{i}.ffn_gate.weight",
     "model.layers.{i}.mlp.gate_proj.weight",
     {HfDim::d_ff, HfDim::d_model},
     HfTransform::none,
     kHfDense},
    {"blk.{i}.ffn_gate.bias",
     "model.layers.{i}.mlp.gate_proj.bias",
     {HfDim::d_ff},
     HfTransform::none,
     kHfDense | kHfMlpBias},
    {"blk.{i}.ffn_up.weight",
     "model.layers.{i}.mlp.up_proj.weight",
     {HfDim::d_ff, HfDim::d_model},
     HfTransform::none,
     kHfDense},
    {"blk.{i}.ffn_up.bias",
     "model.layers.{i}.mlp.up_proj.bias",
     {HfDim::d_ff},
     HfTransform::none,
     kHfDense | kHfMlpBias},
    {"blk.{i}.ffn_down.weight",
     "model.layers.{i}.mlp.down_proj.weight",
     {HfDim::d_model, HfDim::d_ff},
     HfTransform::none,
     kHfDense},
    {"blk.{i}.ffn_down.bias",
     "model.layers.{i}.mlp.down_proj.bias",
     {HfDim::d_model},
     HfTransform::none,
     kHfDense | kHfMlpBias},
    {"blk.{i}.ffn_gate_inp.weight",
     "model.layers.{i}.block_sparse_moe.gate.weight",
     {HfDim::experts, HfDim::d_model},
     HfTransform::none,
     kHfExperts},
    {"blk.{i}.ffn_gate_exps.weight",
     "model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
     {HfDim::d_ff, HfDim::d_model},
     HfTransform::stack,
     kHfExperts},
    {"blk.{i}.ffn_down_exps.weight",
     "model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight",
     {HfDim::d_model, HfDim::d_ff},
     HfTransform::stack,
     kHfExperts},
    {"blk.{i}.ffn_up_exps.weight",
     "model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight",
     {HfDim::d_ff, HfDim::d_model},
     HfTransform::stack,
     kHfExperts},
    {"output_norm.weight", "model.norm.weight", {HfDim::d_model}},
    {"output.weight",
     "lm_head.weight",
     {HfDim::vocab, HfDim::d_model},
     HfTransform::none,
     kHfUntied},
};

void read(HfConfig& config, HfModel& model) {
  read_basics(config, model);
  read_rope(config, model, model[HfDim::head], kScalings);
  model.set_float("attention.layer_norm_rms_epsilon",
                  config.number("rms_norm_eps", 0.0, 1.0, kRequired));
  model.set_number("vocab_size", model[HfDim::vocab]);
  model.set_number("rope.dimension_count", model[HfDim::head]);
  model.set_number("attention.key_length", model[HfDim::head]);
  model.set_number("attention.value_length", model[HfDim::head]);
  // One flag for the biases of Q, K, V and of the matrix behind the attention.
  if (config.flag("attention_bias", false)) model.flags |= kHfAttentionBias | kHfOutputBias;
  if (config.flag("mlp_bias", false)) model.flags |= kHfMlpBias;
  if (!config.flag("tie_word_embeddings", false)) model.flags |= kHfUntied;
  const int64_t n_experts = config.integer("num_local_experts", 0, 4096, 0);
  model.flags |= n_experts > 0 ? kHfExperts : kHfDense;
  if (n_experts > 0) {
    model[HfDim::experts] = n_experts;
    model.set_number("expert_count", n_experts);
    model.set_number("expert_used_count", config.integer("num_experts_per_tok", 1, n_experts));
  }
  config.expect_text("hidden_act", {"silu"});
  config.expect_flag("rope_interleaved", false);
  config.expect_number("partial_rotary_factor", 1);
  // Mistral 7B v0.1. llama.cpp's converter leaves the key out, and its engine attends to all.
  // The classes of Llama do not read it.
  const nlohmann::json* classes = config.find("architectures");
  const bool is_llama = classes != nullptr && (*classes == nlohmann::json{"LlamaForCausalLM"} ||
                                               *classes == nlohmann::json{"LLaMAForCausalLM"});
  if (is_llama) config.ignore({"sliding_window"});
  const int64_t window = is_llama ? 0 : config.integer("sliding_window", 1, 1 << 30, 0);
  if (window > 0) model.set_number("attention.sliding_window", window);
  check_layer_types(config, model, window > 0 ? 0 : 1);
}

void write(const ModelSource& source, ConfigReader& reader, nlohmann::json& config) {
  write_basics(reader, config);
  write_rope(source, reader, config);
  config["rms_norm_eps"] =
      plain_number(reader.number("attention.layer_norm_rms_epsilon", 0.0, 1.0, kRequired));
  config["hidden_act"] = "silu";
  config["tie_word_embeddings"] = source.find_tensor("output.weight") == nullptr;
  const int64_t rope_dims = reader.integer("rope.dimension_count", 2, 4096, 0);
  const int64_t n_heads = config["num_attention_heads"];
  if (rope_dims > 0 && rope_dims * n_heads != config["hidden_size"]) config["head_dim"] = rope_dims;
  const int64_t window = reader.integer("attention.sliding_window", 0, 1 << 30, 0);
  const int64_t n_experts = reader.integer("expert_count", 0, 4096, 0);
  const bool has_bias = source.find_tensor("blk.0.attn_q.bias") != nullptr;
  config["model_type"] = n_experts > 0 ? "mixtral" : window > 0 ? "mistral" : "llama";
  if (n_experts > 0) {
    config["architectures"] = {"MixtralForCausalLM"};
    config["num_local_experts"] = n_experts;
    config["num_experts_per_tok"] = reader.integer("expert_used_count", 1, n_experts);
  } else if (window > 0) {
    config["architectures"] = {"MistralForCausalLM"};
  }
  if (window > 0) config["sliding_window"] = window;
  if (has_bias) config["attention_bias"] = true;
  if (source.find_tensor("blk.0.ffn_up.bias") != nullptr) config["mlp_bias"] = true;
}

}  // namespace

const HfFamily kHfLlama = {"llama", kClasses, kPrefixes, read, kTensors, {}, write};

}  // namespace nibble
