// The hyperparameters of a model, read from metadata and checked against bounds once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/gguf.h"

namespace nibble {

struct ModelConfig {
  std::string architecture;
  int64_t n_layers = 0;
  int64_t d_model = 0;
  int64_t d_ff = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t n_ctx_train = 0;  // the context the model was made for
  int64_t vocab_size = 0;
  float norm_epsilon = 0;
  double rope_base = 10000.0;
  double rope_position_scale = 1.0;  // linear scaling, 1 / factor
  int64_t rope_dims = 0;
  bool rope_interleaved = true;

  int64_t q_dim() const { return n_heads * head_dim; }
  int64_t kv_dim() const { return n_kv_heads * head_dim; }
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

}  // namespace nibble
