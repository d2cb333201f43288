// The searching encoders with four lanes: what every machine can run, and the reference for the
// copies with more lanes in kernels/.
#include <cstdint>

#include "formats/blocks.h"
#include "formats/codecs.h"

#define NIBBLE_LANES 4

namespace nibble {

namespace four_lanes {
namespace {
#include "formats/encoders-inl.h"
}  // namespace
}  // namespace four_lanes

namespace codecs {

void encode_blocks(const float* x, const float* importance, BlockQ4_0* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ4_1* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ5_0* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ5_1* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ8_0* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ2_K* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ3_K* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ4_K* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ5_K* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockQ6_K* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockIQ4_NL* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockIQ4_XS* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}
void encode_blocks(const float* x, const float* importance, BlockMXFP4* blocks, int64_t n) {
  four_lanes::encode_blocks(x, importance, blocks, n);
}

}  // namespace codecs
}  // namespace nibble
