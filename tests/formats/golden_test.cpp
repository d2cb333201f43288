// Against an independent implementation: tests/golden/formats.bin, see make_format_golden.py there.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "formats/blocks.h"
#include "tests/formats/format_golden.h"

namespace nibble {
namespace {

using testing::Section;

std::vector<Section> read_golden() { return testing::read_golden("formats.bin"); }

TEST(FormatGolden, DecodedValuesAreBitEqual) {
  const auto sections = read_golden();
  EXPECT_EQ(sections.size(), 20u);
  testing::expect_decoded_values_equal(sections);
}

// The golden blocks reach every code at every place and every integer scale.
TEST(FormatGolden, BlocksCoverCodesAndScales) {
  for (const Section& section : read_golden()) {
    std::set<int> codes, scales, minima;
    const size_t n = section.blocks.size() / section.format->block_bytes;
    const auto add_k4 = [&](const uint8_t* packed) {
      for (int j = 0; j < 8; ++j) {
        uint8_t sc, m;
        scale_min_k4(packed, j, sc, m);
        scales.insert(sc);
        minima.insert(m);
      }
    };
    for (size_t b = 0; b < n; ++b) {
      const uint8_t* bytes = section.blocks.data() + b * section.format->block_bytes;
      if (section.format->id == FormatId::Q8_0) {
        for (const int8_t q : reinterpret_cast<const BlockQ8_0*>(bytes)->qs) codes.insert(q);
      } else if (section.format->id == FormatId::Q4_K) {
        add_k4(reinterpret_cast<const BlockQ4_K*>(bytes)->scales);
      } else if (section.format->id == FormatId::Q5_K) {
        add_k4(reinterpret_cast<const BlockQ5_K*>(bytes)->scales);
      } else if (section.format->id == FormatId::Q6_K) {
        for (const int8_t s : reinterpret_cast<const BlockQ6_K*>(bytes)->scales) scales.insert(s);
      } else if (section.format->id == FormatId::Q2_K) {
        for (const uint8_t s : reinterpret_cast<const BlockQ2_K*>(bytes)->scales) scales.insert(s);
      } else if (section.format->id == FormatId::Q3_K) {
        const auto* block = reinterpret_cast<const BlockQ3_K*>(bytes);
        for (int j = 0; j < 16; ++j) scales.insert(64 * j + scale_q3(block->scales, j));
      } else if (section.format->id == FormatId::IQ4_XS) {
        const auto* block = reinterpret_cast<const BlockIQ4_XS*>(bytes);
        for (int j = 0; j < 8; ++j) scales.insert(64 * j + scale_iq4(*block, j));
      } else if (section.format->id == FormatId::MXFP4) {
        scales.insert(reinterpret_cast<const BlockMXFP4*>(bytes)->e);
      } else if (section.format->id == FormatId::NVFP4) {
        for (const uint8_t d : reinterpret_cast<const BlockNVFP4*>(bytes)->d) scales.insert(d);
      }
    }
    if (section.format->id == FormatId::Q8_0) {
      EXPECT_EQ(codes.size(), 256u);
    }
    if (section.format->id == FormatId::Q4_K || section.format->id == FormatId::Q5_K) {
      EXPECT_EQ(scales.size(), 64u) << section.format->name;
      EXPECT_EQ(minima.size(), 64u) << section.format->name;
    }
    // All values; of Q3_K and IQ4_XS all at every place.
    const std::map<FormatId, size_t> n_scales = {
        {FormatId::Q6_K, 256},  {FormatId::Q2_K, 256},  {FormatId::Q3_K, 64 * 16},
        {FormatId::MXFP4, 256}, {FormatId::NVFP4, 256}, {FormatId::IQ4_XS, 64 * 8}};
    if (n_scales.contains(section.format->id)) {
      EXPECT_EQ(scales.size(), n_scales.at(section.format->id)) << section.format->name;
    }
  }
}

TEST(FormatGolden, EncodeErrorIsNoLargerThanTheOtherEncoders) {
  int compared = 0;
  for (const Section& section : read_golden()) {
    if (section.errors.empty()) continue;
    ASSERT_EQ(section.errors.size(), size_t{testing::kRowKinds}) << section.format->name;
    for (int kind = 0; kind < testing::kRowKinds; ++kind) {
      const auto rows = testing::make_rows(kind);
      const auto decoded = testing::decode(*section.format, testing::encode(*section.format, rows));
      const double error = testing::squared_error(rows, decoded);
      // The sums were made in another order.
      EXPECT_LE(error, section.errors[static_cast<size_t>(kind)] * (1 + 1e-12))
          << section.format->name << " rows " << kind;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 7 * testing::kRowKinds);  // F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
}

}  // namespace
}  // namespace nibble
