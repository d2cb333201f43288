// Both maps must leave what a model computes as it is, and change the weights.
#include "lab/maps.h"

#include <algorithm>

#include "lab/isometry.h"
#include "model/vocabulary.h"
#include "tests/lab/lab_files.h"
#include "tests/support/tiny_model.h"

namespace nibble::lab {
namespace {

namespace fs = std::filesystem;
using testing::ScratchFolder;

constexpr double kTolerance = 1e-3;

// A model whose gains are no ones and differ, as those of real models do: the generated one,
// rescaled once.
void make_model(bool tied, const fs::path& path) {
  GenerateOptions options = options_for("tiny", "F32");
  options.shape.tied = tied;
  const fs::path plain = path.string() + ".plain";
  generate(options, plain);
  ThreadPool pool(2);
  const Status status = rescale_model(plain, path, {.sigma = 0.5, .seed = 9}, {pool, {}, nullptr});
  ASSERT_TRUE(status.ok()) << status.error().message;
}

std::vector<float> floats_of(const fs::path& path, std::string_view name) {
  const auto file = GgufFile::open(path);
  const GgufTensor* tensor = file.ok() ? file->find_tensor(name) : nullptr;
  EXPECT_NE(tensor, nullptr) << name;
  if (tensor == nullptr) return {};
  EXPECT_EQ(tensor->format->id, FormatId::F32) << name;
  std::vector<float> values(static_cast<size_t>(tensor->n_elements()));
  tensor->format->decode(file->data(*tensor).data(), values.data(), tensor->n_elements());
  return values;
}

ModelConfig config_of(const fs::path& path) {
  const auto file = GgufFile::open(path);
  EXPECT_TRUE(file.ok());
  auto config = read_config(*file, path.string());
  EXPECT_TRUE(config.ok());
  return config.take();
}

using Map = Status (*)(const fs::path&, const fs::path&, ThreadPool&);
Status rescale(const fs::path& in, const fs::path& out, ThreadPool& pool) {
  return rescale_model(in, out, {}, {pool, {}, nullptr});
}
Status widen(const fs::path& in, const fs::path& out, ThreadPool& pool) {
  return widen_model(in, out, {}, {pool, {}, nullptr});
}

double difference_after(Map map, const fs::path& in, const fs::path& out) {
  ThreadPool pool(2);
  const Status status = map(in, out, pool);
  EXPECT_TRUE(status.ok()) << status.error().message;
  if (!status.ok()) return HUGE_VAL;
  const auto tokens = some_tokens(64, config_of(in).vocab_size);
  return largest_difference(logits_of(in, tokens), logits_of(out, tokens), tokens.size());
}

TEST(Rescale, KeepsTheFunction) {
  const ScratchFolder folder;
  for (const bool tied : {false, true}) {
    SCOPED_TRACE(tied);
    generate(
        [&] {
          GenerateOptions options = options_for("tiny", "F32");
          options.shape.tied = tied;
          return options;
        }(),
        folder / "in.gguf");
    EXPECT_LT(difference_after(rescale, folder / "in.gguf", folder / "out.gguf"), kTolerance);
  }
}

TEST(Rescale, ChangesEveryWeightButTheEmbedding) {
  const ScratchFolder folder;
  for (const bool tied : {false, true}) {
    SCOPED_TRACE(tied);
    GenerateOptions options = options_for("tiny", "F32");
    options.shape.tied = tied;
    generate(options, folder / "in.gguf");
    ThreadPool pool(2);
    ASSERT_TRUE(rescale(folder / "in.gguf", folder / "out.gguf", pool).ok());
    const auto file = GgufFile::open(folder / "in.gguf");
    ASSERT_TRUE(file.ok());
    for (const GgufTensor& tensor : file->tensors()) {
      SCOPED_TRACE(tensor.name);
      const auto before = floats_of(folder / "in.gguf", tensor.name);
      const auto after = floats_of(folder / "out.gguf", tensor.name);
      ASSERT_EQ(before.size(), after.size());
      int64_t n_same = 0;
      for (size_t i = 0; i < before.size(); ++i) n_same += before[i] == after[i];
      const bool stays =
          tensor.name == "token_embd.weight" || (tied && tensor.name == "output_norm.weight");
      if (stays) {
        EXPECT_EQ(n_same, static_cast<int64_t>(before.size()));
      } else {
        EXPECT_LT(n_same, static_cast<int64_t>(before.size()) / 100);
      }
    }
  }
}

TEST(Rescale, FactorsHaveTheAskedSpread) {
  const ScratchFolder folder;
  generate(options_for("tiny", "F32"), folder / "in.gguf");
  ThreadPool pool(2);
  for (const double sigma : {0.0, 0.3}) {
    ASSERT_TRUE(rescale_model(folder / "in.gguf", folder / "out.gguf", {.sigma = sigma},
                              {pool, {}, nullptr})
                    .ok());
    double squares = 0;  // the gains were 1
    for (const float gain : floats_of(folder / "out.gguf", "blk.0.attn_norm.weight")) {
      squares += std::log(static_cast<double>(gain)) * std::log(static_cast<double>(gain));
    }
    EXPECT_NEAR(std::sqrt(squares / 256), sigma, 0.05);
  }
}

TEST(Widen, KeepsTheFunction) {
  const ScratchFolder folder;
  for (const bool tied : {false, true}) {
    SCOPED_TRACE(tied);
    make_model(tied, folder / "in.gguf");
    EXPECT_LT(difference_after(widen, folder / "in.gguf", folder / "out.gguf"), kTolerance);
    EXPECT_NE(GgufFile::open(folder / "out.gguf")->find_tensor("output.weight"), nullptr);
  }
}

TEST(Widen, AccountsForALargeEpsilon) {
  // With an epsilon as large as the states, a wrong one would show.
  const ScratchFolder folder;
  GenerateOptions options = options_for("tiny", "F32");
  options.shape.norm_epsilon = 0.5f;
  generate(options, folder / "in.gguf");
  EXPECT_LT(difference_after(widen, folder / "in.gguf", folder / "out.gguf"), kTolerance);
}

TEST(Widen, MakesTheShapeOfSmolLM2Divisible) {
  const ScratchFolder folder;
  GenerateOptions options = options_for("smollm2", "Q8_0");
  options.shape.n_layers = 2;
  options.shape.vocab_size = 300;
  generate(options, folder / "in.gguf");
  EXPECT_LT(difference_after(widen, folder / "in.gguf", folder / "out.gguf"), kTolerance);
  const ModelConfig narrow = config_of(folder / "in.gguf"), wide = config_of(folder / "out.gguf");
  EXPECT_EQ(wide.d_model, 768);
  EXPECT_EQ(wide.n_heads, 12);
  EXPECT_EQ(wide.n_kv_heads, 4);
  EXPECT_EQ(wide.head_dim, narrow.head_dim);
  EXPECT_EQ(wide.rope_dims, narrow.rope_dims);
  EXPECT_EQ(wide.d_ff, narrow.d_ff);
  EXPECT_FLOAT_EQ(wide.norm_epsilon, narrow.norm_epsilon * 0.75f);
  const auto file = GgufFile::open(folder / "out.gguf");
  ASSERT_TRUE(file.ok());
  for (const GgufTensor& tensor : file->tensors()) EXPECT_EQ(tensor.row_len() % 256, 0);
  for (const float gain : floats_of(folder / "out.gguf", "blk.1.ffn_norm.weight")) {
    EXPECT_FLOAT_EQ(gain, std::sqrt(0.75f));
  }
  EXPECT_EQ(file->metadata().find("general.file_type")->as_uint(), 0u);
  EXPECT_EQ(file->metadata().find("llama.context_length")->as_uint(), 8192u);
}

TEST(Maps, BytesDoNotDependOnThreads) {
  const ScratchFolder folder;
  generate(options_for("tiny", "Q4_0"), folder / "in.gguf");
  for (const Map map : {&rescale, &widen}) {
    ThreadPool one(1), three(3);
    ASSERT_TRUE(map(folder / "in.gguf", folder / "1.gguf", one).ok());
    ASSERT_TRUE(map(folder / "in.gguf", folder / "3.gguf", three).ok());
    EXPECT_EQ(hash_of(folder / "1.gguf"), hash_of(folder / "3.gguf"));
  }
}

TEST(Maps, RefuseWhatTheyCannotMap) {
  const ScratchFolder folder;
  testing::TinyModel model = testing::make_model({});
  model.metadata.set("llama.feed_forward_length", GgufValue::of_uint32(512));
  model.metadata.set("llama.context_length", GgufValue::of_uint32(64));
  model.metadata.set("llama.attention.layer_norm_rms_epsilon", GgufValue::of_float32(1e-5f));
  testing::write_model(model, folder / "plain.gguf");
  Random random(1);
  model.tensors.push_back(testing::make_tensor("blk.0.attn_q.bias", FormatId::F32, {256}, random));
  testing::write_model(model, folder / "bias.gguf");
  ThreadPool pool(2);
  for (const Map map : {&rescale, &widen}) {
    const Status bias = map(folder / "bias.gguf", folder / "out.gguf", pool);
    ASSERT_FALSE(bias.ok());
    EXPECT_EQ(bias.error().kind, ErrorKind::kFailure);
    EXPECT_NE(bias.error().message.find("attn_q.bias"), std::string::npos);
    const Status missing = map(folder / "no.gguf", folder / "out.gguf", pool);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
    const Status same = map(folder / "plain.gguf", folder / "plain.gguf", pool);
    ASSERT_FALSE(same.ok()) << "output is input";
    EXPECT_EQ(same.error().kind, ErrorKind::kUsage);
  }
  EXPECT_EQ(folder.names().size(), 2u);
}

TEST(Isometry, ColumnsAreOrthonormal) {
  ThreadPool pool(2);
  const Isometry isometry = random_isometry(48, 64, 3, pool);
  for (int64_t a = 0; a < 48; ++a) {
    for (int64_t b = 0; b < 48; ++b) {
      double sum = 0;
      for (int64_t i = 0; i < 64; ++i) {
        sum += static_cast<double>(isometry.q[static_cast<size_t>(i * 48 + a)]) *
               isometry.q_transposed[static_cast<size_t>(b * 64 + i)];
      }
      EXPECT_NEAR(sum, a == b ? 1.0 : 0.0, 1e-6);
    }
  }
}

TEST(Isometry, MultiplyIsTheMatrixProduct) {
  // Depths on and off the multiple of four that one pass takes.
  for (const int64_t depth : {4, 7}) {
    std::vector<float> a, b, out(2 * 3);
    for (int64_t i = 0; i < 2 * depth; ++i) a.push_back(static_cast<float>(i - 3));
    for (int64_t i = 0; i < depth * 3; ++i) b.push_back(static_cast<float>(i * i % 11));
    multiply(a.data(), b.data(), 2, depth, 3, out.data());
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t c = 0; c < 3; ++c) {
        float sum = 0;
        for (int64_t k = 0; k < depth; ++k) {
          sum += a[static_cast<size_t>(r * depth + k)] * b[static_cast<size_t>(k * 3 + c)];
        }
        EXPECT_EQ(out[static_cast<size_t>(r * 3 + c)], sum);  // small integers: exact
      }
    }
  }
}

