// What the families of hf_family.h share on the way back to config.json.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "model/hf_family.h"

namespace nibble {
namespace {

using nlohmann::json;

std::vector<float> values_of(const ModelSource& source, std::string_view name) {
  const GgufTensor* tensor = source.find_tensor(name);
  std::vector<float> values;
  if (tensor == nullptr || tensor->format->id != FormatId::F32) return values;
  values.resize(static_cast<size_t>(tensor->n_elements()));
  source.read(*tensor, 0, tensor->n_elements(), reinterpret_cast<std::byte*>(values.data()));
  return values;
}

json list_of(const std::vector<float>& values) {
  json list = json::array();
  for (const float value : values) list.push_back(plain_number(static_cast<double>(value)));
  return list;
}

}  // namespace

double plain_number(double value) {
  return std::strtod(fmt::format("{}", static_cast<float>(value)).c_str(), nullptr);
}

void write_basics(ConfigReader& reader, json& config, const HfBasicKeys& keys) {
  const int64_t n_layers = reader.integer("block_count", 1, 512);
  config[keys.n_layers] = n_layers;
  config[keys.n_ctx] = reader.integer("context_length", 1, int64_t{1} << 30);
  config[keys.d_model] = reader.integer("embedding_length", 8, 1 << 18);
  config[keys.d_ff] = reader.per_layer_integer("feed_forward_length", n_layers, 8, 1 << 22);
  const int64_t n_heads = reader.per_layer_integer("attention.head_count", n_layers, 1, 4096);
  config[keys.n_heads] = n_heads;
  if (keys.has_kv_heads) {
    config[keys.n_kv_heads] =
        reader.per_layer_integer("attention.head_count_kv", n_layers, 1, 4096, n_heads);
  }
  const int64_t head_dim = reader.integer("attention.key_length", 2, 4096, 0);
  if (head_dim > 0) config["head_dim"] = head_dim;
}

void write_rope(const ModelSource& source, ConfigReader& reader, json& config,
                std::string_view theta_key) {
  const double theta = reader.number("rope.freq_base", 1.0, 1e15, 0.0);
  if (theta > 0) config[theta_key] = plain_number(theta);
  const std::string type = reader.text("rope.scaling.type", "none");
  const auto number = [&](std::string_view key) {
    return plain_number(reader.number(key, -1e9, 1e9, 0.0));
  };
  json scaling = json::object();
  const auto copy = [&](const char* name, std::string_view key) {
    if (reader.metadata().find(fmt::format("{}.{}", reader.architecture(), key)) != nullptr) {
      scaling[name] = number(key);
    }
  };
  if (const auto divisors = values_of(source, "rope_freqs.weight"); !divisors.empty()) {
    // The numbers of Llama 3.1 and 3.2, which differ in the factor; the export compares the result.
    const float factor = *std::max_element(divisors.begin(), divisors.end());
    scaling = {{"rope_type", "llama3"},
               {"factor", plain_number(static_cast<double>(factor))},
               {"low_freq_factor", 1.0},
               {"high_freq_factor", 4.0},
               {"original_max_position_embeddings", 8192}};
  } else if (const auto longs = values_of(source, "rope_factors_long.weight"); !longs.empty()) {
    scaling = {{"type", "longrope"},
               {"long_factor", list_of(longs)},
               {"short_factor", list_of(values_of(source, "rope_factors_short.weight"))}};
    copy("attention_factor", "rope.scaling.attn_factor");
  } else if (type == "linear") {
    scaling = {{"rope_type", "linear"}, {"factor", number("rope.scaling.factor")}};
  } else if (type == "yarn") {
    scaling = {{"rope_type", "yarn"}, {"factor", number("rope.scaling.factor")}};
    scaling["original_max_position_embeddings"] =
        reader.integer("rope.scaling.original_context_length", 1, int64_t{1} << 30);
    copy("extrapolation_factor", "rope.scaling.yarn_ext_factor");
    copy("attention_factor", "rope.scaling.yarn_attn_factor");
    copy("beta_fast", "rope.scaling.yarn_beta_fast");
    copy("beta_slow", "rope.scaling.yarn_beta_slow");
  } else if (type != "none") {
    reader.fail(make_error(ErrorKind::kFailure, "[{}] scales RoPE by '{}', which is not exported",
                           reader.where(), type));
  }
  if (!scaling.empty()) config["rope_scaling"] = std::move(scaling);
}

}  // namespace nibble
