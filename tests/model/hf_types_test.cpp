// Weights of a folder in 8 bits with scales, and in 64.
#include "model/hf_import.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/random.h"
#include "container/safetensors.h"
#include "model/hf_rows.h"
#include "model/hf_scales.h"
#include "tests/base/scratch.h"
#include "tests/container/safetensors_bytes.h"
#include "tests/support/hf_folder.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr const char* kName = "model.layers.1.mlp.up_proj.weight";
constexpr const char* kGgufName = "blk.1.ffn_up.weight";

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// By the definition of the types: a sign, 4 or 5 bits of exponent, 3 or 2 of fraction.
float fp8(uint8_t code, int fraction_bits, int bias) {
  const int exponent = (code & 127) >> fraction_bits, fraction = code & ((1 << fraction_bits) - 1);
  const double part = std::ldexp(fraction, -fraction_bits);
  const double value =
      exponent == 0 ? std::ldexp(part, 1 - bias) : std::ldexp(1.0 + part, exponent - bias);
  return static_cast<float>(code & 128 ? -value : value);
}

class HfTypes : public ::testing::Test {
 protected:
  HfTypes() {
    folder_ = testing::make_hf_folder(test::scratch_folder() / "types", "llama_linear");
    const std::string file = read_text_file(folder_ / "model.safetensors").take();
    uint64_t length;
    std::memcpy(&length, file.data(), 8);
    header_ = json::parse(file.substr(8, length));
    data_ = file.substr(8 + length);
    rows_ = header_[kName]["shape"][0].get<int64_t>();
    cols_ = header_[kName]["shape"][1].get<int64_t>();
  }
  // Another tensor, or another form of one; what it was before stays as a hole's filler.
  void put(const std::string& name, const char* dtype, const std::vector<int64_t>& shape,
           const std::string& bytes) {
    const auto begin = data_.size();
    data_ += bytes;
    if (header_.contains(name)) {
      json filler = header_[name];
      header_["model.layers." + std::to_string(n_fillers_++) + ".rotary_emb.inv_freq"] = filler;
    }
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
  }
  void quantization(const json& value) {
    testing::edit_config(folder_, [&](json& config) { config["quantization_config"] = value; });
  }
  Result<std::unique_ptr<ModelSource>> open() {
    testing::write_file(folder_ / "model.safetensors",
                        test::safetensors_file(header_.dump(), data_));
    return open_folder(folder_);
  }
  // The tensor as the model has it: whole, and in pieces that begin anywhere.
  std::vector<float> values() {
    const auto source = open();
    EXPECT_TRUE(source.ok()) << source.error().message;
    if (!source.ok()) return {};
    const GgufTensor* tensor = (*source)->find_tensor(kGgufName);
    EXPECT_EQ(tensor->format->id, FormatId::F32);
    std::vector<float> whole(static_cast<size_t>(rows_ * cols_)), pieces(whole.size());
    (*source)->read(*tensor, 0, rows_ * cols_, reinterpret_cast<std::byte*>(whole.data()));
    for (int64_t first = 0; first < rows_ * cols_; first += 37) {
      (*source)->read(*tensor, first, std::min<int64_t>(37, rows_ * cols_ - first),
                      reinterpret_cast<std::byte*>(pieces.data() + first));
    }
    EXPECT_EQ(whole, pieces);
    return whole;
  }
  void expect_refused(std::string_view part) {
    const auto source = open();
    ASSERT_FALSE(source.ok()) << part;
    EXPECT_EQ(source.error().kind, ErrorKind::kInvalid) << source.error().message;
    EXPECT_NE(source.error().message.find(part), std::string::npos) << source.error().message;
  }
  std::vector<uint8_t> random_codes() {
    std::vector<uint8_t> codes(static_cast<size_t>(rows_ * cols_));
    Random random(7);
    for (uint8_t& code : codes) {
      do code = static_cast<uint8_t>(random.next());
      while ((code & 127) >= 0x7c);  // neither NaN nor infinity in either type
    }
    return codes;
  }
  static std::vector<float> random_scales(int64_t n) {
    std::vector<float> scales(static_cast<size_t>(n));
    for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0.01f + 0.003f * static_cast<float>(i);
    return scales;
  }