// The model that the maps are made for.
class DemoModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(NIBBLE_DEMO_MODEL)) {
      GTEST_SKIP() << NIBBLE_DEMO_MODEL << " is missing; scripts/fetch_demo_model gets it";
    }
  }
};

TEST_F(DemoModel, RescaledComputesTheSame) {
  const ScratchFolder folder;
  EXPECT_LT(difference_after(rescale, NIBBLE_DEMO_MODEL, folder / "out.gguf"), kTolerance);
}

TEST_F(DemoModel, WidenedComputesTheSame) {
  const ScratchFolder folder;
  EXPECT_LT(difference_after(widen, NIBBLE_DEMO_MODEL, folder / "out.gguf"), kTolerance);
  EXPECT_EQ(config_of(folder / "out.gguf").d_model, 768);
}

TEST_F(DemoModel, ItsVocabularyFitsOtherSizes) {
  for (const int64_t size : {int64_t{512}, int64_t{32000}, int64_t{60000}}) {
    SCOPED_TRACE(size);
    GenerateOptions options = options_for("tiny", "F16");
    options.shape.vocab_size = size;
    options.tokenizer = NIBBLE_DEMO_MODEL;
    const auto plan = plan_model(options);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    auto vocabulary = read_vocabulary(plan->metadata);
    ASSERT_TRUE(vocabulary.ok()) << vocabulary.error().message;
    EXPECT_EQ(static_cast<int64_t>(vocabulary->tokens.size()), size);
    const auto tokenizer = Tokenizer::create(vocabulary.take());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    const std::string text = "The quick brown fox.\n";
    EXPECT_EQ((*tokenizer)->decode((*tokenizer)->encode(text, {.add_special = false})), text);
  }
}

}  // namespace
}  // namespace nibble::lab
