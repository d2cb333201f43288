#include "container/safetensors.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "tests/container/allocation_probe.h"
#include "tests/container/safetensors_bytes.h"

namespace nibble {
namespace {

using test::kSmallHeader;
using test::safetensors_file;

Result<SafetensorsFile> parse(const std::string& text) {
  return SafetensorsFile::parse(std::as_bytes(std::span(text.data(), text.size())), "f");
}

void expect_refused(const std::string& text, std::string_view part) {
  const auto file = parse(text);
  ASSERT_FALSE(file.ok()) << part;
  EXPECT_EQ(file.error().kind, ErrorKind::kInvalid);
  EXPECT_NE(file.error().message.find(part), std::string::npos) << file.error().message;
  EXPECT_LE(file.error().message.size(), 600u);
}

std::string replaced(std::string_view from, std::string_view to) {
  std::string header(kSmallHeader);
  header.replace(header.find(from), from.size(), to);
  return safetensors_file(header, std::string(26, '\0'));
}

TEST(Safetensors, TensorsAreFoundWithTheirBytes) {
  const std::string text = test::small_safetensors();
  const auto file = parse(text);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const SafeTensor* a = file->find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape_text(), "[2, 3]");
  EXPECT_EQ(file->data(*a).size(), 24u);
  EXPECT_EQ(file->data(*file->find("b"))[0], std::byte{2});
  EXPECT_EQ(file->find("c"), nullptr);
}

TEST(Safetensors, LengthsOfTheHeader) {
  for (size_t n = 0; n < 8; ++n) expect_refused(std::string(n, '\0'), "it was cut off");
  for (const uint64_t n :
       {uint64_t{27}, kMaxSafetensorsHeaderBytes, kMaxSafetensorsHeaderBytes + 1, ~uint64_t{0}}) {
    expect_refused(safetensors_file("", std::string(26, ' '), n), "header has");
  }
  expect_refused(safetensors_file("", ""), "'{'");
  expect_refused(safetensors_file("{", ""), "JSON");
  EXPECT_TRUE(parse(safetensors_file("{}", "")).ok());
  expect_refused(safetensors_file(kSmallHeader, std::string(26, '\0'), 1), "JSON");
}

TEST(Safetensors, OtherThanAnObjectOfTensors) {
  expect_refused(safetensors_file("[1]", ""), "'{'");
  expect_refused(safetensors_file("1  ", ""), "'{'");
  expect_refused(safetensors_file(" {}", ""), "'{'");
  expect_refused(safetensors_file(std::string("{}\0\0", 4), ""), "JSON");
  expect_refused(safetensors_file("{} x", ""), "JSON");
  expect_refused(safetensors_file("{\"\xff\":1}", ""), "JSON");
  expect_refused(safetensors_file(R"({"a":)" + std::string(100000, '['), ""), "an array");
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  expect_refused(safetensors_file(deep, ""), "field");
  expect_refused(replaced(R"({"format":"pt"})", R"({"format":1})"), "a number");
  expect_refused(replaced(R"({"format":"pt"})", R"({"format":{"a":"b"}})"), "an object");
  for (const char* value : {"null", "true", "-1", "1.5", "\"x\"", "{}", "[]", "[[2],3]"}) {
    const auto file = parse(replaced("[2,3]", value));
    EXPECT_FALSE(file.ok()) << value;
  }
}

TEST(Safetensors, NamesTwice) {
  expect_refused(replaced("\"b\":", "\"a\":"), "twice");
  expect_refused(replaced("\"shape\":[1]", "\"shape\":[1],\"shape\":[1]"), "twice");
  expect_refused(replaced("\"b\":", "\"__metadata__\":"), "twice");
}

TEST(Safetensors, WhereTheDataLies) {
  expect_refused(replaced("[24,26]", "[23,25]"), "begins at");  // overlap
  expect_refused(replaced("[24,26]", "[25,27]"), "begins at");  // hole
  expect_refused(replaced("[24,26]", "[26,24]"), "no range");
  expect_refused(replaced("[24,26]", "[24]"), "no range");
  expect_refused(replaced("[24,26]", "[24,26,28]"), "third offset");
  expect_refused(safetensors_file(kSmallHeader, std::string(25, '\0')), "cut off");
  expect_refused(safetensors_file(kSmallHeader, std::string(27, '\0')), "behind its last tensor");
}

TEST(Safetensors, ShapesAndTypes) {
  expect_refused(replaced("[2,3]", "[4294967296,4294967296]"), "too large");
  expect_refused(replaced("[2,3]", "[4294967296,4294967296,0]"), "too large");
  expect_refused(replaced("[2,3]", "[9223372036854775808]"), "number");
  expect_refused(replaced("[2,3]", "[-2,-3]"), "a negative number");
  expect_refused(replaced("[2,3]", "[2.0,3]"), "a fraction");
  expect_refused(replaced("[2,3]", "[7]"), "needs 28");
  expect_refused(replaced("[2,3]", "[1,1,1,1,1,1,1,1,6]"), "more than 8");
  expect_refused(replaced("\"F32\"", "\"F31\""), "dtype");
  expect_refused(replaced("\"dtype\":\"F32\",", ""), "lacks");
  expect_refused(replaced("\"shape\"", "\"Shape\""), "field");
  const auto empty = parse(safetensors_file(
      R"({"z":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},"s":{"dtype":"F16","shape":[],)"
      R"("data_offsets":[0,2]}})",
      "ab"));
  ASSERT_TRUE(empty.ok()) << empty.error().message;
  EXPECT_EQ(empty->tensors().size(), 2u);
}

TEST(Safetensors, OtherFilesAreNamed) {
  expect_refused("PK\x03\x04" + std::string(60, 'x'), "ZIP");
  expect_refused("\x80\x02}q" + std::string(60, 'x'), "pickle");
  expect_refused("GGUF\x03" + std::string(60, 'x'), "GGUF");
  expect_refused("version https://git-lfs.github.com/spec/v1\noid", "Git LFS");
}

TEST(Safetensors, AMillionTensorsEndSoon) {
  std::string header = "{";
  for (int i = 0; i < 1000000; ++i) {
    header += fmt::format(R"({}"t{}":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})",
                          i == 0 ? "" : ",", i, i, i + 1);
  }
  const std::string text = safetensors_file(header + "}", std::string(1000000, '\0'));
  test::reset_allocation_probe();
  const auto start = std::chrono::steady_clock::now();
  expect_refused(text, "one of more than");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 5.0);
  EXPECT_LT(test::peak_allocated(), size_t{160} << 20);
}

