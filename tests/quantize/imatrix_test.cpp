// quantize --imatrix: which data reaches which rows, and data that cannot be used.
#include <gtest/gtest.h>

#include <algorithm>

#include "quantize/pipeline.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

using enum FormatId;
using testing::hash_of;
using testing::make_model;
using testing::make_tensor;
using testing::ScratchFolder;
using testing::TinyModel;
using testing::TinyTensor;
using testing::write_model;
namespace fs = std::filesystem;

// Sums for every tensor with two dimensions or more; a column's worth grows with a random square.
ImportanceMatrix make_importance(const TinyModel& model, float n_tokens = 20000.f) {
  ImportanceMatrix matrix;
  Random random(11);
  for (const TinyTensor& tensor : model.tensors) {
    if (tensor.dims.size() < 2) continue;
    const int64_t n_mat = tensor.dims.size() > 2 ? tensor.dims[2] : 1;
    ImportanceEntry entry;
    for (int64_t i = 0; i < n_mat * tensor.dims[0]; ++i) {
      const double x = random.normal();
      entry.sums.push_back(static_cast<float>(x * x * x * x) * n_tokens);
    }
    entry.counts.assign(static_cast<size_t>(n_mat), n_tokens);
    matrix.add(tensor.name, std::move(entry));
  }
  matrix.set_source({.datasets = {"/home/somebody/text.txt"}, .n_chunks = 40, .chunk_tokens = 512});
  return matrix;
}

class Imatrix : public ::testing::Test {
 protected:
  void write(const TinyModel& model, const ImportanceMatrix& matrix) {
    write_model(model, folder_ / "in.gguf");
    const Status written = matrix.write(folder_ / "imatrix.gguf");
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  Result<QuantizeReport> quantize(const char* to, int n_threads = 2) {
    ThreadPool pool(n_threads);
    return quantize_file(folder_ / "in.gguf", folder_ / "out.gguf",
                         {.to = to, .imatrix = folder_ / "imatrix.gguf"}, pool, nullptr, nullptr);
  }

  ScratchFolder folder_;
};

// Each row encoded by itself, with the factors of its matrix.
std::vector<std::byte> convert(const TinyTensor& tensor, const Format& target,
                               const std::vector<float>& factors) {
  const Format& source = format_of(tensor.format);
  const int64_t row_len = tensor.dims[0], rows_per_matrix = tensor.dims[1];
  const auto n_rows = static_cast<int64_t>(tensor.bytes.size() / source.size_bytes(row_len));
  std::vector<float> x(static_cast<size_t>(row_len));
  std::vector<std::byte> blocks(static_cast<size_t>(n_rows) * target.size_bytes(row_len));
  for (int64_t row = 0; row < n_rows; ++row) {
    source.decode(tensor.bytes.data() + source.size_bytes(row * row_len), x.data(), row_len);
    target.encode(x.data(),
                  factors.empty() ? nullptr : factors.data() + row / rows_per_matrix * row_len,
                  blocks.data() + target.size_bytes(row * row_len), row_len);
  }
  return blocks;
}

// The mixture has 3 matrices of 100 rows in a tensor: their seams are not those of the chunks.
TEST_F(Imatrix, EveryRowGetsTheFactorsOfItsMatrixForAnyThreads) {
  TinyModel model = make_model({.vocab_size = 600, .n_layers = 1});
  Random random(5);
  model.tensors.push_back(make_tensor("blk.0.ffn_up_exps.weight", F32, {512, 100, 3}, random));
  const ImportanceMatrix matrix = make_importance(model);
  write(model, matrix);
  for (const char* to : {"Q4_K_M", "Q4_0", "Q6_K", "Q8_0", "IQ4_NL"}) {
    std::string first;
    for (int n_threads = 1; n_threads <= 4; ++n_threads) {
      const auto report = quantize(to, n_threads);
      ASSERT_TRUE(report.ok()) << report.error().message;
      if (n_threads > 1) {
        EXPECT_EQ(hash_of(folder_ / "out.gguf"), first) << to << " with " << n_threads;
        continue;
      }
      EXPECT_TRUE(report->plan.warnings.empty()) << report->plan.warnings.front();
      first = hash_of(folder_ / "out.gguf");
      const auto out = GgufFile::open(folder_ / "out.gguf");
      ASSERT_TRUE(out.ok());
      for (size_t i = 0; i < model.tensors.size(); ++i) {
        const TinyTensor& tensor = model.tensors[i];
        if (tensor.dims.size() < 2) continue;
        const auto factors = matrix.factors(report->plan.tensors[i].source);
        ASSERT_TRUE(factors.ok());
        const auto bytes = out->data(out->tensors()[i]);
        const auto expected = convert(tensor, *out->tensors()[i].format, *factors);
        EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()))
            << tensor.name << " as " << out->tensors()[i].format->name;
      }
    }
  }
}

// An encoder with importance data must see rows whole, also those longer than a chunk.
TEST_F(Imatrix, VeryLongRows) {
  TinyModel model;
  Random random(5);
  model.metadata.set("general.architecture", GgufValue::of_string("llama"));
  model.tensors.push_back(make_tensor("blk.0.attn_q.weight", F32, {131072 + 256, 3}, random));
  const ImportanceMatrix matrix = make_importance(model);
  write(model, matrix);
  for (const char* to : {"Q4_0", "Q4_K_M"}) {
    const auto report = quantize(to, 3);
    ASSERT_TRUE(report.ok()) << report.error().message;
    const auto out = GgufFile::open(folder_ / "out.gguf");
    ASSERT_TRUE(out.ok());
    const auto bytes = out->data(out->tensors()[0]);
    const auto factors = matrix.factors(report->plan.tensors[0].source);
    const auto expected = convert(model.tensors[0], *out->tensors()[0].format, *factors);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end())) << to;
  }
}

