// Gemma 2 and the text models of Gemma 3. Gains are stored as what they differ from 1.
#include <cmath>
#include <limits>

#include "model/hf_families.h"

namespace nibble {
namespace {

using D = HfDim;
constexpr auto kGain = HfTransform::add_one;

constexpr std::string_view kGemma2Classes[] = {"Gemma2ForCausalLM"};
constexpr std::string_view kGemma3Classes[] = {"Gemma3ForCausalLM"};
constexpr std::string_view kPrefixes[] = {""};
constexpr std::string_view kScalings[] = {"linear"};

constexpr HfTensorRule kTensors[] = {
    {"token_embd.weight", "model.embed_tokens.weight", {D::vocab, D::d_model}},
    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", {D::d_model}, kGain},
    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight", {D::q, D::d_model}},
    {"blk.{i}.attn_q_norm.weight",
     "model.layers.{i}.self_attn.q_norm.weight",
     {D::head},
     kGain,
     kHfHeadNorms},
    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_k_norm.weight",
     "model.layers.{i}.self_attn.k_norm.weight",
     {D::head},
     kGain,
     kHfHeadNorms},
    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight", {D::d_model, D::q}},
    {"blk.{i}.post_attention_norm.weight",
     "model.layers.{i}.post_attention_layernorm.weight",
     {D::d_model},
     kGain},
    {"blk.{i}.ffn_norm.weight",
     "model.layers.{i}.pre_feedforward_layernorm.weight",
     {D::d_model},
     kGain},
    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight", {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight", {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight", {D::d_model, D::d_ff}},
    {"blk.{i}.post_ffw_norm.weight",
     "model.layers.{i}.post_feedforward_layernorm.weight",
     {D::d_model},
     kGain},
    {"output_norm.weight", "model.norm.weight", {D::d_model}, kGain},
};

// llama.cpp computes the scale of attention scores from the shape: 1 / sqrt(head_dim), in the
// largest model of the family 1 / sqrt(d_model / n_heads). Only another one needs a key.
void read_scale(HfConfig& config, HfModel& model, int64_t largest) {
  const int64_t usual = model.n_layers == largest && model.n_heads > 0
                            ? model[D::d_model] / model.n_heads
                            : model[D::head];
  const double scalar =
      config.number("query_pre_attn_scalar", 1e-3, 1e6, static_cast<double>(usual));
  if (scalar != static_cast<double>(usual)) {
    model.set_float("attention.scale", 1 / std::sqrt(scalar));
  }
}

void read_gemma(HfConfig& config, HfModel& model) {
  read_basics(config, model, {.head_dim = 256});
  read_rope(config, model, model[D::head], kScalings);
  model.set_float("attention.layer_norm_rms_epsilon",
                  config.number("rms_norm_eps", 0.0, 1.0, 1e-6));
  model.set_number("attention.key_length", model[D::head]);
  model.set_number("attention.value_length", model[D::head]);
  config.expect_text("hidden_activation", {"gelu_pytorch_tanh"});
  // an older key, which transformers does not obey where the newer one is given
  config.expect_text("hidden_act", {"gelu_pytorch_tanh", "gelu"});
  config.expect_flag("attention_bias", false);
  config.expect_flag("tie_word_embeddings", true);
  config.expect_flag("use_bidirectional_attention", false);
  config.ignore({"cache_implementation"});
}

void read_gemma2(HfConfig& config, HfModel& model) {
  read_gemma(config, model);
  read_scale(config, model, 46);
  model.set_float("attn_logit_softcapping",
                  config.number("attn_logit_softcapping", 1e-3, 1e6, 50.0));
  model.set_float("final_logit_softcapping",
                  config.number("final_logit_softcapping", 1e-3, 1e6, 30.0));
  model.set_number("attention.sliding_window", config.integer("sliding_window", 1, 1 << 30, 4096));
  config.ignore({"sliding_window_size"});
  check_layer_types(config, model, 2);
}

void read_gemma3(HfConfig& config, HfModel& model) {
  read_gemma(config, model);
  read_scale(config, model, 62);
  model.flags |= kHfHeadNorms;
  if (const auto local = config.optional_number("rope_local_base_freq", 1.0, 1e15)) {
    model.set_float("rope.freq_base_swa", *local);
  }
  if (model.metadata.find("gemma3.rope.freq_base") == nullptr) {
    model.set_float("rope.freq_base", 1e6);
  }
  if (const auto cap = config.optional_number("final_logit_softcapping", 1e-3, 1e6)) {
    model.set_float("final_logit_softcapping", *cap);
  }
  if (config.find("attn_logit_softcapping") != nullptr) {
    config.refuse("attn_logit_softcapping", "null");
  }
  // The last of six layers attends to all positions, unless the file says another number.
  int64_t period = config.integer("sliding_window_pattern", 1, 512, 6);
  period = config.integer("_sliding_window_pattern", 1, 512, period);
  const int64_t window = config.integer("sliding_window", 1, 1 << 30, 4096);
  if (period != 1) model.set_number("attention.sliding_window", window);
  if (period != 1 && period != 6) model.set_number("attention.sliding_window_pattern", period);
  check_layer_types(config, model, period);
}

void write(const ModelSource& source, ConfigReader& reader, nlohmann::json& config) {
  constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();
  write_basics(reader, config);
  write_rope(source, reader, config);
  config["rms_norm_eps"] =
      plain_number(reader.number("attention.layer_norm_rms_epsilon", 0.0, 1.0, kRequired));
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["tie_word_embeddings"] = true;
  const bool is_third = reader.architecture() == "gemma3";
  config["model_type"] = is_third ? "gemma3_text" : "gemma2";
  const int64_t window = reader.integer("attention.sliding_window", 1, 1 << 30, 4096);
  config["sliding_window"] = window;
  const auto cap = [&](const char* key, double usual) {
    const double value = reader.number(key, 0.0, 1e6, usual);
    if (value > 0) config[key] = plain_number(value);
  };
  cap("final_logit_softcapping", is_third ? 0.0 : 30.0);
  if (!is_third) cap("attn_logit_softcapping", 50.0);
  if (is_third) {
    config["rope_local_base_freq"] =
        plain_number(reader.number("rope.freq_base_swa", 1.0, 1e15, 10000.0));
    config["sliding_window_pattern"] =
        reader.integer("attention.sliding_window_pattern", 1, 512, 6);
  }
  if (const double scale = reader.number("attention.scale", 0.0, 1e3, 0.0); scale > 0) {
    config["query_pre_attn_scalar"] = plain_number(1 / (scale * scale));
  } else {  // the usual one, which read_scale() knows
    const bool is_largest = config["num_hidden_layers"] == (is_third ? 62 : 46);
    const int64_t n_heads = config["num_attention_heads"], d_model = config["hidden_size"];
    config["query_pre_attn_scalar"] =
        is_largest ? d_model / n_heads : config.value("head_dim", int64_t{256});
  }
}

}  // namespace

const HfFamily kHfGemma2 = {"gemma2", kGemma2Classes, kPrefixes, read_gemma2, kTensors, {}, write};
const HfFamily kHfGemma3 = {"gemma3", kGemma3Classes, kPrefixes, read_gemma3, kTensors, {}, write};

}  // namespace nibble
