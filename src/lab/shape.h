// Shapes of Llama models, as a table: what `nibble-lab shape --preset` knows by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace nibble::lab {

struct ModelShape {
  std::string_view name;
  int64_t d_model;
  int64_t n_layers;
  int64_t n_heads, n_kv_heads;
  int64_t d_ff;
  int64_t vocab_size;
  int64_t n_ctx;
  bool tied;  // the embedding is the output matrix, too
  float rope_base = 10000.f;
  float norm_epsilon = 1e-5f;
};

std::span<const ModelShape> all_shapes();
// By name, or null.
const ModelShape* find_shape(std::string_view name);
// "tiny, 350m, ..." for messages.
std::string shape_names();

}  // namespace nibble::lab
