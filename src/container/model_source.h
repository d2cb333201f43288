// Where a model comes from: metadata and tensors as GGUF names them, and the bytes of the tensors.
// A GGUF file is one (gguf.h); a folder of safetensors files, seen through the rules of its family,
// is another (model/hf_import.h). Who reads a model needs to know no more than this.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "container/gguf_value.h"
#include "formats/format.h"

namespace nibble {

struct GgufTensor {
  std::string name;
  const Format* format = nullptr;
  int n_dims = 0;
  std::array<int64_t, 4> dims{1, 1, 1, 1};  // fastest first; dims beyond n_dims are 1
  uint64_t offset = 0;                      // from the start of the data section of its file
  uint64_t size_bytes = 0;
  uint32_t shard = 0;  // which file of the model, from 0 (gguf_split.h)

  int64_t n_elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  int64_t row_len() const { return dims[0]; }
  int64_t n_rows() const { return dims[1] * dims[2] * dims[3]; }
};

// Immutable and validated: whoever holds one may trust every number in it. Any number of threads.
class ModelSource {
 public:
  virtual ~ModelSource() = default;

  // What the model was opened by: a file or a folder.
  virtual const std::filesystem::path& path() const = 0;
  // All files that hold tensors, in order.
  virtual std::vector<std::filesystem::path> paths() const = 0;
  // Of these files together.
  virtual uint64_t file_bytes() const = 0;

  const GgufMetadata& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find_tensor(std::string_view name) const;

  // The bytes of a tensor of this model where they lie in a mapped file exactly as its format says;
  // empty for a tensor that has to be put together (and for one without elements).
  virtual std::span<const std::byte> view(const GgufTensor& tensor) const = 0;
  // Weights [first, first + n) of the tensor, whole blocks, in its format. out: size_bytes(n).
  virtual void read(const GgufTensor& tensor, int64_t first, int64_t n, std::byte* out) const = 0;

  // Hints to the system about bytes [offset, offset + n) of a tensor, cut to its end: they will be
  // read in order soon / are not needed any more.
  virtual void will_need(const GgufTensor& tensor, uint64_t offset = 0,
                         uint64_t n = UINT64_MAX) const = 0;
  virtual void dont_need(const GgufTensor& tensor, uint64_t offset = 0,
                         uint64_t n = UINT64_MAX) const = 0;
  // kInvalid when the tensor's file, or any file, became shorter since it was opened: what was read
  // from it may be wrong (MappedFile). To be asked after reading, before relying on it.
  virtual Status check_unchanged(const GgufTensor& tensor) const = 0;
  virtual Status check_unchanged() const = 0;

 protected:
  ModelSource() = default;
  ModelSource(ModelSource&&) = default;
  ModelSource& operator=(ModelSource&&) = default;

  // Sorts by_name_. Two tensors of one name, the earlier first, if there are any.
  std::optional<std::pair<size_t, size_t>> index_names();

  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;

 private:
  std::vector<uint32_t> by_name_;  // indices of tensors_, sorted by name
};

}  // namespace nibble
