// Against an independent implementation: tests/golden/formats.bin, see make_format_golden.py there.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "formats/blocks.h"
#include "tests/formats/format_rows.h"

namespace nibble {
namespace {

struct Section {
  const Format* format;
  std::vector<uint8_t> blocks;
  std::vector<float> values;
  std::vector<double> errors;  // of the other encoder, per row kind; empty: it has none
};

template <typename T>
std::vector<T> take(const std::string& bytes, size_t& at, size_t n) {
  std::vector<T> out(n);
  EXPECT_LE(at + n * sizeof(T), bytes.size());
  if (n > 0) std::memcpy(out.data(), bytes.data() + at, n * sizeof(T));
  at += n * sizeof(T);
  return out;
}

std::vector<Section> read_golden() {
  std::ifstream file(NIBBLE_TEST_DATA "/golden/formats.bin", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(bytes.substr(0, 8), "NBLFMT01");
  size_t at = 8;
  const uint32_t n_sections = take<uint32_t>(bytes, at, 1)[0];
  std::vector<Section> sections;
  for (uint32_t i = 0; i < n_sections; ++i) {
    const auto head = take<uint32_t>(bytes, at, 4);
    Section section;
    section.format = find_format(head[0]);
    EXPECT_NE(section.format, nullptr) << head[0];
    section.blocks = take<uint8_t>(bytes, at, head[1] * section.format->block_bytes);
    section.values = take<float>(bytes, at, head[2]);
    section.errors = take<double>(bytes, at, head[3]);
    sections.push_back(std::move(section));
  }
  EXPECT_EQ(at, bytes.size());
  return sections;
}

TEST(FormatGolden, DecodedValuesAreBitEqual) {
  const auto sections = read_golden();
  EXPECT_EQ(sections.size(), 11u);
  for (const Section& section : sections) {
    const auto values = testing::decode(*section.format, section.blocks);
    ASSERT_EQ(values.size(), section.values.size()) << section.format->name;
    size_t different = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (std::bit_cast<uint32_t>(values[i]) == std::bit_cast<uint32_t>(section.values[i]))
        continue;
      if (different++ < 5) {
        ADD_FAILURE() << section.format->name << " value " << i << ": " << values[i] << ", not "
                      << section.values[i];
      }
    }
    EXPECT_EQ(different, 0u) << section.format->name;
  }
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
      }
    }
    if (section.format->id == FormatId::Q8_0) {
      EXPECT_EQ(codes.size(), 256u);
    }
    if (section.format->id == FormatId::Q4_K || section.format->id == FormatId::Q5_K) {
      EXPECT_EQ(scales.size(), 64u) << section.format->name;
      EXPECT_EQ(minima.size(), 64u) << section.format->name;
    }
    if (section.format->id == FormatId::Q6_K) {
      EXPECT_EQ(scales.size(), 256u);
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
