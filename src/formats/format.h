// A number format: how `block_len` weights become `block_bytes` bytes, as a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace nibble {

// The wire id is GGUF's ggml_type number. Enum values are spelled as users spell them.
enum class FormatId : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  IQ2_XXS = 16,
  IQ2_XS = 17,
  IQ3_XXS = 18,
  IQ1_S = 19,
  IQ4_NL = 20,
  IQ3_S = 21,
  IQ2_S = 22,
  IQ4_XS = 23,
  I8 = 24,
  I16 = 25,
  I32 = 26,
  I64 = 27,
  F64 = 28,
  IQ1_M = 29,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
  NVFP4 = 40,
  Q1_0 = 41,
  Q2_0 = 42,
};

// What a weight block is multiplied with in the fast path.
enum class Activation {
  kFloat,  // float32 as it is
  kQ8_32,  // 8-bit codes, one float scale per 32
  kQ8_256  // 8-bit codes, one float scale per 256, integer sums per 16
};

using EncodeFn = void (*)(const float* x, const float* importance, void* blocks, int64_t n);

struct Format {
  FormatId id;
  std::string_view name;  // "Q4_K"
  int block_len;          // weights per block
  size_t block_bytes;     // sizeof the block struct
  Activation activation;
  bool is_weight;  // false: integers and F64, carried through and never quantized to

  // blocks -> x. n weights, a multiple of block_len. Always there: the reference. Blocks of
  // block_len 1 and those made of bytes (formats/blocks.h) may lie at any address, all others at an
  // even one.
  void (*decode)(const void* blocks, float* x, int64_t n);

  // x -> blocks, minimising the weighted squared error (formats/scale_search-inl.h). importance: n
  // non-negative factors (mean squared activation per column) or null for none. x finite; what
  // comes out is finite too, scales out of the range of f16 are clamped to its largest number.
  // With importance a call takes one whole row (its mean square enters the weights of the 32-wide
  // formats); without, blocks do not depend on each other and n may be any part of a row.
  // Null when the format cannot be written. Deterministic: same bytes on every machine.
  EncodeFn encode;

  // How many scales and minima of n weights are NaN or infinite. Null for formats without blocks.
  int64_t (*count_bad_scales)(const void* blocks, int64_t n);

  double bits_per_weight() const {
    return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_len);
  }
  // Bytes of n weights; n a multiple of block_len, and small enough (checked where files are read).
  size_t size_bytes(int64_t n) const { return static_cast<size_t>(n / block_len) * block_bytes; }
};

// All known formats, in wire id order.
std::span<const Format> all_formats();
// By id; every FormatId has a row.
const Format& format_of(FormatId id);
// By number in a file, or null.
const Format* find_format(uint32_t wire_id);
// By name in any case ("q4_k"), or null.
const Format* find_format(std::string_view name);

// How many scales (or minima) among these blocks are NaN or infinite. n: weights. 0 for formats
// without blocks, whose numbers have no scale.
int64_t count_bad_scales(const Format& format, const void* blocks, int64_t n);

}  // namespace nibble
