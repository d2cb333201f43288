#include <string>
#include <utility>

#include "base/byte_reader.h"
#include "base/check.h"
#include "base/checked.h"
#include "container/gguf.h"
#include "container/gguf_rules.h"
#include "container/printable.h"

namespace nibble {
namespace {

// A tensor with an empty name and one dimension: no record of the table is shorter.
constexpr uint64_t kMinTensorInfoBytes = 8 + 4 + 8 + 4 + 8;
// An entry with an empty key and a value of one byte.
constexpr uint64_t kMinMetadataEntryBytes = 8 + 4 + 1;

std::string known_formats() {
  std::string names;
  for (const Format& format : all_formats()) {
    if (!names.empty()) names += ", ";
    names += fmt::format("{} ({})", format.name, static_cast<uint32_t>(format.id));
  }
  return names;
}

}  // namespace

// One pass over the bytes, front to back. Every number is checked before it is used, every count
// before anything is reserved for it.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, std::string_view where)
      : reader_(bytes), bytes_(bytes), where_(where) {}

  Result<GgufFile> run() {
    uint64_t n_tensors = 0, n_entries = 0;
    RETURN_IF_ERROR(parse_fixed_header(&n_tensors, &n_entries));
    RETURN_IF_ERROR(parse_metadata(n_entries));
    RETURN_IF_ERROR(parse_alignment());
    RETURN_IF_ERROR(parse_tensor_table(n_tensors));
    RETURN_IF_ERROR(check_names_differ());
    RETURN_IF_ERROR(check_layout());
    return std::move(file_);
  }

 private:
  // "[file] byte 24, metadata entry 3 (general.name), value type: <text>"
  template <typename... Args>
  Error error_at(uint64_t offset, std::string_view field, ErrorKind kind,
                 fmt::format_string<Args...> text, Args&&... args) const {
    std::string item;
    if (!item_.empty()) {
      item = name_.empty() ? fmt::format("{} {}, ", item_, index_)
                           : fmt::format("{} {} ({}), ", item_, index_, printable(name_));
    }
    return make_error(kind, "[{}] byte {}, {}{}: {}", printable(where_, 400), offset, item, field,
                      fmt::format(text, std::forward<Args>(args)...));
  }

  template <typename... Args>
  Error invalid(uint64_t offset, std::string_view field, fmt::format_string<Args...> text,
                Args&&... args) const {
    return error_at(offset, field, ErrorKind::kInvalid, text, std::forward<Args>(args)...);
  }

  Error truncated(std::string_view field, uint64_t needed) const {
    return invalid(reader_.offset(), field,
                   "{} bytes are needed, {} are left; the file is cut off or damaged, fetch it "
                   "again",
                   needed, reader_.remaining());
  }

  template <typename T>
  Result<T> read(std::string_view field) {
    const auto value = reader_.read<T>();
    if (!value) return truncated(field, sizeof(T));
    return *value;
  }

  Result<std::string_view> read_string(std::string_view field) {
    ASSIGN_OR_RETURN(const uint64_t length, read<uint64_t>(field));
    const auto text = reader_.take_string(length);
    if (!text) return truncated(field, length);
    return *text;
  }

  // A key or tensor name.
  Result<std::string_view> read_name(std::string_view field, size_t max_bytes) {
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(const std::string_view name, read_string(field));
    if (const char* problem = gguf_name_problem(name, max_bytes)) {
      return invalid(at, field,
                     "\"{}\" {}; 1 to {} bytes of UTF-8 are allowed; the file is damaged",
                     printable(name), problem, max_bytes);
    }
    return name;
  }

  // How many things follow; each has at least min_bytes.
  Result<uint64_t> read_count(std::string_view field, uint64_t max, uint64_t min_bytes) {
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(const uint64_t count, read<uint64_t>(field));
    if (count > max) {
      return invalid(at, field, "{} is more than the {} that are supported; the file is damaged",
                     count, max);
    }
    RETURN_IF_ERROR(check_count_fits(at, field, count, min_bytes));
    return count;
  }

