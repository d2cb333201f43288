// The wire structs of the quantized formats: how the bytes of one block lie in a GGUF file.
//
// All formats and their bit layouts are those of ggml, the library that defines GGUF. Everything is
// little-endian. 16-bit scales (d, m, dmin) are the raw bits of an IEEE binary16, see base/half.h.
// Weights are numbered w[0] ... w[kLen - 1] in the order of the row.
//
// Every struct is 2-byte aligned without padding: a block array must start at an even address,
// which GGUF's tensor alignment (at least 8) guarantees.
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace nibble {

// The 32-wide formats with 4 bits share one nibble order: byte j holds w[j] in its low and w[j +
// 16] in its high nibble.
//
//        bit  7      4 3      0
//   qs[j]    | w[j+16] |  w[j]  |     j = 0..15

// w = d * (q - 8), q in 0..15. 4.5 bits per weight.
//
//   byte 0   2                                18
//        | d | qs[0] ... qs[15]               |
struct BlockQ4_0 {
  static constexpr FormatId kId = FormatId::Q4_0;
  static constexpr int kLen = 32;
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 2 + BlockQ4_0::kLen / 2);

// w = d * q + m, q in 0..15; m of either sign. 5 bits per weight.
//
//   byte 0   2   4                            20
//        | d | m | qs[0] ... qs[15]           |
struct BlockQ4_1 {
  static constexpr FormatId kId = FormatId::Q4_1;
  static constexpr int kLen = 32;
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 2 * 2 + BlockQ4_1::kLen / 2);

// w = d * (q - 16), q in 0..31: low four bits in qs (order above), fifth bit in qh. 5.5 bits per
// weight.
//
//   byte 0   2       6                        22
//        | d | qh[4] | qs[0] ... qs[15]       |
//
//   qh as one little-endian uint32: bit i is the fifth bit of w[i], i = 0..31. Byte-wise:
//        bit      7         6       ...      0
//   qh[k]    | w[8k+7] | w[8k+6] |  ...  | w[8k] |
struct BlockQ5_0 {
  static constexpr FormatId kId = FormatId::Q5_0;
  static constexpr int kLen = 32;
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 2 + BlockQ5_0::kLen / 8 + BlockQ5_0::kLen / 2);

// w = d * q + m, q in 0..31; qh and qs as in Q5_0. 6 bits per weight.
//
//   byte 0   2   4       8                    24
//        | d | m | qh[4] | qs[0] ... qs[15]   |
struct BlockQ5_1 {
  static constexpr FormatId kId = FormatId::Q5_1;
  static constexpr int kLen = 32;
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 2 * 2 + BlockQ5_1::kLen / 8 + BlockQ5_1::kLen / 2);

// w = d * q, q in -128..127 (encoders write -127..127). 8.5 bits per weight.
//
//   byte 0   2                                34
//        | d | qs[0] = w[0] ... qs[31] = w[31] |
struct BlockQ8_0 {
  static constexpr FormatId kId = FormatId::Q8_0;
  static constexpr int kLen = 32;
  uint16_t d;
  int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 2 + BlockQ8_0::kLen);

// w = d * kIQ4Values[q], q in 0..15: a table with steps that are finer near zero. qs in the nibble
// order above. 4.5 bits per weight.
//
//   byte 0   2                                18
//        | d | qs[0] ... qs[15]               |
struct BlockIQ4_NL {
  static constexpr FormatId kId = FormatId::IQ4_NL;
  static constexpr int kLen = 32;
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockIQ4_NL) == 2 + BlockIQ4_NL::kLen / 2);

inline constexpr int8_t kIQ4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Super-blocks of 256 weights: 8 sub-blocks of 32, each with a 6-bit scale sc and a 6-bit minimum
// min, themselves scaled by d and dmin. Sub-block j is w[32j] ... w[32j + 31].
//
// w = d * sc[j] * q - dmin * min[j], q in 0..15. 4.5 bits per weight.
//
//   byte 0   2      4              16                           144
//        | d | dmin | scales[12]   | qs[0] ... qs[127]          |
//
//   qs: four groups g of 32 bytes, one per pair of sub-blocks (2g, 2g + 1):
//        bit       7         4 3        0
//   qs[32g + l] | w[64g+32+l] | w[64g+l] |     g = 0..3, l = 0..31
//
//   scales: 16 numbers of 6 bits in 12 bytes, scale_min_k4() reads them. j = 0..3:
//        bit      7        6 5            0
//   scales[j]    | sc[j+4]>>4 | sc[j]        |
//   scales[j+4]  | min[j+4]>>4| min[j]       |
//        bit      7          4 3          0
//   scales[j+8]  | min[j+4]&15 | sc[j+4]&15  |
struct BlockQ4_K {
  static constexpr FormatId kId = FormatId::Q4_K;
  static constexpr int kLen = 256;
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 2 * 2 + 12 + BlockQ4_K::kLen / 2);

// w = d * sc[j] * q - dmin * min[j], q in 0..31; d, dmin, scales and the low four bits in qs as in
// Q4_K, the fifth bit in qh. 5.5 bits per weight.
//
//   byte 0   2      4            16                48                       176
//        | d | dmin | scales[12] | qh[0] ... qh[31] | qs[0] ... qs[127]     |
//
//   qh: byte l holds the fifth bit of the l-th weight of every sub-block:
//        bit   7           6         ...      1         0
//   qh[l]  | w[224+l] | w[192+l] |   ...  | w[32+l] |  w[l]  |     l = 0..31
struct BlockQ5_K {
  static constexpr FormatId kId = FormatId::Q5_K;
  static constexpr int kLen = 256;
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 2 * 2 + 12 + BlockQ5_K::kLen / 8 + BlockQ5_K::kLen / 2);

// 16 sub-blocks of 16: w = d * scales[j] * (q - 32), q in 0..63, sub-block j is w[16j] ...
// w[16j + 15]. Low four bits in ql, high two in qh. 6.5625 bits per weight. d stands last.
//
//   byte 0                 128              192            208  210
//        | ql[0]...ql[127] | qh[0]...qh[63] | scales[16]   | d  |
//
//   Two halves h of 128 weights, each 64 bytes of ql and 32 bytes of qh. With W = w + 128h:
//        bit            7       4 3        0
//   ql[64h + l]      | W[64+l]   | W[l]      |     l = 0..31   (low four bits)
//   ql[64h + 32 + l] | W[96+l]   | W[32+l]   |
//        bit            7   6   5   4   3   2   1   0
//   qh[32h + l]      |W[96+l]|W[64+l]|W[32+l]| W[l]  |         (high two bits)
struct BlockQ6_K {
  static constexpr FormatId kId = FormatId::Q6_K;
  static constexpr int kLen = 256;
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(BlockQ6_K) == BlockQ6_K::kLen / 2 + BlockQ6_K::kLen / 4 + 16 + 2);

// Scale and minimum of sub-block j = 0..7 from the 12 packed bytes of Q4_K and Q5_K.
inline void scale_min_k4(const uint8_t scales[12], int j, uint8_t& sc, uint8_t& m) {
  if (j < 4) {
    sc = static_cast<uint8_t>(scales[j] & 63);
    m = static_cast<uint8_t>(scales[j + 4] & 63);
  } else {
    sc = static_cast<uint8_t>((scales[j + 4] & 15) | ((scales[j - 4] >> 6) << 4));
    m = static_cast<uint8_t>((scales[j + 4] >> 4) | ((scales[j] >> 6) << 4));
  }
}

}  // namespace nibble
