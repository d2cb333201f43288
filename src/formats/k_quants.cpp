// Q4_K, Q5_K, Q6_K: packing and unpacking. The searches are in super_block_search.cpp.
#include "base/half.h"
#include "formats/codecs.h"
#include "formats/scale_search.h"

namespace nibble::codecs {

namespace {

// The inverse of scale_min_k4() for all eight sub-blocks.
void pack_scales_k4(const uint8_t sc[8], const uint8_t m[8], uint8_t scales[12]) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = static_cast<uint8_t>(sc[j] | ((sc[j + 4] >> 4) << 6));
    scales[j + 4] = static_cast<uint8_t>(m[j] | ((m[j + 4] >> 4) << 6));
    scales[j + 8] = static_cast<uint8_t>((sc[j + 4] & 15) | ((m[j + 4] & 15) << 4));
  }
}

}  // namespace

void decode_block(const BlockQ4_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int j = 0; j < 8; ++j) {
    uint8_t sc, m;
    scale_min_k4(block.scales, j, sc, m);
    const float scale = d * static_cast<float>(sc);
    const float offset = dmin * static_cast<float>(m);
    const uint8_t* qs = block.qs + 32 * (j / 2);
    const int shift = 4 * (j & 1);
    for (int l = 0; l < 32; ++l) {
      x[32 * j + l] = scale * static_cast<float>((qs[l] >> shift) & 15) - offset;
    }
  }
}

void decode_block(const BlockQ5_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int j = 0; j < 8; ++j) {
    uint8_t sc, m;
    scale_min_k4(block.scales, j, sc, m);
    const float scale = d * static_cast<float>(sc);
    const float offset = dmin * static_cast<float>(m);
    const uint8_t* qs = block.qs + 32 * (j / 2);
    const int shift = 4 * (j & 1);
    for (int l = 0; l < 32; ++l) {
      const int q = ((qs[l] >> shift) & 15) | (((block.qh[l] >> j) & 1) << 4);
      x[32 * j + l] = scale * static_cast<float>(q) - offset;
    }
  }
}

void decode_block(const BlockQ6_K& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    const float scale = d * static_cast<float>(block.scales[j]);
    const int half = j / 8;           // 128 weights
    const int quarter = (j % 8) / 2;  // 32 weights: W[0], W[32], W[64], W[96] of blocks.h
    const uint8_t* ql = block.ql + 64 * half + 32 * (quarter & 1) + 16 * (j & 1);
    const uint8_t* qh = block.qh + 32 * half + 16 * (j & 1);
    const int low_shift = 4 * (quarter >> 1);
    const int high_shift = 2 * quarter;
    for (int l = 0; l < 16; ++l) {
      const int q = ((ql[l] >> low_shift) & 15) | (((qh[l] >> high_shift) & 3) << 4);
      x[16 * j + l] = scale * static_cast<float>(q - 32);
    }
  }
}

void encode_blocks(const float* x, const float* importance, BlockQ4_K* blocks, int64_t n) {
  search::AffineSuperBlock found;
  for (int64_t i = 0; i < n; i += BlockQ4_K::kLen, ++blocks) {
    search::search_affine_super_block(x + i, importance ? importance + i : nullptr, 15, found);
    blocks->d = found.d;
    blocks->dmin = found.dmin;
    pack_scales_k4(found.sc, found.m, blocks->scales);
    for (int g = 0; g < 4; ++g) {
      const uint8_t* q = found.q + 64 * g;
      for (int l = 0; l < 32; ++l) {
        blocks->qs[32 * g + l] = static_cast<uint8_t>(q[l] | (q[l + 32] << 4));
      }
    }
  }
}

void encode_blocks(const float* x, const float* importance, BlockQ5_K* blocks, int64_t n) {
  search::AffineSuperBlock found;
  for (int64_t i = 0; i < n; i += BlockQ5_K::kLen, ++blocks) {
    search::search_affine_super_block(x + i, importance ? importance + i : nullptr, 31, found);
    blocks->d = found.d;
    blocks->dmin = found.dmin;
    pack_scales_k4(found.sc, found.m, blocks->scales);
    for (int l = 0; l < 32; ++l) {
      int high = 0;
      for (int j = 0; j < 8; ++j) high |= (found.q[32 * j + l] >> 4) << j;
      blocks->qh[l] = static_cast<uint8_t>(high);
    }
    for (int g = 0; g < 4; ++g) {
      const uint8_t* q = found.q + 64 * g;
      for (int l = 0; l < 32; ++l) {
        blocks->qs[32 * g + l] = static_cast<uint8_t>((q[l] & 15) | ((q[l + 32] & 15) << 4));
      }
    }
  }
}

void encode_blocks(const float* x, const float* importance, BlockQ6_K* blocks, int64_t n) {
  search::SymmetricSuperBlock found;
  for (int64_t i = 0; i < n; i += BlockQ6_K::kLen, ++blocks) {
    search::search_symmetric_super_block(x + i, importance ? importance + i : nullptr, found);
    blocks->d = found.d;
    for (int j = 0; j < 16; ++j) blocks->scales[j] = found.sc[j];
    for (int half = 0; half < 2; ++half) {
      const int8_t* q = found.q + 128 * half;
      for (int l = 0; l < 32; ++l) {
        int code[4];
        for (int k = 0; k < 4; ++k) code[k] = q[32 * k + l] + 32;
        blocks->ql[64 * half + l] = static_cast<uint8_t>((code[0] & 15) | ((code[2] & 15) << 4));
        blocks->ql[64 * half + 32 + l] =
            static_cast<uint8_t>((code[1] & 15) | ((code[3] & 15) << 4));
        blocks->qh[32 * half + l] = static_cast<uint8_t>(
            (code[0] >> 4) | ((code[1] >> 4) << 2) | ((code[2] >> 4) << 4) | ((code[3] >> 4) << 6));
      }
    }
  }
}

}  // namespace nibble::codecs
