// Every code at every place, written by hand from the drawings in blocks.h: formula against bytes.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/half.h"
#include "formats/blocks.h"
#include "formats/format.h"

namespace nibble {
namespace {

constexpr uint16_t kOne = 0x3c00;       // 1.0
constexpr uint16_t kMinusTwo = 0xc000;  // -2.0
constexpr uint16_t kHalf = 0x3800;      // 0.5

template <typename Block>
std::vector<float> decode_one(const Block& block) {
  std::vector<float> x(Block::kLen);
  format_of(Block::kId).decode(&block, x.data(), Block::kLen);
  return x;
}

template <typename Block>
void set_nibble(Block& block, int j, int q) {
  uint8_t& byte = block.qs[j % 16];
  byte = static_cast<uint8_t>(j < 16 ? (byte & 0xf0) | q : (byte & 0x0f) | (q << 4));
}

template <typename Block>
void set_fifth_bit(Block& block, int j, int q) {
  uint8_t& byte = block.qh[j / 8];
  byte = static_cast<uint8_t>((byte & ~(1 << (j % 8))) | ((q >> 4) << (j % 8)));
}

TEST(Codes, FourBitFormatsOfThirtyTwo) {
  for (int j = 0; j < 32; ++j) {
    for (int q = 0; q < 16; ++q) {
      BlockQ4_0 q4_0 = {.d = kMinusTwo, .qs = {}};
      set_nibble(q4_0, j, q);
      EXPECT_EQ(decode_one(q4_0)[static_cast<size_t>(j)], -2.f * static_cast<float>(q - 8));
      BlockQ4_1 q4_1 = {.d = kMinusTwo, .m = kHalf, .qs = {}};
      set_nibble(q4_1, j, q);
      EXPECT_EQ(decode_one(q4_1)[static_cast<size_t>(j)], -2.f * static_cast<float>(q) + 0.5f);
      BlockIQ4_NL iq4 = {.d = kMinusTwo, .qs = {}};
      set_nibble(iq4, j, q);
      EXPECT_EQ(decode_one(iq4)[static_cast<size_t>(j)], -2.f * static_cast<float>(kIQ4Values[q]));
    }
  }
}

TEST(Codes, FiveBitFormatsOfThirtyTwo) {
  for (int j = 0; j < 32; ++j) {
    for (int q = 0; q < 32; ++q) {
      BlockQ5_0 q5_0 = {.d = kHalf, .qh = {}, .qs = {}};
      set_nibble(q5_0, j, q & 15);
      set_fifth_bit(q5_0, j, q);
      EXPECT_EQ(decode_one(q5_0)[static_cast<size_t>(j)], 0.5f * static_cast<float>(q - 16));
      BlockQ5_1 q5_1 = {.d = kHalf, .m = kMinusTwo, .qh = {}, .qs = {}};
      set_nibble(q5_1, j, q & 15);
      set_fifth_bit(q5_1, j, q);
      EXPECT_EQ(decode_one(q5_1)[static_cast<size_t>(j)], 0.5f * static_cast<float>(q) - 2.f);
    }
  }
}

TEST(Codes, EightBits) {
  for (int q = -128; q < 128; ++q) {
    BlockQ8_0 block = {.d = kHalf, .qs = {}};
    block.qs[q & 31] = static_cast<int8_t>(q);
    EXPECT_EQ(decode_one(block)[static_cast<size_t>(q & 31)], 0.5f * static_cast<float>(q));
  }
}

TEST(Codes, SixBitScalesOfQ4_KAndQ5_K) {
  for (int j = 0; j < 8; ++j) {
    for (int v = 0; v < 64; ++v) {
      for (const bool is_min : {false, true}) {
        // Only sub-block j's number is v, its neighbours are its complement.
        uint8_t sc[8], m[8], packed[12] = {};
        for (int k = 0; k < 8; ++k) {
          sc[k] = static_cast<uint8_t>(63 - v);
          m[k] = static_cast<uint8_t>(63 - v);
        }
        (is_min ? m : sc)[j] = static_cast<uint8_t>(v);
        for (int k = 0; k < 4; ++k) {
          packed[k] = static_cast<uint8_t>(sc[k] + ((sc[k + 4] / 16) * 64));
          packed[k + 4] = static_cast<uint8_t>(m[k] + ((m[k + 4] / 16) * 64));
          packed[k + 8] = static_cast<uint8_t>(sc[k + 4] % 16 + (m[k + 4] % 16) * 16);
        }
        BlockQ4_K q4 = {.d = kOne, .dmin = kHalf, .scales = {}, .qs = {}};
        BlockQ5_K q5 = {.d = kOne, .dmin = kHalf, .scales = {}, .qh = {}, .qs = {}};
        for (int k = 0; k < 12; ++k) q4.scales[k] = q5.scales[k] = packed[k];
        for (uint8_t& byte : q4.qs) byte = 0xff;  // q = 15 everywhere
        for (uint8_t& byte : q5.qs) byte = 0x11;  // low bits 1
        for (uint8_t& byte : q5.qh) byte = 0xff;  // q = 17 everywhere
        const auto x4 = decode_one(q4);
        const auto x5 = decode_one(q5);
        for (size_t i = 0; i < 256; ++i) {
          const auto scale = static_cast<float>(sc[i / 32]);
          const auto offset = 0.5f * static_cast<float>(m[i / 32]);
          ASSERT_EQ(x4[i], scale * 15 - offset) << i;
          ASSERT_EQ(x5[i], scale * 17 - offset) << i;
        }
      }
    }
  }
}

// One code differs from all others: only its own weight may change.
TEST(Codes, PlacesInSuperBlocks) {
  for (int i = 0; i < 256; ++i) {
    for (int q = 0; q < 64; ++q) {
      BlockQ6_K q6 = {.ql = {}, .qh = {}, .scales = {}, .d = kHalf};
      for (int8_t& scale : q6.scales) scale = -3;
      const int half = i / 128, quarter = i % 128 / 32, l = i % 32;
      q6.ql[64 * half + 32 * (quarter % 2) + l] =
          static_cast<uint8_t>((q % 16) << (quarter < 2 ? 0 : 4));
      q6.qh[32 * half + l] = static_cast<uint8_t>((q / 16) << (2 * quarter));
      const auto x6 = decode_one(q6);
      for (int k = 0; k < 256; ++k) {
        ASSERT_EQ(x6[static_cast<size_t>(k)], -1.5f * static_cast<float>((k == i ? q : 0) - 32));
      }
      if (q >= 32) continue;
      BlockQ5_K q5 = {.d = kHalf, .dmin = 0, .scales = {}, .qh = {}, .qs = {}};
      for (int k = 0; k < 4; ++k) q5.scales[k] = 1;
      for (int k = 8; k < 12; ++k) q5.scales[k] = 1;
      q5.qs[i / 64 * 32 + l] = static_cast<uint8_t>((q % 16) << (i / 32 % 2 * 4));
      q5.qh[l] = static_cast<uint8_t>((q / 16) << (i / 32));
      const auto x5 = decode_one(q5);
      for (int k = 0; k < 256; ++k) {
        ASSERT_EQ(x5[static_cast<size_t>(k)], k == i ? 0.5f * static_cast<float>(q) : 0.f);
      }
    }
  }
}

// Places of Q2_K, Q3_K and TQ2_0: bits 2 k of byte 32 h + l, with w = 128 h + 32 k + l.
template <typename Block>
void set_two_bits(Block& block, int i, int q) {
  uint8_t& byte = block.qs[i / 128 * 32 + i % 32];
  const int shift = i % 128 / 32 * 2;
  byte = static_cast<uint8_t>((byte & ~(3 << shift)) | (q << shift));
}

TEST(Codes, PlacesOfTwoAndThreeBits) {
  for (int i = 0; i < 256; ++i) {
    for (int q = 0; q < 8; ++q) {
      BlockQ3_K q3 = {.hmask = {}, .qs = {}, .scales = {}, .d = kHalf};
      for (int k = 0; k < 8; ++k) q3.scales[k] = 0x11;   // 1
      for (int k = 8; k < 12; ++k) q3.scales[k] = 0xaa;  // + 2 * 16: d * (33 - 32)
      q3.hmask[i % 32] = static_cast<uint8_t>((q / 4) << (i / 32));
      set_two_bits(q3, i, q % 4);
      const auto x3 = decode_one(q3);
      BlockQ2_K q2 = {.scales = {}, .qs = {}, .d = kHalf, .dmin = kMinusTwo};
      for (uint8_t& scale : q2.scales) scale = 0x35;  // scale 5, minimum 3
      set_two_bits(q2, i, q % 4);
      const auto x2 = decode_one(q2);
      BlockTQ2_0 tq = {.qs = {}, .d = kMinusTwo};
      set_two_bits(tq, i, q % 4);
      const auto xt = decode_one(tq);
      for (int k = 0; k < 256; ++k) {
        const auto at = static_cast<size_t>(k);
        const auto code = static_cast<float>(k == i ? q % 4 : 0);
        ASSERT_EQ(x3[at], 0.5f * static_cast<float>((k == i ? q : 0) - 4));
        ASSERT_EQ(x2[at], 2.5f * code + 6.f);
        ASSERT_EQ(xt[at], -2.f * (code - 1));
      }
    }
  }
}

// Every byte is five digits d[0] ... d[4] of base 3, leading one first: byte = ceil(number * 256 /
// 243). Bytes that no encoder writes have digits too, by the same arithmetic.
TEST(Codes, DigitsOfTQ1_0) {
  for (int number = 0; number < 243; ++number) {
    const auto byte = static_cast<uint8_t>((number * 256 + 242) / 243);
    for (const int at : {0, 31, 32, 47, 48, 51}) {  // in qs and qh
      BlockTQ1_0 block = {.qs = {}, .qh = {}, .d = kHalf};
      (at < 48 ? block.qs[at] : block.qh[at - 48]) = byte;
      const auto x = decode_one(block);
      for (int n = 0, power = 81; n < (at < 48 ? 5 : 4); ++n, power /= 3) {
        const int i = at < 32   ? 32 * n + at
                      : at < 48 ? 160 + 16 * n + at - 32
                                : 240 + 4 * n + at - 48;
        ASSERT_EQ(x[static_cast<size_t>(i)], 0.5f * static_cast<float>(number / power % 3 - 1))
            << number << " " << n;
      }
    }
  }
}

TEST(Codes, TableOfIQ4_XSUnderEveryScale) {
  for (int ls = 0; ls < 64; ++ls) {
    for (int j = 0; j < 8; ++j) {
      BlockIQ4_XS block = {.d = kHalf, .scales_h = 0, .scales_l = {}, .qs = {}};
      block.scales_h = static_cast<uint16_t>(0xaaaa ^ ((2 ^ (ls / 16)) << (2 * j)));  // others: 32
      block.scales_l[j / 2] = static_cast<uint8_t>(ls % 16 << (j % 2 * 4));
      for (int l = 0; l < 16; ++l) block.qs[16 * j + l] = static_cast<uint8_t>(l | (15 - l) << 4);
      const auto x = decode_one(block);
      for (int i = 0; i < 256; ++i) {
        const int q = i % 32 < 16 ? i % 32 : 31 - i % 32;
        const float scale = i / 32 == j ? 0.5f * static_cast<float>(ls - 32) : 0.f;
        ASSERT_EQ(x[static_cast<size_t>(i)],
                  scale * static_cast<float>(kIQ4Values[i / 32 == j ? q : 0]));
      }
    }
  }
}

// The values of E2M1 as the standard writes them.
constexpr float kE2M1[16] = {0.f,  0.5f,  1.f,  1.5f,  2.f,  3.f,  4.f,  6.f,
                             -0.f, -0.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f};

TEST(Codes, FourBitFloats) {
  for (int e = 0; e < 253; ++e) {
    BlockMXFP4 block = {.e = static_cast<uint8_t>(e), .qs = {}};
    for (int j = 0; j < 32; ++j) set_nibble(block, j, j % 16);
    const auto x = decode_one(block);
    for (size_t j = 0; j < 32; ++j) ASSERT_EQ(x[j], std::ldexp(kE2M1[j % 16], e - 127)) << e;
  }
  for (int d = 0; d < 256; ++d) {
    for (int j = 0; j < 64; ++j) {
      BlockNVFP4 block = {.d = {}, .qs = {}};
      block.d[j / 16] = static_cast<uint8_t>(d);
      const int exponent = d / 8 % 16, mantissa = d % 8;
      const float scale = d == 0x7f ? 0.f
                          : exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(1.f + static_cast<float>(mantissa) / 8, exponent - 7);
      const int q = (d + j) % 16;
      block.qs[j / 16 * 8 + j % 8] = static_cast<uint8_t>(q << (j % 16 < 8 ? 0 : 4));
      const auto x = decode_one(block);
      for (int k = 0; k < 64; ++k) {
        ASSERT_EQ(x[static_cast<size_t>(k)], k == j ? scale * kE2M1[q] : 0.f) << d;
      }
    }
  }
}

TEST(Codes, OneAndTwoBits) {
  for (int i = 0; i < 128; ++i) {
    BlockQ1_0 q1 = {.d = kMinusTwo, .qs = {}};
    q1.qs[i / 8] = static_cast<uint8_t>(1 << (i % 8));
    const auto x1 = decode_one(q1);
    for (int k = 0; k < 128; ++k) ASSERT_EQ(x1[static_cast<size_t>(k)], k == i ? -2.f : 2.f);
    for (int q = 0; q < 4 && i < 64; ++q) {
      BlockQ2_0 q2 = {.d = kHalf, .qs = {}};
      q2.qs[i / 4] = static_cast<uint8_t>(q << (2 * (i % 4)));
      const auto x2 = decode_one(q2);
      for (int k = 0; k < 64; ++k) {
        ASSERT_EQ(x2[static_cast<size_t>(k)], 0.5f * static_cast<float>((k == i ? q : 0) - 1));
      }
    }
  }
}

TEST(Codes, NegativeZeroAndSubnormalScales) {
  constexpr uint16_t kScales[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x83ff, 0xfbff};
  for (const uint16_t bits : kScales) {
    BlockQ8_0 block = {.d = bits, .qs = {}};
    block.qs[0] = -127;
    EXPECT_EQ(decode_one(block)[0], f16_to_f32(bits) * -127.f);
  }
}

}  // namespace
}  // namespace nibble
