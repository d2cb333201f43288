// safetensors: a header of JSON, then the bytes of the tensors.
//
//   u64 N | N bytes of JSON | data
//   {"__metadata__": {"key": "text"}, "name": {"dtype": "BF16", "shape": [2, 3],
//    "data_offsets": [begin, end]}, ...}          offsets count from the first byte of data
//
// Numbers are little-endian; shapes begin with the slowest dimension, the other way round than in
// GGUF. Source of the layout and of the rules: the format's own description (safetensors project).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace nibble {

// The limit of the reference implementation.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;
// Limits of ours, far beyond any real model: together with the one above they bound what a hostile
// header can cost.
inline constexpr uint64_t kMaxSafetensors = 1u << 18;
inline constexpr size_t kMaxSafetensorNameBytes = 512;
inline constexpr size_t kMaxSafetensorDims = 8;

enum class SafeDtype : uint8_t {
  BOOL,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  F64,
  I64,
  U64
};

std::string_view dtype_name(SafeDtype dtype);
uint64_t dtype_bytes(SafeDtype dtype);
// Whether it counts as weights: a floating-point type.
bool is_float_dtype(SafeDtype dtype);
// n numbers of a floating-point type as float32. F64 is rounded; everything else is exact. Any
// address is allowed. CHECK: is_float_dtype.
void decode_dtype(SafeDtype dtype, const std::byte* bytes, float* x, int64_t n);

struct SafeTensor {
  std::string name;
  SafeDtype dtype = SafeDtype::F32;
  uint8_t n_dims = 0;
  std::array<int64_t, kMaxSafetensorDims> shape{};  // slowest first
  uint64_t offset = 0, size_bytes = 0;              // within the data

  std::span<const int64_t> dims() const { return {shape.data(), n_dims}; }
  // "[3, 4]"
  std::string shape_text() const;
};

// A validated file: names are unique, every tensor has the bytes that its shape needs, and together
// they are the data, without hole or overlap. Tensors stand in the order of their data.
class SafetensorsFile {
 public:
  // Errors: kNotFound, kUsage (not a regular file), kInvalid (malformed, with what and where).
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  // The parser itself, over bytes in memory (tests, fuzzing). The bytes must outlive the result.
  static Result<SafetensorsFile> parse(std::span<const std::byte> bytes, std::string_view where);

  const std::vector<SafeTensor>& tensors() const { return tensors_; }
  const SafeTensor* find(std::string_view name) const;
  std::span<const std::byte> data(const SafeTensor& tensor) const;
  const MappedFile& file() const { return file_; }  // empty after parse()
  uint64_t file_bytes() const { return bytes_.size(); }

 private:
  Status check_layout(std::string_view where);

  MappedFile file_;
  std::span<const std::byte> bytes_;
  uint64_t data_offset_ = 0;
  std::vector<SafeTensor> tensors_;
  std::vector<uint32_t> by_name_;
};

// The header of a file with these tensors (offsets and sizes set), padded so that the data is
// aligned to 8. In the file the 8 bytes of its length stand before it.
std::string safetensors_header(std::span<const SafeTensor> tensors);

}  // namespace nibble
