#include "lab/shape.h"

namespace nibble::lab {
namespace {

constexpr ModelShape kShapes[] = {
    // Small enough for tests; all rows are multiples of 256, so that every format fits.
    {.name = "tiny",
     .d_model = 256,
     .n_layers = 2,
     .n_heads = 4,
     .n_kv_heads = 2,
     .d_ff = 512,
     .vocab_size = 512,
     .n_ctx = 512,
     .tied = false},
    // SmolLM2-135M: rows of 576, which no 256-wide format fits.
    {.name = "smollm2",
     .d_model = 576,
     .n_layers = 30,
     .n_heads = 9,
     .n_kv_heads = 3,
     .d_ff = 1536,
     .vocab_size = 49152,
     .n_ctx = 8192,
     .tied = true,
     .rope_base = 100000.f},
    {.name = "350m",
     .d_model = 1024,
     .n_layers = 24,
     .n_heads = 16,
     .n_kv_heads = 8,
     .d_ff = 2816,
     .vocab_size = 32000,
     .n_ctx = 2048,
     .tied = false},
    // The 1.1B shape (that of TinyLlama), a quarter of it for quick timings, and two layers of it
    // for
    // counting instructions.
    {.name = "1b",
     .d_model = 2048,
     .n_layers = 22,
     .n_heads = 32,
     .n_kv_heads = 4,
     .d_ff = 5632,
     .vocab_size = 32000,
     .n_ctx = 2048,
     .tied = false},
    {.name = "1b-6l",
     .d_model = 2048,
     .n_layers = 6,
     .n_heads = 32,
     .n_kv_heads = 4,
     .d_ff = 5632,
     .vocab_size = 32000,
     .n_ctx = 2048,
     .tied = false},
    {.name = "1b-2l",
     .d_model = 2048,
     .n_layers = 2,
     .n_heads = 32,
     .n_kv_heads = 4,
     .d_ff = 5632,
     .vocab_size = 32000,
     .n_ctx = 2048,
     .tied = false},
    // The 7B shape (that of Mistral 7B).
    {.name = "7b",
     .d_model = 4096,
     .n_layers = 32,
     .n_heads = 32,
     .n_kv_heads = 8,
     .d_ff = 14336,
     .vocab_size = 32000,
     .n_ctx = 8192,
     .tied = false},
};

}  // namespace

std::span<const ModelShape> all_shapes() { return kShapes; }

const ModelShape* find_shape(std::string_view name) {
  for (const ModelShape& shape : kShapes) {
    if (shape.name == name) return &shape;
  }
  return nullptr;
}

std::string shape_names() {
  std::string names;
  for (const ModelShape& shape : kShapes) {
    if (!names.empty()) names += ", ";
    names += shape.name;
  }
  return names;
}

}  // namespace nibble::lab
