// What reader and writer of GGUF agree on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "container/gguf.h"

namespace nibble {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr std::string_view kAlignmentKey = "general.alignment";
// magic, version, n_tensors, n_kv
inline constexpr uint64_t kGgufFixedHeaderBytes = 4 + 4 + 8 + 8;

// Bytes of one element in the file; of a string and an array, the least it can have (its length, or
// its element type and count).
inline constexpr uint64_t gguf_element_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kString:
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kArray:
      return 12;
  }
  return 0;  // not reached: types are checked when they are read
}

inline constexpr bool is_gguf_alignment(uint64_t alignment) {
  return alignment >= kMinAlignment && alignment <= kMaxAlignment &&
         (alignment & (alignment - 1)) == 0;
}

// Why `name` cannot be the name of a tensor or a metadata key of at most max_bytes, or null.
const char* gguf_name_problem(std::string_view name, size_t max_bytes);

// The bytes of a tensor, from its format and dims (its other fields are not looked at). nullopt
// when a dim is not positive, the row is not a multiple of the block, or a product overflows;
// then *problem says which.
std::optional<uint64_t> gguf_tensor_bytes(const GgufTensor& tensor, const char** problem);

// How numbers and strings stand in a file: little-endian; length first.
template <typename T>
void append_number(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

inline void append_string(std::string& out, std::string_view text) {
  append_number<uint64_t>(out, text.size());
  out.append(text);
}

}  // namespace nibble
