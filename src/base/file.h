// Files: mapped input, atomic output. Errors carry the exit code of docs (kNotFound, kUsage,
// kInvalid, kResource).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"

namespace nibble {

class GuardedMapping;

// A regular file mapped read-only. FIFOs, directories, sockets and devices are refused before any
// byte is read (kUsage); a missing path is kNotFound.
//
// If the file is made shorter meanwhile, the missing bytes read as zeros (in a program that called
// install_mapping_guard(); else SIGBUS ends it). Whoever has read a part and is about to rely on it
// asks check_unchanged().
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  // kInvalid when the file is shorter now than when it was opened, or bytes of it could not be
  // read.
  Status check_unchanged() const;

  // Hints to the system: pages of this range will be read in order soon / are not needed any more.
  void will_need(std::span<const std::byte> range) const;
  void dont_need(std::span<const std::byte> range) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  uint64_t device_ = 0, inode_ = 0;
  GuardedMapping* guard_ = nullptr;  // null for an empty file
  std::filesystem::path path_;
};

// An output that appears under its final name complete, or not at all: written to
// `<path>.nibble-tmp`, fsynced, renamed, folder fsynced. The temporary file is removed by the
// destructor unless commit() succeeded.
//
// Its writer holds a lock (flock) on it, which ends with the process however that ends. So a
// temporary file without a lock was left by a process that was killed, and is taken over; one with
// a lock has another writer at work.
class OutputFile {
 public:
  // size_bytes: what will be written; reserved at once where the file system can. kResource when
  // there is no room for it, kUsage when another process (or OutputFile) is writing this path or
  // the path is no regular file, kFailure when the place cannot be written.
  static Result<OutputFile> create(const std::filesystem::path& path, uint64_t size_bytes);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  // Writes all bytes at `offset`; short writes and EINTR are retried. Any thread, distinct ranges.
  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  // fsync; the temporary file may then be reopened and verified under temporary_path().
  Status sync();
  // rename to the final name and fsync the folder.
  Status commit();

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& temporary_path() const { return temporary_path_; }

 private:
  friend Status commit_together(std::span<OutputFile> files);

  OutputFile() = default;
  Status lock_temporary();
  Status reserve();
  Status rename_to(const std::filesystem::path& path);
  Error no_space_error(const char* action) const;

  int fd_ = -1;
  uint64_t size_bytes_ = 0;
  std::filesystem::path path_, temporary_path_;  // the latter empty once it is gone
};

// commit() for files that make sense only together and are opened by the name of the first. At no
// moment does the first stand beside others of another set: an old file under its name is removed
// before the others are renamed, and it is renamed last. When a rename fails, those already renamed
// are removed.
Status commit_together(std::span<OutputFile> files);

// Removes the temporary files in `folder` that killed processes left of outputs for whose file name
// is_ours holds. Those that are being written stay.
void remove_stale_temporaries(const std::filesystem::path& folder,
                              const std::function<bool(std::string_view name)>& is_ours);

// kResource, with both numbers, when the file system of `path` has less than size_bytes free.
Status check_free_space(const std::filesystem::path& path, uint64_t size_bytes);

// The whole of a small text file (at most max_bytes, else kInvalid).
Result<std::string> read_text_file(const std::filesystem::path& path,
                                   uint64_t max_bytes = 1u << 30);
// Writes a text file by OutputFile.
Status write_text_file(const std::filesystem::path& path, std::string_view text);

// Whether both paths name the same existing file (device and inode).
bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace nibble
