// GGUF, the file: header, metadata, tensor table. Read v2 and v3 (little-endian), write v3.
//
//   "GGUF" | u32 version | u64 n_tensors | u64 n_kv
//   n_kv    x { string key | u32 value type | value }          string = u64 length, bytes
//   n_tensors x { string name | u32 n_dims | u64 dims[n_dims] (fastest first) | u32 type | u64
//   offset } padding to general.alignment (32 unless given) | tensor data, each offset relative to
//   here, aligned
//
// Source of the layout: the GGUF specification (ggml project, docs/gguf.md).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "container/gguf_value.h"
#include "container/model_source.h"
#include "formats/format.h"

namespace nibble {

// Limits on what is read and written. Each is far beyond any real model; together they bound what a
// hostile file can cost: at most one copy of its metadata, and about 100 bytes per declared tensor.
//
// llama.cpp reads names shorter than 64 bytes: a longer one would open here and nowhere else.
inline constexpr size_t kMaxTensorNameBytes = 63;
inline constexpr size_t kMaxMetadataKeyBytes = 65535;  // the specification's limit
inline constexpr uint64_t kMaxTensors = 1u << 18;
inline constexpr uint64_t kMaxMetadataEntries = 1u << 16;
inline constexpr uint64_t kMaxMetadataBytes = uint64_t{256} << 20;
// general.alignment is a power of two in this range. The specification asks for a multiple of 8
// (so 1, 2 and 4 are refused, although llama.cpp reads them): the data of every tensor may then be
// read through pointers to its block struct.
inline constexpr uint32_t kMinAlignment = 8;
inline constexpr uint32_t kMaxAlignment = 65536;
inline constexpr uint32_t kDefaultAlignment = 32;

// A validated model: whoever holds one may trust every number in it. Immutable.
//
// Beyond the limits above the reader asks, as llama.cpp does, that tensors lie in the order of the
// table, each at the first aligned offset behind the one before (no overlap, no hole). It also
// refuses what llama.cpp lets pass: dimensions of 0, n_dims 0, empty tensor names, names that are
// not UTF-8 or hold a NUL, bools other than 0 and 1. Bytes behind the last tensor are ignored.
//
// A model may be divided into several files (gguf_split.h). It is opened by the first; the others
// are found beside it by their names. Their tensors follow each other, file by file. Metadata is
// that of the first file; of the others only what contradicts it is looked at.
class GgufFile final : public ModelSource {
 public:
  // Errors: kNotFound (also a shard), kUsage (not a regular file; a shard that is not the first),
  // kInvalid (malformed, truncated, contradictory, with byte offset and field; shards that do not
  // belong together), kFailure (tensor type id that nibble does not know).
  static Result<GgufFile> open(const std::filesystem::path& path);
  // One file by itself, whatever it says about others; split.* stays in the metadata.
  static Result<GgufFile> open_single(const std::filesystem::path& path);
  // The parser itself, over bytes in memory (tests, fuzzing). The bytes must outlive the result.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string_view where);

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  uint64_t file_bytes() const override;
  // The first file; empty after parse().
  const std::filesystem::path& path() const override { return shards_.front().file.path(); }
  std::vector<std::filesystem::path> paths() const override;
  // The bytes of a tensor of this model (CHECKed: never outside its file).
  std::span<const std::byte> data(const GgufTensor& tensor) const;

  std::span<const std::byte> view(const GgufTensor& tensor) const override { return data(tensor); }
  void read(const GgufTensor& tensor, int64_t first, int64_t n, std::byte* out) const override;
  // Nothing after parse().
  void will_need(const GgufTensor& tensor, uint64_t offset = 0,
                 uint64_t n = UINT64_MAX) const override;
  void dont_need(const GgufTensor& tensor, uint64_t offset = 0,
                 uint64_t n = UINT64_MAX) const override;
  Status check_unchanged(const GgufTensor& tensor) const override;
  Status check_unchanged() const override;

 private:
  friend class GgufParser;
  struct Shard {
    MappedFile file;  // empty after parse()
    std::span<const std::byte> bytes;
    uint64_t data_offset = 0;
  };

