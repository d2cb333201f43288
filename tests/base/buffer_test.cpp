#include "base/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>

namespace nibble {
namespace {

TEST(Buffer, ZeroedAlignedAndWritable) {
  for (const auto pages : {Buffer::Pages::kNormal, Buffer::Pages::kHuge}) {
    const size_t alignment = pages == Buffer::Pages::kHuge ? size_t{2} << 20 : 4096;
    for (const size_t size : {size_t{1}, size_t{4096}, size_t{4097}, size_t{5} << 20}) {
      auto result = Buffer::allocate(size, pages);
      ASSERT_TRUE(result.ok()) << result.error().message;
      Buffer buffer = result.take();
      EXPECT_EQ(buffer.size(), size);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % alignment, 0u);
      for (size_t i = 0; i < size; ++i) ASSERT_EQ(buffer.data()[i], std::byte{0});
      for (const size_t i : {size_t{0}, size / 2, size - 1}) buffer.data()[i] = std::byte{0xff};
      EXPECT_EQ(buffer.as<uint8_t>()[size - 1], 0xff);
    }
  }
}

TEST(Buffer, SizeZeroAndMoves) {
  auto empty = Buffer::allocate(0);
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty->data(), nullptr);
  EXPECT_EQ(empty->size(), 0u);

  Buffer first = Buffer::allocate(100).take();
  first.data()[0] = std::byte{7};
  Buffer second = std::move(first);
  EXPECT_EQ(second.data()[0], std::byte{7});
  EXPECT_EQ(second.size(), 100u);
  Buffer third;
  third = std::move(second);
  EXPECT_EQ(third.data()[0], std::byte{7});
}

TEST(Buffer, ImpossibleSizesAreAnErrorAndNoCrash) {
  for (const auto pages : {Buffer::Pages::kNormal, Buffer::Pages::kHuge}) {
    for (const size_t size : {std::numeric_limits<size_t>::max(),
                              std::numeric_limits<size_t>::max() - 4096, size_t{1} << 60}) {
      const auto buffer = Buffer::allocate(size, pages);
      ASSERT_FALSE(buffer.ok());
      EXPECT_EQ(buffer.error().kind, ErrorKind::kResource);
    }
  }
}

}  // namespace
}  // namespace nibble
