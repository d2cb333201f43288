// Our encoders against llama.cpp's, each judged by the error that llama.cpp's own minimises. The
// rows and the measures are described in tests/golden/make_encode_golden.py.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/file.h"
#include "base/half.h"
#include "base/random.h"
#include "formats/blocks.h"
#include "tests/formats/format_rows.h"

namespace nibble {
namespace {

struct Rows {
  int64_t n_rows = 0, row_len = 0;
  std::vector<float> x;
};

struct Golden {
  nlohmann::json table;
  std::map<std::string, Rows> rows;
};

Rows seeded_rows(const std::string& kind, uint64_t seed, int64_t n_rows, int64_t row_len) {
  Random random(seed);
  Rows rows = {n_rows, row_len, {}};
  for (int64_t i = 0; i < n_rows * row_len; ++i) {
    double v = random.normal();
    if (kind == "laplace") {
      v = v * random.normal();
      const double third = random.normal();
      v = v + third * random.normal();
    }
    rows.x.push_back(static_cast<float>(v * 0.0625));
  }
  return rows;
}

std::vector<float> importance(uint64_t seed, int64_t n) {
  Random random(seed);
  std::vector<float> h;
  for (int64_t j = 0; j < n; ++j) {
    const double v = random.normal();
    h.push_back(static_cast<float>(v * v * (v * v) + 0.0625));
  }
  return h;
}

Golden read_golden() {
  const std::filesystem::path folder = std::filesystem::path(NIBBLE_TEST_DATA) / "golden";
  Golden golden;
  golden.table = nlohmann::json::parse(read_text_file(folder / "encode_errors.json").value());
  const auto& table = golden.table;
  const auto shape = [&](const std::string& kind, int i) -> int64_t {
    return table["shapes"][kind][static_cast<size_t>(i)];
  };
  for (const std::string kind : {"gaussian", "laplace"}) {
    golden.rows[kind] = seeded_rows(kind, table["seeds"][kind], shape(kind, 0), shape(kind, 1));
  }
  const std::string stored = read_text_file(folder / "encode_rows.bin").value();
  ByteReader reader(std::as_bytes(std::span(stored)));
  for (const std::string kind : table["stored"]) {
    Rows rows = {shape(kind, 0), shape(kind, 1), {}};
    for (int64_t i = 0; i < rows.n_rows * rows.row_len; ++i) {
      rows.x.push_back(f16_to_f32(reader.read<uint16_t>().value()));
    }
    golden.rows[kind] = std::move(rows);
  }
  EXPECT_EQ(reader.remaining(), 0u);
  return golden;
}

double mean_square(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t j = 0; j < n; ++j) sum += double{x[j]} * x[j];
  return sum / static_cast<double>(n);
}

// The twin of measure() in the script.
double measure(FormatId id, const Rows& rows, const std::vector<float>& y, const float* h) {
  using enum FormatId;
  const bool legacy = id == Q4_0 || id == Q4_1 || id == Q5_0 || id == Q5_1;
  const bool plain = id == Q8_0 || id == MXFP4 || id == TQ1_0 || id == TQ2_0;
  const bool affine = id == Q4_K || id == Q5_K;
  const int64_t span = legacy ? rows.row_len : id == IQ4_NL || (!h && affine) ? 32 : 256;
  const double factor = legacy || id == Q2_K || (!h && affine) ? 1 : 2;
  double total = 0, mean = 0;
  for (size_t i = 0; i < rows.x.size(); ++i) {
    const auto column = static_cast<int64_t>(i) % rows.row_len;
    if (column % span == 0) mean = factor * mean_square(&rows.x[i], span);
    const double x = rows.x[i], e = x - y[i];
    if (!h && (plain || legacy)) {
      total += e * e;
    } else if (!h && id == Q2_K) {
      total += std::fabs(x) * std::fabs(e);
    } else if (!h) {
      total += (affine ? std::sqrt(mean) + std::fabs(x) : x * x) * e * e;
    } else {
      total += double{h[column]} * (plain || id == Q6_K ? 1 : std::sqrt(mean + x * x)) * e * e;
    }
  }
  return total;
}

TEST(EncodeGolden, ErrorInLlamaCppsOwnMeasureIsNoHigherThanItsEncoders) {
  const Golden golden = read_golden();
  int n_checked = 0;
  for (const Format* format : testing::writable_formats()) {
    if (format->block_len == 1) continue;
    const std::string name(format->name);
    ASSERT_TRUE(golden.table["errors"].contains(name)) << name;
    for (const auto& [kind, errors] : golden.table["errors"][name].items()) {
      const Rows& rows = golden.rows.at(kind);
      const auto h = importance(golden.table["seeds"]["importance"], rows.row_len);
      for (const bool weighted : {false, true}) {
        const float* importance = weighted ? h.data() : nullptr;
        const auto blocks = testing::encode(*format, rows.x, importance, rows.row_len);
        const double ours = measure(format->id, rows, testing::decode(*format, blocks), importance);
        const double theirs = errors[weighted ? 1 : 0];
        EXPECT_LE(ours, theirs) << name << ' ' << kind << (weighted ? " weighted" : "") << ": "
                                << ours / theirs;
        ++n_checked;
      }
    }
  }
  // 15 formats on four kinds of rows of 1536, 7 of them also on rows of 384, both ways.
  EXPECT_EQ(n_checked, 2 * (15 * 4 + 7));
}

// Models that were trained ternary hold nothing but -a, 0 and a: they must come out exactly.
TEST(EncodeGolden, TernaryWeightsComeOutExactly) {
  Random random(5);
  for (const FormatId id : {FormatId::TQ1_0, FormatId::TQ2_0}) {
    const Format& format = format_of(id);
    for (const float a : {1.0f, 0.0234375f, 65504.0f, 0x1p-24f, 0.73f}) {
      const float held = f16_to_f32(f32_to_f16(a));
      std::vector<float> x(4 * 256);
      for (float& v : x) v = static_cast<float>(static_cast<int>(random.below(3)) - 1) * a;
      for (size_t j = 256; j < 512; ++j) x[j] = j == 300 ? -a : 0.0f;  // a single weight
      auto expected = x;
      for (float& v : expected) v = v > 0 ? held : v < 0 ? -held : 0.0f;
      EXPECT_EQ(testing::decode(format, testing::encode(format, x, nullptr, 512)), expected)
          << format.name << ' ' << a;
      std::vector<float> h(512);
      for (float& v : h) v = static_cast<float>(random.uniform());
      EXPECT_EQ(testing::decode(format, testing::encode(format, x, h.data(), 512)), expected)
          << format.name << ' ' << a << " weighted";
    }
  }
}

// So do MXFP4 weights: values of the table under any power of two.
TEST(EncodeGolden, Mxfp4WeightsComeOutExactly) {
  const Format& format = format_of(FormatId::MXFP4);
  Random random(6);
  std::vector<float> x;
  for (const int exponent : {-100, -7, 0, 3, 90}) {
    for (int j = 0; j < 32; ++j) {
      const auto value = static_cast<float>(kFp4Values[random.below(16)]);
      x.push_back(std::ldexp(value, exponent));
    }
  }
  EXPECT_EQ(testing::decode(format, testing::encode(format, x, nullptr, 32)), x);
}

}  // namespace
}  // namespace nibble
