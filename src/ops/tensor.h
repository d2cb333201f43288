// A weight matrix: a view (format, shape) over bytes that somebody else holds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace nibble {

// Where the bytes live, and in which order. A matrix is held in one kind, never in two at once.
enum class Storage {
  kMapped,       // pages of the file
  kArena,        // private memory: replaced or generated weights
  kInterleaved,  // private memory, rows by eights (kernels/interleave-inl.h, ops/interleave.h)
};

struct Tensor {
  const Format* format = nullptr;
  int64_t n_rows = 0;   // outputs
  int64_t row_len = 0;  // inputs
  const std::byte* data = nullptr;
  int64_t row_bytes = 0;  // as held: kInterleaved may take more than the file
  Storage storage = Storage::kMapped;
  const float* bias = nullptr;  // [n_rows], added to the products; null: none

  bool present() const { return data != nullptr; }
  int64_t size_bytes() const { return n_rows * row_bytes; }
  // kInterleaved: of rows that are a multiple of eight, where their group begins.
  const std::byte* row(int64_t r) const { return data + r * row_bytes; }
};

// Rows [first, first + n) as a tensor: a part of a fused matrix, or one expert of many.
inline Tensor rows_of(const Tensor& tensor, int64_t first, int64_t n) {
  Tensor part = tensor;
  part.n_rows = n;
  part.data = tensor.row(first);
  if (tensor.bias != nullptr) part.bias = tensor.bias + first;
  return part;
}

// A view of [n_rows, row_len] in `format` at `data`; row_len a multiple of the block.
inline Tensor make_tensor(const Format& format, int64_t n_rows, int64_t row_len, const void* data,
                          Storage storage) {
  return {&format,
          n_rows,
          row_len,
          static_cast<const std::byte*>(data),
          static_cast<int64_t>(format.size_bytes(row_len)),
          storage,
          nullptr};
}

}  // namespace nibble
