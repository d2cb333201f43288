// Damaged files by the thousand: every one is refused with a message or is a file whose every
// number can be trusted. Run under the address sanitizer, each file in a buffer of its exact size.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "container/gguf.h"
#include "tests/container/allocation_probe.h"
#include "tests/container/gguf_bytes.h"
#include "tests/container/gguf_touch.h"

namespace nibble {
namespace {

struct Outcome {
  int n_files = 0, n_accepted = 0;
};

void survive(const std::string& text, Outcome* outcome) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  const std::vector<std::byte> bytes(begin, begin + text.size());
  test::reset_allocation_probe();
  const auto file = GgufFile::parse(bytes, "damaged.gguf");
  ++outcome->n_files;
  if (file.ok()) {
    ++outcome->n_accepted;
    test::touch_everything(*file);
  } else {
    const Error& error = file.error();
    ASSERT_TRUE(error.kind == ErrorKind::kInvalid || error.kind == ErrorKind::kFailure);
    ASSERT_NE(error.message.find("[damaged.gguf] byte "), std::string::npos) << error.message;
    ASSERT_LE(error.message.size(), 1000u);
  }
  ASSERT_LE(test::peak_allocated(), 16 * text.size() + 4096);
}

// Values that break arithmetic, cut to the width of the field.
std::vector<uint64_t> boundary_values(uint64_t original) {
  std::vector<uint64_t> values = {0, 3, 5, 12, 13, ~31ull, ~0ull, (1ull << 63) - 64};
  for (const int power : {0, 3, 5, 6, 7, 8, 15, 16, 31, 32, 58, 61, 62, 63}) {
    values.push_back((1ull << power) - 1);
    values.push_back(1ull << power);
    values.push_back((1ull << power) + 1);
  }
  for (const uint64_t near : {original - 1, original + 1, original + 32, original - 32,
                              2 * original, original / 2, ~original}) {
    values.push_back(near);
  }
  return values;
}

void put(std::string& text, const test::GgufBytes::Field& field, uint64_t value) {
  std::memcpy(text.data() + field.offset, &value, field.width);
}

uint64_t get(const std::string& text, const test::GgufBytes::Field& field) {
  uint64_t value = 0;
  std::memcpy(&value, text.data() + field.offset, field.width);
  return value;
}

TEST(GgufMutation, TruncatedAtEveryByte) {
  size_t header_bytes = 0;
  const test::GgufBytes file = test::small_valid_file(3, &header_bytes);
  Outcome outcome;
  const size_t last_data_byte = file.size() - 12;  // behind it is padding
  for (size_t n = 0; n < last_data_byte; ++n) survive(file.text().substr(0, n), &outcome);
  EXPECT_EQ(outcome.n_accepted, 0);
  EXPECT_GT(last_data_byte, header_bytes);
  survive(file.text().substr(0, last_data_byte), &outcome);
  EXPECT_EQ(outcome.n_accepted, 1) << "the padding behind the last tensor may be missing";
}

TEST(GgufMutation, EveryHeaderByteFlipped) {
  for (const uint32_t version : {2u, 3u}) {
    size_t header_bytes = 0;
    const test::GgufBytes file = test::small_valid_file(version, &header_bytes);
    Outcome outcome;
    for (size_t i = 0; i < header_bytes; ++i) {
      const auto byte = static_cast<unsigned char>(file.text()[i]);
      for (const int value : {0x00, 0xff, byte ^ 1, byte ^ 0x80, byte + 1, byte - 1}) {
        std::string damaged = file.text();
        damaged[i] = static_cast<char>(value);
        survive(damaged, &outcome);
      }
    }
    EXPECT_GT(outcome.n_accepted, 0) << "names and values may be anything";
    EXPECT_LT(outcome.n_accepted, outcome.n_files);
  }
}

TEST(GgufMutation, EveryFieldTimesBoundaryValues) {
  const test::GgufBytes file = test::small_valid_file();
  Outcome outcome;
  for (const auto& field : file.fields()) {
    for (const uint64_t value : boundary_values(get(file.text(), field))) {
      std::string damaged = file.text();
      put(damaged, field, value);
      survive(damaged, &outcome);
    }
  }
  EXPECT_GE(outcome.n_files, 3000);
}

TEST(GgufMutation, PairsOfFields) {
  const test::GgufBytes file = test::small_valid_file();
  const auto& fields = file.fields();
  Random random(20240607);
  Outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = file.text();
    for (int i = 0; i < 2; ++i) {
      const auto& field = fields[random.below(fields.size())];
      const auto values = boundary_values(get(damaged, field));
      put(damaged, field, values[random.below(values.size())]);
    }
    if (random.below(8) == 0) damaged.resize(random.below(damaged.size() + 1));
    survive(damaged, &outcome);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 60.0);
}

TEST(GgufMutation, RandomBytesInTheHeader) {
  size_t header_bytes = 0;
  const test::GgufBytes file = test::small_valid_file(3, &header_bytes);
  Random random(7);
  Outcome outcome;
  for (int round = 0; round < 10000; ++round) {
    std::string damaged = file.text();
    const uint64_t n = 1 + random.below(6);
    for (uint64_t i = 0; i < n; ++i) {
      damaged[random.below(header_bytes)] = static_cast<char>(random.next());
    }
    survive(damaged, &outcome);
  }
}

}  // namespace
}  // namespace nibble
