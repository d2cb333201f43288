// A tiny Llama file that loads and runs: the shape of tiny_model.h with the metadata and a
// vocabulary.
#pragma once

#include "tests/support/small_vocabulary.h"
#include "tests/support/tiny_model.h"

namespace nibble::testing {

inline void set_vocabulary(GgufMetadata& metadata, const VocabularyData& vocabulary) {
  std::vector<int32_t> types;
  for (const TokenType type : vocabulary.types) types.push_back(static_cast<int32_t>(type));
  metadata.set("tokenizer.ggml.model", GgufValue::of_string(vocabulary.model));
  metadata.set("tokenizer.ggml.pre", GgufValue::of_string(vocabulary.pre));
  metadata.set("tokenizer.ggml.tokens", GgufValue::of_strings(vocabulary.tokens));
  metadata.set("tokenizer.ggml.token_type", GgufValue::of_int32s(types));
  metadata.set("tokenizer.ggml.merges", GgufValue::of_strings(vocabulary.merges));
  metadata.set("tokenizer.ggml.eos_token_id",
               GgufValue::of_uint32(static_cast<uint32_t>(vocabulary.eos)));
}

// Context of 1024, gains about 1; the vocabulary only when it fits the shape.
inline TinyModel make_runnable_model(const TinyShape& shape) {
  TinyModel model = make_model(shape);
  model.metadata.set("llama.context_length", GgufValue::of_uint32(1024));
  model.metadata.set("llama.feed_forward_length",
                     GgufValue::of_uint32(static_cast<uint32_t>(shape.d_ff)));
  model.metadata.set("llama.attention.layer_norm_rms_epsilon", GgufValue::of_float32(1e-5f));
  const VocabularyData vocabulary = small_vocabulary();
  if (static_cast<int64_t>(vocabulary.tokens.size()) <= shape.vocab_size) {
    set_vocabulary(model.metadata, vocabulary);
  }
  for (TinyTensor& tensor : model.tensors) {
    if (tensor.dims.size() > 1) continue;
    for (int64_t i = 0; i < tensor.dims[0]; ++i) tensor.floats()[i] += 1.0f;
  }
  return model;
}

}  // namespace nibble::testing
