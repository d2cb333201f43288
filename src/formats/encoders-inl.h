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

// The formats that are encoded by a search over lanes: F(name) for each.
// clang-format off
#define NIBBLE_FOR_SEARCHED_FORMATS(F)    \
  F(Q4_0) F(Q4_1) F(Q5_0) F(Q5_1) F(Q8_0) \
  F(Q2_K) F(Q3_K) F(Q4_K) F(Q5_K) F(Q6_K) \
  F(IQ4_NL) F(IQ4_XS) F(MXFP4)
// clang-format on

// As Format::encode.
template <typename Block>
void encode_row(const float* x, const float* importance, void* blocks, int64_t n) {
  encode_blocks(x, importance, static_cast<Block*>(blocks), n);
}

// By wire id; formats without a search over lanes are left as they are.
inline void set_encoders(EncodeFn* table) {
#define NIBBLE_SET(name) table[static_cast<uint32_t>(FormatId::name)] = encode_row<Block##name>;
  NIBBLE_FOR_SEARCHED_FORMATS(NIBBLE_SET)
#undef NIBBLE_SET
}
