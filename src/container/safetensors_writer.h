// Writes a folder of safetensors and text files, complete or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/safetensors.h"

namespace nibble {

// Declare every tensor and text, begin(), write the data of each tensor in any order and in any
// pieces, finish(). Until then, and after any failure, nothing stands under a final name, and a
// folder that begin() made is gone again.
class SafetensorsWriter {
 public:
  // One file, or several with an index when they would be larger than max_file_bytes.
  SafetensorsWriter(std::filesystem::path folder, uint64_t max_file_bytes);
  SafetensorsWriter(SafetensorsWriter&&) noexcept;
  ~SafetensorsWriter();

  // Returns the number for write(). Names are unique (CHECK at finish, which reads them back).
  size_t add_tensor(std::string_view name, SafeDtype dtype, std::span<const int64_t> shape);
  // Another file of the folder. The first added is the one by which the folder is known
  // (config.json): it appears last.
  void add_text(std::string_view name, std::string text);

  uint64_t file_bytes() const;  // of all files; exact after begin()

  // kUsage when the folder holds a model already, kResource when the disk has no room, kFailure
  // when the place cannot be written.
  Status begin();
  // From any thread; every byte once.
  Status write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes);
  // Reads everything back, compares it with what was handed over (kInvalid when it differs) and
  // renames all files.
  Status finish();
  std::vector<std::filesystem::path> paths() const;

 private:
  struct State;
  struct Tensor {
    SafeTensor info;
    size_t file = 0;
  };

  Status verify(size_t file) const;

  std::filesystem::path folder_;
  uint64_t max_file_bytes_;
  std::vector<Tensor> tensors_;
  std::vector<std::pair<std::string, std::string>> texts_;
  size_t n_files_ = 0;
  std::unique_ptr<State> state_;  // from begin() on
};

}  // namespace nibble
