// The encoders of the kernel tables give the bytes of the formats' own encoders.
#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "kernels/kernels.h"
#include "tests/formats/format_rows.h"

namespace nibble {
namespace {

using testing::make_rows;

std::vector<uint8_t> encode(EncodeFn encode_row, const Format& format, const std::vector<float>& x,
                            const float* importance, int64_t row_len) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<uint8_t> blocks(format.size_bytes(n));
  for (int64_t i = 0; i < n; i += row_len) {
    encode_row(x.data() + i, importance, blocks.data() + format.size_bytes(i), row_len);
  }
  return blocks;
}

TEST(KernelEncode, EveryTableGivesTheBytesOfTheFormat) {
  constexpr int64_t kLen = 1536;
  std::vector<float> importance(kLen);
  Random random(13);
  for (float& h : importance) h = static_cast<float>(random.uniform());
  // Beside the seeded kinds: every exponent of float32, and values that only subnormals can hold.
  std::vector<std::vector<float>> sets;
  for (int kind = 0; kind < testing::kRowKinds; ++kind) sets.push_back(make_rows(kind, 8, kLen));
  for (const float scale : {1e38f, 3e5f, 1e-7f, 1e-39f}) {
    auto& x = sets.emplace_back(make_rows(0, 2, kLen));
    for (float& v : x) v *= scale;
  }
  auto& exponents = sets.emplace_back(kLen);
  for (size_t j = 0; j < exponents.size(); ++j) {
    exponents[j] = std::ldexp(j % 3 ? 1.0f : -1.5f, static_cast<int>(j * 7 % 276) - 149);
  }
  int n_tables = 0;
  for (const char* name : {"portable", "avx2", "avx512", "neon", "neon_i8mm"}) {
    const KernelTable* table = kernels::find(name);
    if (table == nullptr) continue;
    ++n_tables;
    for (const Format* format : testing::writable_formats()) {
      const EncodeFn fast = kernels::encoder(*table, *format);
      for (size_t i = 0; i < sets.size(); ++i) {
        for (const bool weighted : {false, true}) {
          const float* h = weighted ? importance.data() : nullptr;
          EXPECT_EQ(encode(fast, *format, sets[i], h, kLen),
                    encode(format->encode, *format, sets[i], h, kLen))
              << name << ' ' << format->name << " rows " << i << (weighted ? " weighted" : "");
        }
      }
    }
  }
  EXPECT_GE(n_tables, 1);
}

// Rows of 32-wide formats may have any number of blocks: groups of lanes that are not full.
TEST(KernelEncode, RowsThatDoNotFillTheLanes) {
  for (const char* name : {"portable", "avx2", "avx512", "neon", "neon_i8mm"}) {
    const KernelTable* table = kernels::find(name);
    if (table == nullptr) continue;
    for (const Format* format : testing::writable_formats()) {
      if (format->block_len != 32) continue;
      for (const int64_t n_blocks : {1, 3, 7, 9, 18}) {
        const auto x = make_rows(1, 2, 32 * n_blocks);
        EXPECT_EQ(encode(kernels::encoder(*table, *format), *format, x, nullptr, 32 * n_blocks),
                  encode(format->encode, *format, x, nullptr, 32))
            << name << ' ' << format->name << ' ' << n_blocks;
      }
    }
  }
}

}  // namespace
}  // namespace nibble
