// What makes one family of models differ from another, as data: how to read its configuration and
// which tensors it has. One arch_<family>.cpp and one row in registry.cpp per family.
#pragma once

#include <span>
#include <string_view>

#include "model/config.h"
#include "model/tensor_roles.h"

namespace nibble {

// A dimension of a tensor, as a name; its size comes from the configuration.
enum class Dim { one, d_model, d_ff, q_dim, kv_dim, vocab, rope_pairs };

struct TensorRule {
  TensorRole role;
  Dim row_len;  // inputs (GGUF's first dimension)
  Dim n_rows;   // outputs; Dim::one for a vector
  bool per_layer;
  bool required;
};

struct Architecture {
  std::string_view name;  // general.architecture
  Result<ModelConfig> (*read_config)(ConfigReader& reader);
  std::span<const TensorRule> rules;
};

int64_t dim_size(const ModelConfig& config, Dim dim);

// By general.architecture, or null.
const Architecture* find_architecture(std::string_view name);
// "llama, ..." for messages.
std::string known_architectures();
// Configuration of the model in this file. kFailure: architecture unknown; kInvalid: bad numbers.
Result<ModelConfig> read_config(const GgufFile& file, std::string_view where);

}  // namespace nibble
