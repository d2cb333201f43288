// The writing half of file.h.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/file_errors.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporarySuffix = ".nibble-tmp";

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// An output that cannot be made is no missing input, whatever errno says.
Error output_error(const fs::path& path, const char* action, const char* advice) {
  Error error = errno_error(path, action, advice);
  if (error.kind == ErrorKind::kNotFound) error.kind = ErrorKind::kFailure;
  return error;
}

Result<uint64_t> free_bytes_beside(const fs::path& path) {
  struct statvfs space;
  if (statvfs(folder_of(path).c_str(), &space) != 0) {
    return output_error(path, "write", "does the folder exist?");
  }
  return uint64_t{space.f_bavail} * space.f_frsize;
}

int try_lock(int fd) {
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

bool still_names(const fs::path& path, const struct stat& file) {
  struct stat now;
  return lstat(path.c_str(), &now) == 0 && now.st_dev == file.st_dev && now.st_ino == file.st_ino;
}

// Without it a finished file could lose its name, though not its content, in a power cut. Some file
// systems refuse it, and there is nothing left to do about a failure: the file stands.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  ::close(fd);
}

// Reads a byte of every page: a mapped input whose file was cut then reads as zeros, which the
// kernel itself would not see (MappedFile).
void touch_pages(std::span<const std::byte> bytes) {
  constexpr size_t kPage = 4096;
  volatile std::byte last{};
  for (size_t i = 0; i < bytes.size(); i += kPage) last = bytes[i];
  if (!bytes.empty()) last = bytes.back();
  (void)last;
}

}  // namespace

Status check_free_space(const fs::path& path, uint64_t size_bytes) {
  ASSIGN_OR_RETURN(const uint64_t free_bytes, free_bytes_beside(path));
  if (free_bytes >= size_bytes) return {};
  return make_error(ErrorKind::kResource,
                    "[{}] needs {} bytes of disk, {} are free; free some space or choose another "
                    "folder",
                    path.string(), size_bytes, free_bytes);
}

Error OutputFile::no_space_error(const char* action) const {
  const auto free_bytes = free_bytes_beside(path_);
  return make_error(ErrorKind::kResource,
                    "[{}] cannot {}: the disk is full (or a quota is used up): the file has {} "
                    "bytes, {} are free beside what is written; nothing was left behind; free some "
                    "space or choose another folder",
                    path_.string(), action, size_bytes_, free_bytes.ok() ? *free_bytes : 0);
}

// On success fd_ is the locked temporary file, empty, and temporary_path_ is set.
Status OutputFile::lock_temporary() {
  fs::path temporary = path_;
  temporary += kTemporarySuffix;
  // Between open() and flock() the file may lose its name (its writer commits or gives up).
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // Not emptied before it is locked. O_NONBLOCK: see MappedFile::open.
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    int fd = ::open(temporary.c_str(), flags | O_EXCL, 0644);
    const bool is_new = fd >= 0;
    if (!is_new && errno == EEXIST) fd = ::open(temporary.c_str(), flags, 0644);
    if (fd < 0) return output_error(path_, "write", "check the folder and its permissions");
    struct stat opened;
    const bool regular = fstat(fd, &opened) == 0 && S_ISREG(opened.st_mode);
    const int problem = regular ? try_lock(fd) : 0;
    if (regular && problem == 0 && still_names(temporary, opened)) {
      fd_ = fd;
      temporary_path_ = std::move(temporary);
      if (ftruncate(fd_, 0) == 0) return {};
      return output_error(path_, "write", "check the folder and its permissions");
    }
    ::close(fd);
    if (!regular) {
      return make_error(ErrorKind::kUsage, "[{}] is no regular file; it is in the way, remove it",
                        temporary.string());
    }
    if (problem == EWOULDBLOCK) break;
    if (problem != 0) {
      if (is_new) ::unlink(temporary.c_str());
      errno = problem;
      return output_error(path_, "lock", "this file system has no locks; choose another folder");
    }
  }
  return make_error(ErrorKind::kUsage,
                    "[{}] is being written by another nibble right now; wait for it, or give the "
                    "output another name",
                    path_.string());
}

