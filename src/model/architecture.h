// What makes one family of models differ from another, as data: how to read its configuration and
// which tensors it has. One arch_<family>.cpp and one row in registry.cpp per family.
#pragma once

#include <span>
#include <string_view>

#include "container/model_source.h"
#include "model/config.h"
#include "model/tensor_roles.h"

namespace nibble {

// A dimension of a tensor, as a name; its size comes from the configuration.
enum class Dim {
  one,
  d_model,
  d_ff,
  gate_and_up,  // 2 d_ff
  q_dim,
  kv_dim,
  qkv_dim,  // q_dim + 2 kv_dim
  head_dim,
  vocab,
  rope_pairs,
  experts,
  n_ctx_train,
  token_types,
};

// Which models of the family have a tensor.
enum class Need {
  always,
  optional,
  dense,    // those without experts, and they need it
  experts,  // those with experts, and they need it
};

struct TensorRule {
  TensorRole role;
  Dim row_len;  // inputs (GGUF's first dimension); of a bias its length
  Dim n_rows;   // outputs; Dim::one for a vector. Part experts: of each of them
  bool per_layer;
  Need need;
  TensorPart part = TensorPart::weight;

  bool wanted(const ModelConfig& config) const {
    return need == Need::dense     ? config.n_experts == 0
           : need == Need::experts ? config.n_experts > 0
                                   : true;
  }
  bool required() const { return need != Need::optional; }
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
Result<ModelConfig> read_config(const ModelSource& source, std::string_view where);

}  // namespace nibble
