// What makes one family of models differ from another as Hugging Face keeps it, as data: how its
// config.json becomes GGUF metadata, and which of its tensors becomes which of GGUF's, transformed
// how. What comes out is what llama.cpp's converter writes: names, orders of rows, gains, keys.
// One hf_<family>.cpp and one row in hf_registry.cpp per family.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "container/model_source.h"
#include "model/config.h"
#include "model/hf_config.h"

namespace nibble {

// A dimension of a tensor, as a name; the family's read() gives it a size.
enum class HfDim : uint8_t {
  none,  // ends a shape
  d_model,
  d_ff,
  vocab,
  q,          // n_heads * head_dim
  kv,         // n_kv_heads * head_dim
  qkv,        // q + 2 kv
  gate_up,    // 2 d_ff
  head,       // head_dim
  experts,    // how many
  expert_ff,  // d_ff of one expert
  positions,
  token_types,
  d_model_3,  // 3 d_model
  count
};

enum class HfTransform : uint8_t {
  none,
  // Rotary pairs: Hugging Face has the first and the second half of a head's rows, GGUF's Llama has
  // each pair side by side. (heads, 2, head_dim / 2) -> (heads, head_dim / 2, 2); also of biases.
  pair_q,
  pair_k,
  add_one,    // gains that are stored as what they differ from 1
  transpose,  // GPT-2's [inputs, outputs]
  stack,      // one tensor per expert, {e} in its name, becomes one with a dimension more
  // GPT-NeoX: (heads, 3, head_dim) rows become (3, heads, head_dim), also of biases
  regroup_qkv,
};

// When a tensor is there. A rule counts when all its flags are set by read().
enum HfFlag : uint32_t {
  kHfAlways = 0,
  kHfUntied = 1u << 0,         // the output matrix is not the embedding
  kHfAttentionBias = 1u << 1,  // of Q, K, V
  kHfOutputBias = 1u << 2,     // of the matrix behind the attention
  kHfMlpBias = 1u << 3,
  kHfDense = 1u << 4,
  kHfExperts = 1u << 5,
  kHfHeadNorms = 1u << 6,  // of Q and K
};

struct HfTensorRule {
  std::string_view gguf;       // "blk.{i}.attn_q.weight"; {i} is the layer
  std::string_view hf;         // "model.layers.{i}.self_attn.q_proj.weight"
  std::array<HfDim, 3> shape;  // as Hugging Face has it, slowest first
  HfTransform transform = HfTransform::none;
  uint32_t flags = kHfAlways;
};

// What config.json says, in GGUF's terms.
struct HfModel {
  std::string architecture;
  GgufMetadata metadata;
  int64_t n_layers = 0;
  int64_t n_heads = 0, n_kv_heads = 0;
  int64_t original_ctx = 4096;  // of longrope, where its parameters do not say it
  std::array<int64_t, static_cast<size_t>(HfDim::count)> dims{};
  uint32_t flags = 0;
  // Tensors that come from the configuration: rope_freqs.weight ...
  std::vector<std::pair<std::string, std::vector<float>>> made;

  int64_t& operator[](HfDim dim) { return dims[static_cast<size_t>(dim)]; }
  int64_t operator[](HfDim dim) const { return dims[static_cast<size_t>(dim)]; }

  // "<architecture>.<key>"
  void set_number(std::string_view key, int64_t value);
  void set_float(std::string_view key, double value);
  void set_bool(std::string_view key, bool value);
  void set_text(std::string_view key, std::string_view value);
};

struct HfFamily {
  std::string_view architecture;               // general.architecture
  std::span<const std::string_view> classes;   // "architectures" in config.json
  std::span<const std::string_view> prefixes;  // that may stand before all names of tensors
  // Reads every key it knows; what is left over is refused by the caller.
  void (*read)(HfConfig& config, HfModel& model);
  std::span<const HfTensorRule> tensors;
  std::span<const std::string_view> ignored;  // further tensors without effect; * is any text
  // The other way: config.json of a GGUF file. Null: not exported.
  void (*write)(const ModelSource& source, ConfigReader& reader, nlohmann::json& config);
};

const HfFamily* find_hf_family_by_class(std::string_view name);
const HfFamily* find_hf_family(std::string_view architecture);
// "LlamaForCausalLM, ..." for messages.
std::string known_hf_classes();
// "llama, ..." of the families with write().
std::string exported_architectures();

// ---- what several families share ----------------------------------------------------------------

// block_count, context_length, embedding_length, feed_forward_length, attention.head_count,
// head_count_kv; dims d_model, d_ff, q, kv, head, vocab.
struct HfBasicKeys {
  std::string_view n_layers = "num_hidden_layers", n_ctx = "max_position_embeddings",
                   d_model = "hidden_size", d_ff = "intermediate_size",
                   n_heads = "num_attention_heads", n_kv_heads = "num_key_value_heads";
  bool has_kv_heads = true;  // false: as many as heads, and no key in GGUF
  int64_t head_dim = 0;      // where config.json has none; 0: d_model / n_heads
};
void read_basics(HfConfig& config, HfModel& model, const HfBasicKeys& keys = {});

// The other way round.
void write_basics(ConfigReader& reader, nlohmann::json& config, const HfBasicKeys& keys = {});

// rope_theta, rope_scaling, rope_parameters -> rope.freq_base, rope.scaling.*, and for "llama3" the
// tensor rope_freqs.weight. "dynamic" changes nothing up to the context that is written, and leaves
// no key, as in llama.cpp. Types not in `allowed` are refused. `theta_key` is the name of
// rope_theta in older configurations of the family.
void read_rope(HfConfig& config, HfModel& model, int64_t rope_dims,
               std::span<const std::string_view> allowed,
               std::string_view theta_key = "rope_theta");

// The other way round; `source` may hold the factors.
void write_rope(const ModelSource& source, ConfigReader& reader, nlohmann::json& config,
                std::string_view theta_key = "rope_theta");
// The number that is written for a float32: the shortest that reads as it.
double plain_number(double value);

// "layer_types", where it is given, must say: of every `period` layers the last attends to all
// positions, the others to a window (1: all layers to all, 0: all to a window).
void check_layer_types(HfConfig& config, const HfModel& model, int64_t period);

// add(rule, layer) for every rule in order, those of the layers layer by layer; ends with the first
// error.
template <typename Add>
Status for_each_rule(const HfFamily& family, int64_t n_layers, Add&& add) {
  const auto is_layered = [](const HfTensorRule& rule) {
    return rule.gguf.find("{i}") != std::string_view::npos;
  };
  bool layers_done = false;
  for (const HfTensorRule& rule : family.tensors) {
    if (!is_layered(rule)) {
      RETURN_IF_ERROR(add(rule, int64_t{0}));
    } else if (!std::exchange(layers_done, true)) {
      for (int64_t layer = 0; layer < n_layers; ++layer) {
        for (const HfTensorRule& of_layer : family.tensors) {
          if (is_layered(of_layer)) RETURN_IF_ERROR(add(of_layer, layer));
        }
      }
    }
  }
  return {};
}

}  // namespace nibble
