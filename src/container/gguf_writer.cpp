#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "container/gguf.h"
#include "container/gguf_checksum.h"
#include "container/gguf_rules.h"
#include "container/gguf_split.h"
#include "container/printable.h"

namespace nibble {
namespace {

constexpr uint64_t kMaxDataBytes = uint64_t{1} << 62;

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
uint64_t checksum_of_mapped(const GgufFile& file, const GgufTensor& tensor) {
  constexpr uint64_t kPiece = uint64_t{16} << 20;
  const auto bytes = file.data(tensor);
  uint64_t sum = 0;
  for (uint64_t offset = 0; offset < bytes.size(); offset += kPiece) {
    const uint64_t n = std::min<uint64_t>(kPiece, bytes.size() - offset);
    file.will_need(tensor, offset, n);
    sum += positional_checksum(offset, bytes.subspan(offset, n));
    file.dont_need(tensor, offset, n);
  }
  return sum;
}

}  // namespace

struct GgufWriter::State {
  struct Progress {
    std::atomic<uint64_t> checksum{0};
    std::atomic<uint64_t> bytes_written{0};
  };

  std::vector<OutputFile> files;  // one per shard
  std::vector<uint64_t> data_offsets;
  std::unique_ptr<Progress[]> progress;  // one per tensor
};

GgufWriter::GgufWriter(std::filesystem::path path, GgufMetadata metadata)
    : path_(std::move(path)),
      metadata_(std::move(metadata)),
      alignment_(alignment_of(metadata_).value_or(kDefaultAlignment)) {
  metadata_bytes_[0] = metadata_bytes_[1] = header_bytes_of(metadata_);
}

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
  const auto padded = checked_align(*size_bytes, alignment_);
  if (!padded || *padded > kMaxDataBytes || shards_.back().data_bytes > kMaxDataBytes - *padded) {
    return refuse("the file would have more than 2^62 bytes");
  }
  if (names_.contains(tensor.name)) return refuse("another tensor has this name");
  const uint64_t info_bytes = 8 + name.size() + 4 + 8 * dims.size() + 4 + 8;
  RETURN_IF_ERROR(make_room(name, *padded, info_bytes));
  if (shards_.size() > kMaxShards) return refuse(fmt::format("more than {} files", kMaxShards));
  Shard& shard = shards_.back();
  tensor.offset = shard.data_bytes;
  tensor.size_bytes = *size_bytes;
  tensor.shard = static_cast<uint32_t>(shards_.size() - 1);
  shard.data_bytes += *padded;
  shard.tensor_info_bytes += info_bytes;
  names_.insert(tensor.name);
  tensors_.push_back(std::move(tensor));
  return tensors_.size() - 1;
}

void GgufWriter::split(uint64_t max_shard_bytes) {
  CHECK(state_ == nullptr && tensors_.empty());
  split_ = true;
  max_shard_bytes_ = max_shard_bytes;
  metadata_bytes_[0] = header_bytes_of(metadata_of(0));
  metadata_bytes_[1] = header_bytes_of(metadata_of(1));
}

void GgufWriter::start_shard() {
  CHECK(state_ == nullptr && split_);
  Shard& next = shards_.emplace_back();
  next.first_tensor = tensors_.size();
}

// Starts the next shard if a tensor would make this one larger than is allowed.
Status GgufWriter::make_room(std::string_view name, uint64_t size_bytes, uint64_t info_bytes) {
  if (max_shard_bytes_ == 0) return {};
  const auto bytes_with_it = [&] {
    const size_t last = shards_.size() - 1;
    return align(header_bytes(last) + info_bytes, alignment_) + shards_[last].data_bytes +
           size_bytes;
  };
  if (bytes_with_it() <= max_shard_bytes_) return {};
  const auto [first, end] = tensors_of(shards_.size() - 1);
  if (end > first || shards_.size() == 1) start_shard();
  const uint64_t needed = std::max(bytes_with_it(), shard_bytes(0));
  if (needed <= max_shard_bytes_) return {};
  return make_error(ErrorKind::kUsage,
                    "[{}] files of at most {} bytes cannot hold {}, which needs one of {} bytes; a "
                    "tensor is never cut; allow larger files",
                    path_.empty() ? "output" : path_.string(), max_shard_bytes_,
                    needed == shard_bytes(0) ? "the metadata" : "the tensor " + printable(name),
                    needed);
}

