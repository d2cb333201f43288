// A model opened: one file, or the shards that belong together.
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "container/gguf.h"
#include "container/gguf_rules.h"
#include "container/gguf_split.h"
#include "container/printable.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// What a file says about its place in a set; absent entries are nullopt.
struct SplitEntries {
  std::optional<uint64_t> number, count, n_tensors;
};

template <typename... Args>
Error invalid(const fs::path& path, fmt::format_string<Args...> text, Args&&... args) {
  return make_error(ErrorKind::kInvalid, "[{}] {}", path.string(),
                    fmt::format(text, std::forward<Args>(args)...));
}

Result<std::optional<uint64_t>> split_entry(const GgufFile& file, std::string_view key,
                                            uint64_t max) {
  const GgufValue* value = file.metadata().find(key);
  if (value == nullptr) return std::optional<uint64_t>();
  const auto number = value->as_uint();
  if (!number || *number > max) {
    return invalid(file.path(), "metadata {}: a number from 0 to {} is allowed; it is damaged", key,
                   max);
  }
  return number;
}

Result<SplitEntries> split_entries(const GgufFile& file) {
  SplitEntries entries;
  ASSIGN_OR_RETURN(entries.number, split_entry(file, kSplitNumberKey, kMaxShards - 1));
  ASSIGN_OR_RETURN(entries.count, split_entry(file, kSplitCountKey, kMaxShards));
  ASSIGN_OR_RETURN(entries.n_tensors, split_entry(file, kSplitTensorsKey, kMaxTensors));
  return entries;
}

// Whether these are the entries of a set's first file; kUsage for those of another one.
Status check_first(const fs::path& path, const SplitEntries& entries) {
  if (!entries.number || !entries.count || !entries.n_tensors) {
    return invalid(path, "has only some of {}, {} and {}; it is damaged", kSplitNumberKey,
                   kSplitCountKey, kSplitTensorsKey);
  }
  const uint64_t number = *entries.number, count = *entries.count;
  if (number >= count) {
    return invalid(path, "says it is file {} of {}; it is damaged", number + 1, count);
  }
  const auto name = parse_shard_name(path.filename().string());
  if (number > 0) {
    const auto first = name ? shard_file_name(name->prefix, 0, count)
                            : fmt::format("the one that ends in {}", shard_file_name("", 0, count));
    return make_error(ErrorKind::kUsage,
                      "[{}] is file {} of the {} of its model; give the first, {}, and the others "
                      "are found",
                      path.string(), number + 1, count, first);
  }
  if (count > 1 && (!name || name->number != number || name->count != count)) {
    return invalid(path,
                   "is file 1 of the {} of its model; its name must end in {}, as the names of the "
                   "others must, or they are not found; it was renamed, or is another model's",
                   count, shard_file_name("", 0, count));
  }
  return {};
}

// A later file may repeat metadata, but not contradict it. How its own data is aligned is its own
// affair.
Status check_no_contradiction(const GgufFile& file, const GgufMetadata& first,
                              const fs::path& first_path) {
  for (const auto& [key, value] : file.metadata().entries()) {
    if (key == kAlignmentKey || key == kSplitNumberKey || key == kSplitCountKey ||
        key == kSplitTensorsKey) {
      continue;
    }
    const GgufValue* expected = first.find(key);
    if (expected == nullptr || *expected == value) continue;
    return invalid(file.path(),
                   "metadata {} contradicts that of [{}]; this is a file of another "
                   "model",
                   printable(key), first_path.string());
  }
  return {};
}

}  // namespace

Result<GgufFile> GgufFile::open_single(const fs::path& path) {
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  auto parsed = parse(mapped.bytes(), path.string());
  RETURN_IF_ERROR(mapped.check_unchanged());
  if (!parsed.ok()) return parsed.error();
  parsed->shards_.front().file = std::move(mapped);
  return parsed;
}

Result<GgufFile> GgufFile::open(const fs::path& path) {
  ASSIGN_OR_RETURN(GgufFile file, open_single(path));
  ASSIGN_OR_RETURN(const SplitEntries entries, split_entries(file));
  if (entries.number || entries.count || entries.n_tensors) {
    if (entries.count != 0u) {  // 0: merged from several, whole again
      RETURN_IF_ERROR(check_first(path, entries));
      RETURN_IF_ERROR(file.add_shards(*entries.count));
      if (file.tensors().size() != *entries.n_tensors) {
        return invalid(path,
                       "says that the {} files of its model have {} tensors; they have {}; "
                       "one of them is of another model, or damaged",
                       *entries.count, *entries.n_tensors, file.tensors().size());
      }
    }
    erase_split_keys(file.metadata_);
  }
  return file;
}

