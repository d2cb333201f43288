#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "tests/formats/format_rows.h"

namespace nibble {
namespace {

using testing::decode;
using testing::encode;
using testing::kRowLen;
using testing::make_rows;
using testing::squared_error;
using testing::writable_formats;

double energy(const std::vector<float>& x) {
  return squared_error(x, std::vector<float>(x.size()));
}

// Root of squared error / squared values on 64 x 1536 seeded Gaussian weights: the recorded bound
// of every format (docs/FORMATS.md has the same figures).
TEST(Encode, RelativeErrorOnGaussianRowsStaysWithinTheRecordedBound) {
  const std::map<FormatId, double> bounds = {
      {FormatId::F32, 0},        {FormatId::F16, 0.0002071},  {FormatId::BF16, 0.001666},
      {FormatId::Q4_0, 0.07992}, {FormatId::Q4_1, 0.06887},   {FormatId::Q5_0, 0.03949},
      {FormatId::Q5_1, 0.0333},  {FormatId::Q8_0, 0.004848},  {FormatId::Q2_K, 0.2731},
      {FormatId::Q3_K, 0.1452},  {FormatId::Q4_K, 0.06929},   {FormatId::Q5_K, 0.03394},
      {FormatId::Q6_K, 0.01643}, {FormatId::IQ4_NL, 0.07337}, {FormatId::IQ4_XS, 0.07388},
      {FormatId::TQ1_0, 0.4451}, {FormatId::TQ2_0, 0.4451},   {FormatId::MXFP4, 0.111},
  };
  const auto x = make_rows(0, 64, 1536);
  for (const Format* format : writable_formats()) {
    const auto y = decode(*format, encode(*format, x, nullptr, 1536));
    const double error = std::sqrt(squared_error(x, y) / energy(x));
    ASSERT_TRUE(bounds.contains(format->id)) << format->name;
    EXPECT_LE(error, bounds.at(format->id)) << format->name;
    EXPECT_GE(error, bounds.at(format->id) * 0.99) << format->name << ": record the better bound";
  }
}

// What round to nearest gives with the scales that just reach the extremes: the searches must be
// clearly better than that.
double naive_k_error(const std::vector<float>& x, int block_len, int max_code, bool symmetric) {
  double sum = 0;
  for (size_t b = 0; b < x.size(); b += static_cast<size_t>(block_len)) {
    double lo = 0, hi = 0;
    for (size_t j = b; j < b + static_cast<size_t>(block_len); ++j) {
      lo = std::min(lo, double{x[j]});
      hi = std::max(hi, double{x[j]});
    }
    if (symmetric) lo = -(hi = std::max(hi, -lo));
    const double d = (hi - lo) / max_code;
    for (size_t j = b; j < b + static_cast<size_t>(block_len); ++j) {
      const double rest = d > 0 ? x[j] - (lo + d * std::nearbyint((x[j] - lo) / d)) : 0;
      sum += rest * rest;
    }
  }
  return sum;
}

TEST(Encode, SuperBlocksBeatRoundingWithUnquantizedExtremeScales) {
  for (const int kind : {0, 1, 2}) {
    const auto x = make_rows(kind);
    const auto error = [&](FormatId id) {
      return squared_error(x, decode(format_of(id), encode(format_of(id), x)));
    };
    EXPECT_LT(error(FormatId::Q4_K), 0.90 * naive_k_error(x, 32, 15, false)) << kind;
    EXPECT_LT(error(FormatId::Q5_K), 0.90 * naive_k_error(x, 32, 31, false)) << kind;
    EXPECT_LT(error(FormatId::Q6_K), 0.90 * naive_k_error(x, 16, 63, true)) << kind;
    EXPECT_LT(error(FormatId::IQ4_NL), 0.80 * naive_k_error(x, 32, 15, true)) << kind;
  }
}

TEST(Encode, ZeroRowsDecodeToZero) {
  const std::vector<float> x(2 * kRowLen, 0.0f);
  for (const Format* format : writable_formats()) {
    EXPECT_EQ(decode(*format, encode(*format, x)), x) << format->name;
  }
}

TEST(Encode, FiniteInGivesFiniteOut) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  constexpr float kNormal = std::numeric_limits<float>::min();
  Random random(7);
  std::vector<std::vector<float>> rows;
  for (const float v : {kMax, -kMax, 1e38f, 1e20f, 3e7f, 65504.f * 127, 65520.f, 1e-5f, 1e-7f,
                        3e-8f, 1e-20f, kNormal, kTiny}) {
    rows.emplace_back(kRowLen, v);  // constant
    auto& outlier = rows.emplace_back(kRowLen, 0.0f);
    outlier[37] = v;
    auto& mixed = rows.emplace_back(kRowLen);
    for (float& w : mixed) w = v * static_cast<float>(2 * random.uniform() - 1);
    auto& beside_ones = rows.emplace_back(kRowLen, 1.0f);
    beside_ones[255] = -v;
  }
  auto& every_exponent = rows.emplace_back(kRowLen);
  for (size_t j = 0; j < every_exponent.size(); ++j) {
    every_exponent[j] = std::ldexp(j % 3 ? 1.0f : -1.5f, static_cast<int>(j * 7 % 276) - 149);
  }
  std::vector<float> importance(kRowLen);
  for (float& h : importance) h = static_cast<float>(random.uniform());
  for (const Format* format : writable_formats()) {
    for (size_t r = 0; r < rows.size(); ++r) {
      for (const bool weighted : {false, true}) {
        const auto blocks = encode(*format, rows[r], weighted ? importance.data() : nullptr);
        const auto y = decode(*format, blocks);
        EXPECT_TRUE(testing::all_finite(y)) << format->name << " row " << r;
        EXPECT_EQ(count_bad_scales(*format, blocks.data(), kRowLen), 0) << format->name;
        // A decoded weight of the wrong sign or twice too large would be worse than zero. The table
        // of IQ4 has no zero: beside a weight that counts more, others become the smallest d.
        const bool iq4 = format->id == FormatId::IQ4_NL || format->id == FormatId::IQ4_XS;
        const double smallest = iq4 ? kRowLen * 0x1p-48 : 1e-80;
        EXPECT_LE(squared_error(rows[r], y), energy(rows[r]) * 1.0001 + smallest)
            << format->name << " row " << r;
      }
    }
  }
}

TEST(Encode, OverflowingScalesAreClampedNotDropped) {
  const std::vector<float> x(kRowLen, -3e38f);
  for (const FormatId id : {FormatId::Q4_0, FormatId::Q8_0, FormatId::Q4_K, FormatId::Q6_K,
                            FormatId::IQ4_NL, FormatId::F16, FormatId::Q4_1}) {
    const auto y = decode(format_of(id), encode(format_of(id), x));
    EXPECT_LE(y[0], -65504.f) << format_of(id).name;
    EXPECT_EQ(y[0], y[kRowLen - 1]) << format_of(id).name;
  }
}

TEST(Encode, ScalesBelowTheSmallestSubnormalStillHoldWhatTheyCan) {
  // d = 1e-7 / 8 rounds to zero in f16; the smallest subnormal, 6e-8, times 2 is a fair answer.
  const std::vector<float> x(kRowLen, 1e-7f);
  for (const FormatId id : {FormatId::Q4_0, FormatId::Q5_0, FormatId::Q8_0, FormatId::Q6_K}) {
    const auto y = decode(format_of(id), encode(format_of(id), x));
    EXPECT_NEAR(y[5], 1e-7f, 4e-8f) << format_of(id).name;
  }
}

TEST(Encode, OneOutlierCostsOnlyItsOwnBlock) {
  auto x = make_rows(0, 1);
  const auto y = x;
  x[200] = 100;
  for (const Format* format : writable_formats()) {
    const auto with = encode(*format, x);
    const auto without = encode(*format, y);
    const size_t block = 200 / static_cast<size_t>(format->block_len);
    for (size_t i = 0; i < with.size(); ++i) {
      if (i / format->block_bytes != block) {
        EXPECT_EQ(with[i], without[i]) << format->name;
      }
    }
    const float outlier = decode(*format, with)[200];
    EXPECT_NEAR(outlier, 100, 4) << format->name;  // 96 = 1.5 * 64 in MXFP4
  }
}

// Blocks are found one by one: how many stand beside a block must not matter (lanes, tails).
TEST(Encode, BlocksDoNotDependOnTheirNeighbours) {
  const auto x = make_rows(1, 1);
  for (const Format* format : writable_formats()) {
    const auto whole = encode(*format, x);
    for (int64_t i = 0; i < kRowLen; i += format->block_len) {
      std::vector<uint8_t> one(format->block_bytes);
      format->encode(x.data() + i, nullptr, one.data(), format->block_len);
      const size_t at = format->size_bytes(i);
      EXPECT_TRUE(std::equal(one.begin(), one.end(), whole.begin() + static_cast<int64_t>(at)))
          << format->name << " block at " << i;
    }
  }
}

// Encoding what was decoded must not drift: the values are on the grid, and stay close to it.
TEST(Encode, EncodingDecodedValuesAgainChangesLittle) {
  for (const Format* format : writable_formats()) {
    for (const int kind : {0, 2, 6}) {
      const auto x = make_rows(kind);
      const auto once = decode(*format, encode(*format, x));
      const auto twice = decode(*format, encode(*format, once));
      EXPECT_LE(squared_error(once, twice), 0.25 * squared_error(x, once))
          << format->name << " rows " << kind;
    }
  }
}

TEST(Encode, ImportanceMovesTheErrorToColumnsThatMatterLess) {
  Random random(3);
  std::vector<float> importance(kRowLen);
  for (float& h : importance) h = random.below(8) == 0 ? 30.0f : 0.1f;
  const auto x = make_rows(0);
  const auto weighted_error = [&](const std::vector<float>& y) {
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double rest = double{x[i]} - y[i];
      sum += importance[i % kRowLen] * rest * rest;
    }
    return sum;
  };
  for (const Format* format : writable_formats()) {
    if (format->block_len == 1) continue;
    const double blind = weighted_error(decode(*format, encode(*format, x)));
    const double seeing = weighted_error(decode(*format, encode(*format, x, importance.data())));
    // Formats with one coarse scale have little to move.
    const bool coarse = format->id == FormatId::MXFP4 || format->id == FormatId::TQ1_0 ||
                        format->id == FormatId::TQ2_0;
    EXPECT_LT(seeing, (coarse ? 1.0 : 0.8) * blind) << format->name;
  }
}

