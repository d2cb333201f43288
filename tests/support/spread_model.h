// Tiny models that compute something, and texts for them.
#pragma once

#include <fstream>

#include "tests/support/runnable_model.h"

namespace nibble::testing {

// Logits spread over several units, as those of real models do; without it all tokens would be
// about equally probable, and nothing could be told from anything.
inline TinyModel make_spread_model() {
  TinyShape shape;
  shape.vocab_size = static_cast<int64_t>(small_vocabulary().tokens.size());
  TinyModel model = make_runnable_model(shape);
  TinyTensor& embedding = model.find("token_embd.weight");
  for (int64_t i = 0; i < shape.vocab_size * shape.d_model; ++i) embedding.floats()[i] *= 8.0f;
  return model;
}

// The same model with its matrices in another format.
inline TinyModel in_format(const TinyModel& model, FormatId format) {
  TinyModel result = model;
  for (TinyTensor& tensor : result.tensors) {
    if (tensor.dims.size() < 2) continue;
    const int64_t n = tensor.dims[0] * tensor.dims[1];
    std::vector<std::byte> bytes(format_of(format).size_bytes(n));
    format_of(format).encode(tensor.floats(), nullptr, bytes.data(), n);
    tensor.bytes = std::move(bytes);
    tensor.format = format;
  }
  return result;
}

// Documents of made-up words; `length` characters each, the title line not counted.
inline std::string make_text(int n_documents, int length) {
  Random random(11);
  std::string text;
  for (int i = 0; i < n_documents; ++i) {
    text += fmt::format(" = Document {} = \n", i);
    for (int c = 0; c < length; ++c) {
      text += c % 7 == 6 ? ' ' : static_cast<char>('a' + random.below(26));
    }
    text += '\n';
  }
  return text;
}

inline void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  ASSERT_TRUE(file.good());
}

}  // namespace nibble::testing
