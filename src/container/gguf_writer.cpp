#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "container/gguf.h"
#include "container/gguf_checksum.h"
#include "container/gguf_rules.h"
#include "container/printable.h"

namespace nibble {
namespace {

uint64_t align(uint64_t value, uint64_t alignment) {
  const auto aligned = checked_align(value, alignment);
  CHECK(aligned);  // sums are bounded by add_tensor()
  return *aligned;
}

// What general.alignment asks for, or nullopt when no reader would take it.
std::optional<uint64_t> alignment_of(const GgufMetadata& metadata) {
  const GgufValue* value = metadata.find(kAlignmentKey);
  if (value == nullptr) return kDefaultAlignment;
  const auto alignment = value->as_uint();
  if (value->type() != GgufType::kUint32 || !alignment || !is_gguf_alignment(*alignment)) {
    return std::nullopt;
  }
  return alignment;
}

uint64_t header_bytes_of(const GgufMetadata& metadata) {
  uint64_t size = kGgufFixedHeaderBytes;
  for (const auto& [key, value] : metadata.entries()) {
    size += 8 + key.size() + 4 + (value.type() == GgufType::kArray ? 12 : 0) + value.bytes().size();
  }
  return size;
}

bool is_same_tensor(const GgufTensor& a, const GgufTensor& b) {
  return a.name == b.name && a.format->id == b.format->id && a.n_dims == b.n_dims &&
         a.dims == b.dims && a.offset == b.offset && a.size_bytes == b.size_bytes;
}

// The file takes no page with it: read in pieces that are let go at once.
uint64_t checksum_of_mapped(const MappedFile& file, std::span<const std::byte> bytes) {
  constexpr size_t kPiece = size_t{16} << 20;
  uint64_t sum = 0;
  for (size_t offset = 0; offset < bytes.size(); offset += kPiece) {
    const auto piece = bytes.subspan(offset, std::min(kPiece, bytes.size() - offset));
    file.will_need(piece);
    sum += positional_checksum(offset, piece);
    file.dont_need(piece);
  }
  return sum;
}

}  // namespace

struct GgufWriter::State {
  struct Progress {
    std::atomic<uint64_t> checksum{0};
    std::atomic<uint64_t> bytes_written{0};
  };

  State(OutputFile output, size_t n_tensors)
      : file(std::move(output)), progress(std::make_unique<Progress[]>(n_tensors)) {}

  OutputFile file;
  uint64_t data_offset = 0;
  std::unique_ptr<Progress[]> progress;  // one per tensor
};

GgufWriter::GgufWriter(std::filesystem::path path, GgufMetadata metadata)
    : path_(std::move(path)),
      metadata_(std::move(metadata)),
      alignment_(alignment_of(metadata_).value_or(kDefaultAlignment)) {}

GgufWriter::GgufWriter(GgufWriter&&) noexcept = default;
GgufWriter::~GgufWriter() = default;

Result<size_t> GgufWriter::add_tensor(std::string_view name, const Format& format,
                                      std::span<const int64_t> dims) {
  CHECK(state_ == nullptr);
  const auto refuse = [&](std::string_view problem) {
    return make_error(ErrorKind::kInvalid, "[{}] tensor {} ({}) cannot be written: {}",
                      path_.string(), tensors_.size(), printable(name), problem);
  };
  if (const char* problem = gguf_name_problem(name, kMaxTensorNameBytes)) {
    return refuse(fmt::format("its name {}; 1 to {} bytes of UTF-8 are allowed", problem,
                              kMaxTensorNameBytes));
  }
  GgufTensor tensor;
  if (dims.empty() || dims.size() > tensor.dims.size()) {
    return refuse(
        fmt::format("it has {} dimensions; 1 to {} are allowed", dims.size(), tensor.dims.size()));
  }
  if (tensors_.size() >= kMaxTensors) {
    return refuse(fmt::format("at most {} tensors are allowed", kMaxTensors));
  }
  tensor.name = std::string(name);
  tensor.format = &format;
  tensor.n_dims = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), tensor.dims.begin());
  const char* problem = nullptr;
  const auto size_bytes = gguf_tensor_bytes(tensor, &problem);
  if (!size_bytes) {
    return refuse(fmt::format("[{}] as {} (blocks of {}): {}", fmt::join(dims, ", "), format.name,
                              format.block_len, problem));
  }
  const auto end = checked_add(data_bytes_, *size_bytes);
  const auto next = end ? checked_align(*end, alignment_) : std::nullopt;
  if (!next || *next > uint64_t{1} << 62) return refuse("the file would have more than 2^62 bytes");
  if (!names_.insert(tensor.name).second) return refuse("another tensor has this name");
  tensor.offset = data_bytes_;
  tensor.size_bytes = *size_bytes;
  data_bytes_ = *next;
  tensor_info_bytes_ += 8 + name.size() + 4 + 8 * dims.size() + 4 + 8;
  tensors_.push_back(std::move(tensor));
  return tensors_.size() - 1;
}

uint64_t GgufWriter::data_offset() const {
  return align(header_bytes_of(metadata_) + tensor_info_bytes_, alignment_);
}

uint64_t GgufWriter::file_bytes() const { return data_offset() + data_bytes_; }

