#include "base/buffer.h"

#include <sys/mman.h>

#include <utility>

#include "base/checked.h"

namespace nibble {
namespace {
constexpr size_t kHugePageBytes = size_t{2} << 20;
}

Result<Buffer> Buffer::allocate(size_t size_bytes, Pages pages) {
  Buffer buffer;
  if (size_bytes == 0) return buffer;
  const size_t alignment = pages == Pages::kHuge ? kHugePageBytes : 4096;
  const auto padded = checked_add(size_bytes, pages == Pages::kHuge ? alignment : 0);
  void* map = padded ? mmap(nullptr, *padded, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                     : MAP_FAILED;
  if (map == MAP_FAILED) {
    return make_error(ErrorKind::kResource,
                      "[memory] cannot reserve {} bytes; ask for a shorter "
                      "context or a smaller model",
                      size_bytes);
  }
  buffer.map_ = map;
  buffer.map_size_ = *padded;
  const uintptr_t address = reinterpret_cast<uintptr_t>(map);
  buffer.data_ = reinterpret_cast<std::byte*>((address + alignment - 1) & ~(alignment - 1));
  buffer.size_ = size_bytes;
  if (pages == Pages::kHuge)
    madvise(map, *padded, MADV_HUGEPAGE);  // a hint: failure costs speed only
  return buffer;
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(map_, other.map_);
  std::swap(map_size_, other.map_size_);
  return *this;
}

Buffer::~Buffer() {
  if (map_ != nullptr) munmap(map_, map_size_);
}

}  // namespace nibble
