#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace nibble {

ConfigReader::ConfigReader(const GgufMetadata& metadata, std::string architecture,
                           std::string where)
    : metadata_(metadata), architecture_(std::move(architecture)), where_(std::move(where)) {}

void ConfigReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

int64_t ConfigReader::checked(std::string_view key, const std::optional<int64_t>& value,
                              int64_t low, int64_t high) {
  if (!value || *value < low || *value > high) {
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] {} is {}; {} to {} is allowed; the file is damaged or "
                    "of a kind nibble does not know",
                    where_, full_key(key), value ? std::to_string(*value) : "no integer", low,
                    high));
    return low;
  }
  return *value;
}

int64_t ConfigReader::integer(std::string_view key, int64_t low, int64_t high, int64_t fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr) {
    if (fallback >= 0) return fallback;
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] the metadata key {} is missing; the file is incomplete", where_,
                    full_key(key)));
    return low;
  }
  return checked(key, value->as_int(), low, high);
}

int64_t ConfigReader::per_layer_integer(std::string_view key, int64_t n_layers, int64_t low,
                                        int64_t high, int64_t fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr || value->type() != GgufType::kArray)
    return integer(key, low, high, fallback);
  const auto values = value->as_ints();
  if (!values || static_cast<int64_t>(values->size()) != n_layers) {
    fail(make_error(ErrorKind::kInvalid, "[{}] {} has {} elements; {} are needed, one per layer",
                    where_, full_key(key), value->count(), n_layers));
    return low;
  }
  for (const int64_t v : *values) {
    if (v != values->front()) {
      fail(make_error(ErrorKind::kFailure,
                      "[{}] {} differs between layers; nibble runs models whose "
                      "layers have one shape",
                      where_, full_key(key)));
      return low;
    }
  }
  return checked(key, values->front(), low, high);
}

double ConfigReader::number(std::string_view key, double low, double high, double fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr) {
    if (!std::isnan(fallback)) return fallback;
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] the metadata key {} is missing; the file is incomplete", where_,
                    full_key(key)));
    return low;
  }
  const auto number = value->as_float();
  if (!number || !(*number >= low && *number <= high)) {
    fail(make_error(ErrorKind::kInvalid, "[{}] {} is {}; {} to {} is allowed; the file is damaged",
                    where_, full_key(key), number ? std::to_string(*number) : "no number", low,
                    high));
    return low;
  }
  return *number;
}

std::string ConfigReader::text(std::string_view key, std::string_view fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr) return std::string(fallback);
  const auto string = value->as_string();
  if (!string) {
    fail(make_error(ErrorKind::kInvalid, "[{}] {} is no string; the file is damaged", where_,
                    full_key(key)));
    return std::string(fallback);
  }
  return std::string(*string);
}

bool ConfigReader::flag(std::string_view key, bool fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr) return fallback;
  const auto flag = value->as_bool();
  if (!flag) {
    fail(make_error(ErrorKind::kInvalid, "[{}] {} is no bool; the file is damaged", where_,
                    full_key(key)));
    return fallback;
  }
  return *flag;
}

namespace {

constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();

void check_heads(ConfigReader& reader, const ModelConfig& c) {
  if (c.d_model % c.n_heads != 0 && !reader.has("attention.key_length")) {
    reader.fail(make_error(ErrorKind::kInvalid,
                           "[{}] embedding_length {} is not a multiple of head_count {}",
                           reader.where(), c.d_model, c.n_heads));
  }
  if (c.n_heads % c.n_kv_heads != 0) {
    reader.fail(make_error(ErrorKind::kInvalid,
                           "[{}] head_count {} is not a multiple of head_count_kv {}",
                           reader.where(), c.n_heads, c.n_kv_heads));
  }
  if (reader.integer("attention.value_length", 1, 1024, c.head_dim) != c.head_dim) {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] keys and values have different lengths; nibble runs "
                           "models where they are equal",
                           reader.where()));
  }
  if (c.head_dim % 8 != 0 || c.head_dim < 8 || c.rope_dims % 2 != 0 || c.rope_dims > c.head_dim) {
    reader.fail(make_error(ErrorKind::kInvalid,
                           "[{}] head size {} with {} rotated dimensions; a multiple "
                           "of 8 and an even number not above it are allowed",
                           reader.where(), c.head_dim, c.rope_dims));
  }
}

void read_yarn(ConfigReader& reader, ModelConfig& c, double factor) {
  const double extrapolation = reader.number("rope.scaling.yarn_ext_factor", -1.0, 1.0, 1.0);
  c.yarn_extrapolation = extrapolation < 0.0 ? 1.0 : extrapolation;
  c.yarn_beta_fast = reader.number("rope.scaling.yarn_beta_fast", 1e-3, 1e6, 32.0);
  c.yarn_beta_slow = reader.number("rope.scaling.yarn_beta_slow", 1e-3, 1e6, 1.0);
  // Longer contexts flatten the softmax; the paper's remedy. A file may name its own factor.
  const double usual = factor > 1.0 ? 0.1 * std::log(factor) + 1.0 : 1.0;
  c.rope_magnitude *= reader.number("rope.scaling.yarn_attn_factor", 1e-3, 1e3, usual);
  if (reader.number("rope.scaling.yarn_log_multiplier", -1e3, 1e3, 0.0) != 0.0) {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] has {}.rope.scaling.yarn_log_multiplier, which nibble does not "
                           "know for this architecture",
                           reader.where(), reader.architecture()));
  }
  if (!(c.rope_base > 1.0)) {
    reader.fail(make_error(ErrorKind::kInvalid,
                           "[{}] {}.rope.freq_base is {}; yarn needs more than 1", reader.where(),
                           reader.architecture(), c.rope_base));
  }
}

