#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file_errors.h"
#include "base/mapping_guard.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

ErrorKind kind_of_errno(int code) {
  switch (code) {
    case ENOENT:
    case ENOTDIR:
      return ErrorKind::kNotFound;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
      return ErrorKind::kResource;
    default:
      return ErrorKind::kFailure;
  }
}

}  // namespace

Error errno_error(const fs::path& path, const char* action, const char* advice) {
  const int code = errno;
  return make_error(kind_of_errno(code), "[{}] cannot {}: {}; {}", path.string(), action,
                    std::strerror(code), advice);
}

const char* describe_non_regular(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

Result<MappedFile> MappedFile::open(const fs::path& path) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer; we refuse it below.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    struct stat info;
    if (errno == ENXIO && stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
      return make_error(ErrorKind::kUsage, "[{}] is {}; give a regular file", path.string(),
                        describe_non_regular(info.st_mode));
    }
    return errno_error(path, "open", "check the path and its permissions");
  }
  struct stat info;
  if (fstat(fd, &info) != 0) {
    ::close(fd);
    return errno_error(path, "inspect", "check the file system");
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return make_error(ErrorKind::kUsage, "[{}] is {}; give a regular file", path.string(),
                      describe_non_regular(info.st_mode));
  }
  MappedFile file;
  file.path_ = path;
  file.size_ = static_cast<size_t>(info.st_size);
  file.device_ = info.st_dev;
  file.inode_ = info.st_ino;
  if (file.size_ > 0) {
    void* map = mmap(nullptr, file.size_, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
      const Error error = errno_error(path, "map", "not enough address space");
      ::close(fd);
      return error;
    }
    file.data_ = static_cast<const std::byte*>(map);
    file.guard_ = guard_mapping(file.bytes());
  }
  ::close(fd);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  std::swap(guard_, other.guard_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  release_mapping(guard_);
  munmap(const_cast<std::byte*>(data_), size_);
}

Status MappedFile::check_unchanged() const {
  bool changed = guard_ != nullptr && is_damaged(*guard_);
  // Up to the end of its last page a shorter file reads as zeros without a fault. Another file
  // under the name does not matter: the mapping is of the one that was opened.
  struct stat now;
  if (!changed && stat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_) {
    changed = static_cast<uint64_t>(now.st_size) < size_;
  }
  if (!changed) return {};
  return make_error(ErrorKind::kInvalid,
                    "[{}] changed while it was read: bytes that it had when it was opened are "
                    "gone; another program cut it, or its disk is failing",
                    path_.string());
}

namespace {
void advise(std::span<const std::byte> range, int advice) {
  constexpr uintptr_t kPage = 4096;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(range.data()) + kPage - 1) & ~(kPage - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(range.data() + range.size()) & ~(kPage - 1);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}
}  // namespace

void MappedFile::will_need(std::span<const std::byte> range) const { advise(range, MADV_WILLNEED); }
void MappedFile::dont_need(std::span<const std::byte> range) const { advise(range, MADV_DONTNEED); }

Result<std::string> read_text_file(const fs::path& path, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  if (bytes.size() > max_bytes) {
    return make_error(ErrorKind::kInvalid, "[{}] has {} bytes; at most {} are allowed",
                      path.string(), bytes.size(), max_bytes);
  }
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  RETURN_IF_ERROR(file.check_unchanged());
  return text;
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code failed;
  return fs::equivalent(a, b, failed) && !failed;
}

}  // namespace nibble
