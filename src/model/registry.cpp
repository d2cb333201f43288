#include "model/architecture.h"
#include "model/families.h"

namespace nibble {
namespace {
const Architecture* const kArchitectures[] = {
    &kArchLlama, &kArchQwen2,   &kArchQwen3, &kArchQwen3Moe, &kArchGemma2,    &kArchGemma3,
    &kArchPhi3,  &kArchGptNeox, &kArchGpt2,  &kArchBert,     &kArchNomicBert,
};
}  // namespace

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture* architecture : kArchitectures) {
    if (architecture->name == name) return architecture;
  }
  return nullptr;
}

std::string known_architectures() {
  std::string names;
  for (const Architecture* architecture : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += architecture->name;
  }
  return names;
}

int64_t dim_size(const ModelConfig& config, Dim dim) {
  switch (dim) {
    case Dim::one:
      return 1;
    case Dim::d_model:
      return config.d_model;
    case Dim::d_ff:
      return config.d_ff;
    case Dim::gate_and_up:
      return 2 * config.d_ff;
    case Dim::qkv_dim:
      return config.q_dim() + 2 * config.kv_dim();
    case Dim::head_dim:
      return config.head_dim;
    case Dim::experts:
      return config.n_experts;
    case Dim::n_ctx_train:
      return config.n_ctx_train;
    case Dim::token_types:
      return config.n_token_types;
    case Dim::q_dim:
      return config.q_dim();
    case Dim::kv_dim:
      return config.kv_dim();
    case Dim::vocab:
      return config.vocab_size;
    case Dim::rope_pairs:
      return config.rope_dims / 2;
  }
  return 0;
}

Result<ModelConfig> read_config(const ModelSource& source, std::string_view where) {
  const GgufValue* value = source.metadata().find("general.architecture");
  const auto name = value != nullptr ? value->as_string() : std::nullopt;
  if (!name) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] general.architecture is missing or no string; is this a "
                      "model file?",
                      where);
  }
  const Architecture* architecture = find_architecture(*name);
  if (architecture == nullptr) {
    return make_error(ErrorKind::kFailure, "[{}] has the architecture '{}'; nibble runs: {}", where,
                      *name, known_architectures());
  }
  ConfigReader reader(source.metadata(), std::string(*name), std::string(where));
  ASSIGN_OR_RETURN(ModelConfig config, architecture->read_config(reader));
  config.architecture = *name;
  // The embedding is the one place where the vocabulary's size cannot lie.
  const GgufTensor* embedding = source.find_tensor(tensor_name(TensorRole::token_embd));
  if (embedding == nullptr) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} is missing; the file holds no complete model", where,
                      tensor_name(TensorRole::token_embd));
  }
  config.vocab_size = embedding->n_rows();
  const GgufValue* tokens = source.metadata().find("tokenizer.ggml.tokens");
  if (tokens != nullptr && tokens->count() > static_cast<uint64_t>(config.vocab_size)) {
    return make_error(
        ErrorKind::kInvalid,
        "[{}] the tensor {} has {} rows for the {} tokens of the vocabulary; one each is "
        "needed; the file is contradictory",
        where, embedding->name, config.vocab_size, tokens->count());
  }
  if (config.vocab_size > (1 << 24)) {
    return make_error(ErrorKind::kInvalid, "[{}] has {} tokens; at most {} are allowed", where,
                      config.vocab_size, 1 << 24);
  }
  return config;
}

}  // namespace nibble
