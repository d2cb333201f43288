// GPT-2 and GPT-NeoX (Pythia).
#include <limits>

#include "model/hf_families.h"

namespace nibble {
namespace {

using D = HfDim;
constexpr auto kNone = HfTransform::none;
constexpr auto kTurned = HfTransform::transpose;
constexpr auto kGrouped = HfTransform::regroup_qkv;
constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();

// ---- GPT-2 -------------------------------------------------------------------------------------

constexpr std::string_view kGpt2Classes[] = {"GPT2LMHeadModel"};
constexpr std::string_view kGpt2Prefixes[] = {"transformer.", ""};
constexpr std::string_view kGpt2Ignored[] = {"h.*.attn.bias", "h.*.attn.masked_bias"};

constexpr HfTensorRule kGpt2Tensors[] = {
    {"token_embd.weight", "wte.weight", {D::vocab, D::d_model}},
    {"position_embd.weight", "wpe.weight", {D::positions, D::d_model}},
    {"blk.{i}.attn_norm.weight", "h.{i}.ln_1.weight", {D::d_model}},
    {"blk.{i}.attn_norm.bias", "h.{i}.ln_1.bias", {D::d_model}},
    {"blk.{i}.attn_qkv.weight", "h.{i}.attn.c_attn.weight", {D::d_model, D::d_model_3}, kTurned},
    {"blk.{i}.attn_qkv.bias", "h.{i}.attn.c_attn.bias", {D::d_model_3}},
    {"blk.{i}.attn_output.weight", "h.{i}.attn.c_proj.weight", {D::d_model, D::d_model}, kTurned},
    {"blk.{i}.attn_output.bias", "h.{i}.attn.c_proj.bias", {D::d_model}},
    {"blk.{i}.ffn_norm.weight", "h.{i}.ln_2.weight", {D::d_model}},
    {"blk.{i}.ffn_norm.bias", "h.{i}.ln_2.bias", {D::d_model}},
    {"blk.{i}.ffn_up.weight", "h.{i}.mlp.c_fc.weight", {D::d_model, D::d_ff}, kTurned},
    {"blk.{i}.ffn_up.bias", "h.{i}.mlp.c_fc.bias", {D::d_ff}},
    {"blk.{i}.ffn_down.weight", "h.{i}.mlp.c_proj.weight", {D::d_ff, D::d_model}, kTurned},
    {"blk.{i}.ffn_down.bias", "h.{i}.mlp.c_proj.bias", {D::d_model}},
    {"output_norm.weight", "ln_f.weight", {D::d_model}},
    {"output_norm.bias", "ln_f.bias", {D::d_model}},
};

constexpr HfBasicKeys kGpt2Keys = {.n_layers = "n_layer",
                                   .n_ctx = "n_positions",
                                   .d_model = "n_embd",
                                   .d_ff = "n_inner",
                                   .n_heads = "n_head",
                                   .has_kv_heads = false};

void read_gpt2(HfConfig& config, HfModel& model) {
  read_basics(config, model, kGpt2Keys);
  model[D::positions] = config.integer("n_positions", 1, 1 << 30);
  // an older name of the same number
  config.expect_number("n_ctx", static_cast<double>(model[D::positions]));
  model.set_float("attention.layer_norm_epsilon",
                  config.number("layer_norm_epsilon", 0.0, 1.0, 1e-5));
  config.expect_text("activation_function", {"gelu_new", "gelu_pytorch_tanh"});
  config.expect_flag("scale_attn_weights", true);
  config.expect_flag("scale_attn_by_inverse_layer_idx", false);
  config.expect_flag("tie_word_embeddings", true);
  config.ignore({"reorder_and_upcast_attn", "summary_activation", "summary_first_dropout",
                 "summary_proj_to_labels", "summary_type", "summary_use_proj",
                 "predict_special_tokens"});
  config.expect_number("n_special", 0);
}

void write_gpt2(const ModelSource&, ConfigReader& reader, nlohmann::json& config) {
  write_basics(reader, config, kGpt2Keys);
  config["layer_norm_epsilon"] =
      plain_number(reader.number("attention.layer_norm_epsilon", 0.0, 1.0, kRequired));
  config["activation_function"] = "gelu_new";
  config["model_type"] = "gpt2";
}

// ---- GPT-NeoX ----------------------------------------------------------------------------------

constexpr std::string_view kNeoxClasses[] = {"GPTNeoXForCausalLM"};
constexpr std::string_view kNeoxPrefixes[] = {""};
constexpr std::string_view kNeoxScalings[] = {"linear", "dynamic"};
constexpr std::string_view kNeoxIgnored[] = {"gpt_neox.layers.*.attention.bias",
                                             "gpt_neox.layers.*.attention.masked_bias"};

constexpr HfTensorRule kNeoxTensors[] = {
    {"token_embd.weight", "gpt_neox.embed_in.weight", {D::vocab, D::d_model}},
    {"blk.{i}.attn_norm.weight", "gpt_neox.layers.{i}.input_layernorm.weight", {D::d_model}},
    {"blk.{i}.attn_norm.bias", "gpt_neox.layers.{i}.input_layernorm.bias", {D::d_model}},
    {"blk.{i}.attn_qkv.weight",
     "gpt_neox.layers.{i}.attention.query_key_value.weight",
     {D::d_model_3, D::d_model},
     kGrouped},
    {"blk.{i}.attn_qkv.bias",
     "gpt_neox.layers.{i}.attention.query_key_value.bias",
     {D::d_model_3},
     kGrouped,
     kHfAttentionBias},
    {"blk.{i}.attn_output.weight",
     "gpt_neox.layers.{i}.attention.dense.weight",
     {D::d_model, D::d_model}},
    {"blk.{i}.attn_output.bias",
     "gpt_neox.layers.{i}.attention.dense.bias",
     {D::d_model},
     kNone,
     kHfAttentionBias},
    {"blk.{i}.ffn_norm.weight",
     "gpt_neox.layers.{i}.post_attention_layernorm.weight",
     {D::d_model}},
    {"blk.{i}.ffn_norm.bias", "gpt_neox.layers.{i}.post_attention_layernorm.bias", {D::d_model}},
    {"blk.{i}.ffn_up.weight",
     "gpt_neox.layers.{i}.mlp.dense_h_to_4h.weight",
     {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_up.bias", "gpt_neox.layers.{i}.mlp.dense_h_to_4h.bias", {D::d_ff}},
    {"blk.{i}.ffn_down.weight",
     "gpt_neox.layers.{i}.mlp.dense_4h_to_h.weight",
     {D::d_model, D::d_ff}},
    {"blk.{i}.ffn_down.bias", "gpt_neox.layers.{i}.mlp.dense_4h_to_h.bias", {D::d_model}},
    {"output_norm.weight", "gpt_neox.final_layer_norm.weight", {D::d_model}},
    {"output_norm.bias", "gpt_neox.final_layer_norm.bias", {D::d_model}},
    {"output.weight", "embed_out.weight", {D::vocab, D::d_model}},
};

void read_neox(HfConfig& config, HfModel& model) {
  read_basics(config, model, {.has_kv_heads = false});
  double share = config.number("rotary_pct", 1e-3, 1.0, 0.25);
  share = config.number("partial_rotary_factor", 1e-3, 1.0, share);
  if (const auto* rope = config.find("rope_parameters"); rope != nullptr && rope->is_object()) {
    HfConfig params(*rope, config.where() + ": rope_parameters");
    share = params.number("partial_rotary_factor", 1e-3, 1.0, share);
  }
  const auto rope_dims = static_cast<int64_t>(share * static_cast<double>(model[D::head]));
  model.set_number("rope.dimension_count", rope_dims);
  const bool has_theta = config.find("rope_theta") != nullptr;
  config.ignore({"rope_theta", "rotary_emb_base"});
  read_rope(config, model, rope_dims, kNeoxScalings, has_theta ? "rope_theta" : "rotary_emb_base");
  model.set_bool("use_parallel_residual", config.flag("use_parallel_residual", true));
  model.set_float("attention.layer_norm_epsilon",
                  config.number("layer_norm_eps", 0.0, 1.0, kRequired));
  if (config.flag("attention_bias", true)) model.flags |= kHfAttentionBias;
  config.expect_text("hidden_act", {"gelu"});
  config.expect_flag("tie_word_embeddings", false);
}

void write_neox(const ModelSource& source, ConfigReader& reader, nlohmann::json& config) {
  write_basics(reader, config, {.has_kv_heads = false});
  write_rope(source, reader, config, "rotary_emb_base");
  config["layer_norm_eps"] =
      plain_number(reader.number("attention.layer_norm_epsilon", 0.0, 1.0, kRequired));
  const int64_t n_heads = config["num_attention_heads"], d_model = config["hidden_size"];
  const int64_t rope_dims = reader.integer("rope.dimension_count", 2, 4096, d_model / n_heads);
  config["rotary_pct"] = static_cast<double>(rope_dims * n_heads) / static_cast<double>(d_model);
  config["use_parallel_residual"] = reader.flag("use_parallel_residual", true);
  config["attention_bias"] = source.find_tensor("blk.0.attn_qkv.bias") != nullptr;
  config["hidden_act"] = "gelu";
  config["tie_word_embeddings"] = false;
  config["model_type"] = "gpt_neox";
}

}  // namespace

const HfFamily kHfGpt2 = {"gpt2",       kGpt2Classes, kGpt2Prefixes, read_gpt2,
                          kGpt2Tensors, kGpt2Ignored, write_gpt2};
const HfFamily kHfGptNeox = {"gptneox",    kNeoxClasses, kNeoxPrefixes, read_neox,
                             kNeoxTensors, kNeoxIgnored, write_neox};

}  // namespace nibble