TEST(Safetensors, EightBitFloats) {
  std::vector<std::byte> codes(256);
  for (size_t i = 0; i < 256; ++i) codes[i] = static_cast<std::byte>(i);
  std::vector<float> x(256);
  decode_dtype(SafeDtype::F8_E4M3, codes.data(), x.data(), 256);
  EXPECT_EQ(x[0x00], 0.0f);
  EXPECT_EQ(x[0x01], 0x1p-9f);
  EXPECT_EQ(x[0x08], 0x1p-6f);
  EXPECT_EQ(x[0x38], 1.0f);
  EXPECT_EQ(x[0x7e], 448.0f);
  EXPECT_EQ(x[0xb9], -1.125f);
  EXPECT_TRUE(std::isnan(x[0x7f]) && std::isnan(x[0xff]));
  decode_dtype(SafeDtype::F8_E5M2, codes.data(), x.data(), 256);
  EXPECT_EQ(x[0x3c], 1.0f);
  EXPECT_EQ(x[0x01], 0x1p-16f);
  EXPECT_EQ(x[0x7b], 57344.0f);
  EXPECT_TRUE(std::isinf(x[0x7c]) && std::isnan(x[0x7d]));
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  SafeTensor tensor;
  tensor.name = "quote\"\n";
  tensor.dtype = SafeDtype::F16;
  tensor.n_dims = 1;
  tensor.shape[0] = 3;
  tensor.size_bytes = 6;
  const std::string header = safetensors_header(std::span(&tensor, 1));
  EXPECT_EQ(header.size() % 8, 0u);
  const std::string text = safetensors_file(header, "abcdef");
  const auto file = parse(text);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_NE(file->find("quote\"\n"), nullptr);
}

// Truncations, flipped bytes and random damage: refused with a message, or every tensor is inside.
TEST(SafetensorsMutation, AnyDamageIsRefusedOrHarmless) {
  const std::string whole = test::small_safetensors();
  int n_files = 0, n_accepted = 0;
  const auto survive = [&](const std::string& text) {
    test::reset_allocation_probe();
    const auto file = parse(text);
    ++n_files;
    EXPECT_LE(test::peak_allocated(), 64 * text.size() + 8192);
    if (!file.ok()) {
      ASSERT_EQ(file.error().kind, ErrorKind::kInvalid);
      ASSERT_FALSE(file.error().message.empty());
      return;
    }
    ++n_accepted;
    uint64_t total = 0;
    for (const SafeTensor& tensor : file->tensors()) total += file->data(tensor).size();
    ASSERT_LE(total, text.size());
  };
  for (size_t n = 0; n < whole.size(); ++n) survive(whole.substr(0, n));
  EXPECT_EQ(n_accepted, 0);
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int change : {1, 2, 4, 16, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ change);
      survive(damaged);
    }
  }
  const std::string_view pieces[] = {
      "{",    "}", "[", "]",  ",",    ":",       "\"",
      "0",    "-", "9", "e9", "null", "\\u0000", "18446744073709551615",
      "\"a\""};
  Random random(99);
  for (int round = 0; round < 5000; ++round) {
    std::string header(kSmallHeader);
    for (uint64_t i = 0; i <= random.below(3); ++i) {
      const auto piece = pieces[random.below(std::size(pieces))];
      header.replace(random.below(header.size()), random.below(3), piece);
    }
    survive(safetensors_file(header, whole.substr(whole.size() - 26)));
  }
  EXPECT_GE(n_files, 3000);
}

}  // namespace
}  // namespace nibble
