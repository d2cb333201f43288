// Phi-3, 3.5 mini and 4: Q, K and V in one matrix, gate and up in another.
#include <limits>

#include "model/hf_families.h"

namespace nibble {
namespace {

using D = HfDim;
constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();

constexpr std::string_view kClasses[] = {"Phi3ForCausalLM"};
constexpr std::string_view kPrefixes[] = {""};
constexpr std::string_view kScalings[] = {"longrope"};

constexpr HfTensorRule kTensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", {D::vocab, D::d_model}},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", {D::d_model}},
    {"blk.{i}.attn_qkv.weight", "model.layers.{i}.self_attn.qkv_proj.weight", {D::qkv, D::d_model}},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", {D::d_model, D::q}},
    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", {D::d_model}},
    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.gate_up_proj.weight", {D::gate_up, D::d_model}},
    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight", {D::d_model, D::d_ff}},
    {"output_norm.weight", "model.norm.weight", {D::d_model}},
    {"output.weight", "lm_head.weight", {D::vocab, D::d_model}, HfTransform::none, kHfUntied},
};

void read(HfConfig& config, HfModel& model) {
  read_basics(config, model);
  const GgufValue* context = model.metadata.find("phi3.context_length");
  const int64_t n_ctx = context != nullptr ? context->as_int().value_or(4096) : 4096;
  model.original_ctx = config.integer("original_max_position_embeddings", 2, 1 << 30, n_ctx);
  model.set_number("rope.scaling.original_context_length", model.original_ctx);
  double share = config.number("partial_rotary_factor", 1e-3, 1.0, 1.0);
  if (const auto* rope = config.find("rope_parameters"); rope != nullptr && rope->is_object()) {
    HfConfig params(*rope, config.where() + ": rope_parameters");
    share = params.number("partial_rotary_factor", 1e-3, 1.0, share);
    model.original_ctx =
        params.integer("original_max_position_embeddings", 2, 1 << 30, model.original_ctx);
  }
  const auto rope_dims =
      static_cast<int64_t>(share * static_cast<double>(model[D::d_model])) / model.n_heads;
  model.set_number("rope.dimension_count", rope_dims);
  model.set_float("rope.freq_base", 10000.0);
  read_rope(config, model, rope_dims, kScalings);
  model.set_float("attention.layer_norm_rms_epsilon",
                  config.number("rms_norm_eps", 0.0, 1.0, kRequired));
  // 0 is what llama.cpp knows Phi-4 by, which has no window
  const int64_t window = config.integer("sliding_window", 1, 1 << 30, 0);
  model.set_number("attention.sliding_window", window);
  check_layer_types(config, model, window > 0 ? 0 : 1);
  if (!config.flag("tie_word_embeddings", false)) model.flags |= kHfUntied;
  config.expect_text("hidden_act", {"silu"});
  for (const auto key : {"attention_bias", "mlp_bias", "lm_head_bias"}) {
    config.expect_flag(key, false);
  }
  for (const auto key : {"full_attn_mod", "interpolate_factor"}) config.expect_number(key, 1);
}

void write(const ModelSource& source, ConfigReader& reader, nlohmann::json& config) {
  write_basics(reader, config);
  write_rope(source, reader, config);
  config["rms_norm_eps"] =
      plain_number(reader.number("attention.layer_norm_rms_epsilon", 0.0, 1.0, kRequired));
  config["hidden_act"] = "silu";
  config["model_type"] = "phi3";
  config["tie_word_embeddings"] = source.find_tensor("output.weight") == nullptr;
  config["original_max_position_embeddings"] = reader.integer(
      "rope.scaling.original_context_length", 2, 1 << 30, config["max_position_embeddings"]);
  const int64_t window = reader.integer("attention.sliding_window", 0, 1 << 30, 0);
  if (window > 0) config["sliding_window"] = window;
  const int64_t n_heads = config["num_attention_heads"], d_model = config["hidden_size"];
  const int64_t rope_dims = reader.integer("rope.dimension_count", 2, 4096, d_model / n_heads);
  if (rope_dims * n_heads != d_model) {
    config["partial_rotary_factor"] =
        static_cast<double>(rope_dims * n_heads) / static_cast<double>(d_model);
  }
}

}  // namespace

const HfFamily kHfPhi3 = {"phi3", kClasses, kPrefixes, read, kTensors, {}, write};

}  // namespace nibble