// File `number` of `count`, checked against this one, the first.
Result<GgufFile> GgufFile::open_shard(const fs::path& path, uint64_t number, uint64_t count) const {
  auto opened = open_single(path);
  if (!opened.ok() && opened.error().kind == ErrorKind::kNotFound) {
    return make_error(ErrorKind::kNotFound,
                      "[{}] is missing; it is file {} of the {} of the model [{}]; fetch it into "
                      "the same folder",
                      path.string(), number + 1, count, this->path().string());
  }
  if (!opened.ok()) return opened.error();
  ASSIGN_OR_RETURN(const SplitEntries entries, split_entries(*opened));
  if (entries.number != number || entries.count != count) {
    const auto say = [](const std::optional<uint64_t>& value, uint64_t add) {
      return value ? std::to_string(*value + add) : std::string("?");
    };
    return invalid(path,
                   "says it is file {} of {}; by its name it must be file {} of {}; it was "
                   "renamed, copied over, or is another model's",
                   say(entries.number, 1), say(entries.count, 0), number + 1, count);
  }
  const uint64_t n_tensors = metadata_.find(kSplitTensorsKey)->as_uint().value_or(0);
  if (entries.n_tensors && *entries.n_tensors != n_tensors) {
    return invalid(path,
                   "says that its model has {} tensors, the first file [{}] says {}; this is "
                   "a file of another model",
                   *entries.n_tensors, this->path().string(), n_tensors);
  }
  RETURN_IF_ERROR(check_no_contradiction(*opened, metadata_, this->path()));
  return opened;
}

Status GgufFile::add_shards(uint64_t count) {
  if (count <= 1) return {};
  const std::string prefix = parse_shard_name(path().filename().string())->prefix;
  for (uint64_t number = 1; number < count; ++number) {
    const fs::path shard_path =
        path().parent_path() / shard_file_name(prefix, static_cast<size_t>(number), count);
    ASSIGN_OR_RETURN(GgufFile shard, open_shard(shard_path, number, count));
    if (shard.tensors_.size() > kMaxTensors - tensors_.size()) {
      return invalid(shard_path, "brings the model to more than {} tensors", kMaxTensors);
    }
    for (GgufTensor& tensor : shard.tensors_) {
      tensor.shard = static_cast<uint32_t>(number);
      tensors_.push_back(std::move(tensor));
    }
    shards_.push_back(std::move(shard.shards_.front()));
  }
  if (const auto duplicate = index_names()) {
    const GgufTensor& earlier = tensors_[duplicate->first];
    const GgufTensor& tensor = tensors_[duplicate->second];
    return invalid(shards_[tensor.shard].file.path(),
                   "has the tensor {}, which is in [{}] too; "
                   "this is a file of another model, or a copy",
                   printable(tensor.name), shards_[earlier.shard].file.path().string());
  }
  return {};
}

uint64_t GgufFile::file_bytes() const {
  uint64_t total = 0;
  for (const Shard& shard : shards_) total += shard.bytes.size();
  return total;
}

std::vector<fs::path> GgufFile::paths() const {
  std::vector<fs::path> paths;
  for (const Shard& shard : shards_) paths.push_back(shard.file.path());
  return paths;
}

std::span<const std::byte> GgufFile::data(const GgufTensor& tensor) const {
  CHECK(tensor.shard < shards_.size());
  const Shard& shard = shards_[tensor.shard];
  const uint64_t size = shard.bytes.size() - shard.data_offset;
  CHECK(tensor.offset <= size && tensor.size_bytes <= size - tensor.offset);
  return shard.bytes.subspan(shard.data_offset + tensor.offset, tensor.size_bytes);
}

void GgufFile::read(const GgufTensor& tensor, int64_t first, int64_t n, std::byte* out) const {
  const Format& format = *tensor.format;
  const auto bytes = data(tensor).subspan(format.size_bytes(first), format.size_bytes(n));
  std::copy(bytes.begin(), bytes.end(), out);
}

std::span<const std::byte> GgufFile::piece(const GgufTensor& tensor, uint64_t offset,
                                           uint64_t n) const {
  const auto bytes = data(tensor);
  offset = std::min<uint64_t>(offset, bytes.size());
  return bytes.subspan(offset, std::min<uint64_t>(n, bytes.size() - offset));
}

void GgufFile::will_need(const GgufTensor& tensor, uint64_t offset, uint64_t n) const {
  const MappedFile& file = shards_[tensor.shard].file;
  if (!file.bytes().empty()) file.will_need(piece(tensor, offset, n));
}

void GgufFile::dont_need(const GgufTensor& tensor, uint64_t offset, uint64_t n) const {
  const MappedFile& file = shards_[tensor.shard].file;
  if (!file.bytes().empty()) file.dont_need(piece(tensor, offset, n));
}

Status GgufFile::check_unchanged(const GgufTensor& tensor) const {
  return shards_[tensor.shard].file.check_unchanged();
}

Status GgufFile::check_unchanged() const {
  for (const Shard& shard : shards_) RETURN_IF_ERROR(shard.file.check_unchanged());
  return {};
}

}  // namespace nibble
