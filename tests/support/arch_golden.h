// The tiny models of tests/golden/arch and what an independent implementation computes with them
// (format: make_arch_golden.py).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/file.h"
#include "base/result.h"
#include "container/gguf.h"

namespace nibble::golden {

inline std::filesystem::path arch_folder(const std::string& name) {
  return std::filesystem::path(NIBBLE_TEST_DATA) / "golden" / "arch" / name;
}

struct ArchReference {
  int64_t width = 0;               // vocabulary, or d_model of encoders
  std::vector<int32_t> tokens;     // one sequence from position 0
  std::vector<int32_t> positions;  // ascending
  std::vector<float> values;       // [positions, width]
};

// Reads reference.bin. kNotFound, or kInvalid when the size or the magic is wrong.
inline Result<ArchReference> read_arch_reference(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string file, read_text_file(path));
  ByteReader reader(std::as_bytes(std::span(file)));
  const auto magic = reader.take_string(8);
  const auto n_tokens = reader.read<uint32_t>(), width = reader.read<uint32_t>(),
             n_positions = reader.read<uint32_t>(), reserved = reader.read<uint32_t>();
  if (!magic || *magic != "NBLARCH1" || !reserved ||
      reader.remaining() != 4ull * (*n_tokens + uint64_t{*n_positions} * (1 + uint64_t{*width}))) {
    return make_error(ErrorKind::kInvalid, "[{}] is no file of golden results", path.string());
  }
  ArchReference result;
  result.width = *width;
  for (uint32_t i = 0; i < *n_tokens; ++i) result.tokens.push_back(*reader.read<int32_t>());
  for (uint32_t i = 0; i < *n_positions; ++i) result.positions.push_back(*reader.read<int32_t>());
  for (uint64_t i = 0; i < uint64_t{*n_positions} * *width; ++i) {
    result.values.push_back(*reader.read<float>());
  }
  return result;
}

// Largest |difference| / RMS of the reference over the positions. values: [tokens, width].
inline double largest_difference(const ArchReference& reference, std::span<const float> values) {
  double largest = 0;
  const auto width = static_cast<size_t>(reference.width);
  for (size_t p = 0; p < reference.positions.size(); ++p) {
    const float* ours = values.data() + static_cast<size_t>(reference.positions[p]) * width;
    const float* theirs = reference.values.data() + p * width;
    double squares = 0, difference = 0;
    for (size_t i = 0; i < width; ++i) {
      squares += static_cast<double>(theirs[i]) * static_cast<double>(theirs[i]);
      const double d = std::abs(static_cast<double>(ours[i]) - static_cast<double>(theirs[i]));
      if (!(d <= difference)) difference = d;  // a NaN stays
    }
    const double relative = difference / std::sqrt(squares / static_cast<double>(width));
    if (!(relative <= largest)) largest = relative;
  }
  return largest;
}

// A copy of a GGUF file in which all values of one F32 tensor are `value`.
inline void write_flattened(const std::filesystem::path& from, const std::string& tensor_name,
                            float value, const std::filesystem::path& to) {
  const GgufFile file = GgufFile::open(from).take();
  const GgufTensor* tensor = file.find_tensor(tensor_name);
  CHECK(tensor != nullptr && tensor->format->id == FormatId::F32);
  std::string bytes = read_text_file(from).take();
  const std::vector<float> values(static_cast<size_t>(tensor->n_elements()), value);
  const auto original = file.data(*tensor);
  const std::string_view needle(reinterpret_cast<const char*>(original.data()), original.size());
  const size_t at = bytes.find(needle);
  CHECK(at != std::string::npos);
  std::memcpy(bytes.data() + at, values.data(), original.size());
  std::ofstream(to, std::ios::binary) << bytes;
}

// The same tensors under other metadata.
template <typename Edit>
void write_edited(const std::filesystem::path& from, Edit edit, const std::filesystem::path& to) {
  const GgufFile file = GgufFile::open(from).take();
  GgufMetadata metadata = file.metadata();
  edit(metadata);
  GgufWriter writer(to, metadata);
  for (const GgufTensor& tensor : file.tensors()) {
    const std::span<const int64_t> dims(tensor.dims.data(), static_cast<size_t>(tensor.n_dims));
    CHECK(writer.add_tensor(tensor.name, *tensor.format, {dims.begin(), dims.end()}).ok());
  }
  CHECK(writer.begin().ok());
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    CHECK(writer.write(i, 0, file.data(file.tensors()[i])).ok());
  }
  CHECK(writer.finish().ok());
}

}  // namespace nibble::golden
