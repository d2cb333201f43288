// The codebook formats against an independent implementation (tests/golden/codebook_formats.bin,
// see make_codebook_golden.py there) and against the drawings in blocks_codebook.h.
#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <vector>

#include "formats/blocks.h"
#include "formats/codebooks.h"
#include "tests/formats/format_golden.h"

namespace nibble {
namespace {

using testing::read_golden;
using testing::Section;

TEST(Codebook, DecodedValuesAreBitEqual) {
  const auto sections = read_golden("codebook_formats.bin");
  EXPECT_EQ(sections.size(), 7u);
  testing::expect_decoded_values_equal(sections);
}

template <typename Block>
const Block* blocks_of(const Section& section) {
  EXPECT_EQ(section.format->id, Block::kId);
  return reinterpret_cast<const Block*>(section.blocks.data());
}

// The golden blocks reach every entry of every grid, and every sign byte where it is stored whole.
TEST(Codebook, GoldenBlocksCoverGridsAndSigns) {
  for (const Section& section : read_golden("codebook_formats.bin")) {
    std::set<uint32_t> indices, signs;
    size_t n_indices = 0, n_signs = 0;
    const size_t n = section.blocks.size() / section.format->block_bytes;
    for (size_t b = 0; b < n; ++b) {
      for (int g = 0; g < 32; ++g) {
        if (section.format->id == FormatId::IQ1_S) {
          const auto& block = blocks_of<BlockIQ1_S>(section)[b];
          indices.insert(block.qs[g] | ((block.qh[g / 4] >> (3 * (g % 4))) & 7u) << 8);
          n_indices = 2048;
        } else if (section.format->id == FormatId::IQ1_M) {
          const auto& block = blocks_of<BlockIQ1_M>(section)[b];
          indices.insert(block.qs[g] | ((block.qh[g / 2] >> (4 * (g % 2))) & 7u) << 8);
          n_indices = 2048;
        } else if (section.format->id == FormatId::IQ2_XXS) {
          indices.insert(blocks_of<BlockIQ2_XXS>(section)[b].qs[g / 4 * 8 + g % 4]);
          n_indices = 256;
        } else if (section.format->id == FormatId::IQ2_XS) {
          const uint32_t qs = blocks_of<BlockIQ2_XS>(section)[b].qs[g];
          indices.insert(qs & 511);
          signs.insert(qs >> 9);
          n_indices = 512;
          n_signs = 128;
        } else if (section.format->id == FormatId::IQ2_S) {
          const auto& block = blocks_of<BlockIQ2_S>(section)[b];
          indices.insert(block.qs[g] | ((block.qh[g / 4] >> (2 * (g % 4))) & 3u) << 8);
          signs.insert(block.signs[g]);
          n_indices = 1024;
          n_signs = 256;
        } else if (section.format->id == FormatId::IQ3_XXS) {
          const auto& block = blocks_of<BlockIQ3_XXS>(section)[b];
          for (const int k : {2 * g, 2 * g + 1}) indices.insert(block.qs[k]);
          n_indices = 256;
        } else {
          const auto& block = blocks_of<BlockIQ3_S>(section)[b];
          for (const int k : {2 * g, 2 * g + 1}) {
            indices.insert(block.qs[k] | ((block.qh[k / 8] >> (k % 8)) & 1u) << 8);
          }
          signs.insert(block.signs[g]);
          n_indices = 512;
          n_signs = 256;
        }
      }
    }
    EXPECT_EQ(indices.size(), n_indices) << section.format->name;
    EXPECT_EQ(signs.size(), n_signs) << section.format->name;
  }
}

TEST(Codebook, TheEighthSignMakesTheirNumberEven) {
  for (uint32_t seven = 0; seven < 128; ++seven) {
    EXPECT_EQ(sign_byte(seven) & 127u, seven);
    EXPECT_EQ(std::popcount(sign_byte(seven)) % 2, 0) << seven;
  }
}

template <typename Entry, size_t kN>
void expect_distinct(const Entry (&grid)[kN], const std::set<int>& values) {
  EXPECT_EQ(std::set<Entry>(grid, grid + kN).size(), kN);
  std::set<int> seen;
  for (const Entry entry : grid) {
    for (size_t j = 0; j < sizeof(Entry); ++j) seen.insert((entry >> (8 * j)) & 255);
  }
  EXPECT_EQ(seen, values);
}

TEST(Codebook, GridsHoldDistinctEntriesOfTheirValues) {
  expect_distinct(kCodebooks.iq1, {0, 8, 16});
  expect_distinct(kCodebooks.iq2_xxs, {8, 25, 43});
  expect_distinct(kCodebooks.iq2_xs, {8, 25, 43});
  expect_distinct(kCodebooks.iq2_s, {8, 25, 43});
  expect_distinct(kCodebooks.iq3_xxs, {4, 12, 20, 28, 36, 44, 52, 62});
  expect_distinct(kCodebooks.iq3_s, {1, 3, 5, 7, 9, 11, 13, 15});
}

TEST(Codebook, ScaleOfIQ1_MIsCountedWhereverItsNibblesLie) {
  const Format& format = format_of(FormatId::IQ1_M);
  BlockIQ1_M block = {};
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    for (int k = 0; k < 4; ++k) {
      block.scales[k] = static_cast<uint16_t>(0x0abc | (((bits >> (4 * k)) & 15) << 12));
    }
    ASSERT_EQ(BlockIQ1_M::d(block), bits);
    ASSERT_EQ(count_bad_scales(format, &block, 256), (bits & 0x7c00) == 0x7c00 ? 1 : 0);
  }
}

TEST(Codebook, FormatsAreReadAndNeverWritten) {
  const std::pair<const char*, double> expected[] = {
      {"IQ1_S", 1.5625}, {"IQ1_M", 1.75},     {"IQ2_XXS", 2.0625}, {"IQ2_XS", 2.3125},
      {"IQ2_S", 2.5625}, {"IQ3_XXS", 3.0625}, {"IQ3_S", 3.4375}};
  for (const auto& [name, bits] : expected) {
    const Format* format = find_format(std::string_view(name));
    ASSERT_NE(format, nullptr) << name;
    EXPECT_EQ(format->bits_per_weight(), bits) << name;
    EXPECT_EQ(format->encode, nullptr) << name;
    EXPECT_EQ(format->activation, Activation::kQ8_256) << name;
  }
}

}  // namespace
}  // namespace nibble
