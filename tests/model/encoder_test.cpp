// Encoders against an independent implementation, on tiny random models.
#include "model/encoder.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/hash.h"
#include "tests/model/allocation_count.h"
#include "tests/support/arch_golden.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

using golden::ArchReference;
using Change = std::function<void(ModelConfig&, std::span<LayerPlan>)>;

struct Rig {
  explicit Rig(const std::filesystem::path& path, int n_threads = 2, const Change& change = {},
               ActivationMode mode = ActivationMode::kFloat)
      : pool(n_threads) {
    model = Model::load(path, pool).take();
    if (change) model->alter(change);
    Encoder::Options options;
    options.max_tokens = 230;
    options.activations = mode;
    encoder = Encoder::create(*model, pool, options).take();
  }
  ThreadPool pool;
  std::unique_ptr<Model> model;
  std::unique_ptr<Encoder> encoder;
};

class EncoderArch : public ::testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path path() const { return golden::arch_folder(GetParam()) / "model.gguf"; }
  ArchReference reference() const {
    auto reference = golden::read_arch_reference(golden::arch_folder(GetParam()) / "reference.bin");
    EXPECT_TRUE(reference.ok()) << reference.error().message;
    return reference.take();
  }
};

TEST_P(EncoderArch, HiddenStatesEqualTheReference) {
  const ArchReference golden = reference();
  Rig rig(path());
  const double difference = golden::largest_difference(golden, rig.encoder->run(golden.tokens));
  std::printf("%s: largest difference / RMS %.2e\n", GetParam(), difference);
  EXPECT_LE(difference, 1e-4);
}

TEST_P(EncoderArch, OneHashOverThreadsAndEarlierTexts) {
  const ArchReference golden = reference();
  std::string expected;
  for (const int n_threads : {1, 2, 3}) {
    Rig rig(path(), n_threads);
    for (const size_t before : {0u, 230u, 17u}) {  // what an earlier text leaves in the buffers
      std::vector<int32_t> other(before, 5);
      if (before > 0) rig.encoder->run(other);
      const std::string hash = sha256_hex(std::as_bytes(rig.encoder->run(golden.tokens)));
      if (expected.empty()) expected = hash;
      ASSERT_EQ(hash, expected) << n_threads << " threads after a text of " << before;
    }
  }
}

TEST_P(EncoderArch, AllocatesNothingAfterConstruction) {
  const ArchReference golden = reference();
  Rig rig(path());
  const size_t before = test::allocations();
  rig.encoder->run(golden.tokens);
  EXPECT_EQ(test::allocations(), before);
}

INSTANTIATE_TEST_SUITE_P(Encoders, EncoderArch, ::testing::Values("bert", "nomic_bert"),
                         [](const auto& param) { return std::string(param.param); });

TEST(EncoderBranches, EachChangesTheResult) {
  const auto layers = [](auto edit) -> Change {
    return [edit](ModelConfig&, std::span<LayerPlan> plans) {
      for (LayerPlan& plan : plans) edit(plan);
    };
  };
  const std::tuple<const char*, const char*, Change> branches[] = {
      {"bert", "error function in GELU",
       [](ModelConfig& c, std::span<LayerPlan>) { c.nonlinearity = Nonlinearity::gelu_tanh; }},
      {"bert", "bias of Q", layers([](LayerPlan& p) { p.attn_q.bias = nullptr; })},
      {"bert", "bias of up", layers([](LayerPlan& p) { p.ffn_up.bias = nullptr; })},
      {"bert", "bias of the norm", layers([](LayerPlan& p) { p.attn_output_norm.bias = nullptr; })},
      {"bert", "order of the norms",
       layers([](LayerPlan& p) { std::swap(p.attn_output_norm, p.layer_output_norm); })},
      {"nomic_bert", "rotation", layers([](LayerPlan& p) { p.turn = LayerPlan::Turn::none; })},
      {"nomic_bert", "order of gate and up",
       layers([](LayerPlan& p) { std::swap(p.ffn_gate, p.ffn_up); })},
      {"nomic_bert", "base of the rotation",
       [](ModelConfig& c, std::span<LayerPlan>) { c.rope_base = 10000; }},
  };
  for (const auto& [name, what, change] : branches) {
    const auto golden =
        golden::read_arch_reference(golden::arch_folder(name) / "reference.bin").take();
    Rig rig(golden::arch_folder(name) / "model.gguf", 2, change);
    EXPECT_GT(golden::largest_difference(golden, rig.encoder->run(golden.tokens)), 2e-4)
        << name << " without: " << what;
  }
}

TEST(EncoderBranches, PositionsAndTypesAreAdded) {
  testing::ScratchFolder folder;
  const auto golden =
      golden::read_arch_reference(golden::arch_folder("bert") / "reference.bin").take();
  for (const char* tensor : {"position_embd.weight", "token_types.weight"}) {
    golden::write_flattened(golden::arch_folder("bert") / "model.gguf", tensor, 0.0f,
                            folder / "flat.gguf");
    Rig rig(folder / "flat.gguf");
    EXPECT_GT(golden::largest_difference(golden, rig.encoder->run(golden.tokens)), 2e-4) << tensor;
  }
}

TEST(EncoderErrors, DecodersAndLongTextsAreRefused) {
  ThreadPool pool(1);
  const auto decoder = Model::load(golden::arch_folder("gpt2") / "model.gguf", pool).take();
  const auto none = Encoder::create(*decoder, pool, {});
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("no encoder"), std::string::npos);
  const auto bert = Model::load(golden::arch_folder("bert") / "model.gguf", pool).take();
  Encoder::Options options;
  options.max_tokens = 257;
  const auto long_text = Encoder::create(*bert, pool, options);
  ASSERT_FALSE(long_text.ok());
  EXPECT_NE(long_text.error().message.find("at most 256 tokens"), std::string::npos);
}

TEST(Pooling, MeanFirstAndLast) {
  const std::vector<float> hidden = {1, 2, 3, 4, 5, 9};  // [3, 2]
  std::vector<float> out(2);
  const auto pool = [&](Pooling pooling) {
    pool_hidden(kernels::active(), pooling, hidden, out);
    return out;
  };
  EXPECT_EQ(pool(Pooling::cls), (std::vector<float>{1, 2}));
  EXPECT_EQ(pool(Pooling::last), (std::vector<float>{5, 9}));
  EXPECT_EQ(pool(Pooling::mean), (std::vector<float>{3, 5}));
  normalize_length(out);
  EXPECT_FLOAT_EQ(out[0] * out[0] + out[1] * out[1], 1.0f);
  std::vector<float> zeros(2);
  normalize_length(zeros);
  EXPECT_EQ(zeros, (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace nibble