// Takes the disk space before the work begins, so that it cannot run out in the middle of it.
Status OutputFile::reserve() {
  RETURN_IF_ERROR(check_free_space(path_, size_bytes_));
  if (size_bytes_ == 0 || size_bytes_ > uint64_t{INT64_MAX}) return {};
  while (fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_bytes_)) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOSPC || errno == EDQUOT) return no_space_error("reserve space");
    if (errno == EIO || errno == EFBIG) {
      return output_error(path_, "reserve space", "choose another folder or disk");
    }
    return {};  // a file system that cannot; the check above must do
  }
  return {};
}

Result<OutputFile> OutputFile::create(const fs::path& path, uint64_t size_bytes) {
  // Renaming over a device or a FIFO would destroy it.
  struct stat existing;
  if (stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode)) {
    return make_error(ErrorKind::kUsage, "[{}] is {}; give the name of a file for the output",
                      path.string(), describe_non_regular(existing.st_mode));
  }
  OutputFile file;
  file.path_ = path;
  file.size_bytes_ = size_bytes;
  RETURN_IF_ERROR(free_bytes_beside(path));  // a missing folder is told as such
  RETURN_IF_ERROR(file.lock_temporary());
  RETURN_IF_ERROR(file.reserve());
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      size_bytes_(other.size_bytes_),
      path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})) {}

OutputFile::~OutputFile() {
  // In this order: once it is closed, another process may have it.
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
  if (fd_ >= 0) ::close(fd_);
}

Status OutputFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  bool touched = false;
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EFAULT && !touched) {
      touch_pages(bytes);
      touched = true;
      continue;
    }
    if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) return no_space_error("write");
    if (n <= 0) {
      if (n == 0) errno = EIO;
      return output_error(path_, "write", "nothing was left behind; check the disk and try again");
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Status OutputFile::sync() {
  while (fsync(fd_) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOSPC || errno == EDQUOT) return no_space_error("flush to disk");
    return output_error(path_, "flush to disk", "the disk may be failing");
  }
  return {};
}

Status OutputFile::rename_to(const fs::path& path) {
  while (::rename(temporary_path_.c_str(), path.c_str()) != 0) {
    if (errno == EINTR) continue;
    if (errno == ENOSPC || errno == EDQUOT) return no_space_error("rename the finished file");
    return output_error(path, "rename the finished file to its name",
                        "check the folder's permissions");
  }
  temporary_path_.clear();
  return {};
}

Status OutputFile::commit() {
  RETURN_IF_ERROR(sync());
  RETURN_IF_ERROR(rename_to(path_));
  sync_folder(folder_of(path_));
  return {};
}

Status commit_together(std::span<OutputFile> files) {
  if (files.empty()) return {};
  for (OutputFile& file : files) RETURN_IF_ERROR(file.sync());
  const fs::path& first = files.front().path_;
  if (files.size() > 1) {
    if (::unlink(first.c_str()) != 0 && errno != ENOENT) {
      return output_error(first, "remove the old file", "check the folder's permissions");
    }
    sync_folder(folder_of(first));
  }
  for (size_t i = files.size(); i-- > 0;) {
    if (i == 0 && files.size() > 1) sync_folder(folder_of(first));
    const Status renamed = files[i].rename_to(files[i].path_);
    if (renamed.ok()) continue;
    for (size_t k = i + 1; k < files.size(); ++k) ::unlink(files[k].path_.c_str());
    return renamed;
  }
  sync_folder(folder_of(first));
  return {};
}

void remove_stale_temporaries(const fs::path& folder,
                              const std::function<bool(std::string_view name)>& is_ours) {
  std::error_code failed;
  fs::directory_iterator entries(folder, failed);
  for (; !failed && entries != fs::directory_iterator(); entries.increment(failed)) {
    const std::string name = entries->path().filename().string();
    if (!name.ends_with(kTemporarySuffix)) continue;
    if (!is_ours(std::string_view(name).substr(0, name.size() - kTemporarySuffix.size()))) continue;
    const int fd = ::open(entries->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) continue;
    struct stat opened;
    if (fstat(fd, &opened) == 0 && S_ISREG(opened.st_mode) && try_lock(fd) == 0 &&
        still_names(entries->path(), opened)) {
      ::unlink(entries->path().c_str());
    }
    ::close(fd);
  }
}

Status write_text_file(const fs::path& path, std::string_view text) {
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, text.size()));
  RETURN_IF_ERROR(file.write_at(0, std::as_bytes(std::span(text))));
  return file.commit();
}

}  // namespace nibble
