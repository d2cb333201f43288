#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "container/gguf.h"

namespace nibble {
namespace {

template <typename T>
GgufValue scalar(GgufType type, T value) {
  return GgufValue::of_raw(type, type, 1,
                           std::string(reinterpret_cast<const char*>(&value), sizeof(T)));
}

template <typename T>
GgufValue array(GgufType type, const std::vector<T>& values) {
  return GgufValue::of_raw(
      GgufType::kArray, type, values.size(),
      std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
}

TEST(GgufValue, IntegersConvertWhenTheValueSurvives) {
  EXPECT_EQ(scalar<uint8_t>(GgufType::kUint8, 255).as_int(), 255);
  EXPECT_EQ(scalar<int8_t>(GgufType::kInt8, -128).as_int(), -128);
  EXPECT_EQ(scalar<int8_t>(GgufType::kInt8, -128).as_uint(), std::nullopt);
  EXPECT_EQ(scalar<int8_t>(GgufType::kInt8, 127).as_uint(), 127u);
  EXPECT_EQ(scalar<uint16_t>(GgufType::kUint16, 65535).as_uint(), 65535u);
  EXPECT_EQ(scalar<int16_t>(GgufType::kInt16, -1).as_int(), -1);
  EXPECT_EQ(scalar<int32_t>(GgufType::kInt32, -1).as_uint(), std::nullopt);
  EXPECT_EQ(GgufValue::of_uint32(4000000000u).as_int(), 4000000000);
  constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(scalar(GgufType::kUint64, kAll).as_uint(), kAll);
  EXPECT_EQ(scalar(GgufType::kUint64, kAll).as_int(), std::nullopt);
  EXPECT_EQ(scalar<int64_t>(GgufType::kInt64, 5).as_uint(), 5u);
}

TEST(GgufValue, OtherTypesGiveNothing) {
  EXPECT_EQ(GgufValue::of_float32(2.0f).as_uint(), std::nullopt);
  EXPECT_EQ(GgufValue::of_bool(true).as_uint(), std::nullopt);
  EXPECT_EQ(GgufValue::of_bool(true).as_float(), std::nullopt);
  EXPECT_EQ(GgufValue::of_string("7").as_int(), std::nullopt);
  EXPECT_EQ(GgufValue::of_string("7").as_strings(), std::nullopt);
  EXPECT_EQ(GgufValue::of_uint32(1).as_bool(), std::nullopt);
  EXPECT_EQ(GgufValue::of_uint32(1).as_string(), std::nullopt);
  EXPECT_EQ(GgufValue::of_int32s(std::vector<int32_t>{1}).as_int(), std::nullopt);
  EXPECT_EQ(GgufValue::of_int32s(std::vector<int32_t>{1}).as_floats(), std::nullopt);
  EXPECT_EQ(GgufValue::of_int32s(std::vector<int32_t>{1}).as_strings(), std::nullopt);
  EXPECT_EQ(GgufValue::of_float32s(std::vector<float>{1}).as_ints(), std::nullopt);
}

TEST(GgufValue, FloatsFromAnyNumber) {
  EXPECT_EQ(GgufValue::of_float32(1.5f).as_float(), 1.5);
  EXPECT_EQ(scalar(GgufType::kFloat64, 0.1).as_float(), 0.1);
  EXPECT_EQ(scalar<int64_t>(GgufType::kInt64, -3).as_float(), -3.0);
  EXPECT_TRUE(std::isnan(*GgufValue::of_float32(std::nanf("")).as_float()));
}

TEST(GgufValue, Arrays) {
  const std::vector<std::string> words = {"a", "", std::string("x\0y", 3), "\xff"};
  const GgufValue strings = GgufValue::of_strings(words);
  EXPECT_EQ(strings.as_strings(), words);
  EXPECT_EQ(strings.type(), GgufType::kArray);
  EXPECT_EQ(strings.element_type(), GgufType::kString);
  EXPECT_EQ(strings.count(), 4u);

  EXPECT_EQ(array<uint8_t>(GgufType::kUint8, {0, 255}).as_ints(), (std::vector<int64_t>{0, 255}));
  EXPECT_EQ(array<int16_t>(GgufType::kInt16, {-5}).as_ints(), (std::vector<int64_t>{-5}));
  EXPECT_EQ(array<uint64_t>(GgufType::kUint64, {1, ~uint64_t{0}}).as_ints(), std::nullopt)
      << "one element does not fit";
  EXPECT_EQ(array<double>(GgufType::kFloat64, {0.5}).as_floats(), (std::vector<float>{0.5f}));
  EXPECT_EQ(GgufValue::of_float32s(std::vector<float>{}).as_floats(), std::vector<float>{});
}

TEST(GgufValue, BytesThatEndEarlyGiveNothing) {
  const auto lying = [](GgufType type, GgufType element, uint64_t count, std::string bytes) {
    return GgufValue::of_raw(type, element, count, std::move(bytes));
  };
  EXPECT_EQ(lying(GgufType::kUint32, GgufType::kUint32, 1, "abc").as_uint(), std::nullopt);
  EXPECT_EQ(lying(GgufType::kString, GgufType::kString, 1, "abc").as_string(), std::nullopt);
  const uint64_t huge = ~uint64_t{0};
  EXPECT_EQ(lying(GgufType::kArray, GgufType::kInt32, huge, "abcd").as_ints(), std::nullopt);
  EXPECT_EQ(lying(GgufType::kArray, GgufType::kFloat32, huge, "abcd").as_floats(), std::nullopt);
  EXPECT_EQ(lying(GgufType::kArray, GgufType::kString, huge, "abcdefgh").as_strings(),
            std::nullopt);
  EXPECT_EQ(lying(GgufType::kArray, GgufType::kString, 1, std::string("\x09\0\0\0\0\0\0\0x", 9))
                .as_strings(),
            std::nullopt);
}

TEST(GgufMetadata, KeepsFileOrderThroughSetAndErase) {
  GgufMetadata metadata;
  metadata.set("b", GgufValue::of_uint32(1));
  metadata.set("a", GgufValue::of_uint32(2));
  metadata.set("c", GgufValue::of_uint32(3));
  metadata.set("b", GgufValue::of_string("new"));
  ASSERT_EQ(metadata.entries().size(), 3u);
  EXPECT_EQ(metadata.entries()[0].first, "b");
  EXPECT_EQ(metadata.find("b")->as_string(), "new");

  metadata.erase("missing");
  metadata.erase("b");
  ASSERT_EQ(metadata.entries().size(), 2u);
  EXPECT_EQ(metadata.find("b"), nullptr);
  EXPECT_EQ(metadata.find("a")->as_uint(), 2u);
  EXPECT_EQ(metadata.find("c")->as_uint(), 3u);
  metadata.set("b", GgufValue::of_bool(true));
  EXPECT_EQ(metadata.entries()[2].first, "b");
  EXPECT_EQ(metadata.find("b")->as_bool(), true);
}

}  // namespace
}  // namespace nibble
