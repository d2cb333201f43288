// One row per format, derived from its block struct.
#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/half.h"
#include "formats/blocks.h"
#include "formats/codecs.h"
#include "formats/format.h"

namespace nibble {

namespace {

template <typename Block>
void decode_row(const void* blocks, float* x, int64_t n) {
  const Block* block = static_cast<const Block*>(blocks);
  for (int64_t i = 0; i < n; i += Block::kLen) codecs::decode_block(*block++, x + i);
}

template <typename Block>
void encode_row(const float* x, const float* importance, void* blocks, int64_t n) {
  codecs::encode_blocks(x, importance, static_cast<Block*>(blocks), n);
}

template <typename Block>
concept Writable = requires(const float* x, Block* blocks) {
  codecs::encode_blocks(x, x, blocks, int64_t{});
};

constexpr bool bad_f16(uint16_t bits) { return (bits & 0x7c00u) == 0x7c00u; }

template <typename Block>
int64_t count_bad(const void* blocks, int64_t n) {
  const Block* block = static_cast<const Block*>(blocks);
  int64_t bad = 0;
  for (int64_t i = 0; i < n; i += Block::kLen, ++block) {
    if constexpr (requires { Block::bad_scales(*block); }) {
      bad += Block::bad_scales(*block);
    } else {
      bad += bad_f16(block->d);
      if constexpr (requires { block->m; }) bad += bad_f16(block->m);
      if constexpr (requires { block->dmin; }) bad += bad_f16(block->dmin);
    }
  }
  return bad;
}

// Integers and F64 at any address: carried through files, shown, never computed with.
template <typename T>
void decode_number(const void* blocks, float* x, int64_t n) {
  const char* bytes = static_cast<const char*>(blocks);
  for (int64_t i = 0; i < n; ++i, bytes += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    x[i] = static_cast<float>(value);
  }
}

template <typename Block>
constexpr Format block_row(std::string_view name, Activation activation) {
  Format format{Block::kId,         name,    Block::kLen,      sizeof(Block), activation, true,
                &decode_row<Block>, nullptr, &count_bad<Block>};
  if constexpr (Writable<Block>) format.encode = &encode_row<Block>;
  return format;
}

template <typename T>
constexpr Format number_row(FormatId id, std::string_view name) {
  return {id, name, 1, sizeof(T), Activation::kFloat, false, &decode_number<T>, nullptr, nullptr};
}

constexpr Activation kFloat = Activation::kFloat;

constexpr std::array kFormats = {
    Format{FormatId::F32, "F32", 1, sizeof(float), kFloat, true, &codecs::decode_f32,
           &codecs::encode_f32, nullptr},
    Format{FormatId::F16, "F16", 1, sizeof(uint16_t), kFloat, true, &codecs::decode_f16,
           &codecs::encode_f16, nullptr},
    block_row<BlockQ4_0>("Q4_0", Activation::kQ8_32),
    block_row<BlockQ4_1>("Q4_1", Activation::kQ8_32),
    block_row<BlockQ5_0>("Q5_0", Activation::kQ8_32),
    block_row<BlockQ5_1>("Q5_1", Activation::kQ8_32),
    block_row<BlockQ8_0>("Q8_0", Activation::kQ8_32),
    block_row<BlockQ2_K>("Q2_K", Activation::kQ8_256),
    block_row<BlockQ3_K>("Q3_K", Activation::kQ8_256),
    block_row<BlockQ4_K>("Q4_K", Activation::kQ8_256),
    block_row<BlockQ5_K>("Q5_K", Activation::kQ8_256),
    block_row<BlockQ6_K>("Q6_K", Activation::kQ8_256),
    block_row<BlockIQ2_XXS>("IQ2_XXS", Activation::kQ8_256),
    block_row<BlockIQ2_XS>("IQ2_XS", Activation::kQ8_256),
    block_row<BlockIQ3_XXS>("IQ3_XXS", Activation::kQ8_256),
    block_row<BlockIQ1_S>("IQ1_S", Activation::kQ8_256),
    block_row<BlockIQ4_NL>("IQ4_NL", Activation::kQ8_32),
    block_row<BlockIQ3_S>("IQ3_S", Activation::kQ8_256),
    block_row<BlockIQ2_S>("IQ2_S", Activation::kQ8_256),
    block_row<BlockIQ4_XS>("IQ4_XS", Activation::kQ8_256),
    number_row<int8_t>(FormatId::I8, "I8"),
    number_row<int16_t>(FormatId::I16, "I16"),
    number_row<int32_t>(FormatId::I32, "I32"),
    number_row<int64_t>(FormatId::I64, "I64"),
    number_row<double>(FormatId::F64, "F64"),
    block_row<BlockIQ1_M>("IQ1_M", Activation::kQ8_256),
    Format{FormatId::BF16, "BF16", 1, sizeof(uint16_t), kFloat, true, &codecs::decode_bf16,
           &codecs::encode_bf16, nullptr},
    block_row<BlockTQ1_0>("TQ1_0", Activation::kQ8_256),
    block_row<BlockTQ2_0>("TQ2_0", Activation::kQ8_256),
    block_row<BlockMXFP4>("MXFP4", Activation::kQ8_32),
    block_row<BlockNVFP4>("NVFP4", Activation::kQ8_32),
    block_row<BlockQ1_0>("Q1_0", Activation::kQ8_32),
    block_row<BlockQ2_0>("Q2_0", Activation::kQ8_32),
};

constexpr bool in_wire_id_order() {
  for (size_t i = 1; i < kFormats.size(); ++i) {
    if (kFormats[i - 1].id >= kFormats[i].id) return false;
  }
  return true;
}
static_assert(in_wire_id_order());

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

std::span<const Format> all_formats() { return kFormats; }

const Format* find_format(uint32_t wire_id) {
  for (const Format& format : kFormats) {
    if (static_cast<uint32_t>(format.id) == wire_id) return &format;
  }
  return nullptr;
}

const Format& format_of(FormatId id) {
  const Format* format = find_format(static_cast<uint32_t>(id));
  CHECK(format != nullptr);
  return *format;
}

const Format* find_format(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name.size() != name.size()) continue;
    bool same = true;
    for (size_t i = 0; i < name.size(); ++i) same = same && upper(name[i]) == format.name[i];
    if (same) return &format;
  }
  return nullptr;
}

int64_t count_bad_scales(const Format& format, const void* blocks, int64_t n) {
  return format.count_bad_scales == nullptr ? 0 : format.count_bad_scales(blocks, n);
}

}  // namespace nibble
