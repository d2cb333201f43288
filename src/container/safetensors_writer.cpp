#include "container/safetensors_writer.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"
#include "container/gguf_checksum.h"
#include "container/hf_repo.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// A folder that was made here goes again if nothing came into it.
struct MadeFolder {
  fs::path path;  // empty: the folder was there
  ~MadeFolder() {
    std::error_code not_empty;
    if (!path.empty()) fs::remove(path, not_empty);
  }
};

Status check_folder(const fs::path& folder,
                    std::span<const std::pair<std::string, std::string>> texts, MadeFolder& made) {
  std::error_code error;
  if (fs::create_directories(folder, error)) made.path = folder;
  if (!fs::is_directory(folder, error)) {
    return make_error(ErrorKind::kFailure, "[{}] cannot be made a folder: {}", folder.string(),
                      error.message());
  }
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool is_text = std::any_of(texts.begin(), texts.end(),
                                     [&](const auto& text) { return text.first == name; });
    if (!is_text && !name.ends_with(".safetensors") && name != kSafetensorsIndexName) continue;
    return make_error(ErrorKind::kUsage,
                      "[{}] holds files of a model already ({}); give a new or an empty folder",
                      folder.string(), name);
  }
  return {};
}

}  // namespace

struct SafetensorsWriter::State {
  MadeFolder folder;                 // outlives the files
  std::vector<OutputFile> files;     // texts first, then the weights
  std::vector<std::string> headers;  // per file of weights, with the length before it
  std::vector<std::atomic<uint64_t>> checksums, written;  // per tensor
  explicit State(size_t n_tensors) : checksums(n_tensors), written(n_tensors) {}
};

SafetensorsWriter::SafetensorsWriter(fs::path folder, uint64_t max_file_bytes)
    : folder_(std::move(folder)), max_file_bytes_(max_file_bytes) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

size_t SafetensorsWriter::add_tensor(std::string_view name, SafeDtype dtype,
                                     std::span<const int64_t> shape) {
  CHECK(shape.size() <= kMaxSafetensorDims);
  Tensor tensor;
  tensor.info.name = name;
  tensor.info.dtype = dtype;
  tensor.info.n_dims = static_cast<uint8_t>(shape.size());
  std::copy(shape.begin(), shape.end(), tensor.info.shape.begin());
  tensor.info.size_bytes = dtype_bytes(dtype);
  for (const int64_t dim : shape) tensor.info.size_bytes *= static_cast<uint64_t>(dim);
  tensors_.push_back(std::move(tensor));
  return tensors_.size() - 1;
}

void SafetensorsWriter::add_text(std::string_view name, std::string text) {
  CHECK(is_plain_name(name));
  texts_.emplace_back(name, std::move(text));
}

uint64_t SafetensorsWriter::file_bytes() const {
  uint64_t total = 0;
  for (const Tensor& tensor : tensors_) total += tensor.info.size_bytes;
  for (const auto& [name, text] : texts_) total += text.size();
  if (state_ != nullptr) {
    for (const std::string& header : state_->headers) total += header.size();
  }
  return total;
}

