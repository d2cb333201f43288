#include "container/gguf_checksum.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace nibble {
namespace {

std::vector<std::byte> random_bytes(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

TEST(PositionalChecksum, DoesNotDependOnCutsOrOrder) {
  const auto bytes = random_bytes(1000, 1);
  const std::span<const std::byte> all(bytes);
  const uint64_t whole = positional_checksum(0, all);
  Random random(2);
  for (int round = 0; round < 200; ++round) {
    // Random cuts from the back to the front, so that order differs too.
    uint64_t sum = 0;
    size_t end = all.size();
    while (end > 0) {
      const size_t begin = end - 1 - random.below(std::min<size_t>(end, 40));
      sum += positional_checksum(begin, all.subspan(begin, end - begin));
      end = begin;
    }
    ASSERT_EQ(sum, whole);
  }
}

TEST(PositionalChecksum, EveryBitCounts) {
  auto bytes = random_bytes(64, 3);
  const uint64_t whole = positional_checksum(0, bytes);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    const auto mask = static_cast<std::byte>(1u << (bit % 8));
    bytes[bit / 8] ^= mask;
    EXPECT_NE(positional_checksum(0, bytes), whole) << "bit " << bit;
    bytes[bit / 8] ^= mask;
  }
}

TEST(PositionalChecksum, SwapsAndTopBitPairsShow) {
  auto bytes = random_bytes(4096, 4);
  const uint64_t whole = positional_checksum(0, bytes);
  auto swapped = bytes;
  std::swap_ranges(swapped.begin(), swapped.begin() + 512, swapped.begin() + 1024);
  EXPECT_NE(positional_checksum(0, swapped), whole);
  // Pairs of flipped top bits: what a sum of words times one 64-bit key would not see.
  for (size_t i = 7; i + 8 < bytes.size(); i += 8) {
    auto damaged = bytes;
    damaged[i] ^= std::byte{0x80};
    damaged[i + 8] ^= std::byte{0x80};
    ASSERT_NE(positional_checksum(0, damaged), whole) << "byte " << i;
  }
}

TEST(PositionalChecksum, EmptyAndZerosCountNothing) {
  EXPECT_EQ(positional_checksum(5, {}), 0u);
  EXPECT_EQ(positional_checksum(3, std::vector<std::byte>(100)), 0u);
}

}  // namespace
}  // namespace nibble
