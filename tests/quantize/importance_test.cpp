// Importance matrices: both file forms, factors per weight, and files that must not be believed.
#include "quantize/importance.h"

#include <cstring>
#include <fstream>
#include <limits>

#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

// The older form, number by number.
class LegacyBytes {
 public:
  LegacyBytes& number(int32_t value) { return raw(&value, sizeof value); }
  LegacyBytes& text(std::string_view value) {
    number(static_cast<int32_t>(value.size()));
    return raw(value.data(), value.size());
  }
  LegacyBytes& floats(std::initializer_list<float> values) {
    number(static_cast<int32_t>(values.size()));
    return raw(values.begin(), 4 * values.size());
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  LegacyBytes& raw(const void* data, size_t n) {
    const auto* first = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), first, first + n);
    return *this;
  }
  std::vector<std::byte> bytes_;
};

LegacyBytes two_entries() {
  LegacyBytes file;
  file.number(2);
  file.text("blk.0.ffn_up.weight").number(4).floats({4, 8, 12});
  file.text("blk.0.ffn_down.weight").number(0).floats({1, 2});
  file.number(10).text("wiki.txt");
  return file;
}

GgufTensor tensor_of(std::string name, std::array<int64_t, 4> dims) {
  GgufTensor tensor;
  tensor.name = std::move(name);
  tensor.format = &format_of(FormatId::F32);
  tensor.n_dims = 3;
  tensor.dims = dims;
  return tensor;
}

ImportanceMatrix small_matrix() {
  ImportanceMatrix matrix;
  matrix.add("blk.0.ffn_up.weight", {{2, 4, 6}, {2}});
  matrix.add("blk.0.ffn_up_exps.weight", {{3, 6, 1, 1}, {3, 0}});
  matrix.set_source({{"a.txt", "b.txt"}, 7, 512});
  return matrix;
}