  Status check_count_fits(uint64_t at, std::string_view field, uint64_t count, uint64_t min_bytes) {
    if (count <= reader_.remaining() / min_bytes) return {};
    return invalid(at, field,
                   "{} of at least {} bytes each do not fit the {} bytes that are left; the file "
                   "is cut off or damaged",
                   count, min_bytes, reader_.remaining());
  }

  Status parse_fixed_header(uint64_t* n_tensors, uint64_t* n_entries);
  Status parse_metadata(uint64_t n_entries);
  Result<GgufValue> parse_value();
  Status parse_alignment();
  Status parse_tensor_table(uint64_t n_tensors);
  Result<GgufTensor> parse_tensor();
  Status check_names_differ();
  Status check_layout();

  ByteReader reader_;
  std::span<const std::byte> bytes_;
  std::string_view where_;
  GgufFile file_;
  // What is being read, for messages.
  std::string_view item_, name_;
  uint64_t index_ = 0;
  // Where each record of the tensor table begins, for messages.
  std::vector<uint64_t> tensor_info_at_;
  uint64_t alignment_at_ = 0;
};

Status GgufParser::parse_fixed_header(uint64_t* n_tensors, uint64_t* n_entries) {
  const auto magic = reader_.take_string(4);
  if (!magic) return truncated("magic", 4);
  if (*magic != kGgufMagic) {
    return invalid(0, "magic",
                   "\"{}\"; a GGUF file begins with \"{}\"; this is another kind of file",
                   printable(*magic), kGgufMagic);
  }
  ASSIGN_OR_RETURN(const uint32_t version, read<uint32_t>("version"));
  if (version == 1) {
    return invalid(4, "version",
                   "1; versions 2 and 3 are read; convert the model again with a current tool");
  }
  if (version != 0 && (version & 0xffffu) == 0) {
    return invalid(4, "version",
                   "{} in this byte order, {} in the other; little-endian files are read; this "
                   "one is big-endian, convert it again for this machine",
                   version, __builtin_bswap32(version));
  }
  if (version != 2 && version != 3) {
    return invalid(4, "version", "{}; versions 2 and 3 are read; the file is damaged or newer",
                   version);
  }
  file_.version_ = version;
  ASSIGN_OR_RETURN(*n_tensors, read_count("tensor count", kMaxTensors, kMinTensorInfoBytes));
  ASSIGN_OR_RETURN(*n_entries,
                   read_count("metadata count", kMaxMetadataEntries, kMinMetadataEntryBytes));
  return {};
}

Status GgufParser::parse_metadata(uint64_t n_entries) {
  item_ = "metadata entry";
  for (index_ = 0; index_ < n_entries; ++index_) {
    name_ = {};
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(name_, read_name("key", kMaxMetadataKeyBytes));
    if (file_.metadata_.find(name_) != nullptr) {
      return invalid(at, "key", "appears twice; keys are unique; the file is damaged");
    }
    if (name_ == kAlignmentKey) alignment_at_ = reader_.offset();
    ASSIGN_OR_RETURN(GgufValue value, parse_value());
    file_.metadata_.set(name_, std::move(value));
  }
  item_ = name_ = {};
  return {};
}

