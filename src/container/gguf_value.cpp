#include <cmath>
#include <concepts>
#include <cstring>
#include <limits>
#include <utility>

#include "base/byte_reader.h"
#include "base/check.h"
#include "container/gguf.h"
#include "container/gguf_rules.h"

namespace nibble {
namespace {

ByteReader reader_of(const std::string& bytes) {
  return ByteReader(std::as_bytes(std::span(bytes)));
}

// The next number of wire type `type`, whatever it is, given to visit(value).
template <typename Visit>
auto read_number(ByteReader& reader, GgufType type, Visit visit) -> decltype(visit(uint8_t{0})) {
  const auto read = [&]<typename T>(T) -> decltype(visit(uint8_t{0})) {
    const auto value = reader.read<T>();
    return value ? visit(*value) : std::nullopt;
  };
  switch (type) {
    case GgufType::kUint8:
      return read(uint8_t{});
    case GgufType::kInt8:
      return read(int8_t{});
    case GgufType::kUint16:
      return read(uint16_t{});
    case GgufType::kInt16:
      return read(int16_t{});
    case GgufType::kUint32:
      return read(uint32_t{});
    case GgufType::kInt32:
      return read(int32_t{});
    case GgufType::kUint64:
      return read(uint64_t{});
    case GgufType::kInt64:
      return read(int64_t{});
    case GgufType::kFloat32:
      return read(float{});
    case GgufType::kFloat64:
      return read(double{});
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return std::nullopt;
}

// An integer as another integer type when the value survives; no floats.
template <typename To, typename From>
std::optional<To> to_integer(From value) {
  if constexpr (std::integral<From>) {
    if (std::in_range<To>(value)) return static_cast<To>(value);
  }
  return std::nullopt;
}

template <typename T>
GgufValue array_of(GgufType element_type, std::span<const T> values) {
  std::string bytes;
  bytes.reserve(values.size() * sizeof(T));
  for (const T value : values) append_number(bytes, value);
  return GgufValue::of_raw(GgufType::kArray, element_type, values.size(), std::move(bytes));
}

template <typename T>
GgufValue scalar_of(GgufType type, T value) {
  std::string bytes;
  append_number(bytes, value);
  return GgufValue::of_raw(type, type, 1, std::move(bytes));
}

}  // namespace

GgufValue GgufValue::of_raw(GgufType type, GgufType element_type, uint64_t count,
                            std::string bytes) {
  CHECK(element_type != GgufType::kArray);
  CHECK(type == GgufType::kArray || (type == element_type && count == 1));
  GgufValue value;
  value.type_ = type;
  value.element_type_ = element_type;
  value.count_ = count;
  value.bytes_ = std::move(bytes);
  return value;
}

GgufValue GgufValue::of_uint16(uint16_t value) { return scalar_of(GgufType::kUint16, value); }
GgufValue GgufValue::of_uint32(uint32_t value) { return scalar_of(GgufType::kUint32, value); }
GgufValue GgufValue::of_int32(int32_t value) { return scalar_of(GgufType::kInt32, value); }
GgufValue GgufValue::of_float32(float value) { return scalar_of(GgufType::kFloat32, value); }
GgufValue GgufValue::of_bool(bool value) {
  return scalar_of(GgufType::kBool, static_cast<uint8_t>(value ? 1 : 0));
}

GgufValue GgufValue::of_string(std::string_view value) {
  std::string bytes;
  append_string(bytes, value);
  return of_raw(GgufType::kString, GgufType::kString, 1, std::move(bytes));
}

GgufValue GgufValue::of_strings(std::span<const std::string> values) {
  std::string bytes;
  for (const std::string& value : values) append_string(bytes, value);
  return of_raw(GgufType::kArray, GgufType::kString, values.size(), std::move(bytes));
}

GgufValue GgufValue::of_int32s(std::span<const int32_t> values) {
  return array_of(GgufType::kInt32, values);
}

GgufValue GgufValue::of_float32s(std::span<const float> values) {
  return array_of(GgufType::kFloat32, values);
}

std::optional<uint64_t> GgufValue::as_uint() const {
  ByteReader reader = reader_of(bytes_);
  return read_number(reader, type_, [](auto value) { return to_integer<uint64_t>(value); });
}

std::optional<int64_t> GgufValue::as_int() const {
  ByteReader reader = reader_of(bytes_);
  return read_number(reader, type_, [](auto value) { return to_integer<int64_t>(value); });
}

std::optional<double> GgufValue::as_float() const {
  ByteReader reader = reader_of(bytes_);
  return read_number(reader, type_,
                     [](auto value) { return std::optional(static_cast<double>(value)); });
}

std::optional<bool> GgufValue::as_bool() const {
  if (type_ != GgufType::kBool || bytes_.empty()) return std::nullopt;
  return bytes_[0] != 0;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type_ != GgufType::kString) return std::nullopt;
  ByteReader reader = reader_of(bytes_);
  const auto length = reader.read<uint64_t>();
  return length ? reader.take_string(*length) : std::nullopt;
}

std::optional<std::vector<std::string>> GgufValue::as_strings() const {
  if (type_ != GgufType::kArray || element_type_ != GgufType::kString) return std::nullopt;
  ByteReader reader = reader_of(bytes_);
  if (count_ > reader.remaining() / gguf_element_bytes(element_type_)) return std::nullopt;
  std::vector<std::string> values;
  values.reserve(count_);
  for (uint64_t i = 0; i < count_; ++i) {
    const auto length = reader.read<uint64_t>();
    const auto text = length ? reader.take_string(*length) : std::nullopt;
    if (!text) return std::nullopt;
    values.emplace_back(*text);
  }
  return values;
}

std::optional<std::vector<int64_t>> GgufValue::as_ints() const {
  if (type_ != GgufType::kArray) return std::nullopt;
  switch (element_type_) {
    case GgufType::kFloat32:
    case GgufType::kFloat64:
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
      return std::nullopt;
    default:
      break;
  }
  ByteReader reader = reader_of(bytes_);
  if (count_ > reader.remaining() / gguf_element_bytes(element_type_)) return std::nullopt;
  std::vector<int64_t> values;
  values.reserve(count_);
  for (uint64_t i = 0; i < count_; ++i) {
    const auto value =
        read_number(reader, element_type_, [](auto number) { return to_integer<int64_t>(number); });
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<std::vector<float>> GgufValue::as_floats() const {
  if (type_ != GgufType::kArray ||
      (element_type_ != GgufType::kFloat32 && element_type_ != GgufType::kFloat64)) {
    return std::nullopt;
  }
  ByteReader reader = reader_of(bytes_);
  if (count_ > reader.remaining() / gguf_element_bytes(element_type_)) return std::nullopt;
  std::vector<float> values;
  values.reserve(count_);
  for (uint64_t i = 0; i < count_; ++i) {
    const auto value = read_number(reader, element_type_, [](auto number) {
      return std::optional(static_cast<float>(number));
    });
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

void GgufMetadata::set(std::string_view key, GgufValue value) {
  const auto [place, is_new] = index_.try_emplace(std::string(key), entries_.size());
  if (is_new) {
    entries_.emplace_back(std::string(key), std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
}

void GgufMetadata::erase(std::string_view key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const size_t removed = found->second;
  index_.erase(found);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(removed));
  for (auto& [name, position] : index_) {
    if (position > removed) --position;
  }
}

}  // namespace nibble
