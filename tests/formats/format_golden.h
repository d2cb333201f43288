// Reader of golden files of number formats (tests/golden/make_format_golden.py says what is in
// them).
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "formats/format.h"
#include "tests/formats/format_rows.h"

namespace nibble::testing {

struct Section {
  const Format* format;
  std::vector<uint8_t> blocks;
  std::vector<float> values;
  std::vector<double> errors;  // of the other encoder, per row kind; empty: it has none
};

template <typename T>
inline std::vector<T> take(const std::string& bytes, size_t& at, size_t n) {
  std::vector<T> out(n);
  EXPECT_LE(at + n * sizeof(T), bytes.size());
  if (n > 0) std::memcpy(out.data(), bytes.data() + at, n * sizeof(T));
  at += n * sizeof(T);
  return out;
}

// name: a file in tests/golden.
inline std::vector<Section> read_golden(const std::string& name) {
  std::ifstream file(NIBBLE_TEST_DATA "/golden/" + name, std::ios::binary);
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

inline void expect_decoded_values_equal(const std::vector<Section>& sections) {
  for (const Section& section : sections) {
    const auto values = decode(*section.format, section.blocks);
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

}  // namespace nibble::testing
