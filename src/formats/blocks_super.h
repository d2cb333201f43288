// The wire structs of the super-blocks: 256 weights, a float scale over integer scales (K-quants
// and IQ4_XS) or alone (ternary formats). Part of blocks.h, which says what holds for all.
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace nibble {

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

// 16 sub-blocks of 16, each with a 4-bit scale and a 4-bit minimum: w = d * (scales[j] & 15) * q -
// dmin * (scales[j] >> 4), q in 0..3, sub-block j is w[16j] ... w[16j + 15]. 2.625 bits per weight.
//
//   byte 0            16                80  82     84
//        | scales[16] | qs[0]...qs[63]  | d | dmin |
//
//        bit       7       4 3      0
//   scales[j]  | minimum[j] | scale[j] |     j = 0..15
//
//   Two halves h of 128 weights, 32 bytes of qs each. With W = w + 128h:
//        bit        7     6 5     4 3     2 1     0
//   qs[32h + l] | W[96+l] | W[64+l] | W[32+l] | W[l] |     l = 0..31
struct BlockQ2_K {
  static constexpr FormatId kId = FormatId::Q2_K;
  static constexpr int kLen = 256;
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
static_assert(sizeof(BlockQ2_K) == BlockQ2_K::kLen / 16 + BlockQ2_K::kLen / 4 + 2 * 2);

// 16 sub-blocks of 16, each with a 6-bit scale: w = d * (sc[j] - 32) * (q - 4), q in 0..7,
// sub-block j is w[16j] ... w[16j + 15]. Low two bits in qs (order of Q2_K), third bit in
// hmask. 3.4375 bits per weight.
//
//   byte 0                      32              96           108 110
//        | hmask[0]...hmask[31] | qs[0]..qs[63] | scales[12] | d |
//
//   hmask: byte l holds the third bit of the l-th weight of every 32:
//        bit      7           6         ...      1         0
//   hmask[l]  | w[224+l] | w[192+l] |   ...  | w[32+l] |  w[l]  |     l = 0..31
//
//   scales: 16 numbers of 6 bits in 12 bytes, scale_q3() reads them. j = 0..7, k = 0..3:
//        bit       7          4 3        0
//   scales[j]     | sc[j+8]&15 | sc[j]&15 |
//        bit       7      6 5      4 3      2 1      0
//   scales[8+k]   | sc[k+12]>>4 | sc[k+8]>>4 | sc[k+4]>>4 | sc[k]>>4 |
struct BlockQ3_K {
  static constexpr FormatId kId = FormatId::Q3_K;
  static constexpr int kLen = 256;
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
static_assert(sizeof(BlockQ3_K) == BlockQ3_K::kLen / 8 + BlockQ3_K::kLen / 4 + 12 + 2);

// 8 sub-blocks of 32, each with a 6-bit scale: w = d * (ls[j] - 32) * kIQ4Values[q], q in 0..15
// (the table of IQ4_NL). 4.25 bits per weight.
//
//   byte 0   2          4             8                      136
//        | d | scales_h | scales_l[4] | qs[0] ... qs[127]    |
//
//        bit        7            4 3          0
//   scales_l[i]  | ls[2i+1] & 15 | ls[2i] & 15 |     i = 0..3
//   scales_h     bits 2j and 2j + 1 are ls[j] >> 4
//        bit        7          4 3         0
//   qs[16j + l]  | w[32j+16+l] | w[32j+l] |     j = 0..7, l = 0..15
struct BlockIQ4_XS {
  static constexpr FormatId kId = FormatId::IQ4_XS;
  static constexpr int kLen = 256;
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};
static_assert(sizeof(BlockIQ4_XS) == 2 + 2 + BlockIQ4_XS::kLen / 64 + BlockIQ4_XS::kLen / 2);

// Three values: w = d * (t - 1), t in 0..2. 1.6875 bits per weight.
//
//   byte 0                 48             52  54
//        | qs[0]..qs[47]   | qh[0]..qh[3] | d |
//
//   Five t in a byte (four in qh). Not as a number in base 3 but as that number / 243 in units of 1
//   / 256, rounded up: so the leading digit is (3 * byte) >> 8, and multiplying the byte by 3
//   (modulo 256) brings up the next. Digit n, leading one first, of
//     qs[l]       is w[32n + l]        n = 0..4, l = 0..31
//     qs[32 + l]  is w[160 + 16n + l]  n = 0..4, l = 0..15
//     qh[l]       is w[240 + 4n + l]   n = 0..3, l = 0..3
struct BlockTQ1_0 {
  static constexpr FormatId kId = FormatId::TQ1_0;
  static constexpr int kLen = 256;
  uint8_t qs[48];
  uint8_t qh[4];
  uint16_t d;
};
static_assert(sizeof(BlockTQ1_0) == (BlockTQ1_0::kLen - 16) / 5 + 16 / 4 + 2);

// w = d * (q - 1), q in 0..3 (encoders write 0..2). 2.0625 bits per weight.
//
//   byte 0                 64  66
//        | qs[0]..qs[63]   | d |          qs in the order of Q2_K
struct BlockTQ2_0 {
  static constexpr FormatId kId = FormatId::TQ2_0;
  static constexpr int kLen = 256;
  uint8_t qs[64];
  uint16_t d;
};
static_assert(sizeof(BlockTQ2_0) == BlockTQ2_0::kLen / 4 + 2);

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

// The 6-bit number of sub-block j = 0..15 from the 12 packed bytes of Q3_K; 32 stands for 0.
inline uint8_t scale_q3(const uint8_t scales[12], int j) {
  const int low = (scales[j % 8] >> (j / 8 * 4)) & 15;
  const int high = (scales[8 + j % 4] >> (j / 4 * 2)) & 3;
  return static_cast<uint8_t>(low | (high << 4));
}

// The 6-bit number of sub-block j = 0..7 of an IQ4_XS block; 32 stands for 0.
inline uint8_t scale_iq4(const BlockIQ4_XS& block, int j) {
  const int low = (block.scales_l[j / 2] >> (j % 2 * 4)) & 15;
  const int high = (block.scales_h >> (2 * j)) & 3;
  return static_cast<uint8_t>(low | (high << 4));
}

}  // namespace nibble
