#include "formats/block_group.h"

#include "base/half.h"

namespace nibble::search {

namespace {

// The next binary16 below `bits`, finite: -65504 stays.
uint16_t step_down(uint16_t bits) {
  if (bits == 0 || bits == 0x8000u) return 0x8001u;
  if (bits == 0xfbffu) return bits;
  return static_cast<uint16_t>((bits & 0x8000u) ? bits + 1 : bits - 1);
}

template <typename ToBits>
BlockGroup::Stored store_lanes(const BlockGroup& group, F4 v, ToBits&& to_bits) {
  BlockGroup::Stored stored{};
  for (int lane = 0; lane < lanes::kCount; ++lane) {
    stored.bits[lane] = to_bits(v[lane] * group.scale[lane].down);
    stored.value[lane] = f16_to_f32(stored.bits[lane]) * group.scale[lane].up;
  }
  return stored;
}

}  // namespace

BlockGroup::Stored BlockGroup::store(F4 v) const {
  return store_lanes(*this, v, [](float s) { return finite_f16(s); });
}

BlockGroup::Stored BlockGroup::store_nonzero(F4 v) const {
  return store_lanes(*this, v, [](float s) { return finite_f16_nonzero(s); });
}

BlockGroup::Stored BlockGroup::store_below(F4 v) const {
  return store_lanes(*this, v, [](float s) { return step_down(finite_f16(s)); });
}

void load_group(const float* x, const float* importance, int n_blocks, float row_sigma2,
                BlockGroup& group) {
  constexpr int kTotal = kGroupLen * lanes::kCount;
  float values[kTotal] = {};
  float weights[kTotal];
  for (int j = 0; j < kTotal; ++j) weights[j] = 1;
  group.n_blocks = n_blocks;
  for (int b = 0; b < lanes::kCount; ++b) {
    group.scale[b] = {1, 1};
    if (b >= n_blocks) continue;
    const float* block = x + b * kGroupLen;
    float* v = values + b * kGroupLen;
    const PowerOfTwo scale = group.scale[b] = normaliser(block, kGroupLen);
    for (int j = 0; j < kGroupLen; ++j) v[j] = block[j] * scale.up;
    if (importance == nullptr && row_sigma2 >= 0) continue;
    float sigma2 = 2.0f * mean_square(v, kGroupLen);
    if (row_sigma2 >= 0) {
      // A block far below its row: its weights all count the same; 1e30 keeps the square finite.
      const float normalised = row_sigma2 * scale.up * scale.up;
      sigma2 = normalised < 1e30f ? normalised : 1e30f;
    }
    search_weights(v, importance ? importance + b * kGroupLen : nullptr, kGroupLen, sigma2, false,
                   weights + b * kGroupLen);
  }
  lanes::transpose(values, kGroupLen, group.x);
  lanes::transpose(weights, kGroupLen, group.w);
}

}  // namespace nibble::search
