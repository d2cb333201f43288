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
  EXPECT_EQ(formats.size(), 17u);
  for (size_t i = 1; i < formats.size(); ++i) EXPECT_LT(formats[i - 1].id, formats[i].id);
}

TEST(Catalog, UnknownIdsAndNamesAreNull) {
  for (const uint32_t id :
       {4u, 5u, 9u, 10u, 11u, 15u, 16u, 19u, 21u, 23u, 29u, 31u, 39u, 1000u, 0xffffffffu}) {
    EXPECT_EQ(find_format(id), nullptr) << id;
  }
  for (const char* name : {"", "Q4", "Q4_K_M", "Q4_", "Q4_KK", " Q4_K", "F8", "q4-k"}) {
    EXPECT_EQ(find_format(std::string_view(name)), nullptr) << name;
  }
}

TEST(Catalog, BitsPerWeightAreThoseOfTheFormats) {
  const std::pair<const char*, double> expected[] = {
      {"F32", 32}, {"F16", 16},   {"BF16", 16},  {"Q4_0", 4.5}, {"Q4_1", 5},      {"Q5_0", 5.5},
      {"Q5_1", 6}, {"Q8_0", 8.5}, {"Q4_K", 4.5}, {"Q5_K", 5.5}, {"Q6_K", 6.5625}, {"IQ4_NL", 4.5},
      {"I8", 8},   {"I16", 16},   {"I32", 32},   {"I64", 64},   {"F64", 64}};
  for (const auto& [name, bits] : expected) {
    const Format* format = find_format(std::string_view(name));
    ASSERT_NE(format, nullptr) << name;
    EXPECT_EQ(format->bits_per_weight(), bits) << name;
  }
}

TEST(Catalog, EveryFormatDecodesAndOnlyWeightsEncode) {
  for (const Format& format : all_formats()) {
    EXPECT_NE(format.decode, nullptr) << format.name;
    EXPECT_EQ(format.encode != nullptr, format.is_weight) << format.name;
    const bool is_super_block = format.block_len == 256;
    EXPECT_EQ(format.activation == Activation::kQ8_256, is_super_block) << format.name;
    EXPECT_EQ(format.activation == Activation::kFloat, format.block_len == 1) << format.name;
  }
}

TEST(Catalog, SizesBeyondFourGigaweightsDoNotWrap) {
  const int64_t n = int64_t{1} << 33;
  for (const Format& format : all_formats()) {
    const auto blocks = static_cast<uint64_t>(n) / static_cast<uint64_t>(format.block_len);
    EXPECT_EQ(format.size_bytes(n), blocks * format.block_bytes) << format.name;
    EXPECT_GE(format.size_bytes(n), uint64_t{1} << 32) << format.name;
  }
  EXPECT_EQ(format_of(FormatId::Q4_K).size_bytes(n), uint64_t{4831838208});
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
  }
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
