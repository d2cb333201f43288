#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

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

}  // namespace

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
  if (file.size_ > 0) {
    void* map = mmap(nullptr, file.size_, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
      const Error error = errno_error(path, "map", "not enough address space");
      ::close(fd);
      return error;
    }
    file.data_ = static_cast<const std::byte*>(map);
  }
  ::close(fd);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
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

Result<OutputFile> OutputFile::create(const fs::path& path, uint64_t size_bytes) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  // Renaming over a device or a FIFO would destroy it.
  struct stat existing;
  if (stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode)) {
    return make_error(ErrorKind::kUsage, "[{}] is {}; give the name of a file for the output",
                      path.string(), describe_non_regular(existing.st_mode));
  }
  struct statvfs space;
  if (statvfs(folder.c_str(), &space) != 0) {
    Error error = errno_error(path, "write", "does the folder exist?");
    error.kind = ErrorKind::kFailure;  // an unwritable output, not a missing input
    return error;
  }
  const uint64_t free_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  if (free_bytes < size_bytes) {
    return make_error(ErrorKind::kResource,
                      "[{}] needs {} bytes of disk, {} are free; free some "
                      "space or choose another folder",
                      path.string(), size_bytes, free_bytes);
  }
  OutputFile file;
  file.path_ = path;
  file.temporary_path_ = path;
  file.temporary_path_ += fmt::format(".tmp.{}", getpid());
  file.fd_ = ::open(file.temporary_path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file.fd_ < 0) {
    Error error = errno_error(path, "write", "check the folder and its permissions");
    if (error.kind == ErrorKind::kNotFound) error.kind = ErrorKind::kFailure;
    return error;
  }
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

Status OutputFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno_error(path_, "write", "nothing was left behind; free some space and try again");
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Status OutputFile::sync() {
  while (fsync(fd_) != 0) {
    if (errno == EINTR) continue;
    return errno_error(path_, "flush to disk", "the disk may be full or failing");
  }
  return {};
}

Status OutputFile::commit() {
  RETURN_IF_ERROR(sync());
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    return errno_error(path_, "rename the finished file to its name",
                       "check the folder's permissions");
  }
  temporary_path_.clear();
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    fsync(folder_fd);  // some file systems refuse it; the data itself is safe
    ::close(folder_fd);
  }
  return {};
}

Result<std::string> read_text_file(const fs::path& path, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  if (bytes.size() > max_bytes) {
    return make_error(ErrorKind::kInvalid, "[{}] has {} bytes; at most {} are allowed",
                      path.string(), bytes.size(), max_bytes);
  }
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status write_text_file(const fs::path& path, std::string_view text) {
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, text.size()));
  RETURN_IF_ERROR(file.write_at(0, std::as_bytes(std::span(text))));
  return file.commit();
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code failed;
  return fs::equivalent(a, b, failed) && !failed;
}

}  // namespace nibble
