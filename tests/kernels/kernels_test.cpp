// Every ISA against the portable reference and against plain arithmetic.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "base/buffer.h"
#include "base/half.h"
#include "base/random.h"
#include "formats/blocks.h"
#include "tests/support/random_blocks.h"

namespace nibble {
namespace {

std::vector<FormatId> quantized_formats() {
  std::vector<FormatId> ids;
  for (const Format& format : all_formats()) {
    if (format.block_len > 1) ids.push_back(format.id);
  }
  return ids;
}

std::vector<const KernelTable*> tables() {
  std::vector<const KernelTable*> result;
  for (const char* name : {"portable", "avx2", "avx512", "neon", "neon_i8mm"}) {
    if (const KernelTable* table = kernels::find(name)) result.push_back(table);
  }
  return result;
}

// Random blocks whose float scales are all 1: results are then the integer parts (IQ1, IQ2,
// IQ3_XXS: an eighth or a quarter of them).
std::vector<std::byte> random_rows(const Format& format, int64_t n_rows, int64_t row_len,
                                   Random& random) {
  std::vector<std::byte> bytes = testing::random_blocks(format, n_rows * row_len, random);
  EXPECT_TRUE(testing::set_unit_scales(format, bytes));
  return bytes;
}

struct Columns {
  Buffer data;
  int64_t column_bytes;
};

Columns quantized_columns(const KernelTable& table, const Format& format,
                          const std::vector<float>& x, int64_t n, int64_t row_len) {
  Columns columns{{}, column_layout(format.activation, row_len).column_bytes};
  columns.data = Buffer::allocate(static_cast<size_t>(columns.column_bytes * n)).take();
  for (int64_t c = 0; c < n; ++c) {
    table.quantize_column(x.data() + c * row_len, row_len, format.activation,
                          columns.data.data() + c * columns.column_bytes);
  }
  return columns;
}

std::vector<float> multiply(const KernelTable& table, const Format& format,
                            const std::vector<std::byte>& weights, int64_t n_rows, int64_t row_len,
                            const Columns& columns, int64_t n_columns, bool interleaved = false) {
  Buffer scratch = Buffer::allocate(static_cast<size_t>(kernels::scratch_bytes(row_len))).take();
  std::vector<float> out(static_cast<size_t>(n_rows * n_columns), -1.0f);
  MatmulArgs args;
  args.weights = weights.data();
  const auto id = static_cast<uint32_t>(format.id);
  const int64_t block_bytes =
      interleaved ? table.interleaved_block_bytes[id] : static_cast<int64_t>(format.block_bytes);
  args.row_bytes = row_len / format.block_len * block_bytes;
  args.row_len = row_len;
  args.n_rows = n_rows;
  args.columns = columns.data.data();
  args.column_bytes = columns.column_bytes;
  args.n_columns = n_columns;
  args.out = out.data();
  args.out_stride = n_rows;
  args.scratch = scratch.data();
  (interleaved ? table.matmul_interleaved : table.matmul)[id](args);
  return out;
}

// Integer activations whose largest magnitude is 127 in every block: they are their own codes,
// scale 1.
std::vector<float> integer_activations(int64_t n, Random& random) {
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = i % 32 == 5 ? 127.0f : static_cast<float>(static_cast<int64_t>(random.below(255)) - 127);
  }
  return x;
}

class IntegerParts : public ::testing::TestWithParam<FormatId> {};

TEST_P(IntegerParts, EqualPlainArithmeticOnEveryIsaAndPath) {
  const Format& format = format_of(GetParam());
  const int64_t row_len = 512, n_rows = 19, n_columns = 9;
  Random random(11);
  const std::vector<std::byte> weights = random_rows(format, n_rows, row_len, random);
  const std::vector<float> x = integer_activations(row_len * n_columns, random);
  std::vector<float> decoded(static_cast<size_t>(n_rows * row_len));
  format.decode(weights.data(), decoded.data(), n_rows * row_len);
  for (const KernelTable* table : tables()) {
    const Columns columns = quantized_columns(*table, format, x, n_columns, row_len);
    // One block at a time, so that no float rounding can hide: every partial sum is below 2^24...
    // or exact.
    for (const int64_t n : {int64_t{1}, int64_t{3}, n_columns}) {
      const std::vector<float> out = multiply(*table, format, weights, n_rows, row_len, columns, n);
      for (int64_t c = 0; c < n; ++c) {
        for (int64_t r = 0; r < n_rows; ++r) {
          double sum = 0, size = 0;
          for (int64_t k = 0; k < row_len; ++k) {
            const double product =
                static_cast<double>(decoded[static_cast<size_t>(r * row_len + k)]) *
                static_cast<double>(x[static_cast<size_t>(c * row_len + k)]);
            sum += product;
            size += std::abs(product);
          }
          // Exact while the terms, in eighths, stay below 2^24; larger ones may round once per
          // block.
          const double tolerance = size < 2097152.0 ? 0.0 : size * 1e-7;
          ASSERT_NEAR(static_cast<double>(out[static_cast<size_t>(c * n_rows + r)]), sum, tolerance)
              << table->name << " " << format.name << " row " << r << " column " << c << " of "
              << n;
        }
      }
    }
  }
}

TEST_P(IntegerParts, AreTheSameBitsOnEveryIsa) {
  const Format& format = format_of(GetParam());
  const int64_t row_len = 768, n_rows = 24, n_columns = 6;
  Random random(12);
  const std::vector<std::byte> weights = random_rows(format, n_rows, row_len, random);
  const std::vector<float> x = integer_activations(row_len * n_columns, random);
  const KernelTable& portable = *kernels::find("portable");
  const Columns columns = quantized_columns(portable, format, x, n_columns, row_len);
  const auto expected = multiply(portable, format, weights, n_rows, row_len, columns, n_columns);
  for (const KernelTable* table : tables()) {
    // With scale 1 a multiply-add adds integers below 2^53 in float32: fused or not, it rounds the
    // same sum.
    EXPECT_EQ(multiply(*table, format, weights, n_rows, row_len, columns, n_columns), expected)
        << table->name;
    for (int64_t c = 0; c < n_columns; ++c) {  // decode path, column by column
      Columns one{{}, columns.column_bytes};
      one.data = Buffer::allocate(static_cast<size_t>(columns.column_bytes)).take();
      std::copy_n(columns.data.data() + c * columns.column_bytes, columns.column_bytes,
                  one.data.data());
      const auto single = multiply(*table, format, weights, n_rows, row_len, one, 1);
      EXPECT_TRUE(std::equal(single.begin(), single.end(), expected.begin() + c * n_rows))
          << table->name;
    }
  }
}

TEST_P(IntegerParts, DecodeAndTilePathsGiveTheSameBitsOnRealScales) {
  const Format& format = format_of(GetParam());
  const int64_t row_len = 1024, n_rows = 13, n_columns = 7;
  Random random(13);
  std::vector<float> values(static_cast<size_t>(n_rows * row_len)),
      x(static_cast<size_t>(n_columns * row_len));
  for (float& v : values) v = static_cast<float>(random.normal() * 0.03);
  for (float& v : x) v = static_cast<float>(random.normal() * 2);
  // Formats that we do not write: random bytes, scales of all sizes.
  std::vector<std::byte> weights = testing::random_blocks(format, n_rows * row_len, random);
  if (format.encode != nullptr) {
    format.encode(values.data(), nullptr, weights.data(), n_rows * row_len);
  }
  std::vector<float> decoded(values.size());
  format.decode(weights.data(), decoded.data(), n_rows * row_len);
  for (const KernelTable* table : tables()) {
    const Columns columns = quantized_columns(*table, format, x, n_columns, row_len);
    const auto tiled = multiply(*table, format, weights, n_rows, row_len, columns, n_columns);
    const auto few = multiply(*table, format, weights, n_rows, row_len, columns, 3);
    EXPECT_TRUE(std::equal(few.begin(), few.end(), tiled.begin()))
        << table->name << " " << format.name;
    for (size_t i = 0; i < tiled.size();
         ++i) {  // and they are right, within the 8-bit activations' error
      const size_t r = i % static_cast<size_t>(n_rows), c = i / static_cast<size_t>(n_rows);
      double sum = 0, squares = 0;
      for (size_t k = 0; k < static_cast<size_t>(row_len); ++k) {
        const double product = static_cast<double>(decoded[r * static_cast<size_t>(row_len) + k]) *
                               static_cast<double>(x[c * static_cast<size_t>(row_len) + k]);
        sum += product;
        squares += product * product;
      }
      ASSERT_NEAR(static_cast<double>(tiled[i]), sum, 0.1 * std::sqrt(squares))
          << table->name << " " << format.name;
    }
  }
}

// Rows by eights, the last group filled up with the last row.
std::vector<std::byte> interleaved_rows(const KernelTable& table, const Format& format,
                                        const std::vector<std::byte>& rows, int64_t n_rows,
                                        int64_t row_len) {
  const auto id = static_cast<uint32_t>(format.id);
  const auto row_bytes = static_cast<int64_t>(format.size_bytes(row_len));
  const int64_t held_bytes = row_len / format.block_len * table.interleaved_block_bytes[id];
  std::vector<std::byte> out(static_cast<size_t>((n_rows + 7) / 8 * 8 * held_bytes));
  for (int64_t r = 0; r < n_rows; r += 8) {
    table.interleave[id](rows.data() + r * row_bytes, row_bytes, std::min<int64_t>(8, n_rows - r),
                         row_len, out.data() + r * held_bytes);
  }
  return out;
}

bool has_interleaved_form(const Format& format) {
  return kernels::find("portable")->interleave[static_cast<uint32_t>(format.id)] != nullptr;
}

// Bits of a weight in a group: those of the file, or what docs/ARCHITECTURE.md says.
TEST(Interleaved, TakesTheBitsThatAreDocumented) {
  const std::map<FormatId, double> expanded = {
      {FormatId::IQ1_S, 2.1875},  {FormatId::IQ1_M, 2.4375}, {FormatId::IQ2_XXS, 3.1875},
      {FormatId::IQ2_XS, 3.3125}, {FormatId::IQ2_S, 3.3125}, {FormatId::IQ3_XXS, 4.1875},
      {FormatId::IQ3_S, 4.1875}};
  std::set<FormatId> held;
  for (const FormatId id : quantized_formats()) {
    const Format& format = format_of(id);
    for (const KernelTable* table : tables()) {
      const auto index = static_cast<uint32_t>(id);
      ASSERT_EQ(table->interleave[index] != nullptr, has_interleaved_form(format));
      if (!has_interleaved_form(format)) continue;
      held.insert(id);
      const auto found = expanded.find(id);
      const double bits = found != expanded.end() ? found->second
                                                  : 8.0 * static_cast<double>(format.block_bytes) /
                                                        static_cast<double>(format.block_len);
      EXPECT_EQ(8.0 * static_cast<double>(table->interleaved_block_bytes[index]) /
                    static_cast<double>(format.block_len),
                bits)
          << table->name << " " << format.name;
    }
  }
  for (const auto& [id, bits] : expanded) EXPECT_TRUE(held.count(id)) << format_of(id).name;
  EXPECT_EQ(held.size(), 21u);
}

TEST_P(IntegerParts, InterleavedRowsGiveTheSameBits) {
  const Format& format = format_of(GetParam());
  if (!has_interleaved_form(format)) GTEST_SKIP() << format.name << " is not kept interleaved";
  const int64_t row_len = 768, n_rows = 21, n_columns = 7;
  Random random(14);
  std::vector<float> x(static_cast<size_t>(n_columns * row_len));
  for (float& v : x) v = static_cast<float>(random.normal() * 2);
  const auto weights = testing::random_blocks(format, n_rows * row_len, random);
  const auto expected_bytes =
      interleaved_rows(*kernels::find("portable"), format, weights, n_rows, row_len);
  for (const KernelTable* table : tables()) {
    const auto groups = interleaved_rows(*table, format, weights, n_rows, row_len);
    EXPECT_EQ(groups, expected_bytes) << table->name;
    const Columns columns = quantized_columns(*table, format, x, n_columns, row_len);
    for (const int64_t n : {int64_t{1}, int64_t{3}, n_columns}) {
      const auto expected = multiply(*table, format, weights, n_rows, row_len, columns, n);
      const auto out = multiply(*table, format, groups, n_rows, row_len, columns, n, true);
      // As bytes: the largest scales of MXFP4 make infinities, and their differences.
      EXPECT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)), 0)
          << table->name << " " << n;
    }
  }
}

