// The wire structs of the quantized formats: how the bytes of one block lie in a GGUF file.
//
// All formats and their bit layouts are those of ggml, the library that defines GGUF. Everything is
// little-endian. 16-bit scales (d, m, dmin) are the raw bits of an IEEE binary16, see base/half.h.
// Weights are numbered w[0] ... w[kLen - 1] in the order of the row.
//
// No struct has padding. Those with 16-bit fields are 2-byte aligned: their arrays must start at an
// even address, which GGUF's tensor alignment (at least 8) guarantees. MXFP4 and NVFP4 are made of
// bytes and may lie anywhere: a row of an odd number of MXFP4 blocks puts the next at an odd
// address.
//
// A struct whose scales are not f16 fields named d, m, dmin says itself how many of them are not
// finite numbers: bad_scales(block).
//
// This file: blocks of 32, 64 and 128 weights. Super-blocks of 256: blocks_super.h; those of
// codebook formats: blocks_codebook.h.
#pragma once

#include <cstdint>

#include "formats/blocks_codebook.h"
#include "formats/blocks_super.h"
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

// FP4, the floating-point codes of 4 bits (E2M1: sign, two exponent bits, one mantissa bit) that
// MXFP4 and NVFP4 share: kFp4Values[q] is twice the value, so that all are integers.
inline constexpr int8_t kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// w = 2^(e - 128) * kFp4Values[q], q in 0..15; qs in the nibble order above. 4.25 bits per weight.
// OCP Microscaling: e is an E8M0 number, 2^(e - 127), halved here because the table is doubled. The
// standard calls e = 255 NaN; ggml decodes it as 2^127 like any other, and so do we.
//
//   byte 0   1                                17
//        | e | qs[0] ... qs[15]               |
struct BlockMXFP4 {
  static constexpr FormatId kId = FormatId::MXFP4;
  static constexpr int kLen = 32;
  uint8_t e;
  uint8_t qs[16];
  static int bad_scales(const BlockMXFP4& b) { return b.e == 255; }
};
static_assert(sizeof(BlockMXFP4) == 1 + BlockMXFP4::kLen / 2);

// Four sub-blocks of 16, each with a scale of its own: w = ue4m3(d[j]) / 2 * kFp4Values[q],
// sub-block j is w[16j] ... w[16j + 15]. 4.5 bits per weight. Written by other programs only.
//
//   byte 0              4                              36
//        | d[0] .. d[3] | qs[0] ... qs[31]             |
//
//        bit       7       4 3       0
//   qs[8j + l] | w[16j+8+l] | w[16j+l] |     j = 0..3, l = 0..7
//
//   d[j], UE4M3: an unsigned float of four exponent and three mantissa bits
//        bit   7   6        3 2        0
//            | - | exponent E | mantissa M |
//        E > 0: (8 + M) * 2^(E - 10);  E = 0: M * 2^-9;  bit 7 means nothing, 0x7f is 0.
struct BlockNVFP4 {
  static constexpr FormatId kId = FormatId::NVFP4;
  static constexpr int kLen = 64;
  uint8_t d[4];
  uint8_t qs[32];
  static int bad_scales(const BlockNVFP4&) { return 0; }  // every byte is a finite number
};
static_assert(sizeof(BlockNVFP4) == 4 + BlockNVFP4::kLen / 2);

// w = d where the bit is set, -d where not. 1.125 bits per weight. Written by other programs only.
//
//   byte 0   2                                18
//        | d | qs[0] ... qs[15]               |
//
//        bit      7         6       ...      0
//   qs[k]    | w[8k+7] | w[8k+6] |  ...  | w[8k] |     k = 0..15
struct BlockQ1_0 {
  static constexpr FormatId kId = FormatId::Q1_0;
  static constexpr int kLen = 128;
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ1_0) == 2 + BlockQ1_0::kLen / 8);

// w = d * (q - 1), q in 0..3. 2.25 bits per weight. Written by other programs only.
//
//   byte 0   2                                18
//        | d | qs[0] ... qs[15]               |
//
//        bit      7     6 5     4 3     2 1     0
//   qs[k]    | w[4k+3] | w[4k+2] | w[4k+1] | w[4k] |     k = 0..15
struct BlockQ2_0 {
  static constexpr FormatId kId = FormatId::Q2_0;
  static constexpr int kLen = 64;
  uint16_t d;
  uint8_t qs[16];
};
static_assert(sizeof(BlockQ2_0) == 2 + BlockQ2_0::kLen / 4);

}  // namespace nibble