Status SafetensorsWriter::begin() {
  CHECK(state_ == nullptr && !texts_.empty());
  auto state = std::make_unique<State>(tensors_.size());
  RETURN_IF_ERROR(check_folder(folder_, texts_, state->folder));
  uint64_t end = 0, total = 0;
  n_files_ = 1;
  for (Tensor& tensor : tensors_) {
    if (end > 0 && end + tensor.info.size_bytes > max_file_bytes_) {
      ++n_files_;
      end = 0;
    }
    tensor.file = n_files_ - 1;
    tensor.info.offset = end;
    end += tensor.info.size_bytes;
    total += tensor.info.size_bytes;
  }
  if (n_files_ > 1) {
    std::string text = fmt::format("{{\n  \"metadata\": {{\"total_size\": {}}},\n", total);
    text += "  \"weight_map\": {";
    for (size_t i = 0; i < tensors_.size(); ++i) {
      text += fmt::format("{}\n    {}: \"{}\"", i == 0 ? "" : ",",
                          nlohmann::json(tensors_[i].info.name).dump(),
                          safetensors_file_name(tensors_[i].file, n_files_));
    }
    add_text(kSafetensorsIndexName, text + "\n  }\n}\n");
  }
  state_ = std::move(state);
  for (size_t file = 0; file < n_files_; ++file) {
    std::vector<SafeTensor> own;
    for (const Tensor& tensor : tensors_) {
      if (tensor.file == file) own.push_back(tensor.info);
    }
    const std::string json = safetensors_header(own);
    std::string header(8, '\0');
    const uint64_t length = json.size();
    std::memcpy(header.data(), &length, 8);
    state_->headers.push_back(header + json);
  }
  RETURN_IF_ERROR(check_free_space(folder_ / "config.json", file_bytes()));
  for (const auto& [name, text] : texts_) {
    ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(folder_ / name, text.size()));
    RETURN_IF_ERROR(file.write_at(0, bytes_of(text)));
    state_->files.push_back(std::move(file));
  }
  for (size_t i = 0; i < n_files_; ++i) {
    uint64_t size = state_->headers[i].size();
    for (const Tensor& tensor : tensors_) {
      if (tensor.file == i) size += tensor.info.size_bytes;
    }
    ASSIGN_OR_RETURN(OutputFile file,
                     OutputFile::create(folder_ / safetensors_file_name(i, n_files_), size));
    RETURN_IF_ERROR(file.write_at(0, bytes_of(state_->headers[i])));
    state_->files.push_back(std::move(file));
  }
  return {};
}

Status SafetensorsWriter::write(size_t tensor, uint64_t offset, std::span<const std::byte> bytes) {
  const Tensor& target = tensors_[tensor];
  CHECK(offset <= target.info.size_bytes && bytes.size() <= target.info.size_bytes - offset);
  state_->checksums[tensor] += positional_checksum(offset, bytes);
  state_->written[tensor] += bytes.size();
  return state_->files[texts_.size() + target.file].write_at(
      state_->headers[target.file].size() + target.info.offset + offset, bytes);
}

Status SafetensorsWriter::verify(size_t file) const {
  const OutputFile& output = state_->files[texts_.size() + file];
  ASSIGN_OR_RETURN(const SafetensorsFile back, SafetensorsFile::open(output.temporary_path()));
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].file != file) continue;
    CHECK(state_->written[i] == tensors_[i].info.size_bytes);
    const SafeTensor* read = back.find(tensors_[i].info.name);
    uint64_t checksum = 0;
    if (read != nullptr) {
      const auto bytes = back.data(*read);
      for (uint64_t at = 0; at < bytes.size(); at += kPiece) {
        const auto piece = bytes.subspan(at, std::min<uint64_t>(kPiece, bytes.size() - at));
        checksum += positional_checksum(at, piece);
      }
      back.file().dont_need(bytes);
    }
    if (read == nullptr || checksum != state_->checksums[i] ||
        read->shape_text() != tensors_[i].info.shape_text()) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] tensor {} reads back differently than it was written; the disk or "
                        "the memory of this machine is faulty",
                        output.path().string(), tensors_[i].info.name);
    }
  }
  return back.file().check_unchanged();
}

Status SafetensorsWriter::finish() {
  for (OutputFile& file : state_->files) RETURN_IF_ERROR(file.sync());
  for (size_t i = 0; i < n_files_; ++i) RETURN_IF_ERROR(verify(i));
  return commit_together(state_->files);
}

std::vector<fs::path> SafetensorsWriter::paths() const {
  std::vector<fs::path> paths;
  for (const OutputFile& file : state_->files) paths.push_back(file.path());
  return paths;
}

}  // namespace nibble