TEST(Encode, DegenerateImportanceIsHarmless) {
  const auto x = make_rows(0, 1);
  constexpr float kMax = std::numeric_limits<float>::max();
  std::vector<std::vector<float>> importances = {
      std::vector<float>(kRowLen, 0.0f), std::vector<float>(kRowLen, kMax),
      std::vector<float>(kRowLen, 1e-45f), std::vector<float>(kRowLen, 0.0f)};
  importances[3][100] = 1e30f;
  for (const Format* format : writable_formats()) {
    const double plain = squared_error(x, decode(*format, encode(*format, x)));
    for (size_t i = 0; i < importances.size(); ++i) {
      const auto y = decode(*format, encode(*format, x, importances[i].data()));
      ASSERT_TRUE(testing::all_finite(y)) << format->name << " importance " << i;
      // Constant importance is no importance, up to the form of the weights.
      if (i < 3) {
        EXPECT_LE(squared_error(x, y), 1.1 * plain + 1e-30) << format->name << " " << i;
      }
    }
  }
}

// The same bytes from every compiler, optimisation level and ISA.
TEST(Encode, BytesAreTheSameEverywhere) {
  const std::map<FormatId, std::string> expected = {
      {FormatId::F32, "f6064ee503c2774c9321981d4b37113c54d041f46d1ff454a6e9628ff10dfb8d"},
      {FormatId::F16, "a1ae308b644c721cdb6228a103a71f361a4d2c6a211af480210d83befa875f74"},
      {FormatId::BF16, "8ca0ad46a47edf6c0faa1e96b805dbc5c275767646f96aa23309cb78728e5b95"},
      {FormatId::Q4_0, "37f9ca08ba5aa0c2436d35ef311aaf2078e2ee94fc31f6830d29d5d154ad61db"},
      {FormatId::Q4_1, "f757a640e496db0e7b79caa7f8894f7e60023964d6d697d3fa57270c9dc56834"},
      {FormatId::Q5_0, "be7fde6d264d78924ce806fcab223fe917b2e37f3559228741cb2e6a4199c424"},
      {FormatId::Q5_1, "39f4c7103deba984ad12aac3983a548548230a2f85e9b409dfe065f299273ac1"},
      {FormatId::Q8_0, "1b3e411cd985bbeb24231eede39e193509f448bdcb804620261a3740d7ab0b20"},
      {FormatId::Q2_K, "52ffc9cf14b84cd756d3d467e51855cae8190fd3cf0664cd01b69c25d34289f7"},
      {FormatId::Q3_K, "ff3820f9ebe45d67918c181642436aae9f9b6782dc299f027b0871dfe650c8e7"},
      {FormatId::Q4_K, "9b8ecfdf0b912e3469ba44a5be66ce6eba4d90a71116f66535d37030e89971ad"},
      {FormatId::Q5_K, "620c23fa26d2ba4080998e65ef96c9c542863d0f12d99026ce81892f02f165e9"},
      {FormatId::Q6_K, "dfcdf2ed7de6bbd998eb0584a2e624bfcec7bce63136123452150d3dac90e100"},
      {FormatId::IQ4_NL, "1cf4617833369fdad7a7aa683032c136b477188b5e72728ff7d27715bc4668a0"},
      {FormatId::IQ4_XS, "364e840e45fd8f864a07e1f165a58a8b692a49ab7e495b5f260f91db4c1e2391"},
      {FormatId::TQ1_0, "d926d6700a714ea6c3a5d7416b7210254e1334db498ecb86ec57eb3efd06a2c2"},
      {FormatId::TQ2_0, "476a859c8077f7067b0fa55ef7802af7e01ff29cd6d1281a25e6569dadacec51"},
      {FormatId::MXFP4, "3427f5c2e7b9da586220cc5756a2ad6891f0ce7651e2525b374df9abba6ea89c"},
  };
  std::vector<float> importance(kRowLen);
  Random random(11);
  for (float& h : importance) h = static_cast<float>(random.uniform());
  for (const Format* format : writable_formats()) {
    Sha256 hash;  // over all row kinds, without and with importance
    for (int kind = 0; kind < testing::kRowKinds; ++kind) {
      const auto x = make_rows(kind);
      const auto plain = encode(*format, x);
      const auto weighted = encode(*format, x, importance.data());
      hash.update(std::as_bytes(std::span(plain)));
      hash.update(std::as_bytes(std::span(weighted)));
    }
    const std::string digest = hash.finish();
    ASSERT_TRUE(expected.contains(format->id)) << format->name;
    EXPECT_EQ(digest, expected.at(format->id)) << format->name;
  }
}

}  // namespace
}  // namespace nibble