Result<GgufValue> GgufParser::parse_value() {
  constexpr auto kLastType = static_cast<uint32_t>(GgufType::kFloat64);
  const auto read_type = [&](std::string_view field) -> Result<GgufType> {
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(const uint32_t id, read<uint32_t>(field));
    if (id > kLastType) {
      return invalid(at, field, "{}; types are 0 to {}; the file is damaged", id, kLastType);
    }
    return static_cast<GgufType>(id);
  };
  ASSIGN_OR_RETURN(const GgufType type, read_type("value type"));
  GgufType element_type = type;
  uint64_t count = 1;
  uint64_t count_at = reader_.offset();
  if (type == GgufType::kArray) {
    const uint64_t element_at = reader_.offset();
    ASSIGN_OR_RETURN(element_type, read_type("array element type"));
    if (element_type == GgufType::kArray) {
      return invalid(element_at, "array element type",
                     "9 (array); arrays of numbers, bools and strings are allowed, arrays in "
                     "arrays are not");
    }
    count_at = reader_.offset();
    ASSIGN_OR_RETURN(count, read<uint64_t>("array length"));
  }
  const uint64_t element_bytes = gguf_element_bytes(element_type);
  RETURN_IF_ERROR(check_count_fits(count_at, type == GgufType::kArray ? "array length" : "value",
                                   count, element_bytes));
  const uint64_t begin = reader_.offset();
  // A walk over the strings and a copy are made: bounded, whatever the file says and has.
  const auto check_size = [&](uint64_t end) -> Status {
    if (end <= kMaxMetadataBytes) return {};
    return invalid(begin, "value", "ends at byte {} or later; metadata has at most {} bytes", end,
                   kMaxMetadataBytes);
  };
  RETURN_IF_ERROR(check_size(begin + count * element_bytes));
  if (element_type == GgufType::kString) {
    for (uint64_t i = 0; i < count; ++i) RETURN_IF_ERROR(read_string("string"));
  } else {
    CHECK(reader_.take(count * element_bytes));
  }
  RETURN_IF_ERROR(check_size(reader_.offset()));
  const auto payload = bytes_.subspan(begin, reader_.offset() - begin);
  if (element_type == GgufType::kBool) {
    for (size_t i = 0; i < payload.size(); ++i) {
      if (payload[i] > std::byte{1}) {
        return invalid(begin + i, "value", "{} as a bool; 0 and 1 are allowed; the file is damaged",
                       static_cast<int>(payload[i]));
      }
    }
  }
  return GgufValue::of_raw(
      type, element_type, count,
      std::string(reinterpret_cast<const char*>(payload.data()), payload.size()));
}

Status GgufParser::parse_alignment() {
  const GgufValue* value = file_.metadata_.find(kAlignmentKey);
  if (value == nullptr) {
    file_.alignment_ = kDefaultAlignment;
    return {};
  }
  if (value->type() != GgufType::kUint32) {
    return invalid(alignment_at_, kAlignmentKey, "has value type {}; it must be 4 (uint32)",
                   static_cast<uint32_t>(value->type()));
  }
  const uint64_t alignment = value->as_uint().value_or(0);
  if (!is_gguf_alignment(alignment)) {
    return invalid(alignment_at_, kAlignmentKey, "{}; a power of two from {} to {} is allowed",
                   alignment, kMinAlignment, kMaxAlignment);
  }
  file_.alignment_ = alignment;
  return {};
}

Status GgufParser::parse_tensor_table(uint64_t n_tensors) {
  item_ = "tensor";
  // The count was compared with the file's length before the metadata took its part.
  RETURN_IF_ERROR(check_count_fits(8, "count", n_tensors, kMinTensorInfoBytes));
  file_.tensors_.reserve(n_tensors);
  tensor_info_at_.reserve(n_tensors);
  for (index_ = 0; index_ < n_tensors; ++index_) {
    name_ = {};
    tensor_info_at_.push_back(reader_.offset());
    ASSIGN_OR_RETURN(GgufTensor tensor, parse_tensor());
    file_.tensors_.push_back(std::move(tensor));
  }
  return {};
}

