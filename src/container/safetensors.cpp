#include "container/safetensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/byte_reader.h"
#include "base/check.h"
#include "base/checked.h"
#include "base/half.h"
#include "container/printable.h"
#include "container/safetensors_header.h"

namespace nibble {
namespace {

struct DtypeRow {
  SafeDtype dtype;
  std::string_view name;
  uint64_t bytes;
  bool is_float;
};

constexpr DtypeRow kDtypes[] = {
    {SafeDtype::BOOL, "BOOL", 1, false},      {SafeDtype::U8, "U8", 1, false},
    {SafeDtype::I8, "I8", 1, false},          {SafeDtype::F8_E5M2, "F8_E5M2", 1, true},
    {SafeDtype::F8_E4M3, "F8_E4M3", 1, true}, {SafeDtype::I16, "I16", 2, false},
    {SafeDtype::U16, "U16", 2, false},        {SafeDtype::F16, "F16", 2, true},
    {SafeDtype::BF16, "BF16", 2, true},       {SafeDtype::I32, "I32", 4, false},
    {SafeDtype::U32, "U32", 4, false},        {SafeDtype::F32, "F32", 4, true},
    {SafeDtype::F64, "F64", 8, true},         {SafeDtype::I64, "I64", 8, false},
    {SafeDtype::U64, "U64", 8, false},
};

const DtypeRow& row_of(SafeDtype dtype) {
  const auto& row = kDtypes[static_cast<size_t>(dtype)];
  CHECK(row.dtype == dtype);
  return row;
}

// F8_E4M3 ("fn"):  s eeee mmm, bias 7, no infinities, s 1111 111 is NaN; largest 448
// F8_E5M2:         s eeeee mm, bias 15, infinities and NaNs as in F16, whose upper byte it is
float from_e4m3(uint8_t code) {
  const float sign = (code & 0x80) != 0 ? -1.0f : 1.0f;
  const int exponent = code >> 3 & 0xf, mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return std::nanf("");
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -9);
  return sign * std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

const std::array<float, 256>& e4m3_table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (size_t i = 0; i < values.size(); ++i) values[i] = from_e4m3(static_cast<uint8_t>(i));
    return values;
  }();
  return table;
}

template <typename T>
T load(const std::byte* bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

std::string_view dtype_name(SafeDtype dtype) { return row_of(dtype).name; }
uint64_t dtype_bytes(SafeDtype dtype) { return row_of(dtype).bytes; }
bool is_float_dtype(SafeDtype dtype) { return row_of(dtype).is_float; }

std::optional<SafeDtype> find_dtype(std::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

void decode_dtype(SafeDtype dtype, const std::byte* bytes, float* x, int64_t n) {
  const auto each = [&](auto&& value_of) {
    for (int64_t i = 0; i < n; ++i) x[i] = value_of(i);
  };
  switch (dtype) {
    case SafeDtype::F32:
      std::memcpy(x, bytes, static_cast<size_t>(n) * sizeof(float));
      return;
    case SafeDtype::F64:
      return each([&](int64_t i) { return static_cast<float>(load<double>(bytes, i)); });
    case SafeDtype::F16:
      return each([&](int64_t i) { return f16_to_f32(load<uint16_t>(bytes, i)); });
    case SafeDtype::BF16:
      return each([&](int64_t i) { return bf16_to_f32(load<uint16_t>(bytes, i)); });
    case SafeDtype::F8_E4M3:
      return each([&](int64_t i) { return e4m3_table()[load<uint8_t>(bytes, i)]; });
    case SafeDtype::F8_E5M2:
      return each([&](int64_t i) {
        return f16_to_f32(static_cast<uint16_t>(load<uint8_t>(bytes, i) << 8));
      });
    default:
      CHECK(is_float_dtype(dtype));
  }
}

std::string SafeTensor::shape_text() const { return fmt::format("[{}]", fmt::join(dims(), ", ")); }

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes,
                                               std::string_view where) {
  ByteReader reader(bytes);
  const auto length = reader.read<uint64_t>();
  if (!length) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] has {} bytes; a safetensors file begins with 8 for the length of its "
                      "header; it was cut off",
                      where, bytes.size());
  }
  if (*length > kMaxSafetensorsHeaderBytes || *length > reader.remaining()) {
    const std::string kind = known_signature(bytes);
    return make_error(ErrorKind::kInvalid,
                      "[{}] says its header has {} bytes, of the {} that follow; at most {} are "
                      "allowed; {}",
                      where, *length, reader.remaining(), kMaxSafetensorsHeaderBytes,
                      kind.empty() ? "it was cut off, or is no safetensors file" : kind);
  }
  const auto text = reader.take_string(*length);
  SafetensorsFile file;
  file.bytes_ = bytes;
  file.data_offset_ = reader.offset();
  ASSIGN_OR_RETURN(file.tensors_, parse_safetensors_header(*text, where));
  RETURN_IF_ERROR(file.check_layout(where));
  return file;
}

// One after the other, and at the end the end of the file.
Status SafetensorsFile::check_layout(std::string_view where) {
  std::stable_sort(tensors_.begin(), tensors_.end(), [](const SafeTensor& a, const SafeTensor& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.size_bytes < b.size_bytes;
  });
  const uint64_t data_bytes = bytes_.size() - data_offset_;
  uint64_t end = 0;
  for (const SafeTensor& tensor : tensors_) {
    if (tensor.offset != end) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] tensor {} begins at byte {} of the data, where the one before ends "
                        "at {}; holes and overlaps are not allowed; the file is damaged",
                        where, printable(tensor.name), tensor.offset, end);
    }
    end = tensor.offset + tensor.size_bytes;  // both are below 2^63 (parse_safetensors_header)
    if (end > data_bytes) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] tensor {} ends at byte {} of the data, which has {}; the file was "
                        "cut off",
                        where, printable(tensor.name), end, data_bytes);
    }
  }
  if (end != data_bytes) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] has {} bytes behind its last tensor; none are allowed; the file is "
                      "damaged, or two in one",
                      where, data_bytes - end);
  }
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0u);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](uint32_t a, uint32_t b) { return tensors_[a].name < tensors_[b].name; });
  for (size_t i = 1; i < by_name_.size(); ++i) {
    if (tensors_[by_name_[i]].name != tensors_[by_name_[i - 1]].name) continue;
    return make_error(ErrorKind::kInvalid,
                      "[{}] has the tensor {} twice; programs would disagree about which counts; "
                      "the file is damaged",
                      where, printable(tensors_[by_name_[i]].name));
  }
  return {};
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  auto parsed = parse(mapped.bytes(), path.string());
  RETURN_IF_ERROR(mapped.check_unchanged());
  if (!parsed.ok()) return parsed.error();
  parsed->file_ = std::move(mapped);
  return parsed;
}

const SafeTensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

std::span<const std::byte> SafetensorsFile::data(const SafeTensor& tensor) const {
  CHECK(tensor.offset <= bytes_.size() - data_offset_ &&
        tensor.size_bytes <= bytes_.size() - data_offset_ - tensor.offset);
  return bytes_.subspan(data_offset_ + tensor.offset, tensor.size_bytes);
}

}  // namespace nibble
