// The codecs behind the catalog: one overload pair per block struct, each in its family's file.
#pragma once

#include <cstdint>

#include "formats/blocks.h"

namespace nibble::codecs {

// One block to kLen floats. The order of operations is part of the format (products of scales
// first, then times the code, then the minimum), so that decoded values are bit-equal everywhere.
void decode_block(const BlockQ4_0& block, float* x);
void decode_block(const BlockQ4_1& block, float* x);
void decode_block(const BlockQ5_0& block, float* x);
void decode_block(const BlockQ5_1& block, float* x);
void decode_block(const BlockQ8_0& block, float* x);
void decode_block(const BlockQ2_K& block, float* x);
void decode_block(const BlockQ3_K& block, float* x);
void decode_block(const BlockQ4_K& block, float* x);
void decode_block(const BlockQ5_K& block, float* x);
void decode_block(const BlockQ6_K& block, float* x);
void decode_block(const BlockIQ4_NL& block, float* x);
void decode_block(const BlockIQ4_XS& block, float* x);
void decode_block(const BlockIQ1_S& block, float* x);
void decode_block(const BlockIQ1_M& block, float* x);
void decode_block(const BlockIQ2_XXS& block, float* x);
void decode_block(const BlockIQ2_XS& block, float* x);
void decode_block(const BlockIQ2_S& block, float* x);
void decode_block(const BlockIQ3_XXS& block, float* x);
void decode_block(const BlockIQ3_S& block, float* x);
void decode_block(const BlockTQ1_0& block, float* x);
void decode_block(const BlockTQ2_0& block, float* x);
void decode_block(const BlockMXFP4& block, float* x);
void decode_block(const BlockNVFP4& block, float* x);
void decode_block(const BlockQ1_0& block, float* x);
void decode_block(const BlockQ2_0& block, float* x);

// n floats (a multiple of kLen) to blocks; importance: n factors or null. A block without an
// overload here cannot be written.
void encode_blocks(const float* x, const float* importance, BlockQ4_0* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ4_1* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ5_0* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ5_1* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ8_0* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ2_K* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ3_K* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ4_K* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ5_K* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockQ6_K* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockIQ4_NL* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockIQ4_XS* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockTQ1_0* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockTQ2_0* blocks, int64_t n);
void encode_blocks(const float* x, const float* importance, BlockMXFP4* blocks, int64_t n);

// Formats of one number per weight. The address may be odd. Finite values out of range of F16 and
// BF16 are stored as the largest finite value of their sign.
void decode_f32(const void* blocks, float* x, int64_t n);
void decode_f16(const void* blocks, float* x, int64_t n);
void decode_bf16(const void* blocks, float* x, int64_t n);
void encode_f32(const float* x, const float* importance, void* blocks, int64_t n);
void encode_f16(const float* x, const float* importance, void* blocks, int64_t n);
void encode_bf16(const float* x, const float* importance, void* blocks, int64_t n);

}  // namespace nibble::codecs
