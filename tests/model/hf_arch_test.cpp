// Every family from a folder: the tensors and metadata of the GGUF that stands beside it, the
// logits of the independent implementation; exported and imported again, the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "model/decoder.h"
#include "model/hf_export.h"
#include "model/hf_import.h"
#include "tests/base/scratch.h"
#include "tests/support/arch_golden.h"
#include "tests/support/hf_folder.h"

namespace nibble {
namespace {

std::vector<float> floats_of(const ModelSource& source, const GgufTensor& tensor) {
  std::vector<std::byte> bytes(tensor.size_bytes);
  source.read(tensor, 0, tensor.n_elements(), bytes.data());
  std::vector<float> values(static_cast<size_t>(tensor.n_elements()));
  tensor.format->decode(bytes.data(), values.data(), tensor.n_elements());
  return values;
}

bool is_of_tokenizer(std::string_view key) { return key.starts_with("tokenizer."); }

// Whether two models have the same tensors and, under the keys of `expected`, the same metadata.
// Numbers that the folder's configuration gives are float32 in GGUF; llama3's divisors are
// computed.
void expect_same(const ModelSource& expected, const ModelSource& given, bool pooling = true) {
  for (const auto& [key, value] : expected.metadata().entries()) {
    if (key.starts_with("general.") || is_of_tokenizer(key)) continue;
    if (key.ends_with(".pooling_type") && !pooling) continue;
    if (key.ends_with(".vocab_size")) continue;  // only some families' files say it
    const GgufValue* other = given.metadata().find(key);
    ASSERT_NE(other, nullptr) << key;
    EXPECT_EQ(value.as_float(), other->as_float()) << key;
    EXPECT_EQ(value.as_string(), other->as_string()) << key;
    EXPECT_EQ(value.as_bool(), other->as_bool()) << key;
  }
  ASSERT_EQ(expected.tensors().size(), given.tensors().size());
  for (const GgufTensor& tensor : expected.tensors()) {
    const GgufTensor* other = given.find_tensor(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(tensor.dims, other->dims) << tensor.name;
    const auto a = floats_of(expected, tensor), b = floats_of(given, *other);
    const float tolerance = tensor.name.starts_with("rope_f") ? 1e-6f : 0.0f;
    const bool is_same = std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](float x, float y) {
      return std::abs(x - y) <= tolerance * std::abs(x);
    });
    EXPECT_TRUE(is_same) << tensor.name;
  }
}

class HfArch : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = testing::make_hf_folder(scratch() / "in", GetParam());
    auto source = open_folder(folder_);
    ASSERT_TRUE(source.ok()) << source.error().message;
    source_ = source.take();
  }
  static std::filesystem::path scratch() {
    return std::filesystem::path(NIBBLE_TEST_SCRATCH) / "hf_arch" / GetParam();
  }

  std::filesystem::path folder_;
  std::unique_ptr<ModelSource> source_;
};

TEST_P(HfArch, IsWhatTheConverterMakes) {
  const auto file = GgufFile::open(golden::arch_folder(GetParam()) / "model.gguf");
  ASSERT_TRUE(file.ok());
  expect_same(*file, *source_);
}

TEST_P(HfArch, PiecesOfATensorAreThoseOfTheWhole) {
  for (const GgufTensor& tensor : source_->tensors()) {
    std::vector<std::byte> whole(tensor.size_bytes), pieces(tensor.size_bytes);
    const int64_t n = tensor.n_elements();
    source_->read(tensor, 0, n, whole.data());
    for (int64_t at = 0; at < n; at += 37) {
      source_->read(tensor, at, std::min<int64_t>(37, n - at),
                    pieces.data() + tensor.format->size_bytes(at));
    }
    EXPECT_EQ(whole, pieces) << tensor.name;
    const auto view = source_->view(tensor);
    if (view.empty()) continue;
    EXPECT_TRUE(std::equal(whole.begin(), whole.end(), view.begin(), view.end())) << tensor.name;
  }
}

