#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "formats/blocks.h"
#include "formats/format.h"

namespace nibble {
namespace {

TEST(Catalog, EveryRowIsFoundByIdAndByNameInAnyCase) {
  for (const Format& format : all_formats()) {
    EXPECT_EQ(&format_of(format.id), &format);
    EXPECT_EQ(find_format(static_cast<uint32_t>(format.id)), &format);
    std::string name(format.name);
    EXPECT_EQ(find_format(std::string_view(name)), &format);
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    EXPECT_EQ(find_format(std::string_view(name)), &format) << name;
    name[0] = static_cast<char>(std::toupper(name[0]));
    EXPECT_EQ(find_format(std::string_view(name)), &format) << name;
  }
}

TEST(Catalog, RowsStandInWireIdOrderOnce) {
  const auto formats = all_formats();
  EXPECT_EQ(formats.size(), 33u);
  for (size_t i = 1; i < formats.size(); ++i) EXPECT_LT(formats[i - 1].id, formats[i].id);
}

TEST(Catalog, UnknownIdsAndNamesAreNull) {
  for (const uint32_t id : {4u, 5u, 9u, 15u, 31u, 33u, 36u, 38u, 43u, 1000u, 0xffffffffu}) {
    EXPECT_EQ(find_format(id), nullptr) << id;
  }
  for (const char* name : {"", "Q4", "Q4_K_M", "Q4_", "Q4_KK", " Q4_K", "F8", "q4-k"}) {
    EXPECT_EQ(find_format(std::string_view(name)), nullptr) << name;
  }
}

TEST(Catalog, BitsPerWeightAreThoseOfTheFormats) {
  const std::pair<const char*, double> expected[] = {
      {"F32", 32},       {"F16", 16},       {"BF16", 16},    {"Q4_0", 4.5},    {"Q4_1", 5},
      {"Q5_0", 5.5},     {"Q5_1", 6},       {"Q8_0", 8.5},   {"Q4_K", 4.5},    {"Q5_K", 5.5},
      {"Q6_K", 6.5625},  {"IQ4_NL", 4.5},   {"I8", 8},       {"I16", 16},      {"I32", 32},
      {"I64", 64},       {"F64", 64},       {"Q2_K", 2.625}, {"Q3_K", 3.4375}, {"IQ4_XS", 4.25},
      {"TQ1_0", 1.6875}, {"TQ2_0", 2.0625}, {"MXFP4", 4.25}, {"NVFP4", 4.5},   {"Q1_0", 1.125},
      {"Q2_0", 2.25}};
  for (const auto& [name, bits] : expected) {
    const Format* format = find_format(std::string_view(name));
    ASSERT_NE(format, nullptr) << name;
    EXPECT_EQ(format->bits_per_weight(), bits) << name;
  }
}

// Codebooks have no encoder, and three formats come from other programs only.
constexpr std::string_view kReadOnly[] = {"IQ1_S",   "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S",
                                          "IQ3_XXS", "IQ3_S", "NVFP4",   "Q1_0",   "Q2_0"};

TEST(Catalog, EveryFormatDecodesAndOnlyWeightsEncode) {
  for (const Format& format : all_formats()) {
    EXPECT_NE(format.decode, nullptr) << format.name;
    const bool read_only = std::ranges::find(kReadOnly, format.name) != std::end(kReadOnly);
    EXPECT_EQ(format.encode != nullptr, format.is_weight && !read_only) << format.name;
    EXPECT_EQ(format.count_bad_scales != nullptr, format.block_len > 1) << format.name;
    const bool is_super_block = format.block_len == 256;
    EXPECT_EQ(format.activation == Activation::kQ8_256, is_super_block) << format.name;
    EXPECT_EQ(format.activation == Activation::kFloat, format.block_len == 1) << format.name;
  }
}

TEST(Catalog, SizesBeyondFourGigaweightsDoNotWrap) {
  const int64_t n = int64_t{1} << 36;
  for (const Format& format : all_formats()) {
    const auto blocks = static_cast<uint64_t>(n) / static_cast<uint64_t>(format.block_len);
    EXPECT_EQ(format.size_bytes(n), blocks * format.block_bytes) << format.name;
    EXPECT_GE(format.size_bytes(n), uint64_t{1} << 32) << format.name;
  }
  EXPECT_EQ(format_of(FormatId::Q4_K).size_bytes(n), uint64_t{38654705664});
}

TEST(Catalog, IntegersAndDoublesDecodeAtOddAddresses) {
  const auto decode_one = [](FormatId id, const auto& value) {
    std::vector<char> bytes(sizeof value + 1);
    std::memcpy(bytes.data() + 1, &value, sizeof value);
    float x = 0;
    format_of(id).decode(bytes.data() + 1, &x, 1);
    return x;
  };
  EXPECT_EQ(decode_one(FormatId::I8, int8_t{-128}), -128.f);
  EXPECT_EQ(decode_one(FormatId::I16, int16_t{-32768}), -32768.f);
  EXPECT_EQ(decode_one(FormatId::I32, int32_t{1 << 30}), 0x1p30f);
  EXPECT_EQ(decode_one(FormatId::I64, int64_t{1} << 40), 0x1p40f);
  EXPECT_EQ(decode_one(FormatId::F64, -0.1), -0.1f);
  EXPECT_EQ(decode_one(FormatId::F32, 1.5f), 1.5f);
  EXPECT_EQ(decode_one(FormatId::F16, uint16_t{0x3e00}), 1.5f);
  EXPECT_EQ(decode_one(FormatId::BF16, uint16_t{0x3fc0}), 1.5f);
}

TEST(Catalog, DecodingNothingIsAllowed) {
  for (const Format& format : all_formats()) format.decode(nullptr, nullptr, 0);
}

TEST(CountBadScales, SeesScalesMinimaAndSuperScales) {
  const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e00, 0xfc01};
  for (const uint16_t bits : bad) {
    BlockQ4_0 q4_0[2] = {};
    q4_0[1].d = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q4_0), q4_0, 64), 1);
    BlockQ4_1 q4_1[2] = {};
    q4_1[0].m = q4_1[1].d = q4_1[1].m = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q4_1), q4_1, 64), 3);
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q4_1), q4_1, 32), 1);
    BlockQ5_0 q5_0 = {};
    q5_0.d = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q5_0), &q5_0, 32), 1);
    BlockQ5_1 q5_1 = {};
    q5_1.m = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q5_1), &q5_1, 32), 1);
    BlockQ8_0 q8_0 = {};
    q8_0.d = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q8_0), &q8_0, 32), 1);
    BlockQ4_K q4_k = {};
    q4_k.d = q4_k.dmin = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q4_K), &q4_k, 256), 2);
    BlockQ5_K q5_k = {};
    q5_k.dmin = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q5_K), &q5_k, 256), 1);
    BlockQ6_K q6_k = {};
    q6_k.d = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q6_K), &q6_k, 256), 1);
    BlockIQ4_NL iq4 = {};
    iq4.d = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::IQ4_NL), &iq4, 32), 1);
    BlockQ2_K q2_k = {};
    q2_k.d = q2_k.dmin = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q2_K), &q2_k, 256), 2);
    BlockQ1_0 q1_0[2] = {};
    q1_0[1].d = bits;
    EXPECT_EQ(count_bad_scales(format_of(FormatId::Q1_0), q1_0, 256), 1);
  }
}

