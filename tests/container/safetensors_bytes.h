// safetensors files for tests, right and wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace nibble::test {

// The length, the header and the data.
inline std::string safetensors_file(std::string_view header, std::string_view data,
                                    uint64_t length_off_by = 0) {
  const uint64_t length = header.size() + length_off_by;
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text.append(header).append(data);
}

// Two tensors, 24 and 2 bytes.
inline constexpr std::string_view kSmallHeader =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[24,26]}})";

inline std::string small_safetensors() {
  return safetensors_file(kSmallHeader, std::string(24, '\1') + std::string(2, '\2'));
}

}  // namespace nibble::test
