// Files: mapped input, atomic output. Errors carry the exit code of docs (kNotFound, kUsage,
// kInvalid, kResource).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"

namespace nibble {

// A regular file mapped read-only. FIFOs, directories, sockets and devices are refused before any
// byte is read (kUsage); a missing path is kNotFound.
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

  // Hints to the system: pages of this range will be read in order soon / are not needed any more.
  void will_need(std::span<const std::byte> range) const;
  void dont_need(std::span<const std::byte> range) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::filesystem::path path_;
};

// An output that appears under its final name complete, or not at all: written to
// `<path>.tmp.<pid>`, fsynced, renamed, folder fsynced. The temporary file is removed by the
// destructor unless commit() succeeded.
class OutputFile {
 public:
  // size_bytes: what will be written; too little free space is kResource before the first byte.
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

  const std::filesystem::path& temporary_path() const { return temporary_path_; }

 private:
  OutputFile() = default;

  int fd_ = -1;
  std::filesystem::path path_, temporary_path_;
};

// The whole of a small text file (at most max_bytes, else kInvalid).
Result<std::string> read_text_file(const std::filesystem::path& path,
                                   uint64_t max_bytes = 1u << 30);
// Writes a text file by OutputFile.
Status write_text_file(const std::filesystem::path& path, std::string_view text);

// Whether both paths name the same existing file (device and inode).
bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace nibble