TEST(CountBadScales, OfEightBitScalesOnlyTheNaNOfMXFP4) {
  BlockMXFP4 mxfp4[256] = {};
  BlockNVFP4 nvfp4[64] = {};
  for (int i = 0; i < 256; ++i) {
    mxfp4[i].e = static_cast<uint8_t>(i);
    nvfp4[i / 4].d[i % 4] = static_cast<uint8_t>(i);
  }
  EXPECT_EQ(count_bad_scales(format_of(FormatId::MXFP4), mxfp4, 256 * 32), 1);
  EXPECT_EQ(count_bad_scales(format_of(FormatId::MXFP4), mxfp4, 255 * 32), 0);
  EXPECT_EQ(count_bad_scales(format_of(FormatId::NVFP4), nvfp4, 64 * 64), 0);
}

TEST(CountBadScales, FiniteScalesAndOtherBytesAreNotCounted) {
  BlockQ8_0 block = {};
  block.d = 0x7bff;  // 65504
  std::fill(std::begin(block.qs), std::end(block.qs), int8_t{0x7c});
  EXPECT_EQ(count_bad_scales(format_of(FormatId::Q8_0), &block, 32), 0);
  const float infinite = std::numeric_limits<float>::infinity();
  EXPECT_EQ(count_bad_scales(format_of(FormatId::F32), &infinite, 1), 0);  // no scale there
}

}  // namespace
}  // namespace nibble