// Header, metadata, tensor table, and the padding up to the data section.
std::string GgufWriter::encode_header() const {
  std::string out;
  out.reserve(data_offset());
  out.append(kGgufMagic);
  append_number<uint32_t>(out, kGgufVersion);
  append_number<uint64_t>(out, tensors_.size());
  append_number<uint64_t>(out, metadata_.entries().size());
  for (const auto& [key, value] : metadata_.entries()) {
    append_string(out, key);
    append_number(out, static_cast<uint32_t>(value.type()));
    if (value.type() == GgufType::kArray) {
      append_number(out, static_cast<uint32_t>(value.element_type()));
      append_number<uint64_t>(out, value.count());
    }
    out.append(value.bytes());
  }
  for (const GgufTensor& tensor : tensors_) {
    append_string(out, tensor.name);
    append_number(out, static_cast<uint32_t>(tensor.n_dims));
    for (int i = 0; i < tensor.n_dims; ++i) append_number(out, tensor.dims[static_cast<size_t>(i)]);
    append_number(out, static_cast<uint32_t>(tensor.format->id));
    append_number(out, tensor.offset);
  }
  CHECK(align(out.size(), alignment_) == data_offset());
  out.resize(data_offset(), '\0');
  return out;
}

Status GgufWriter::begin() {
  CHECK(state_ == nullptr);
  if (!alignment_of(metadata_)) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] cannot be written: {} must be a uint32, a power of two from {} to {}",
                      path_.string(), kAlignmentKey, kMinAlignment, kMaxAlignment);
  }
  if (metadata_.entries().size() > kMaxMetadataEntries ||
      header_bytes_of(metadata_) > kMaxMetadataBytes) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] cannot be written: {} metadata entries of {} bytes; at most {} of {} "
                      "are allowed",
                      path_.string(), metadata_.entries().size(), header_bytes_of(metadata_),
                      kMaxMetadataEntries, kMaxMetadataBytes);
  }
  for (const auto& [key, value] : metadata_.entries()) {
    if (const char* problem = gguf_name_problem(key, kMaxMetadataKeyBytes)) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] cannot be written: metadata key \"{}\" {}; 1 to {} bytes of UTF-8 "
                        "are allowed",
                        path_.string(), printable(key), problem, kMaxMetadataKeyBytes);
    }
  }
  ASSIGN_OR_RETURN(OutputFile output, OutputFile::create(path_, file_bytes()));
  auto state = std::make_unique<State>(std::move(output), tensors_.size());
  const std::string header = encode_header();
  state->data_offset = header.size();
  RETURN_IF_ERROR(state->file.write_at(0, std::as_bytes(std::span(header))));
  // The padding behind the last tensor; between tensors a hole reads as zeros.
  if (!tensors_.empty()) {
    const uint64_t end = tensors_.back().offset + tensors_.back().size_bytes;
    const std::string padding(data_bytes_ - end, '\0');
    RETURN_IF_ERROR(
        state->file.write_at(state->data_offset + end, std::as_bytes(std::span(padding))));
  }
  state_ = std::move(state);
  return {};
}

Status GgufWriter::write(size_t index, uint64_t offset, std::span<const std::byte> bytes) {
  CHECK(state_ != nullptr && index < tensors_.size());
  const GgufTensor& tensor = tensors_[index];
  CHECK(offset <= tensor.size_bytes && bytes.size() <= tensor.size_bytes - offset);
  // Before the write: what is verified is what was handed over.
  const uint64_t checksum = positional_checksum(offset, bytes);
  RETURN_IF_ERROR(state_->file.write_at(state_->data_offset + tensor.offset + offset, bytes));
  State::Progress& progress = state_->progress[index];
  progress.checksum.fetch_add(checksum, std::memory_order_relaxed);
  progress.bytes_written.fetch_add(bytes.size(), std::memory_order_relaxed);
  return {};
}

Status GgufWriter::verify() const {
  const auto differs = [&](std::string_view what) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] was written and reads back differently ({}); it was removed; the disk "
                      "or memory of this machine may be failing",
                      path_.string(), what);
  };
  const auto reopened = GgufFile::open(state_->file.temporary_path());
  if (!reopened.ok()) return differs(reopened.error().message);
  const GgufFile& file = *reopened;
  if (file.file_bytes() != file_bytes()) return differs("length");
  if (file.alignment() != alignment_) return differs("alignment");
  if (file.metadata().entries() != metadata_.entries()) return differs("metadata");
  if (file.tensors().size() != tensors_.size()) return differs("tensor table");
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const GgufTensor& tensor = file.tensors()[i];
    if (!is_same_tensor(tensor, tensors_[i])) {
      return differs(fmt::format("record of tensor {}", tensors_[i].name));
    }
    if (checksum_of_mapped(file.file(), file.data(tensor)) != state_->progress[i].checksum.load()) {
      return differs(fmt::format("data of tensor {}", tensors_[i].name));
    }
  }
  return {};
}

Status GgufWriter::finish() {
  CHECK(state_ != nullptr);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    CHECK(state_->progress[i].bytes_written.load() == tensors_[i].size_bytes);
  }
  const auto finished = [&]() -> Status {
    RETURN_IF_ERROR(state_->file.sync());
    RETURN_IF_ERROR(verify());
    return state_->file.commit();
  }();
  state_.reset();  // removes the temporary file unless it was renamed
  return finished;
}

}  // namespace nibble