void read_rope(ConfigReader& reader, ModelConfig& c) {
  c.rope_base = reader.number("rope.freq_base", 1.0, 1e15, 10000.0);
  c.rope_dims = reader.integer("rope.dimension_count", 2, 1024, c.head_dim);
  c.n_ctx_original =
      reader.integer("rope.scaling.original_context_length", 1, int64_t{1} << 30, c.n_ctx_train);
  // "linear" without a factor is what a file means that says nothing.
  const std::string scaling = reader.text("rope.scaling.type", "linear");
  const double older = reader.number("rope.scale_linear", 0.0, 1e6, 0.0);
  const double given = reader.number("rope.scaling.factor", 0.0, 1e6, older);
  const double factor = given == 0.0 ? 1.0 : std::max(given, 1e-3);
  if (scaling != "none" && scaling != "linear" && scaling != "yarn" && scaling != "longrope") {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] RoPE scaling '{}' is not supported; none, linear, yarn and "
                           "longrope are",
                           reader.where(), scaling));
  }
  if (scaling != "none") c.rope_position_scale = 1.0 / factor;
  c.rope_magnitude = reader.number("rope.scaling.attn_factor", 1e-3, 1e3, 1.0);
  if (scaling == "yarn") read_yarn(reader, c, factor);
}

}  // namespace

ModelConfig read_transformer(ConfigReader& reader, std::string_view epsilon_key) {
  ModelConfig c;
  c.n_layers = reader.integer("block_count", 1, 512);
  c.d_model = reader.integer("embedding_length", 8, 1 << 18);
  c.d_ff = reader.per_layer_integer("feed_forward_length", c.n_layers, 8, 1 << 22,
                                    reader.has("expert_feed_forward_length") ? 8 : -1);
  c.n_heads = reader.per_layer_integer("attention.head_count", c.n_layers, 1, 4096);
  c.n_kv_heads =
      reader.per_layer_integer("attention.head_count_kv", c.n_layers, 1, 4096, c.n_heads);
  c.n_ctx_train = reader.integer("context_length", 1, int64_t{1} << 30);
  c.norm_epsilon = static_cast<float>(reader.number(epsilon_key, 0.0, 1.0, kRequired));
  c.head_dim = reader.integer("attention.key_length", 8, 1024, c.d_model / c.n_heads);
  read_rope(reader, c);
  check_heads(reader, c);
  const int64_t pooling = reader.integer("pooling_type", 0, 4, 0);
  if (pooling > static_cast<int64_t>(Pooling::last)) {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] ranks pairs of texts (pooling_type {}); nibble runs models that "
                           "give logits or embeddings",
                           reader.where(), pooling));
  } else {
    c.pooling = static_cast<Pooling>(pooling);
  }
  const double scale = reader.number("attention.scale", 0.0, 1e3, 0.0);
  c.attention_scale =
      scale > 0.0 ? static_cast<float>(scale) : 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  return c;
}

void read_window(ConfigReader& reader, ModelConfig& config, int64_t pattern, int64_t fallback) {
  config.window = reader.integer("attention.sliding_window", 0, int64_t{1} << 30, fallback);
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const GgufValue* value =
      reader.metadata().find(fmt::format("{}.{}", reader.architecture(), kPattern));
  config.windowed_layers.assign(static_cast<size_t>(config.n_layers), 1);
  if (value != nullptr && value->type() == GgufType::kArray) {
    const auto marks = value->as_ints();
    if (!marks || static_cast<int64_t>(marks->size()) != config.n_layers) {
      reader.fail(make_error(ErrorKind::kInvalid,
                             "[{}] {}.{} must be a number or {} integers, one per layer",
                             reader.where(), reader.architecture(), kPattern, config.n_layers));
      return;
    }
    for (size_t i = 0; i < marks->size(); ++i) config.windowed_layers[i] = (*marks)[i] != 0;
    return;
  }
  const int64_t period = reader.integer(kPattern, 0, 512, pattern);
  if (period == 0) return;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    config.windowed_layers[static_cast<size_t>(i)] = i % period < period - 1;
  }
}

void read_experts(ConfigReader& reader, ModelConfig& config) {
  config.n_experts = reader.integer("expert_count", 0, 4096, 0);
  if (config.n_experts == 0) return;
  config.n_experts_used = reader.integer("expert_used_count", 1, config.n_experts);
  config.d_ff = reader.per_layer_integer("expert_feed_forward_length", config.n_layers, 8, 1 << 22,
                                         config.d_ff);
  const double scale = reader.number("expert_weights_scale", 0.0, 1e3, 0.0);
  if (scale != 0.0 && scale != 1.0) {
    reader.fail(make_error(ErrorKind::kFailure,
                           "[{}] has {}.expert_weights_scale {}, which nibble does not know for "
                           "this architecture",
                           reader.where(), reader.architecture(), scale));
  }
}

}  // namespace nibble
