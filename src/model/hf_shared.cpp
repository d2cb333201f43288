// What the families of hf_family.h share.
#include <cmath>
#include <limits>
#include <numbers>

#include "model/hf_family.h"

namespace nibble {
namespace {

// context_length as read_basics() set it.
double context_of(const HfModel& model, double otherwise) {
  const GgufValue* context = model.metadata.find(model.architecture + ".context_length");
  return context != nullptr ? context->as_float().value_or(otherwise) : otherwise;
}

constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kMaxContext = int64_t{1} << 30;

// "llama3": frequencies of long waves are divided by `factor`, those of short ones stay, and
// between they go over smoothly. Divisors per rotary pair. (Llama 3.1's reference code; computed in
// float32 where llama.cpp's converter does, so that the divisors are equal.)
std::vector<float> llama3_divisors(HfConfig& params, double theta, int64_t rope_dims) {
  const double factor = params.number("factor", 1e-3, 1e6, 8.0);
  const double low = params.number("low_freq_factor", 1e-6, 1e6, 1.0);
  const double high = params.number("high_freq_factor", 1e-6, 1e6, 4.0);
  const auto old_ctx =
      static_cast<double>(params.integer("original_max_position_embeddings", 1, kMaxContext, 8192));
  if (low == high) params.refuse("high_freq_factor", "another value than \"low_freq_factor\"");
  std::vector<float> divisors;
  for (int64_t i = 0; i < rope_dims && params.ok(); i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(rope_dims);
    const float frequency = 1.0f / std::pow(static_cast<float>(theta), exponent);
    const double wave = static_cast<float>(2 * std::numbers::pi) / frequency;
    if (wave < old_ctx / high) {
      divisors.push_back(1.0f);
    } else if (wave > old_ctx / low) {
      divisors.push_back(static_cast<float>(factor));
    } else {
      const double smooth = (old_ctx / wave - low) / (high - low);
      divisors.push_back(static_cast<float>(1 / ((1 - smooth) / factor + smooth)));
    }
  }
  return divisors;
}

void read_yarn(HfConfig& params, HfModel& model) {
  model.set_text("rope.scaling.type", "yarn");
  model.set_float("rope.scaling.factor", params.number("factor", 1e-3, 1e6, kRequired));
  model.set_number("rope.scaling.original_context_length",
                   params.integer("original_max_position_embeddings", 1, kMaxContext));
  const auto copy = [&](std::string_view key, std::string_view gguf) {
    if (const auto value = params.optional_number(key, -1e6, 1e6)) model.set_float(gguf, *value);
  };
  copy("extrapolation_factor", "rope.scaling.yarn_ext_factor");
  copy("attention_factor", "rope.scaling.yarn_attn_factor");
  copy("attn_factor", "rope.scaling.yarn_attn_factor");
  copy("beta_fast", "rope.scaling.yarn_beta_fast");
  copy("beta_slow", "rope.scaling.yarn_beta_slow");
  params.expect_flag("truncate", true);
}

// rope.scaling.attn_factor, and divisors for prompts within, and beyond, the context of the first
// training; and the factor by which attention grows sharper. (Phi-3's reference code.)
void read_longrope(HfConfig& params, HfModel& model, int64_t rope_dims) {
  const auto n = static_cast<size_t>(rope_dims / 2);
  auto long_factors = params.numbers("long_factor", n);
  auto short_factors = params.numbers("short_factor", n);
  if (params.ok() && (long_factors.size() != n || short_factors.size() != n)) {
    params.fail(make_error(ErrorKind::kInvalid,
                           "[{}] \"long_factor\" and \"short_factor\" have {} and {} numbers; {} "
                           "are needed, one per rotary pair",
                           params.where(), long_factors.size(), short_factors.size(), n));
  }
  params.ignore({"factor"});
  const auto n_ctx = static_cast<double>(
      params.integer("original_max_position_embeddings", 1, kMaxContext, model.original_ctx));
  const double scale = context_of(model, n_ctx) / n_ctx;
  const double usual = scale > 1.0 ? std::sqrt(1 + std::log(scale) / std::log(n_ctx)) : 1.0;
  model.set_float("rope.scaling.attn_factor", params.number("attention_factor", 1e-3, 1e3, usual));
  model.made.emplace_back("rope_factors_long.weight", std::move(long_factors));
  model.made.emplace_back("rope_factors_short.weight", std::move(short_factors));
}

}  // namespace

void HfModel::set_number(std::string_view key, int64_t value) {
  metadata.set(fmt::format("{}.{}", architecture, key),
               GgufValue::of_uint32(static_cast<uint32_t>(value)));
}
void HfModel::set_float(std::string_view key, double value) {
  metadata.set(fmt::format("{}.{}", architecture, key),
               GgufValue::of_float32(static_cast<float>(value)));
}
void HfModel::set_bool(std::string_view key, bool value) {
  metadata.set(fmt::format("{}.{}", architecture, key), GgufValue::of_bool(value));
}
void HfModel::set_text(std::string_view key, std::string_view value) {
  metadata.set(fmt::format("{}.{}", architecture, key), GgufValue::of_string(value));
}

void read_basics(HfConfig& config, HfModel& model, const HfBasicKeys& keys) {
  model.n_layers = config.integer(keys.n_layers, 1, 512);
  model.set_number("block_count", model.n_layers);
  model.set_number("context_length", config.integer(keys.n_ctx, 1, kMaxContext));
  model[HfDim::d_model] = config.integer(keys.d_model, 8, 1 << 18);
  model.set_number("embedding_length", model[HfDim::d_model]);
  const int64_t four_times = keys.d_ff == "n_inner" ? 4 * model[HfDim::d_model] : -1;
  model[HfDim::d_ff] = config.integer(keys.d_ff, 8, 1 << 22, four_times);
  model.set_number("feed_forward_length", model[HfDim::d_ff]);
  model.n_heads = config.integer(keys.n_heads, 1, 4096);
  model.set_number("attention.head_count", model.n_heads);
  model.n_kv_heads =
      keys.has_kv_heads ? config.integer(keys.n_kv_heads, 1, 4096, model.n_heads) : model.n_heads;
  if (keys.has_kv_heads) model.set_number("attention.head_count_kv", model.n_kv_heads);
  if (config.ok() && model.n_heads % model.n_kv_heads != 0) {
    config.fail(make_error(ErrorKind::kInvalid,
                           "[{}] \"{}\" is {}, which is no multiple of \"{}\", {}; the file is "
                           "damaged",
                           config.where(), keys.n_heads, model.n_heads, keys.n_kv_heads,
                           model.n_kv_heads));
  }
  model[HfDim::vocab] = config.integer("vocab_size", 1, 1 << 24);
  const bool has_head_dim = config.find("head_dim") != nullptr || keys.head_dim > 0;
  if (config.ok() && !has_head_dim && model[HfDim::d_model] % model.n_heads != 0) {
    config.fail(make_error(ErrorKind::kInvalid,
                           "[{}] \"{}\" is {}, which is no multiple of \"{}\", {}, and there is no "
                           "\"head_dim\"; the file is damaged",
                           config.where(), keys.d_model, model[HfDim::d_model], keys.n_heads,
                           model.n_heads));
  }
  const int64_t usual_head = keys.head_dim > 0
                                 ? keys.head_dim
                                 : model[HfDim::d_model] / std::max<int64_t>(model.n_heads, 1);
  model[HfDim::head] = config.integer("head_dim", 2, 4096, usual_head);
  if (config.ok() && model[HfDim::head] % 2 != 0) {
    config.fail(make_error(ErrorKind::kInvalid,
                           "[{}] has heads of {} numbers; an even size is needed; the file is "
                           "damaged",
                           config.where(), model[HfDim::head]));
  }
  model[HfDim::q] = model.n_heads * model[HfDim::head];
  model[HfDim::kv] = model.n_kv_heads * model[HfDim::head];
  model[HfDim::qkv] = model[HfDim::q] + 2 * model[HfDim::kv];
  model[HfDim::gate_up] = 2 * model[HfDim::d_ff];
  model[HfDim::d_model_3] = 3 * model[HfDim::d_model];
  config.expect_flag("tie_encoder_decoder", false);
  if (const nlohmann::json* pruned = config.find("pruned_heads"); pruned && !pruned->empty()) {
    config.refuse("pruned_heads", "none");
  }
}

void read_rope(HfConfig& config, HfModel& model, int64_t rope_dims,
               std::span<const std::string_view> allowed, std::string_view theta_key) {
  // Since version 5 transformers keeps all of it, theta included, in rope_parameters.
  const nlohmann::json* object = config.find("rope_parameters");
  const std::string_view name = object != nullptr ? "rope_parameters" : "rope_scaling";
  const nlohmann::json* scaling = config.find("rope_scaling");
  if (object == nullptr) object = scaling;
  // models with two kinds of layers have two sets of them
  if (object != nullptr && object->is_object() && object->contains("full_attention")) {
    if (const auto local = object->find("sliding_attention"); local != object->end()) {
      HfConfig sliding(*local, fmt::format("{}: sliding_attention", config.where()));
      const auto theta = sliding.optional_number("rope_theta", 1.0, 1e15);
      if (theta) model.set_float("rope.freq_base_swa", *theta);
      sliding.expect_text("rope_type", {"default"});
      if (const Status status = sliding.finish(); !status.ok()) config.fail(status.error());
    }
    object = &object->at("full_attention");
  }
  static const nlohmann::json kNothing = nlohmann::json::object();
  if (object != nullptr && !object->is_object()) {
    config.refuse(name, "an object or null");
    return;
  }
  if (name == "rope_parameters" && scaling != nullptr && *scaling != *config.find(name)) {
    config.refuse("rope_scaling", "what \"rope_parameters\" says, or none");
  }
  HfConfig params(object != nullptr ? *object : kNothing,
                  fmt::format("{}: {}", config.where(), name));
  const auto outer = config.optional_number(theta_key, 1.0, 1e15);
  const auto inner = params.optional_number("rope_theta", 1.0, 1e15);
  const auto theta = inner ? inner : outer;
  if (theta) model.set_float("rope.freq_base", *theta);
  const double head = static_cast<double>(model[HfDim::head]);
  const auto share = params.optional_number("partial_rotary_factor", 1e-3, 1.0);
  if (share && std::abs(*share * head - static_cast<double>(rope_dims)) >= 1) {
    params.refuse("partial_rotary_factor",
                  fmt::format("{}", static_cast<double>(rope_dims) / head));
  }

  std::string type = params.text("type", "");
  type = params.text("rope_type", type.empty() ? "default" : type);
  if (type == "su") type = "longrope";
  if (type != "default" && std::find(allowed.begin(), allowed.end(), type) == allowed.end()) {
    params.fail(make_error(ErrorKind::kFailure,
                           "[{}] scales RoPE by '{}'; for this kind of model nibble knows: "
                           "default{}{}",
                           params.where(), type, allowed.empty() ? "" : ", ",
                           fmt::join(allowed, ", ")));
  } else if (type == "linear") {
    model.set_text("rope.scaling.type", "linear");
    model.set_float("rope.scaling.factor", params.number("factor", 1e-3, 1e6, kRequired));
  } else if (type == "yarn") {
    read_yarn(params, model);
  } else if (type == "llama3") {
    model.made.emplace_back("rope_freqs.weight",
                            llama3_divisors(params, theta.value_or(10000.0), rope_dims));
  } else if (type == "longrope") {
    read_longrope(params, model, rope_dims);
  } else if (type == "dynamic") {
    params.ignore({"factor"});
    const auto n_ctx = static_cast<int64_t>(context_of(model, 1));
    if (params.integer("original_max_position_embeddings", 1, kMaxContext, n_ctx) < n_ctx) {
      params.refuse("original_max_position_embeddings", "the whole context as the first one");
    }
  }
  params.ignore({"original_max_position_embeddings"});
  if (const Status status = params.finish(); !status.ok()) config.fail(status.error());
}

void check_layer_types(HfConfig& config, const HfModel& model, int64_t period) {
  const nlohmann::json* types = config.find("layer_types");
  if (types == nullptr || !config.ok()) return;
  bool fits = types->is_array() && static_cast<int64_t>(types->size()) == model.n_layers;
  for (int64_t i = 0; fits && i < model.n_layers; ++i) {
    const bool is_full = period == 1 || (period > 1 && i % period == period - 1);
    fits = (*types)[static_cast<size_t>(i)] == (is_full ? "full_attention" : "sliding_attention");
  }
  if (fits) return;
  config.refuse("layer_types",
                period == 1 ? "full attention in all layers"
                            : fmt::format("full attention in every layer number {}", period));
}

}  // namespace nibble