  std::filesystem::path folder_;
  json header_;
  std::string data_;
  int64_t rows_ = 0, cols_ = 0;
  int n_fillers_ = 0;
};

struct Grid {
  const char* name;            // of the scale, behind the tensor's
  int64_t rows, cols;          // weights to one number
  std::vector<int64_t> shape;  // of the numbers
};

TEST_F(HfTypes, EightBitsWithScales) {
  const std::vector<uint8_t> codes = random_codes();
  const auto blocks = [](int64_t n, int64_t size) { return (n + size - 1) / size; };
  const Grid grids[] = {{"_scale", rows_, cols_, {}},
                        {"_scale", rows_, cols_, {1}},
                        {"_scale", 1, cols_, {rows_}},
                        {"_scale", 1, cols_, {rows_, 1}},
                        {"_scale_inv", 24, 20, {blocks(rows_, 24), blocks(cols_, 20)}},
                        {"_scale_inv", 128, 16, {blocks(rows_, 128), blocks(cols_, 16)}}};
  const json original = header_;
  const std::string data = data_;
  for (const Grid& grid : grids) {
    for (const bool is_e4m3 : {true, false}) {
      header_ = original;
      data_ = data;
      n_fillers_ = 0;
      quantization({{"quant_method", "fp8"}, {"weight_block_size", {grid.rows, grid.cols}}});
      int64_t n = 1;
      for (const int64_t dim : grid.shape) n *= dim;
      const std::vector<float> scales = random_scales(n);
      put(kName, is_e4m3 ? "F8_E4M3" : "F8_E5M2", {rows_, cols_}, bytes_of(codes));
      put(kName + std::string(grid.name), "F32", grid.shape, bytes_of(scales));
      const std::vector<float> x = values();
      ASSERT_EQ(x.size(), codes.size());
      for (int64_t i = 0; i < rows_ * cols_; ++i) {
        const int64_t block =
            i / cols_ / grid.rows * blocks(cols_, grid.cols) + i % cols_ / grid.cols;
        const uint8_t code = codes[static_cast<size_t>(i)];
        const float expected =
            (is_e4m3 ? fp8(code, 3, 7) : fp8(code, 2, 15)) * scales[static_cast<size_t>(block)];
        ASSERT_EQ(x[static_cast<size_t>(i)], expected) << grid.name << " " << i;
      }
    }
  }
}

TEST_F(HfTypes, ScalesThatAreMissingOrDoNotFit) {
  quantization({{"quant_method", "fp8"}, {"weight_block_size", {24, 20}}});
  put(kName, "F8_E4M3", {rows_, cols_}, bytes_of(random_codes()));
  expect_refused("without a scale");
  put(std::string(kName) + "_scale_inv", "F32", {3}, bytes_of(random_scales(3)));
  expect_refused("does not fit");
  quantization({{"quant_method", "fp8"}, {"weight_block_size", {0, 20}}});
  expect_refused("weight_block_size");
}

TEST_F(HfTypes, SixtyFourBitsAreRounded) {
  std::vector<double> numbers(static_cast<size_t>(rows_ * cols_));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = 1.0 / (3.0 + static_cast<double>(i));
  put(kName, "F64", {rows_, cols_}, bytes_of(numbers));
  const std::vector<float> x = values();
  ASSERT_EQ(x.size(), numbers.size());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i], static_cast<float>(numbers[i])) << i;
}

TEST_F(HfTypes, IntegersAreNoWeights) {
  put(kName, "I8", {rows_, cols_}, std::string(static_cast<size_t>(rows_ * cols_), '\1'));
  const auto source = open();
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().kind, ErrorKind::kFailure);
  EXPECT_NE(source.error().message.find("I8"), std::string::npos) << source.error().message;
}

