// The encoders, as one text that is compiled once per number of lanes: define NIBBLE_LANES as 4 or
// 8 and include this inside a namespace of your own, after <cstdint> and formats/blocks.h. The
// bytes that come out do not depend on the number of lanes or on the instruction set.
#include "formats/lanes-inl.h"

#include "formats/scale_search-inl.h"

#include "formats/block_group-inl.h"

#include "formats/super_block_search-inl.h"

#include "formats/encode_legacy-inl.h"

#include "formats/encode_k_quants-inl.h"

#include "formats/encode_tables-inl.h"

// As Format::encode.
template <typename Block>
void encode_row(const float* x, const float* importance, void* blocks, int64_t n) {
  encode_blocks(x, importance, static_cast<Block*>(blocks), n);
}

// By wire id; formats without a search over lanes are left as they are.
inline void set_encoders(EncodeFn* table) {
  table[static_cast<uint32_t>(FormatId::Q4_0)] = encode_row<BlockQ4_0>;
  table[static_cast<uint32_t>(FormatId::Q4_1)] = encode_row<BlockQ4_1>;
  table[static_cast<uint32_t>(FormatId::Q5_0)] = encode_row<BlockQ5_0>;
  table[static_cast<uint32_t>(FormatId::Q5_1)] = encode_row<BlockQ5_1>;
  table[static_cast<uint32_t>(FormatId::Q8_0)] = encode_row<BlockQ8_0>;
  table[static_cast<uint32_t>(FormatId::Q2_K)] = encode_row<BlockQ2_K>;
  table[static_cast<uint32_t>(FormatId::Q3_K)] = encode_row<BlockQ3_K>;
  table[static_cast<uint32_t>(FormatId::Q4_K)] = encode_row<BlockQ4_K>;
  table[static_cast<uint32_t>(FormatId::Q5_K)] = encode_row<BlockQ5_K>;
  table[static_cast<uint32_t>(FormatId::Q6_K)] = encode_row<BlockQ6_K>;
  table[static_cast<uint32_t>(FormatId::IQ4_NL)] = encode_row<BlockIQ4_NL>;
  table[static_cast<uint32_t>(FormatId::IQ4_XS)] = encode_row<BlockIQ4_XS>;
  table[static_cast<uint32_t>(FormatId::MXFP4)] = encode_row<BlockMXFP4>;
}