std::vector<std::filesystem::path> GgufWriter::paths() const {
  if (!split_) return {path_};
  std::vector<std::filesystem::path> paths;
  const std::string prefix = shard_prefix_of(path_);
  for (size_t i = 0; i < shards_.size(); ++i) {
    paths.push_back(path_.parent_path() / shard_file_name(prefix, i, shards_.size()));
  }
  return paths;
}

std::pair<size_t, size_t> GgufWriter::tensors_of(size_t shard) const {
  const bool last = shard + 1 == shards_.size();
  return {shards_[shard].first_tensor, last ? tensors_.size() : shards_[shard + 1].first_tensor};
}

// The numbers have a fixed width: their size is right before their values are known.
GgufMetadata GgufWriter::metadata_of(size_t shard) const {
  if (!split_) return metadata_;
  GgufMetadata metadata;
  if (shard == 0) {
    metadata = metadata_;
  } else if (const GgufValue* value = metadata_.find(kAlignmentKey)) {
    metadata.set(kAlignmentKey, *value);
  }
  metadata.set(kSplitNumberKey, GgufValue::of_uint16(static_cast<uint16_t>(shard)));
  metadata.set(kSplitCountKey, GgufValue::of_uint16(static_cast<uint16_t>(shards_.size())));
  metadata.set(kSplitTensorsKey, GgufValue::of_int32(static_cast<int32_t>(tensors_.size())));
  return metadata;
}

// Up to the data section, its padding not counted.
uint64_t GgufWriter::header_bytes(size_t shard) const {
  return metadata_bytes_[shard > 0] + shards_[shard].tensor_info_bytes;
}

uint64_t GgufWriter::data_offset(size_t shard) const {
  return align(header_bytes(shard), alignment_);
}

uint64_t GgufWriter::shard_bytes(size_t shard) const {
  return data_offset(shard) + shards_[shard].data_bytes;
}

uint64_t GgufWriter::file_bytes() const {
  uint64_t total = 0;
  for (size_t i = 0; i < shards_.size(); ++i) total += shard_bytes(i);
  return total;
}

// Header, metadata, tensor table, and the padding up to the data section.
std::string GgufWriter::encode_header(size_t shard) const {
  const GgufMetadata metadata = metadata_of(shard);
  const auto [first, end] = tensors_of(shard);
  std::string out;
  out.reserve(data_offset(shard));
  out.append(kGgufMagic);
  append_number<uint32_t>(out, kGgufVersion);
  append_number<uint64_t>(out, end - first);
  append_number<uint64_t>(out, metadata.entries().size());
  for (const auto& [key, value] : metadata.entries()) {
    append_string(out, key);
    append_number(out, static_cast<uint32_t>(value.type()));
    if (value.type() == GgufType::kArray) {
      append_number(out, static_cast<uint32_t>(value.element_type()));
      append_number<uint64_t>(out, value.count());
    }
    out.append(value.bytes());
  }
  for (const GgufTensor& tensor : std::span(tensors_).subspan(first, end - first)) {
    append_string(out, tensor.name);
    append_number(out, static_cast<uint32_t>(tensor.n_dims));
    for (int i = 0; i < tensor.n_dims; ++i) append_number(out, tensor.dims[static_cast<size_t>(i)]);
    append_number(out, static_cast<uint32_t>(tensor.format->id));
    append_number(out, tensor.offset);
  }
  CHECK(out.size() == header_bytes(shard));
  out.resize(data_offset(shard), '\0');
  return out;
}

Status GgufWriter::check_metadata() const {
  if (!alignment_of(metadata_)) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] cannot be written: {} must be a uint32, a power of two from {} to {}",
                      path_.string(), kAlignmentKey, kMinAlignment, kMaxAlignment);
  }
  const size_t n_entries = metadata_of(0).entries().size();
  if (n_entries > kMaxMetadataEntries || metadata_bytes_[0] > kMaxMetadataBytes) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] cannot be written: {} metadata entries of {} bytes; at most {} of {} "
                      "are allowed",
                      path_.string(), n_entries, metadata_bytes_[0], kMaxMetadataEntries,
                      kMaxMetadataBytes);
  }
  for (const auto& [key, value] : metadata_.entries()) {
    if (const char* problem = gguf_name_problem(key, kMaxMetadataKeyBytes)) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] cannot be written: metadata key \"{}\" {}; 1 to {} bytes of UTF-8 "
                        "are allowed",
                        path_.string(), printable(key), problem, kMaxMetadataKeyBytes);
    }
  }
  return {};
}

