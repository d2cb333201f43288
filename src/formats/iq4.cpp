// IQ4_NL: 32 weights, one f16 scale, codes into a fixed table of 16 values.
#include "base/half.h"
#include "formats/block_group.h"
#include "formats/codecs.h"

namespace nibble::codecs {

namespace {

using lanes::F4;
using search::BlockGroup;
using search::kGroupLen;

struct TableIndex {
  uint8_t of[256];  // by value + 128
};
constexpr TableIndex kTableIndex = [] {
  TableIndex index{};
  for (int k = 0; k < 16; ++k) index.of[kIQ4Values[k] + 128] = static_cast<uint8_t>(k);
  return index;
}();

// The table has no zero, so where d is near the smallest subnormal a block of zeros (d = 0) can be
// the better answer.
BlockGroup::Stored choose(const BlockGroup& group) {
  BlockGroup::Stored d = group.store_nonzero(search::fit_iq4(group.x, group.w, kGroupLen));
  const F4 inverse = lanes::inverse(d.value);
  F4 error{}, error_of_zero{};
  for (int j = 0; j < kGroupLen; ++j) {
    const F4 rest = group.x[j] - d.value * search::nearest_iq4_value(group.x[j] * inverse);
    error += group.w[j] * rest * rest;
    error_of_zero += group.w[j] * group.x[j] * group.x[j];
  }
  for (int lane = 0; lane < lanes::kCount; ++lane) {
    if (!(error[lane] > error_of_zero[lane])) continue;
    d.bits[lane] = 0;
    d.value[lane] = 0;
  }
  return d;
}

}  // namespace

void decode_block(const BlockIQ4_NL& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    x[j] = d * static_cast<float>(kIQ4Values[block.qs[j] & 15]);
    x[j + 16] = d * static_cast<float>(kIQ4Values[block.qs[j] >> 4]);
  }
}

void encode_blocks(const float* x, const float* importance, BlockIQ4_NL* blocks, int64_t n) {
  search::for_each_group(
      x, importance, n, search::Weighting::kBlock, [&](const BlockGroup& group, int64_t i) {
        const BlockGroup::Stored d = choose(group);
        const F4 inverse = lanes::inverse(d.value);
        uint8_t q[lanes::kCount][kGroupLen];
        for (int j = 0; j < kGroupLen; ++j) {
          const F4 value = search::nearest_iq4_value(group.x[j] * inverse);
          for (int lane = 0; lane < lanes::kCount; ++lane) {
            q[lane][j] = kTableIndex.of[static_cast<int>(value[lane]) + 128];
          }
        }
        for (int b = 0; b < group.n_blocks; ++b) {
          blocks[i + b].d = d.bits[b];
          for (int j = 0; j < 16; ++j) {
            blocks[i + b].qs[j] = static_cast<uint8_t>(q[b][j] | (q[b][j + 16] << 4));
          }
        }
      });
}

}  // namespace nibble::codecs
