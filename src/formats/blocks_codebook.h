// The wire structs of the codebook formats: eight (IQ1, IQ2) or four (IQ3) weights together are one
// entry of a grid, a fixed list of vectors (codebooks.h); their signs are stored apart.
//
// All are super-blocks of 256 weights in 8 sub-blocks of 32; sub-block i is w[32i] ... w[32i + 31].
// Weights in groups of eight: group l = 0..3 of sub-block i is W[j] = w[32i + 8l + j], j = 0..7.
// A sign bit that is set makes its weight negative. Written by other programs only.
#pragma once

#include <cstdint>

#include "formats/format.h"

namespace nibble {

// IQ1: every group is an entry g of the grid with values in {-1, 0, 1}, moved by 1/8 up or down.
//
// W[j] = d * (2 s + 1) * (g[j] + delta), s = 0..7 and delta = 1/8 or -1/8 of the sub-block.
// 1.5625 bits per weight.
//
//   byte 0   2                 34                          50
//        | d | qs[0]...qs[31]  | qh[0] ... qh[7], uint16   |
//
//   qs[4i + l]: low eight bits of the grid index of group l; its high three in qh:
//        bit  15   14  12 11    9 8     6 5     3 2     0
//   qh[i]   |delta|  s   | l = 3 | l = 2 | l = 1 | l = 0 |     delta: set is -1/8
struct BlockIQ1_S {
  static constexpr FormatId kId = FormatId::IQ1_S;
  static constexpr int kLen = 256;
  uint16_t d;
  uint8_t qs[32];
  uint16_t qh[8];
};
static_assert(sizeof(BlockIQ1_S) == 2 + BlockIQ1_S::kLen / 8 + 8 * 2);

// The same with s for every half sub-block (two groups) and delta for every group. 1.75 bits per
// weight. d has no place of its own: it fills the top nibbles of the scale words.
//
//   byte 0                32               48                          56
//        | qs[0]...qs[31] | qh[0]...qh[15] | scales[0..3], uint16      |
//
//        bit         7       6      4   3       2      0
//   qh[2i + h]   | delta |  high  | delta |  high  |     delta and the high three bits of the
//                |  l = 2h + 1    |    l = 2h      |     grid index, h = 0, 1
//        bit    15          12 11      9 8      6 5      3 2      0
//   scales[k] | d, nibble k   | s[4k+3] | s[4k+2] | s[4k+1] | s[4k] |   s[2i + h]
struct BlockIQ1_M {
  static constexpr FormatId kId = FormatId::IQ1_M;
  static constexpr int kLen = 256;
  uint8_t qs[32];
  uint8_t qh[16];
  uint16_t scales[4];
  static uint16_t d(const BlockIQ1_M& b) {  // nibble 0 is the lowest of the f16
    return static_cast<uint16_t>((b.scales[0] >> 12) | ((b.scales[1] >> 8) & 0x00f0) |
                                 ((b.scales[2] >> 4) & 0x0f00) | (b.scales[3] & 0xf000));
  }
  static int bad_scales(const BlockIQ1_M& b) { return (d(b) & 0x7c00) == 0x7c00; }
};
static_assert(sizeof(BlockIQ1_M) == BlockIQ1_M::kLen / 8 + BlockIQ1_M::kLen / 16 + 4 * 2);

// IQ2: W[j] = +- d / 8 * (2 s + 1) * g[j], g an entry of a grid with values in {8, 25, 43},
// s = 0..15.
//
// Seven sign bits per group, the eighth is such that an even number of them is set (sign_byte()).
// 2.0625 bits per weight.
//
//   byte 0   2                       66
//        | d | qs[0] ... qs[63]      |
//
//   Sub-block i, eight bytes from qs[8i]: grid indices of the four groups, then a little-endian
//   uint32:   bit 31 28 27    21 20    14 13     7 6      0
//              |   s   | l = 3  | l = 2  | l = 1  | l = 0  |     bit j of seven: sign of W[j]
struct BlockIQ2_XXS {
  static constexpr FormatId kId = FormatId::IQ2_XXS;
  static constexpr int kLen = 256;
  uint16_t d;
  uint8_t qs[64];
};
static_assert(sizeof(BlockIQ2_XXS) == 2 + BlockIQ2_XXS::kLen / 4);

// The same with 9 bits of grid index and s for every half sub-block. 2.3125 bits per weight.
//
//   byte 0   2                              66                     74
//        | d | qs[0] ... qs[31], uint16     | scales[0..7]         |
//
//        bit      15       9 8          0          bit     7       4 3       0
//   qs[4i + l] | seven signs | grid index |    scales[i] | s, l = 2,3 | s, l = 0,1 |
struct BlockIQ2_XS {
  static constexpr FormatId kId = FormatId::IQ2_XS;
  static constexpr int kLen = 256;
  uint16_t d;
  uint16_t qs[32];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_XS) == 2 + BlockIQ2_XS::kLen / 4 + 8);

