#include "container/gguf_rules.h"

#include <cstdint>
#include <limits>

#include "base/checked.h"
#include "base/utf8.h"

namespace nibble {

const char* gguf_name_problem(std::string_view name, size_t max_bytes) {
  if (name.empty()) return "is empty";
  if (name.size() > max_bytes) return "is too long";
  if (name.find('\0') != std::string_view::npos) return "holds a NUL byte";
  if (!is_valid_utf8(name)) return "is not valid UTF-8";
  return nullptr;
}

std::optional<uint64_t> gguf_tensor_bytes(const GgufTensor& tensor, const char** problem) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  uint64_t n = 1;
  for (const int64_t dim : tensor.dims) {
    if (dim <= 0) {
      *problem = "every dimension must be positive";
      return std::nullopt;
    }
    const auto product = checked_mul(n, static_cast<uint64_t>(dim));
    if (!product || *product > kMax) {
      *problem = "the number of elements does not fit 63 bits";
      return std::nullopt;
    }
    n = *product;
  }
  const auto block_len = static_cast<uint64_t>(tensor.format->block_len);
  if (static_cast<uint64_t>(tensor.dims[0]) % block_len != 0) {
    *problem = "the row (first dimension) must be a multiple of the block";
    return std::nullopt;
  }
  const auto bytes = checked_mul(n / block_len, tensor.format->block_bytes);
  if (!bytes || *bytes > kMax) {
    *problem = "the number of bytes does not fit 63 bits";
    return std::nullopt;
  }
  return bytes;
}

}  // namespace nibble
