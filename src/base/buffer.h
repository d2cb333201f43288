// Page-backed memory: zero when new, touched pages only count, huge pages on request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace nibble {

class Buffer {
 public:
  enum class Pages { kNormal, kHuge };

  // size_bytes zeroed bytes, aligned to a page (kHuge: to 2 MiB, with MADV_HUGEPAGE).
  // Error kResource when the system has no such memory. Size 0 gives an empty buffer.
  static Result<Buffer> allocate(size_t size_bytes, Pages pages = Pages::kNormal);

  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;  // inside [map_, map_ + map_size_)
  size_t size_ = 0;
  void* map_ = nullptr;
  size_t map_size_ = 0;
};

}  // namespace nibble