// The same with 10 bits of grid index and all eight signs. 2.5625 bits per weight.
//
//   byte 0   2                34                     66            74              82
//        | d | qs[0]...qs[31] | signs[0]...signs[31] | qh[0..7]    | scales[0..7]  |
//
//   signs[4i + l]: bit j is the sign of W[j]. qs[4i + l]: low eight bits of the grid index; its
//   high two in qh:
//        bit   7   6 5   4 3   2 1   0
//   qh[i]    |l = 3|l = 2|l = 1|l = 0|         scales as in IQ2_XS
struct BlockIQ2_S {
  static constexpr FormatId kId = FormatId::IQ2_S;
  static constexpr int kLen = 256;
  uint16_t d;
  uint8_t qs[32];
  uint8_t signs[32];
  uint8_t qh[8];
  uint8_t scales[8];
};
static_assert(sizeof(BlockIQ2_S) == 2 + BlockIQ2_S::kLen / 4 + 8 + 8);

// IQ3: a group is two grid entries of four weights: a = W[0..3], b = W[4..7].
//
// W[j] = +- d / 4 * (2 s + 1) * g[j], g an entry of a grid with values in {4, 12, 20, 28, 36, 44,
// 52, 62}, s = 0..15. 3.0625 bits per weight.
//
//   byte 0   2                  66                       98
//        | d | qs[0]...qs[63]   | signs[0]...signs[31]   |
//
//   qs[8i + 2l] and qs[8i + 2l + 1]: grid indices of a and b of group l.
//   signs[4i ... 4i + 3]: a little-endian uint32 of seven signs per group and s, as in IQ2_XXS.
struct BlockIQ3_XXS {
  static constexpr FormatId kId = FormatId::IQ3_XXS;
  static constexpr int kLen = 256;
  uint16_t d;
  uint8_t qs[64];
  uint8_t signs[32];
};
static_assert(sizeof(BlockIQ3_XXS) == 2 + BlockIQ3_XXS::kLen / 4 + BlockIQ3_XXS::kLen / 8);

// W[j] = +- d * (2 s + 1) * g[j], g an entry of a grid with values in {1, 3, ..., 15}, s = 0..15.
// 3.4375 bits per weight.
//
//   byte 0   2                66            74                     106           110
//        | d | qs[0]...qs[63] | qh[0..7]    | signs[0]...signs[31] | scales[0..3] |
//
//   qs as in IQ3_XXS: low eight bits of the grid indices; the ninth in qh:
//        bit      7       6     ...     1       0             bit      7       4 3      0
//   qh[i]    | b, l=3 | a, l=3 | ... | b, l=0 | a, l=0 |   scales[k] | s[2k + 1] | s[2k] |  s[i]
//   signs as in IQ2_S.
struct BlockIQ3_S {
  static constexpr FormatId kId = FormatId::IQ3_S;
  static constexpr int kLen = 256;
  uint16_t d;
  uint8_t qs[64];
  uint8_t qh[8];
  uint8_t signs[32];
  uint8_t scales[4];
};
static_assert(sizeof(BlockIQ3_S) == 2 + BlockIQ3_S::kLen / 4 + 8 + BlockIQ3_S::kLen / 8 + 4);

// Eight sign bits from the seven that are stored: an even number is set.
constexpr uint8_t sign_byte(uint32_t seven) {
  const uint32_t x = seven ^ (seven >> 4), y = x ^ (x >> 2);
  return static_cast<uint8_t>(seven | (((y ^ (y >> 1)) & 1) << 7));
}

}  // namespace nibble
