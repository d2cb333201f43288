#include "model/hf_rows.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "base/half.h"

namespace nibble {
namespace {

// The format of GGUF with the same bytes, or null.
const Format* same_format(SafeDtype dtype) {
  switch (dtype) {
    case SafeDtype::F32:
      return &format_of(FormatId::F32);
    case SafeDtype::F16:
      return &format_of(FormatId::F16);
    case SafeDtype::BF16:
      return &format_of(FormatId::BF16);
    default:
      return nullptr;
  }
}

// Floats into a 16- or 32-bit format that holds them exactly (or F32).
void store(const Format& format, const float* x, int64_t n, std::byte* out) {
  CHECK(format.block_len == 1 && format.encode != nullptr);
  format.encode(x, nullptr, out, n);
}

}  // namespace

int64_t folder_row(HfTransform transform, int64_t row, int64_t n_rows, int64_t head_dim) {
  const int64_t head = row / head_dim, within = row % head_dim;
  switch (transform) {
    case HfTransform::pair_q:
    case HfTransform::pair_k:
      return head * head_dim + within % 2 * (head_dim / 2) + within / 2;
    case HfTransform::regroup_qkv: {  // `head` counts Q heads, then K heads, then V heads
      const int64_t n_heads = n_rows / head_dim / 3;
      return (head % n_heads * 3 + head / n_heads) * head_dim + within;
    }
    default:
      return row;
  }
}

int64_t gguf_row(HfTransform transform, int64_t row, int64_t n_rows, int64_t head_dim) {
  const int64_t head = row / head_dim, within = row % head_dim;
  switch (transform) {
    case HfTransform::pair_q:
    case HfTransform::pair_k:
      return head * head_dim + within % (head_dim / 2) * 2 + within / (head_dim / 2);
    case HfTransform::regroup_qkv: {  // `head` counts Q, K, V of one head after the other
      const int64_t n_heads = n_rows / head_dim / 3;
      return (head % 3 * n_heads + head / 3) * head_dim + within;
    }
    default:
      return row;
  }
}

bool HfRows::is_plain(const HfRepo& repo) const {
  if (made != nullptr || parts.size() != 1 || transform != HfTransform::none) return false;
  if (same_format(parts[0].tensor->dtype) != format) return false;
  const auto address = reinterpret_cast<uintptr_t>(repo.data(parts[0]).data());
  return address % format->block_bytes == 0;
}

void HfRows::decode(const HfRepo& repo, int64_t row, int64_t column, int64_t n, float* out) const {
  const auto n_parts = static_cast<int64_t>(parts.size());
  const int64_t rows_per_part = n_rows / n_parts;
  const auto part = static_cast<size_t>(row / rows_per_part);
  const SafeTensor& tensor = *parts[part].tensor;
  const std::byte* bytes = repo.data(parts[part]).data();
  const uint64_t size = dtype_bytes(tensor.dtype);
  if (transform == HfTransform::transpose) {
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<uint64_t>((column + i) * n_rows + row);
      decode_dtype(tensor.dtype, bytes + at * size, out + i, 1);
    }
    return;
  }
  const int64_t from = folder_row(transform, row % rows_per_part, rows_per_part, head_dim);
  decode_dtype(tensor.dtype, bytes + static_cast<uint64_t>(from * row_len + column) * size, out, n);
  if (transform == HfTransform::add_one) {
    for (int64_t i = 0; i < n; ++i) out[i] += 1.0f;
  }
  if (const auto& scale = scales.empty() ? std::nullopt : scales[part]) {
    const SafeTensor& numbers = *scale->place.tensor;
    const std::byte* factors = repo.data(scale->place).data();
    for (int64_t i = 0; i < n;) {  // one run of weights per number
      const int64_t block = (column + i) / scale->block_cols;
      const int64_t end = std::min(n, (block + 1) * scale->block_cols - column);
      const auto at = static_cast<uint64_t>(from / scale->block_rows * scale->cols + block);
      float factor;
      decode_dtype(numbers.dtype, factors + at * dtype_bytes(numbers.dtype), &factor, 1);
      for (; i < end; ++i) out[i] *= factor;
    }
  }
}

void HfRows::read(const HfRepo& repo, int64_t first, int64_t n, std::byte* out) const {
  if (made != nullptr) {
    std::memcpy(out, made->data() + first, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  const bool moves_bytes = same_format(parts[0].tensor->dtype) == format && scales.empty() &&
                           transform != HfTransform::transpose && transform != HfTransform::add_one;
  const int64_t rows_per_part = n_rows / static_cast<int64_t>(parts.size());
  std::array<float, 1024> x;
  while (n > 0) {
    const int64_t row = first / row_len, column = first % row_len;
    int64_t taken = std::min(n, row_len - column);
    if (moves_bytes) {
      const auto part = static_cast<size_t>(row / rows_per_part);
      const int64_t from = folder_row(transform, row % rows_per_part, rows_per_part, head_dim);
      std::memcpy(out, repo.data(parts[part]).data() + format->size_bytes(from * row_len + column),
                  format->size_bytes(taken));
    } else {
      taken = std::min(taken, static_cast<int64_t>(x.size()));
      decode(repo, row, column, taken, x.data());
      store(*format, x.data(), taken, out);
    }
    out += format->size_bytes(taken);
    first += taken;
    n -= taken;
  }
}

}  // namespace nibble
