// Bounded little-endian reader over bytes of a file. It never reads past the end; after the first
// failure every read fails, so a parser may check once per record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace nibble {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  // A number of type T, or nullopt when fewer than sizeof(T) bytes are left.
  template <typename T>
  std::optional<T> read() {
    static_assert(std::is_arithmetic_v<T>);
    if (remaining() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  // The next n bytes as a view into the file, or nullopt when fewer are left.
  std::optional<std::span<const std::byte>> take(uint64_t n) {
    if (remaining() < n) return std::nullopt;
    const auto view = bytes_.subspan(offset_, n);
    offset_ += n;
    return view;
  }

  std::optional<std::string_view> take_string(uint64_t n) {
    const auto view = take(n);
    if (!view) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(view->data()), view->size());
  }

 private:
  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
};

}  // namespace nibble