Result<GgufTensor> GgufParser::parse_tensor() {
  GgufTensor tensor;
  ASSIGN_OR_RETURN(name_, read_name("name", kMaxTensorNameBytes));
  tensor.name = std::string(name_);

  const uint64_t n_dims_at = reader_.offset();
  ASSIGN_OR_RETURN(const uint32_t n_dims, read<uint32_t>("number of dimensions"));
  if (n_dims < 1 || n_dims > tensor.dims.size()) {
    return invalid(n_dims_at, "number of dimensions", "{}; 1 to {} are allowed", n_dims,
                   tensor.dims.size());
  }
  tensor.n_dims = static_cast<int>(n_dims);
  const uint64_t dims_at = reader_.offset();
  for (uint32_t i = 0; i < n_dims; ++i) {
    ASSIGN_OR_RETURN(tensor.dims[i], read<int64_t>("dimensions"));
  }

  const uint64_t type_at = reader_.offset();
  ASSIGN_OR_RETURN(const uint32_t type, read<uint32_t>("type"));
  tensor.format = find_format(type);
  if (tensor.format == nullptr) {
    return error_at(type_at, "type", ErrorKind::kFailure,
                    "type id {} is not known here; known are {}; the file is newer or damaged",
                    type, known_formats());
  }
  const char* problem = nullptr;
  const auto size_bytes = gguf_tensor_bytes(tensor, &problem);
  if (!size_bytes) {
    return invalid(dims_at, "dimensions", "[{}, {}, {}, {}] as {} (blocks of {}): {}",
                   tensor.dims[0], tensor.dims[1], tensor.dims[2], tensor.dims[3],
                   tensor.format->name, tensor.format->block_len, problem);
  }
  tensor.size_bytes = *size_bytes;
  ASSIGN_OR_RETURN(tensor.offset, read<uint64_t>("offset"));
  return tensor;
}

Status GgufParser::check_names_differ() {
  const auto duplicate = file_.index_names();
  if (!duplicate) return {};
  index_ = duplicate->second;
  name_ = file_.tensors_[index_].name;
  return invalid(tensor_info_at_[index_], "name",
                 "tensor {} has it too; names are unique; the file is damaged", duplicate->first);
}

// Tensors lie in table order, back to back up to alignment, inside the file.
Status GgufParser::check_layout() {
  file_.shards_.emplace_back();
  GgufFile::Shard& shard = file_.shards_.back();
  shard.bytes = bytes_;
  shard.data_offset = reader_.offset();
  if (file_.tensors_.empty()) return {};
  const auto data_offset = checked_align(reader_.offset(), file_.alignment_);
  CHECK(data_offset);  // the offset is a file's, the alignment small
  shard.data_offset = *data_offset;
  uint64_t expected = 0;
  for (index_ = 0; index_ < file_.tensors_.size(); ++index_) {
    const GgufTensor& tensor = file_.tensors_[index_];
    name_ = tensor.name;
    const uint64_t offset_at =
        (index_ + 1 < tensor_info_at_.size() ? tensor_info_at_[index_ + 1] : reader_.offset()) - 8;
    if (tensor.offset != expected) {
      const char* what = tensor.offset % file_.alignment_ != 0 ? "is not aligned"
                         : tensor.offset < expected            ? "overlaps the tensor before"
                                                               : "leaves a hole";
      return invalid(offset_at, "offset",
                     "{} {}; {} (alignment {}) must follow; the file is damaged", tensor.offset,
                     what, expected, file_.alignment_);
    }
    const auto end = checked_add(tensor.offset, tensor.size_bytes);
    const auto file_end = end ? checked_add(*end, shard.data_offset) : std::nullopt;
    if (!file_end || *file_end > bytes_.size()) {
      return invalid(offset_at, "data",
                     "{} bytes from byte {} do not fit the file of {}; it is cut off, fetch it "
                     "again",
                     tensor.size_bytes, shard.data_offset + tensor.offset, bytes_.size());
    }
    const auto next = checked_align(*end, file_.alignment_);
    CHECK(next);  // *end lies inside the file
    expected = *next;
  }
  return {};
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string_view where) {
  return GgufParser(bytes, where).run();
}

}  // namespace nibble
