// The codebook formats: IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S. Decoded only.
//
// Every product here is exact in float32 (an f16, a scale of 5 bits, a value of 6), so the order of
// operations is free.
#include <cstring>

#include "base/half.h"
#include "formats/codebooks.h"
#include "formats/codecs.h"

namespace nibble::codecs {

namespace {

float odd(uint32_t s) { return static_cast<float>(2 * s + 1); }

// The bytes of one grid entry times scale to x, negated where a sign bit is set.
template <typename Entry>
void put(Entry entry, float scale, uint32_t signs, float* x) {
  for (size_t j = 0; j < sizeof(Entry); ++j) {
    const float value = scale * static_cast<float>((entry >> (8 * j)) & 255);
    x[j] = (signs >> j) & 1 ? -value : value;
  }
}

// scale * (8 g + 1), or 8 g - 1 where negative.
void put_iq1(uint64_t entry, float scale, bool negative, float* x) {
  for (size_t j = 0; j < 8; ++j) {
    const int moved = static_cast<int>((entry >> (8 * j)) & 255) - 8 + (negative ? -1 : 1);
    x[j] = scale * static_cast<float>(moved);
  }
}

uint32_t load_word(const uint8_t* p) {
  return p[0] | (uint32_t{p[1]} << 8) | (uint32_t{p[2]} << 16) | (uint32_t{p[3]} << 24);
}

}  // namespace

void decode_block(const BlockIQ1_S& block, float* x) {
  const float d = f16_to_f32(block.d) * 0.125f;
  for (int g = 0; g < 32; ++g) {
    const uint32_t qh = block.qh[g / 4];
    const uint32_t index = block.qs[g] | ((qh >> (3 * (g % 4))) & 7) << 8;
    put_iq1(kCodebooks.iq1[index], d * odd((qh >> 12) & 7), qh >> 15, x + 8 * g);
  }
}

void decode_block(const BlockIQ1_M& block, float* x) {
  const float d = f16_to_f32(BlockIQ1_M::d(block)) * 0.125f;
  for (int g = 0; g < 32; ++g) {
    const int half = g / 2;
    const uint32_t s = (block.scales[half / 4] >> (3 * (half % 4))) & 7u;
    const uint32_t qh = block.qh[half] >> (4 * (g % 2));
    put_iq1(kCodebooks.iq1[block.qs[g] | (qh & 7) << 8], d * odd(s), qh & 8, x + 8 * g);
  }
}

void decode_block(const BlockIQ2_XXS& block, float* x) {
  const float d = f16_to_f32(block.d) * 0.125f;
  for (int g = 0; g < 32; ++g) {
    const uint8_t* indices = block.qs + g / 4 * 8;
    const uint32_t word = load_word(indices + 4);
    put(kCodebooks.iq2_xxs[indices[g % 4]], d * odd(word >> 28),
        sign_byte((word >> (7 * (g % 4))) & 127), x + 8 * g);
  }
}

void decode_block(const BlockIQ2_XS& block, float* x) {
  const float d = f16_to_f32(block.d) * 0.125f;
  for (int g = 0; g < 32; ++g) {
    const uint32_t s = (block.scales[g / 4] >> (g % 4 / 2 * 4)) & 15u;
    put(kCodebooks.iq2_xs[block.qs[g] & 511], d * odd(s), sign_byte(block.qs[g] >> 9), x + 8 * g);
  }
}

void decode_block(const BlockIQ2_S& block, float* x) {
  const float d = f16_to_f32(block.d) * 0.125f;
  for (int g = 0; g < 32; ++g) {
    const uint32_t s = (block.scales[g / 4] >> (g % 4 / 2 * 4)) & 15u;
    const uint32_t index = block.qs[g] | ((block.qh[g / 4] >> (2 * (g % 4))) & 3u) << 8;
    put(kCodebooks.iq2_s[index], d * odd(s), block.signs[g], x + 8 * g);
  }
}

void decode_block(const BlockIQ3_XXS& block, float* x) {
  const float d = f16_to_f32(block.d) * 0.25f;
  for (int g = 0; g < 32; ++g) {
    const uint32_t word = load_word(block.signs + g / 4 * 4);
    const uint32_t signs = sign_byte((word >> (7 * (g % 4))) & 127);
    const float scale = d * odd(word >> 28);
    put(kCodebooks.iq3_xxs[block.qs[2 * g]], scale, signs, x + 8 * g);
    put(kCodebooks.iq3_xxs[block.qs[2 * g + 1]], scale, signs >> 4, x + 8 * g + 4);
  }
}

void decode_block(const BlockIQ3_S& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int g = 0; g < 32; ++g) {
    const int i = g / 4;
    const float scale = d * odd((block.scales[i / 2] >> (i % 2 * 4)) & 15u);
    const uint32_t high = static_cast<uint32_t>(block.qh[i]) >> (2 * (g % 4));
    put(kCodebooks.iq3_s[block.qs[2 * g] | (high & 1) << 8], scale, block.signs[g], x + 8 * g);
    put(kCodebooks.iq3_s[block.qs[2 * g + 1] | (high & 2) << 7], scale, block.signs[g] >> 4u,
        x + 8 * g + 4);
  }
}

}  // namespace nibble::codecs
