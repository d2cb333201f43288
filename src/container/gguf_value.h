// Metadata of a model: keys and typed values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nibble {

enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12
};

// One metadata value, kept as the bytes of the file so that what we do not understand is carried
// over unchanged. Accessors give nullopt when the type does not fit; integers convert between
// widths when the value survives.
class GgufValue {
 public:
  static GgufValue of_uint16(uint16_t value);
  static GgufValue of_uint32(uint32_t value);
  static GgufValue of_int32(int32_t value);
  static GgufValue of_float32(float value);
  static GgufValue of_bool(bool value);
  static GgufValue of_string(std::string_view value);
  static GgufValue of_strings(std::span<const std::string> values);
  static GgufValue of_int32s(std::span<const int32_t> values);
  static GgufValue of_float32s(std::span<const float> values);
  // `bytes`: the value as it stands in the file (validated by the reader).
  static GgufValue of_raw(GgufType type, GgufType element_type, uint64_t count, std::string bytes);

  GgufType type() const { return type_; }
  GgufType element_type() const { return element_type_; }  // of an array
  uint64_t count() const { return count_; }                // elements of an array, else 1
  // The wire bytes of the payload: a string with its length, an array without its head.
  const std::string& bytes() const { return bytes_; }

  bool operator==(const GgufValue&) const = default;

  std::optional<uint64_t> as_uint() const;
  std::optional<int64_t> as_int() const;
  std::optional<double> as_float() const;  // any number
  std::optional<bool> as_bool() const;
  std::optional<std::string_view> as_string() const;
  std::optional<std::vector<std::string>> as_strings() const;
  std::optional<std::vector<int64_t>> as_ints() const;  // array of any integer type
  std::optional<std::vector<float>> as_floats() const;  // array of float32 or float64

 private:
  GgufType type_ = GgufType::kUint8;
  GgufType element_type_ = GgufType::kUint8;
  uint64_t count_ = 1;
  std::string bytes_;
};

// Metadata in file order, keys unique.
class GgufMetadata {
 public:
  const GgufValue* find(std::string_view key) const;
  // Replaces or appends.
  void set(std::string_view key, GgufValue value);
  void erase(std::string_view key);
  const std::vector<std::pair<std::string, GgufValue>>& entries() const { return entries_; }

 private:
  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace nibble