// 300 x 200 weights in blocks of 128 x 128, cut at both ends; rows in place and rotary pairs, read
// whole and in pieces.
TEST(HfScaledRows, BlocksOf128) {
  constexpr int64_t kRows = 300, kCols = 200, kHeadDim = 20;
  const auto folder = test::scratch_folder() / "blocks";
  std::filesystem::create_directories(folder);
  std::vector<uint8_t> codes(kRows * kCols);
  Random random(11);
  for (uint8_t& code : codes) {
    do code = static_cast<uint8_t>(random.next());
    while ((code & 127) >= 0x7c);
  }
  struct Row {
    const char *dtype, *scale, *scale_dtype;
    int64_t block_rows, block_cols;
    std::vector<int64_t> shape;
  };
  const Row rows[] = {{"F8_E4M3", "_scale_inv", "F32", 128, 128, {3, 2}},
                      {"F8_E5M2", "_scale_inv", "BF16", 128, 128, {3, 2}},
                      {"F8_E4M3", "_scale", "F32", kRows, kCols, {}},
                      {"F8_E5M2", "_scale", "F32", kRows, kCols, {1}},
                      {"F8_E4M3", "_scale", "BF16", 1, kCols, {kRows, 1}}};
  for (const Row& row : rows) {
    size_t n_scales = 1;
    for (const int64_t dim : row.shape) n_scales *= static_cast<size_t>(dim);
    std::vector<float> scales(n_scales);
    std::vector<uint16_t> halves(n_scales);
    for (size_t i = 0; i < n_scales; ++i) {  // the same in both types
      scales[i] =
          std::ldexp(1.0f + 0.125f * static_cast<float>(i % 8), static_cast<int>(i % 5) - 2);
      uint32_t bits;
      std::memcpy(&bits, &scales[i], 4);
      halves[i] = static_cast<uint16_t>(bits >> 16);
    }
    const bool is_half = std::string_view(row.scale_dtype) == "BF16";
    const std::string scale_bytes = is_half ? bytes_of(halves) : bytes_of(scales);
    const size_t n = codes.size(), end = n + scale_bytes.size();
    const json header = {
        {"w.weight", {{"dtype", row.dtype}, {"shape", {kRows, kCols}}, {"data_offsets", {0, n}}}},
        {std::string("w.weight") + row.scale,
         {{"dtype", row.scale_dtype}, {"shape", row.shape}, {"data_offsets", {n, end}}}}};
    testing::write_file(folder / "model.safetensors",
                        test::safetensors_file(header.dump(), bytes_of(codes) + scale_bytes));
    testing::write_file(folder / "config.json", R"({"quantization_config": {"quant_method": "fp8",)"
                                                R"( "weight_block_size": [128, 128]}})");
    const HfRepo repo = HfRepo::open(folder).take();
    HfConfig config(repo.config(), "config.json");
    const HfScales reader = HfScales::read(config).take();
    std::vector<bool> used(repo.tensors().size());
    HfRows tensor;
    tensor.parts = {*repo.find("w.weight")};
    tensor.scales = {reader.find(repo, tensor.parts[0], used).take()};
    ASSERT_TRUE(tensor.scales[0].has_value());
    tensor.format = &format_of(FormatId::F32);
    tensor.n_rows = kRows;
    tensor.row_len = kCols;
    tensor.head_dim = kHeadDim;
    for (const HfTransform transform : {HfTransform::none, HfTransform::pair_q}) {
      tensor.transform = transform;
      std::vector<float> whole(codes.size()), pieces(codes.size());
      tensor.read(repo, 0, kRows * kCols, reinterpret_cast<std::byte*>(whole.data()));
      for (int64_t first = 0; first < kRows * kCols; first += 77) {
        tensor.read(repo, first, std::min<int64_t>(77, kRows * kCols - first),
                    reinterpret_cast<std::byte*>(pieces.data() + first));
      }
      EXPECT_EQ(whole, pieces);
      const bool is_e4m3 = std::string_view(row.dtype) == "F8_E4M3";
      const int64_t per_row = (kCols + row.block_cols - 1) / row.block_cols;
      for (int64_t r = 0; r < kRows; ++r) {
        const int64_t from = folder_row(transform, r, kRows, kHeadDim);
        for (int64_t c = 0; c < kCols; ++c) {
          const uint8_t code = codes[static_cast<size_t>(from * kCols + c)];
          const auto block =
              static_cast<size_t>(from / row.block_rows * per_row + c / row.block_cols);
          const float expected = (is_e4m3 ? fp8(code, 3, 7) : fp8(code, 2, 15)) * scales[block];
          ASSERT_EQ(whole[static_cast<size_t>(r * kCols + c)], expected)
              << row.dtype << row.scale << " " << r << " " << c;
        }
      }
    }
  }
}

}  // namespace
}  // namespace nibble