TEST_F(Imatrix, MetadataSaysSo) {
  const TinyModel model = make_model({.n_layers = 1});
  write(model, make_importance(model));
  ASSERT_TRUE(quantize("Q4_0").ok());
  const auto out = GgufFile::open(folder_ / "out.gguf");
  ASSERT_TRUE(out.ok());
  const GgufMetadata& metadata = out->metadata();
  EXPECT_EQ(metadata.find("quantize.imatrix.file")->as_string(), "imatrix.gguf");
  EXPECT_EQ(metadata.find("quantize.imatrix.dataset")->as_string(), "text.txt");
  EXPECT_EQ(metadata.find("quantize.imatrix.entries_count")->as_uint(), 8u);
  EXPECT_EQ(metadata.find("quantize.imatrix.chunks_count")->as_uint(), 40u);
}

// The embedding that stands in for the head: its data, or that of the head.
TEST_F(Imatrix, TiedEmbedding) {
  TinyModel model = make_model({.n_layers = 1, .tied = true});
  ImportanceMatrix matrix = make_importance(model);
  write(model, matrix);
  auto report = quantize("Q4_0");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->plan.tensors[0].importance, "token_embd.weight");
  const std::string with_data = hash_of(folder_ / "out.gguf");

  ImportanceMatrix renamed;
  for (const auto& [name, entry] : matrix.entries()) {
    renamed.add(name == "token_embd.weight" ? "output.weight" : name, entry);
  }
  renamed.set_source(matrix.source());
  write(model, renamed);
  report = quantize("Q4_0");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->plan.tensors[0].importance, "output.weight");
  EXPECT_EQ(hash_of(folder_ / "out.gguf"), with_data);

  // with a head of its own the embedding is looked up, not multiplied: no data of the head for it
  model = make_model({.n_layers = 1, .tied = false});
  write(model, renamed);
  report = quantize("Q4_0");
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->plan.tensors[0].importance, "");
  EXPECT_EQ(report->plan.tensors.back().importance, "output.weight");
  EXPECT_TRUE(report->plan.warnings.empty());
}

TEST_F(Imatrix, OfAnotherModel) {
  const TinyModel model = make_model({.n_layers = 1});
  TinyModel other = make_model({.d_model = 512, .n_layers = 1});
  write(model, make_importance(other));
  auto refused = quantize("Q4_0");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
  for (const char* part : {"imatrix.gguf", "256", "512", "another model"}) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  }
  for (TinyTensor& tensor : other.tensors) tensor.name = "other." + tensor.name;
  write(model, make_importance(other));
  refused = quantize("Q4_0");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
  EXPECT_NE(refused.error().message.find("knows none of the tensors"), std::string::npos)
      << refused.error().message;
  EXPECT_FALSE(fs::exists(folder_ / "out.gguf"));
}

TEST_F(Imatrix, WhatIsMissingOrThinIsWarnedOf) {
  const TinyModel model = make_model({});
  ImportanceMatrix matrix;
  const ImportanceMatrix full = make_importance(model, 500.f);
  for (const auto& [name, entry] : full.entries()) {
    if (name.find("blk.1.") == std::string::npos) matrix.add(name, entry);
  }
  matrix.set_source(full.source());
  write(model, matrix);
  const auto report = quantize("Q4_0");
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->plan.warnings.size(), 2u);
  EXPECT_NE(report->plan.warnings[0].find("only 500 tokens"), std::string::npos)
      << report->plan.warnings[0];
  EXPECT_NE(report->plan.warnings[1].find("nothing of 7 tensors"), std::string::npos)
      << report->plan.warnings[1];
  EXPECT_NE(report->plan.warnings[1].find("blk.1.attn_q.weight"), std::string::npos);
}

// Two bits everywhere are of no use without importance data; llama.cpp refuses, too.
TEST_F(Imatrix, ARecipeThatNeedsIt) {
  const TinyModel model = make_model({});
  const ImportanceMatrix full = make_importance(model);
  write(model, full);
  ThreadPool pool(2);
  const auto refused = quantize_file(folder_ / "in.gguf", folder_ / "out.gguf", {.to = "Q2_K_S"},
                                     pool, nullptr, nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  for (const char* part : {"Q2_K_S", "--imatrix", "blk.0.attn_q.weight"}) {
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
  }
  const auto file = GgufFile::open(folder_ / "in.gguf");
  ASSERT_TRUE(file.ok());
  const auto plan = plan_quantize(*file, {.to = "Q2_K_S"});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->warnings.size(), 1u);
  const auto report = quantize("Q2_K_S");
  EXPECT_TRUE(report.ok()) << report.error().message;

  ImportanceMatrix partial;
  for (const auto& [name, entry] : full.entries()) {
    if (name != "blk.1.ffn_up.weight") partial.add(name, entry);
  }
  write(model, partial);
  const auto incomplete = quantize("Q2_K_S");
  ASSERT_FALSE(incomplete.ok());
  EXPECT_NE(incomplete.error().message.find("blk.1.ffn_up.weight"), std::string::npos)
      << incomplete.error().message;
}

}  // namespace
}  // namespace nibble