  Status add_shards(uint64_t count);
  Result<GgufFile> open_shard(const std::filesystem::path& path, uint64_t number,
                              uint64_t count) const;
  std::span<const std::byte> piece(const GgufTensor& tensor, uint64_t offset, uint64_t n) const;

  std::vector<Shard> shards_;
  uint32_t version_ = 3;
  uint64_t alignment_ = kDefaultAlignment;
};

// Writes a v3 file, streamed: declare every tensor, begin() lays the file out and writes the
// header, then the data of each tensor in any order and in any pieces, then finish().
//
//   GgufWriter writer(path, metadata);
//   for (...) writer.add_tensor(name, format, dims);
//   RETURN_IF_ERROR(writer.begin());
//   RETURN_IF_ERROR(writer.write(tensor_index, byte_offset_in_tensor, bytes));   // thread-safe
//   RETURN_IF_ERROR(writer.finish());  // fsync, reopen, verify every tensor's hash, rename
//
// With split() it writes a model in several files. They are written side by side, all are verified
// before any is renamed, and the first, by whose name the model is opened, appears last.
class GgufWriter {
 public:
  GgufWriter(std::filesystem::path path, GgufMetadata metadata);
  GgufWriter(GgufWriter&&) noexcept;
  ~GgufWriter();

  // dims: 1 to 4, fastest first. Returns the index for write(). kInvalid for a name that is
  // duplicate or that the reader would refuse, or a row that is not a multiple of the block.
  Result<size_t> add_tensor(std::string_view name, const Format& format,
                            std::span<const int64_t> dims);

  // Before the first tensor: writes path-00001-of-0000N.gguf and so on (gguf_split.h; an ending
  // ".gguf" of the path is dropped first). A file ends where start_shard() says so and, with
  // max_shard_bytes, before a tensor that would make it larger than that. A tensor too large for a
  // file of its own is then an error of add_tensor (kUsage). The first file has no tensors when
  // metadata fills it.
  void split(uint64_t max_shard_bytes = 0);
  // The tensors added from now on go into the next file.
  void start_shard();
  // The files that finish() makes.
  std::vector<std::filesystem::path> paths() const;

  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  // Size of the finished files together; exact before begin().
  uint64_t file_bytes() const;

  // kInvalid for metadata that the reader would refuse, kResource when the disk has no room for the
  // whole file, kFailure when the place cannot be written.
  Status begin();
  // bytes go to [offset, offset + bytes.size()) of the tensor. From any thread; every byte once.
  Status write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);
  // Every byte of every tensor must have been written (CHECK: that is our own mistake). Reopens the
  // temporary file with GgufFile, compares header and a checksum per tensor with what was handed to
  // write() (kInvalid when they differ), renames. Until then, and after any failure, nothing stands
  // under the final name; the temporary file goes with the writer.
  Status finish();

 private:
  struct State;
  struct Shard {
    size_t first_tensor = 0;
    uint64_t data_bytes = 0;         // of the data section, padding included
    uint64_t tensor_info_bytes = 0;  // of the tensor table
  };

  // Tensors [first, second) are those of the shard.
  std::pair<size_t, size_t> tensors_of(size_t shard) const;
  GgufMetadata metadata_of(size_t shard) const;
  uint64_t header_bytes(size_t shard) const;
  uint64_t data_offset(size_t shard) const;
  uint64_t shard_bytes(size_t shard) const;
  Status make_room(std::string_view name, uint64_t size_bytes, uint64_t info_bytes);
  Status check_metadata() const;
  std::string encode_header(size_t shard) const;
  void remove_leftovers() const;
  Status write_frame(size_t shard, OutputFile& file) const;
  Status verify(size_t shard) const;

  std::filesystem::path path_;
  GgufMetadata metadata_;
  uint64_t alignment_ = kDefaultAlignment;
  bool split_ = false;
  uint64_t max_shard_bytes_ = 0;
  uint64_t metadata_bytes_[2] = {};  // header without tensor table, of the first and later files
  std::vector<Shard> shards_{1};
  std::vector<GgufTensor> tensors_;
  std::set<std::string, std::less<>> names_;
  std::unique_ptr<State> state_;  // from begin() on
};

}  // namespace nibble