TEST(Importance, TheGgufFormComesBackAsItWasWritten) {
  const testing::ScratchFolder folder;
  const auto path = folder / "imatrix.gguf";
  const Status written = small_matrix().write(path);
  ASSERT_TRUE(written.ok()) << written.error().message;
  const auto read = ImportanceMatrix::read(path);
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_EQ(read->entries().size(), 2u);
  EXPECT_EQ(read->entries().at("blk.0.ffn_up.weight").sums, (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(read->entries().at("blk.0.ffn_up_exps.weight").counts, (std::vector<float>{3, 0}));
  EXPECT_EQ(read->source().datasets, (std::vector<std::string>{"a.txt", "b.txt"}));
  EXPECT_EQ(read->source().n_chunks, 7u);
  EXPECT_EQ(read->n_tokens(), 3);

  const auto file = GgufFile::open(path);  // the layout that other programs look for
  ASSERT_TRUE(file.ok());
  const GgufTensor* sums = file->find_tensor("blk.0.ffn_up_exps.weight.in_sum2");
  const GgufTensor* counts = file->find_tensor("blk.0.ffn_up_exps.weight.counts");
  ASSERT_TRUE(sums != nullptr && counts != nullptr);
  EXPECT_EQ(sums->dims, (std::array<int64_t, 4>{2, 2, 1, 1}));
  EXPECT_EQ(counts->dims, (std::array<int64_t, 4>{1, 2, 1, 1}));
  EXPECT_EQ(file->metadata().find("general.type")->as_string(), "imatrix");
}

TEST(Importance, TheOlderFormHoldsMeansTimesPasses) {
  const auto matrix = ImportanceMatrix::parse_legacy(two_entries().bytes(), "test");
  ASSERT_TRUE(matrix.ok()) << matrix.error().message;
  const auto factors = matrix->factors(tensor_of("blk.0.ffn_up.weight", {3, 5, 1, 1}));
  ASSERT_TRUE(factors.ok());
  EXPECT_EQ(*factors, (std::vector<float>{1, 2, 3}));
  const auto unseen = matrix->factors(tensor_of("blk.0.ffn_down.weight", {2, 5, 1, 1}));
  ASSERT_TRUE(unseen.ok());
  EXPECT_EQ(*unseen, (std::vector<float>{1, 1}));
  EXPECT_EQ(matrix->source().n_chunks, 10u);
  EXPECT_EQ(matrix->source().datasets, (std::vector<std::string>{"wiki.txt"}));
  EXPECT_EQ(matrix->n_tokens(), 0);
}

TEST(Importance, AnExpertWithoutTokensGetsOnes) {
  const auto factors = small_matrix().factors(tensor_of("blk.0.ffn_up_exps.weight", {2, 9, 2, 1}));
  ASSERT_TRUE(factors.ok()) << factors.error().message;
  EXPECT_EQ(*factors, (std::vector<float>{1, 2, 1, 1}));
}

TEST(Importance, AnUnknownTensorHasNoFactorsAndAnotherWidthIsAnotherModel) {
  const ImportanceMatrix matrix = small_matrix();
  const auto unknown = matrix.factors(tensor_of("blk.9.ffn_up.weight", {3, 5, 1, 1}));
  ASSERT_TRUE(unknown.ok());
  EXPECT_TRUE(unknown->empty());
  const GgufTensor others[] = {tensor_of("blk.0.ffn_up.weight", {4, 5, 1, 1}),
                               tensor_of("blk.0.ffn_up.weight", {3, 5, 2, 1}),
                               tensor_of("blk.0.ffn_up_exps.weight", {4, 5, 1, 1})};
  for (const GgufTensor& tensor : others) {
    const auto factors = matrix.factors(tensor);
    ASSERT_FALSE(factors.ok()) << tensor.name;
    EXPECT_EQ(factors.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(factors.error().message.find("another model"), std::string::npos);
  }
}

TEST(Importance, TheOlderFormCutAnywhereIsRefused) {
  const LegacyBytes whole = two_entries();
  const size_t n = whole.bytes().size();
  // Without its tail, or with the number of chunks alone, a file is as valid as with both.
  const size_t tail = 4 + 4 + std::strlen("wiki.txt");
  for (size_t length = 0; length < n; ++length) {
    const bool valid = length == n - tail || length == n - tail + 4;
    const auto matrix = ImportanceMatrix::parse_legacy(whole.bytes().first(length), "test");
    EXPECT_EQ(matrix.ok(), valid) << length << " of " << n;
    if (!matrix.ok()) {
      EXPECT_EQ(matrix.error().kind, ErrorKind::kInvalid);
    }
  }
}

TEST(Importance, HostileNumbersInTheOlderFormAreRefused) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  const LegacyBytes files[] = {
      LegacyBytes().number(0),
      LegacyBytes().number(-1),
      LegacyBytes().number(kMost),
      LegacyBytes().number(1).number(-1),
      LegacyBytes().number(1).number(kMost).number(1),
      LegacyBytes().number(1).text("a").number(-1).floats({1}),
      LegacyBytes().number(1).text("a").number(1).number(-1),
      LegacyBytes().number(1).text("a").number(1).number(kMost).number(0),
      LegacyBytes().number(1).text("a").number(1).floats({-1}),
      LegacyBytes().number(1).text("a").number(1).floats({std::numeric_limits<float>::quiet_NaN()}),
      LegacyBytes().number(1).text("a").number(1).floats({std::numeric_limits<float>::infinity()}),
      LegacyBytes().number(1).text("a").number(1).floats({1}).number(-1),
      LegacyBytes().number(1).text("a").number(1).floats({1}).number(1).number(-1),
      LegacyBytes().number(1).text("a").number(1).floats({1}).number(1).text("b").number(0),
  };
  for (size_t i = 0; i < std::size(files); ++i) {
    const auto matrix = ImportanceMatrix::parse_legacy(files[i].bytes(), "test");
    EXPECT_FALSE(matrix.ok()) << i;
  }
}

class GgufForm : public ::testing::Test {
 protected:
  // A file with one pair of tensors, as F32 unless told.
  ErrorKind kind_of_error(std::string_view type, std::vector<float> sums, std::vector<float> counts,
                          bool with_counts = true, FormatId format = FormatId::F32) {
    testing::TinyModel model;
    if (!type.empty()) model.metadata.set("general.type", GgufValue::of_string(type));
    add(model, "x.weight.in_sum2", sums, format);
    if (with_counts) add(model, "x.weight.counts", counts, FormatId::F32);
    testing::write_model(model, folder_ / "file");
    const auto matrix = ImportanceMatrix::read(folder_ / "file");
    return matrix.ok() ? ErrorKind::kUsage : matrix.error().kind;
  }
  static void add(testing::TinyModel& model, std::string name, const std::vector<float>& x,
                  FormatId format) {
    testing::TinyTensor tensor{std::move(name), format, {static_cast<int64_t>(x.size())}, {}};
    tensor.bytes.resize(format_of(format).size_bytes(tensor.dims[0]));
    format_of(format).encode(x.data(), nullptr, tensor.bytes.data(), tensor.dims[0]);
    model.tensors.push_back(std::move(tensor));
  }
  testing::ScratchFolder folder_;
};

TEST_F(GgufForm, FilesThatCannotBeAnImportanceMatrixAreRefused) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(kind_of_error("imatrix", {1, 2}, {1}), ErrorKind::kUsage);  // valid
  EXPECT_EQ(kind_of_error("", {1, 2}, {1}), ErrorKind::kUsage);         // valid, too
  EXPECT_EQ(kind_of_error("model", {1, 2}, {1}), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of_error("imatrix", {1, 2}, {1}, false), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of_error("imatrix", {1, 2}, {1}, true, FormatId::F16), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of_error("imatrix", {1, 2, 3}, {1, 1}), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of_error("imatrix", {1, -2}, {1}), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of_error("imatrix", {1, kNan}, {1}), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of_error("imatrix", {1, 2}, {-1}), ErrorKind::kInvalid);
}

TEST_F(GgufForm, AModelIsNoImportanceMatrix) {
  testing::write_model(testing::make_model({}), folder_ / "model.gguf");
  const auto matrix = ImportanceMatrix::read(folder_ / "model.gguf");
  ASSERT_FALSE(matrix.ok());
  EXPECT_EQ(matrix.error().kind, ErrorKind::kInvalid);
  EXPECT_NE(matrix.error().message.find("nibble calibrate"), std::string::npos);
}

}  // namespace
}  // namespace nibble
