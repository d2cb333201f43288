// Uses everything that a GgufFile offers: what tests and the fuzz target do with hostile files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "container/gguf.h"

namespace nibble::test {

// Reads every byte of every tensor and calls every accessor of every value. Aborts when two answers
// contradict each other; the return value only keeps the work from being optimized away.
inline uint64_t touch_everything(const GgufFile& file) {
  const auto require = [](bool holds) {
    if (!holds) std::abort();
  };
  uint64_t sum = file.version() + file.alignment() + file.file_bytes();
  for (const auto& [key, value] : file.metadata().entries()) {
    require(file.metadata().find(key) == &value);
    sum += value.bytes().size() + value.count();
    sum += value.as_uint().value_or(1);
    sum += static_cast<uint64_t>(value.as_int().value_or(2));
    sum += value.as_float().has_value() ? 1u : 0u;
    sum += value.as_bool().value_or(false) ? 1u : 0u;
    sum += value.as_string().value_or("").size();
    if (const auto strings = value.as_strings()) require(strings->size() == value.count());
    if (const auto ints = value.as_ints()) require(ints->size() == value.count());
    if (const auto floats = value.as_floats()) require(floats->size() == value.count());
  }
  for (const GgufTensor& tensor : file.tensors()) {
    require(file.find_tensor(tensor.name) == &tensor);
    require(tensor.format->size_bytes(tensor.n_elements()) == tensor.size_bytes);
    require(tensor.row_len() > 0 && tensor.n_rows() > 0);
    require(tensor.row_len() * tensor.n_rows() == tensor.n_elements());
    const auto data = file.data(tensor);
    require(data.size() == tensor.size_bytes);
    for (const std::byte byte : data) sum = sum * 31 + static_cast<uint64_t>(byte);
  }
  return sum;
}

}  // namespace nibble::test