// What killed runs left of this output, however they divided it.
void GgufWriter::remove_leftovers() const {
  const std::string name = path_.filename().string(), prefix = shard_prefix_of(path_);
  remove_stale_temporaries(path_.has_parent_path() ? path_.parent_path() : ".",
                           [&](std::string_view leftover) {
                             const auto shard = parse_shard_name(leftover);
                             return leftover == name || (shard && shard->prefix == prefix);
                           });
}

Status GgufWriter::begin() {
  CHECK(state_ == nullptr);
  RETURN_IF_ERROR(check_metadata());
  remove_leftovers();
  RETURN_IF_ERROR(check_free_space(path_, file_bytes()));
  auto state = std::make_unique<State>();
  state->progress = std::make_unique<State::Progress[]>(tensors_.size());
  const auto output_paths = paths();
  for (size_t i = 0; i < shards_.size(); ++i) {
    ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(output_paths[i], shard_bytes(i)));
    RETURN_IF_ERROR(write_frame(i, file));
    state->files.push_back(std::move(file));
    state->data_offsets.push_back(data_offset(i));
  }
  state_ = std::move(state);
  return {};
}

// The header, and the padding behind the last tensor; between tensors a hole reads as zeros.
Status GgufWriter::write_frame(size_t shard, OutputFile& file) const {
  const std::string header = encode_header(shard);
  RETURN_IF_ERROR(file.write_at(0, std::as_bytes(std::span(header))));
  const auto [first, end] = tensors_of(shard);
  if (first == end) return {};
  const uint64_t data_end = tensors_[end - 1].offset + tensors_[end - 1].size_bytes;
  const std::string padding(shards_[shard].data_bytes - data_end, '\0');
  return file.write_at(header.size() + data_end, std::as_bytes(std::span(padding)));
}

Status GgufWriter::write(size_t index, uint64_t offset, std::span<const std::byte> bytes) {
  CHECK(state_ != nullptr && index < tensors_.size());
  const GgufTensor& tensor = tensors_[index];
  CHECK(offset <= tensor.size_bytes && bytes.size() <= tensor.size_bytes - offset);
  // Before the write: what is verified is what was handed over.
  const uint64_t checksum = positional_checksum(offset, bytes);
  RETURN_IF_ERROR(state_->files[tensor.shard].write_at(
      state_->data_offsets[tensor.shard] + tensor.offset + offset, bytes));
  State::Progress& progress = state_->progress[index];
  progress.checksum.fetch_add(checksum, std::memory_order_relaxed);
  progress.bytes_written.fetch_add(bytes.size(), std::memory_order_relaxed);
  return {};
}

Status GgufWriter::verify(size_t shard) const {
  const OutputFile& output = state_->files[shard];
  const auto differs = [&](std::string_view what) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] was written and reads back differently ({}); it was removed; the disk "
                      "or memory of this machine may be failing",
                      output.path().string(), what);
  };
  const auto reopened = GgufFile::open_single(output.temporary_path());
  if (!reopened.ok()) return differs(reopened.error().message);
  const GgufFile& file = *reopened;
  const auto [first, end] = tensors_of(shard);
  if (file.file_bytes() != shard_bytes(shard)) return differs("length");
  if (file.alignment() != alignment_) return differs("alignment");
  if (file.metadata().entries() != metadata_of(shard).entries()) return differs("metadata");
  if (file.tensors().size() != end - first) return differs("tensor table");
  for (size_t i = first; i < end; ++i) {
    const GgufTensor& tensor = file.tensors()[i - first];
    if (!is_same_tensor(tensor, tensors_[i])) {
      return differs(fmt::format("record of tensor {}", tensors_[i].name));
    }
    if (checksum_of_mapped(file, tensor) != state_->progress[i].checksum.load()) {
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
    for (OutputFile& file : state_->files) RETURN_IF_ERROR(file.sync());
    for (size_t i = 0; i < shards_.size(); ++i) RETURN_IF_ERROR(verify(i));
    return commit_together(state_->files);
  }();
  state_.reset();  // removes the temporary files unless they were renamed
  return finished;
}

}  // namespace nibble