TEST_P(HfArch, LogitsEqualTheReference) {
  auto reference =
      golden::read_arch_reference(golden::arch_folder(GetParam()) / "reference.bin").take();
  ThreadPool pool(2);
  auto model = Model::load(folder_, pool);
  ASSERT_TRUE(model.ok()) << model.error().message;
  if ((*model)->config().is_encoder) GTEST_SKIP() << "encoders are computed by another pass";
  Decoder::Options options;
  options.max_batch = options.n_ctx = 256;
  options.activations = ActivationMode::kFloat;
  auto decoder = Decoder::create(**model, pool, options);
  ASSERT_TRUE(decoder.ok());
  KvCache::Options cache_options;
  cache_options.n_ctx = 256;
  cache_options.key_type = cache_options.value_type = FormatId::F32;
  KvCache cache = KvCache::create((*model)->config(), cache_options).take();
  std::vector<BatchToken> batch;
  for (size_t i = 0; i < reference.tokens.size(); ++i) {
    batch.push_back({reference.tokens[i], static_cast<int32_t>(i), 0, true});
  }
  ASSERT_TRUE(cache.reserve(0, static_cast<int64_t>(batch.size())));
  std::vector<float> logits(batch.size() * static_cast<size_t>(reference.width));
  (*decoder)->forward(batch, cache, logits.data());
  EXPECT_LE(golden::largest_difference(reference, logits), 1e-4);
}

TEST_P(HfArch, ExportedAndImportedAgainItIsTheSame) {
  ThreadPool pool(2);
  const auto out = scratch() / "out";
  ExportOptions options;
  options.max_file_bytes = 30000;  // several files
  std::filesystem::remove_all(out);
  const auto report = export_folder(*source_, out, options, pool, nullptr, nullptr);
  if (std::string_view(GetParam()) == "llama3") {  // stretched from another context than Llama 3's
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().kind, ErrorKind::kFailure);
    EXPECT_FALSE(std::filesystem::exists(out / "config.json"));
    return;
  }
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_GT(report->files.size(), 4u);
  const auto back = open_folder(out);
  ASSERT_TRUE(back.ok()) << back.error().message;
  expect_same(*source_, **back, false);  // pooling has no place in these files
  for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges",
                          "tokenizer.ggml.token_type", "tokenizer.ggml.eos_token_id"}) {
    const GgufValue *a = source_->metadata().find(key), *b = (*back)->metadata().find(key);
    ASSERT_TRUE(a != nullptr && b != nullptr) << key;
    EXPECT_TRUE(*a == *b) << key;
  }
  // what stood under final names before is no place for another model
  const auto again = export_folder(*source_, out, options, pool, nullptr, nullptr);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().kind, ErrorKind::kUsage);
}

// A context beyond what config.json means when it does not say for how many positions the model was
// trained.
TEST(HfArchExport, NomicBertOfALongContext) {
  const std::filesystem::path folder =
      std::filesystem::path(NIBBLE_TEST_SCRATCH) / "hf_arch" / "nomic_long";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  golden::write_edited(
      golden::arch_folder("nomic_bert") / "model.gguf",
      [](GgufMetadata& metadata) {
        metadata.set("nomic-bert.context_length", GgufValue::of_uint32(8192));
      },
      folder / "model.gguf");
  const GgufFile file = GgufFile::open(folder / "model.gguf").take();
  ThreadPool pool(1);
  const auto report = export_folder(file, folder / "out", {}, pool, nullptr, nullptr);
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto back = open_folder(folder / "out");
  ASSERT_TRUE(back.ok()) << back.error().message;
  expect_same(file, **back, false);
}

INSTANTIATE_TEST_SUITE_P(Families, HfArch,
                         ::testing::Values("llama3", "llama_linear", "llama_yarn", "mistral",
                                           "mixtral", "qwen2", "qwen3", "qwen3moe", "gemma2",
                                           "gemma3", "phi3", "phi3_longrope", "gptneox", "gpt2",
                                           "bert", "nomic_bert"),
                         [](const auto& row) { return std::string(row.param); });

}  // namespace
}  // namespace nibble
