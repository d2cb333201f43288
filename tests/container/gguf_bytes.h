// Composes GGUF bytes field by field, right or wrong, and remembers where each number stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble::test {

class GgufBytes {
 public:
  struct Field {
    size_t offset;
    size_t width;
    std::string label;
  };

  GgufBytes& header(uint64_t n_tensors, uint64_t n_entries, uint32_t version = 3) {
    raw("GGUF");
    number(version, "version");
    number(n_tensors, "n_tensors");
    return number(n_entries, "n_entries");
  }

  template <typename T>
  GgufBytes& number(T value, std::string label = "") {
    if (!label.empty()) fields_.push_back({bytes_.size(), sizeof(T), std::move(label)});
    char wire[sizeof(T)];
    std::memcpy(wire, &value, sizeof(T));
    bytes_.append(wire, sizeof(T));
    return *this;
  }

  GgufBytes& raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }

  GgufBytes& string(std::string_view text, std::string label = "") {
    number<uint64_t>(text.size(), label.empty() ? label : label + " length");
    return raw(text);
  }

  // A scalar entry of any type id.
  template <typename T>
  GgufBytes& entry(std::string_view key, uint32_t type, T value) {
    const std::string label(key);
    string(key, label + " key");
    number(type, label + " type");
    return number(value, label + " value");
  }

  GgufBytes& string_entry(std::string_view key, std::string_view text) {
    const std::string label(key);
    string(key, label + " key");
    number<uint32_t>(8, label + " type");
    return string(text, label + " value");
  }

  // The head of an array entry; the elements follow.
  GgufBytes& array_entry(std::string_view key, uint32_t element_type, uint64_t count) {
    const std::string label(key);
    string(key, label + " key");
    number<uint32_t>(9, label + " type");
    number(element_type, label + " element type");
    return number(count, label + " array length");
  }

  GgufBytes& tensor(std::string_view name, const std::vector<int64_t>& dims, uint32_t type,
                    uint64_t offset) {
    const std::string label(name);
    string(name, label + " name");
    number(static_cast<uint32_t>(dims.size()), label + " n_dims");
    for (const int64_t dim : dims) number(dim, label + " dim");
    number(type, label + " type");
    return number(offset, label + " offset");
  }

  GgufBytes& pad(size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, '\0');
    return *this;
  }

  // n data bytes that count up from `first`.
  GgufBytes& data(size_t n, int first = 1) {
    for (size_t i = 0; i < n; ++i) {
      bytes_.push_back(static_cast<char>(static_cast<size_t>(first) + i));
    }
    return *this;
  }

  size_t size() const { return bytes_.size(); }
  const std::string& text() const { return bytes_; }
  const std::vector<Field>& fields() const { return fields_; }

 private:
  std::string bytes_;
  std::vector<Field> fields_;
};

// A small valid file with every kind of value and several formats. header_bytes (if given): where
// the padding before the data begins.
inline GgufBytes small_valid_file(uint32_t version = 3, size_t* header_bytes = nullptr) {
  GgufBytes file;
  file.header(3, 16, version);
  file.string_entry("general.architecture", "llama");
  file.entry<uint32_t>("general.alignment", 4, 32);
  file.entry<uint8_t>("u8", 0, 200);
  file.entry<int8_t>("i8", 1, -100);
  file.entry<uint16_t>("u16", 2, 60000);
  file.entry<int16_t>("i16", 3, -30000);
  file.entry<int32_t>("i32", 5, -2000000000);
  file.entry<float>("f32", 6, 1.5f);
  file.entry<uint8_t>("bool", 7, 1);
  file.entry<uint64_t>("u64", 10, ~uint64_t{0});
  file.entry<int64_t>("i64", 11, int64_t{-1} << 62);
  file.entry<double>("f64", 12, 0.1);
  file.array_entry("strings", 8, 3).string("a", "strings 0").string("", "strings 1");
  file.string(std::string_view("\xff\x00z", 3), "strings 2");
  file.array_entry("ints", 5, 4);
  for (const int32_t value : {-1, 0, 1, 7}) file.number(value, "ints element");
  file.array_entry("floats", 6, 2).number(0.25f).number(-8.0f);
  file.array_entry("empty", 4, 0);
  file.tensor("token_embd.weight", {64, 2}, 8, 0);      // Q8_0: 4 blocks of 34 bytes, padded to 160
  file.tensor("blk.0.ffn.weight", {32, 1, 2}, 2, 160);  // Q4_0: 2 blocks of 18 bytes, padded to 64
  file.tensor("norm", {5}, 0, 224);                     // F32: 20 bytes, padded to 32
  if (header_bytes != nullptr) *header_bytes = file.size();
  file.pad().data(136).pad().data(36).pad().data(20).pad();
  return file;
}

}  // namespace nibble::test
