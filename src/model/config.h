// The hyperparameters of a model, read from metadata and checked against bounds once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/gguf_value.h"
#include "ops/layers.h"

namespace nibble {

// How the hidden states of a text become one vector. The numbers are those of GGUF files.
enum class Pooling { none = 0, mean = 1, cls = 2, last = 3 };

struct ModelConfig {
  std::string architecture;
  int64_t n_layers = 0;
  int64_t d_model = 0;
  int64_t d_ff = 0;  // of one expert where there are experts
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t n_ctx_train = 0;  // the context the model was made for
  int64_t vocab_size = 0;

  NormKind norm = NormKind::rms;
  float norm_epsilon = 0;
  Nonlinearity nonlinearity = Nonlinearity::silu;
  bool fused_gate_up = false;      // ffn_up holds the rows of the gate, then its own
  bool parallel_residual = false;  // attention and feed-forward both start from the layer's input
  float embedding_scale = 1.0f;
  float attention_scale = 0;    // of the scores; usually 1 / sqrt(head_dim)
  float attention_softcap = 0;  // 0: none
  float logit_softcap = 0;      // 0: none

  // Layers that see only the last `window` positions; empty: none of them.
  int64_t window = 0;
  std::vector<uint8_t> windowed_layers;  // [n_layers]

  double rope_base = 10000.0;
  double rope_local_base = 0;  // of windowed layers, without any scaling; 0: as the others
  int64_t rope_dims = 0;       // 0: no rotary embedding
  bool rope_interleaved = true;
  double rope_position_scale = 1.0;  // linear scaling, 1 / factor
  double rope_magnitude = 1.0;
  double yarn_extrapolation = 0, yarn_beta_fast = 32.0, yarn_beta_slow = 1.0;
  int64_t n_ctx_original = 0;  // before the context was stretched

  int64_t n_experts = 0;  // 0: one feed-forward network for all tokens
  int64_t n_experts_used = 0;
  bool normalize_experts = true;  // the weights of the chosen experts add up to one

  bool is_encoder = false;  // sees the whole text, has no logits
  int64_t n_token_types = 0;
  Pooling pooling = Pooling::none;

  int64_t q_dim() const { return n_heads * head_dim; }
  int64_t kv_dim() const { return n_kv_heads * head_dim; }
  bool windowed(int64_t layer) const {
    return window > 0 && !windowed_layers.empty() &&
           windowed_layers[static_cast<size_t>(layer)] != 0;
  }
};

// Reads "<architecture>.<key>" numbers with bounds; the first violation is kept.
class ConfigReader {
 public:
  ConfigReader(const GgufMetadata& metadata, std::string architecture, std::string where);

  // An integer in [low, high]. A missing key gives `fallback`, or an error when that is negative.
  int64_t integer(std::string_view key, int64_t low, int64_t high, int64_t fallback = -1);
  // A finite number in [low, high]; a missing key gives `fallback`, or an error when that is NaN.
  double number(std::string_view key, double low, double high, double fallback);
  // An integer that may be stored per layer: an array must have n_layers equal elements.
  int64_t per_layer_integer(std::string_view key, int64_t n_layers, int64_t low, int64_t high,
                            int64_t fallback = -1);
  std::string text(std::string_view key, std::string_view fallback);
  bool flag(std::string_view key, bool fallback);
  bool has(std::string_view key) const { return metadata_.find(full_key(key)) != nullptr; }
  void fail(Error error);

  const std::string& architecture() const { return architecture_; }
  const std::string& where() const { return where_; }
  const GgufMetadata& metadata() const { return metadata_; }
  Status status() const { return error_ ? Status(*error_) : Status(); }

 private:
  std::string full_key(std::string_view key) const {
    return architecture_ + "." + std::string(key);
  }
  int64_t checked(std::string_view key, const std::optional<int64_t>& value, int64_t low,
                  int64_t high);

  const GgufMetadata& metadata_;
  std::string architecture_, where_;
  std::optional<Error> error_;
};

// What all transformers have: sizes, heads, context, epsilon (`epsilon_key`), rotary embedding with
// its scaling (linear, yarn, longrope), and the scale of attention. Interleaved pairs unless the
// family says otherwise.
ModelConfig read_transformer(ConfigReader& reader, std::string_view epsilon_key);
inline constexpr std::string_view kRmsEpsilon = "attention.layer_norm_rms_epsilon";
inline constexpr std::string_view kLayerEpsilon = "attention.layer_norm_epsilon";

// attention.sliding_window; `pattern`: of so many layers in a row all but the last are windowed
// (the file may say another); 0: all layers.
void read_window(ConfigReader& reader, ModelConfig& config, int64_t pattern, int64_t fallback = 0);

// expert_count and expert_used_count. d_ff becomes the experts' own where the file has it.
void read_experts(ConfigReader& reader, ModelConfig& config);

}  // namespace nibble
