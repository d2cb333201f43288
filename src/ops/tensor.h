// A weight matrix: a view (format, shape) over bytes that somebody else holds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace nibble {

// Where the bytes live. A model is held in one kind, never in two at once. (Rows interleaved by
// eight in an arena are the third kind the kernels are laid out for.)
enum class Storage {
  kMapped,  // pages of the file
  kArena,   // private memory: replaced or generated weights
};

struct Tensor {
  const Format* format = nullptr;
  int64_t n_rows = 0;   // outputs
  int64_t row_len = 0;  // inputs
  const std::byte* data = nullptr;
  int64_t row_bytes = 0;
  Storage storage = Storage::kMapped;

  bool present() const { return data != nullptr; }
  int64_t size_bytes() const { return n_rows * row_bytes; }
  const std::byte* row(int64_t r) const { return data + r * row_bytes; }
};

// A view of [n_rows, row_len] in `format` at `data`; row_len a multiple of the block.
inline Tensor make_tensor(const Format& format, int64_t n_rows, int64_t row_len, const void* data,
                          Storage storage) {
  return {&format,
          n_rows,
          row_len,
          static_cast<const std::byte*>(data),
          static_cast<int64_t>(format.size_bytes(row_len)),
          storage};
}

}  // namespace nibble
