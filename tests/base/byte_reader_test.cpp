#include "base/byte_reader.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>

namespace nibble {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(ByteReader, ReadsLittleEndianNumbers) {
  ByteReader reader(bytes_of(std::string_view("\x01\x02\x03\x04\xff\xff\0\0\x80\x3f", 10)));
  EXPECT_EQ(reader.read<uint32_t>(), 0x04030201u);
  EXPECT_EQ(reader.read<int16_t>(), -1);
  EXPECT_EQ(reader.offset(), 6u);
  EXPECT_EQ(reader.read<float>(), 1.0f);
  EXPECT_EQ(reader.remaining(), 0u);
  EXPECT_EQ(reader.read<uint8_t>(), std::nullopt);
}

TEST(ByteReader, AFailedReadMovesNothing) {
  ByteReader reader(bytes_of("abcdefg"));
  EXPECT_EQ(reader.read<uint64_t>(), std::nullopt);
  EXPECT_EQ(reader.offset(), 0u);
  EXPECT_EQ(reader.take(8), std::nullopt);
  EXPECT_EQ(reader.take_string(7), "abcdefg");
  EXPECT_EQ(reader.take_string(0), "");
  EXPECT_EQ(reader.take_string(1), std::nullopt);
}

TEST(ByteReader, LengthsThatWrapAreRefused) {
  ByteReader reader(bytes_of("0123456789"));
  ASSERT_TRUE(reader.take(5));
  const uint64_t max = std::numeric_limits<uint64_t>::max();
  for (const uint64_t n : {max, max - 4, max - 5, max / 2, uint64_t{1} << 63, uint64_t{6}}) {
    EXPECT_EQ(reader.take(n), std::nullopt) << n;
  }
  EXPECT_EQ(reader.remaining(), 5u);
}

TEST(ByteReader, NoBytes) {
  ByteReader reader({});
  EXPECT_EQ(reader.read<uint8_t>(), std::nullopt);
  EXPECT_TRUE(reader.take(0));
  EXPECT_EQ(reader.take(1), std::nullopt);
}

}  // namespace
}  // namespace nibble