// Rows of one byte value each, 0 to 255, times columns of 127 and of -127: the largest sums there
// are, and every index of a codebook that has such bytes.
TEST_P(IntegerParts, InterleavedRowsHoldTheLargestSums) {
  const Format& format = format_of(GetParam());
  if (!has_interleaved_form(format)) GTEST_SKIP() << format.name << " is not kept interleaved";
  const int64_t row_len = 256, n_rows = 256, n_columns = 4;
  std::vector<std::byte> weights(format.size_bytes(n_rows * row_len));
  const size_t row_bytes = format.size_bytes(row_len);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<std::byte>(i / row_bytes);
  ASSERT_TRUE(testing::set_unit_scales(format, weights));
  std::vector<float> x(static_cast<size_t>(n_columns * row_len), 127.0f);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i / static_cast<size_t>(row_len), k = i % static_cast<size_t>(row_len);
    if (c == 1 || (c == 2 && k % 2 == 0) || (c == 3 && k / 8 % 2 == 0)) x[i] = -127.0f;
  }
  for (const KernelTable* table : tables()) {
    const auto groups = interleaved_rows(*table, format, weights, n_rows, row_len);
    const Columns columns = quantized_columns(*table, format, x, n_columns, row_len);
    for (const int64_t n : {int64_t{3}, n_columns}) {
      EXPECT_EQ(multiply(*table, format, groups, n_rows, row_len, columns, n, true),
                multiply(*table, format, weights, n_rows, row_len, columns, n))
          << table->name << " " << format.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, IntegerParts, ::testing::ValuesIn(quantized_formats()),
                         [](const auto& param) {
                           return std::string(format_of(param.param).name);
                         });

TEST(QuantizeColumn, SameBytesOnEveryIsaTiesToEvenWithin127) {
  Random random(3);
  for (const Activation kind : {Activation::kQ8_32, Activation::kQ8_256}) {
    std::vector<float> x(1024);
    for (float& v : x) v = static_cast<float>(random.normal());
    for (size_t i = 0; i < 256; ++i)
      x[i] = static_cast<float>(static_cast<int>(i) - 128) * 0.5f;  // ties
    x[255] = 127.0f;
    for (size_t i = 256; i < 512; ++i) x[i] = 0.0f;
    x[512] = 1e-42f;  // a subnormal block
    for (size_t i = 513; i < 768; ++i) x[i] = 0.0f;
    const ColumnLayout layout = column_layout(kind, 1024);
    std::vector<std::byte> expected(static_cast<size_t>(layout.column_bytes));
    kernels::find("portable")->quantize_column(x.data(), 1024, kind, expected.data());
    for (const KernelTable* table : tables()) {
      std::vector<std::byte> column(expected.size());
      table->quantize_column(x.data(), 1024, kind, column.data());
      EXPECT_EQ(column, expected) << table->name;
    }
    const auto* codes = reinterpret_cast<const int8_t*>(expected.data());
    for (size_t i = 0; i < 1024; ++i) EXPECT_GE(codes[i], -127);
    if (kind == Activation::kQ8_256) {
      EXPECT_EQ(codes[255], 127);
      for (size_t i = 1; i < 255; ++i) {
        EXPECT_EQ(codes[i], static_cast<int8_t>(std::nearbyint(x[i])))
            << x[i];  // default mode: ties to even
      }
    }
  }
}

TEST(FloatKernels, OneColumnAndManyGiveTheSameBitsForOddShapes) {
  Random random(5);
  for (const FormatId id : {FormatId::F32, FormatId::F16, FormatId::BF16}) {
    const Format& format = format_of(id);
    for (const int64_t row_len : {int64_t{1}, int64_t{13}, int64_t{200}, int64_t{2600}}) {
      const int64_t n_rows = 21, n_columns = 7;
      std::vector<float> values(static_cast<size_t>(n_rows * row_len)),
          x(static_cast<size_t>(n_columns * row_len));
      for (float& v : values) v = static_cast<float>(random.normal());
      for (float& v : x) v = static_cast<float>(random.normal());
      std::vector<std::byte> weights(format.size_bytes(row_len) * static_cast<size_t>(n_rows));
      format.encode(values.data(), nullptr, weights.data(), n_rows * row_len);
      format.decode(weights.data(), values.data(), n_rows * row_len);
      Columns columns{{}, column_layout(Activation::kFloat, row_len).column_bytes};
      columns.data = Buffer::allocate(static_cast<size_t>(columns.column_bytes * n_columns)).take();
      for (int64_t c = 0; c < n_columns; ++c) {
        std::copy_n(x.data() + c * row_len, row_len,
                    reinterpret_cast<float*>(columns.data.data() + c * columns.column_bytes));
      }
      for (const KernelTable* table : tables()) {
        const auto many = multiply(*table, format, weights, n_rows, row_len, columns, n_columns);
        const auto one = multiply(*table, format, weights, n_rows, row_len, columns, 1);
        EXPECT_TRUE(std::equal(one.begin(), one.end(), many.begin()))
            << table->name << " " << row_len;
        for (size_t i = 0; i < many.size(); ++i) {
          const size_t r = i % static_cast<size_t>(n_rows), c = i / static_cast<size_t>(n_rows);
          double sum = 0, size = 0;
          for (size_t k = 0; k < static_cast<size_t>(row_len); ++k) {
            const double product =
                static_cast<double>(values[r * static_cast<size_t>(row_len) + k]) *
                static_cast<double>(x[c * static_cast<size_t>(row_len) + k]);
            sum += product;
            size += std::abs(product);
          }
          ASSERT_NEAR(static_cast<double>(many[i]), sum, 1e-6 * size)
              << table->name << " " << format.name;
        }
      }
    }
  }
}

TEST(VectorKernels, NormsAndActivationsEqualPlainArithmetic) {
  Random random(6);
  for (const KernelTable* table : tables()) {
    for (const int64_t n : {int64_t{3}, int64_t{8}, int64_t{100}}) {
      std::vector<float> x(static_cast<size_t>(n)), gain(x.size()), up(x.size()), out(x.size());
      double squares = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(random.normal() * 3);
        gain[i] = static_cast<float>(random.normal());
        up[i] = static_cast<float>(random.normal());
        squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      }
      table->rms_norm(x.data(), gain.data(), 1e-5f, n, out.data());
      for (size_t i = 0; i < x.size(); ++i) {
        const double expected = static_cast<double>(x[i]) /
                                std::sqrt(squares / static_cast<double>(n) + 1e-5) *
                                static_cast<double>(gain[i]);
        EXPECT_NEAR(static_cast<double>(out[i]), expected, 1e-5) << table->name;
      }
      x[0] = -100.0f;
      x[1] = 100.0f;
      table->silu_mul(x.data(), up.data(), n, out.data());
      for (size_t i = 0; i < x.size(); ++i) {
        const double v = static_cast<double>(x[i]);
        const double expected = v / (1 + std::exp(-v)) * static_cast<double>(up[i]);
        EXPECT_NEAR(static_cast<double>(out[i]), expected, 1e-5 * std::max(1.0, std::abs(expected)))
            << table->name;
      }
    }
    for (uint32_t h = 0; h < 65536; h += 8) {
      uint16_t bits[8];
      float values[8];
      for (uint32_t i = 0; i < 8; ++i) bits[i] = static_cast<uint16_t>(h + i);
      table->from_f16(bits, values, 8);
      uint16_t back[8];
      table->to_f16(values, back, 8);
      for (uint32_t i = 0; i < 8; ++i) {
        const float expected = f16_to_f32(bits[i]);
        if (std::isnan(expected)) {
          EXPECT_TRUE(std::isnan(values[i])) << table->name << " " << bits[i];
        } else {
          EXPECT_EQ(values[i], expected) << table->name << " " << bits[i];
          EXPECT_EQ(back[i], bits[i]) << table->name;
        }
      }
    }
  }
}

// Emulated processors say what they are tests of (.ci/run).
TEST(Dispatch, TheTableIsTheOneThatIsExpected) {
  const char* expected = std::getenv("NIBBLE_EXPECTED_ISA");
  if (expected == nullptr) GTEST_SKIP() << "NIBBLE_EXPECTED_ISA names none";
  EXPECT_STREQ(kernels::active().name, expected);
}

TEST(Dispatch, TheEnvironmentForcesTheTable) {
  // The choice is made once per process: each value gets a process of its own.
  const auto name_under = [](const char* value) {
    EXPECT_EXIT(
        {
          setenv("NIBBLE_ISA", value, 1);
          std::fprintf(stderr, "table=%s error=%s", kernels::active().name, kernels::isa_error());
          std::exit(0);
        },
        ::testing::ExitedWithCode(0),
        std::string(value) == "portable"
            ? "table=portable error=$"
            : "error=.*'" + std::string(value) + "' is not an instruction set");
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  name_under("portable");
  name_under("sse9");
}

}  // namespace
}  // namespace nibble
