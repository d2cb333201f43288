// Every architecture against an independent implementation, on tiny random models: equal results,
// every branch of the arithmetic at work, one hash however the work is cut, nothing allocated.
#include <gtest/gtest.h>

#include <functional>

#include "base/hash.h"
#include "model/decoder.h"
#include "tests/model/allocation_count.h"
#include "tests/support/arch_golden.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

using golden::ArchReference;
using Change = std::function<void(ModelConfig&, std::span<LayerPlan>)>;

constexpr double kTolerance = 1e-4;
constexpr int64_t kContext = 256;

ArchReference reference_of(const std::string& name) {
  auto reference = golden::read_arch_reference(golden::arch_folder(name) / "reference.bin");
  EXPECT_TRUE(reference.ok()) << reference.error().message;
  return reference.take();
}

struct Rig {
  Rig(const std::filesystem::path& path, int n_threads, const Change& change = {},
      int64_t n_ctx = kContext, ActivationMode activations = ActivationMode::kFloat)
      : pool(n_threads) {
    auto loaded = Model::load(path, pool);
    CHECK(loaded.ok());
    model = loaded.take();
    if (change) model->alter(change);
    Decoder::Options options;
    options.max_batch = kContext;
    options.n_ctx = n_ctx;
    options.activations = activations;
    auto created = Decoder::create(*model, pool, options);
    CHECK(created.ok());
    decoder = created.take();
    KvCache::Options cache_options;
    cache_options.n_ctx = kContext;
    cache_options.n_sequences = 3;
    cache_options.key_type = cache_options.value_type = FormatId::F32;
    cache = KvCache::create(model->config(), cache_options).take();
  }

  // Logits behind tokens [begin, end) of the reference's prompt; `neighbours` other sequences, 0 to
  // 2, put a token before and behind.
  void compute(const ArchReference& reference, int64_t begin, int64_t end, int neighbours,
               float* logits) {
    std::vector<BatchToken> batch;
    const auto neighbour = [&](int32_t sequence) {
      if (sequence > neighbours) return;
      const auto position = static_cast<int32_t>(cache.n_reserved(sequence));
      CHECK(cache.reserve(sequence, position + 1));
      batch.push_back({(position * 7 + sequence) % 90, position, sequence, false});
    };
    neighbour(1);
    CHECK(cache.reserve(0, end));
    for (int64_t i = begin; i < end; ++i) {
      batch.push_back({reference.tokens[static_cast<size_t>(i)], static_cast<int32_t>(i), 0, true});
    }
    neighbour(2);
    decoder->forward(batch, cache, logits);
  }
  std::vector<float> all_logits(const ArchReference& reference) {
    std::vector<float> logits(reference.tokens.size() * static_cast<size_t>(reference.width));
    compute(reference, 0, static_cast<int64_t>(reference.tokens.size()), 0, logits.data());
    return logits;
  }

  ThreadPool pool;
  std::unique_ptr<Model> model;
  std::unique_ptr<Decoder> decoder;
  KvCache cache;
};

class Arch : public ::testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path path() const { return golden::arch_folder(GetParam()) / "model.gguf"; }
};

TEST_P(Arch, LogitsEqualTheReference) {
  const ArchReference reference = reference_of(GetParam());
  Rig rig(path(), 2);
  ASSERT_EQ(rig.model->config().vocab_size, reference.width);
  const double difference = golden::largest_difference(reference, rig.all_logits(reference));
  std::printf("%s: largest difference / RMS %.2e\n", GetParam(), difference);
  EXPECT_LE(difference, kTolerance);
}

TEST_P(Arch, OneHashOverThreadsChunksNeighboursAndPrefixReuse) {
  const ArchReference reference = reference_of(GetParam());
  const auto n = static_cast<int64_t>(reference.tokens.size());
  std::string expected;
  for (const int n_threads : {1, 3}) {
    Rig rig(path(), n_threads);
    for (const int64_t chunk : {1, 7, 64, 200}) {
      for (const int neighbours : {0, 2}) {
        std::vector<float> logits(static_cast<size_t>(n * reference.width));
        for (int32_t s = 0; s < 3; ++s) rig.cache.truncate(s, 0);
        const auto run = [&](int64_t start) {
          for (int64_t begin = start; begin < n; begin += chunk) {
            rig.compute(reference, begin, std::min(n, begin + chunk), neighbours,
                        logits.data() + begin * reference.width);
          }
        };
        run(0);
        if (chunk == 64) {  // another sequence lends the first 150 positions
          rig.cache.truncate(1, 0);
          ASSERT_TRUE(rig.cache.share(0, 2, 150));
          ASSERT_TRUE(rig.cache.share(2, 0, 150));
          rig.cache.truncate(2, 0);
          std::fill(logits.begin() + 150 * reference.width, logits.end(), 0.0f);
          run(150);
        }
        const std::string hash = sha256_hex(std::as_bytes(std::span(logits)));
        if (expected.empty()) expected = hash;
        ASSERT_EQ(hash, expected) << n_threads << " threads, chunk " << chunk << ", " << neighbours
                                  << " neighbours";
      }
    }
  }
}

// The same with 4-bit weights, put in the place of experts and of fused matrices by replace().
TEST(ArchQuantized, OneHashOverThreadsAndChunks) {
  const Format& q4_0 = format_of(FormatId::Q4_0);
  for (const char* name : {"mixtral", "phi3", "gemma2"}) {
    const ArchReference reference = reference_of(name);
    const auto n = static_cast<int64_t>(reference.tokens.size());
    const GgufFile file = GgufFile::open(golden::arch_folder(name) / "model.gguf").take();
    std::string expected;
    for (const int n_threads : {1, 3}) {
      Rig rig(golden::arch_folder(name) / "model.gguf", n_threads, {}, kContext,
              ActivationMode::kQuantized);
      std::vector<std::vector<std::byte>> encoded;
      for (const GgufTensor& tensor : file.tensors()) {
        const TensorIdentity identity = identify_tensor(tensor.name);
        if (identity.layer < 0 || tensor.n_dims < 2 || !is_quantizable(identity.role)) continue;
        std::vector<float> values(static_cast<size_t>(tensor.n_elements()));
        tensor.format->decode(file.data(tensor).data(), values.data(), tensor.n_elements());
        encoded.emplace_back(q4_0.size_bytes(tensor.n_elements()));
        q4_0.encode(values.data(), nullptr, encoded.back().data(), tensor.n_elements());
        rig.model->replace(identity.role, identity.layer,
                           make_tensor(q4_0, tensor.n_rows(), tensor.row_len(),
                                       encoded.back().data(), Storage::kArena));
      }
      for (const int64_t chunk : {1, 7, 200}) {
        std::vector<float> logits(static_cast<size_t>(n * reference.width));
        for (int32_t s = 0; s < 3; ++s) rig.cache.truncate(s, 0);
        for (int64_t begin = 0; begin < n; begin += chunk) {
          rig.compute(reference, begin, std::min(n, begin + chunk), chunk == 7 ? 2 : 0,
                      logits.data() + begin * reference.width);
        }
        const std::string hash = sha256_hex(std::as_bytes(std::span(logits)));
        if (expected.empty()) {
          expected = hash;
          const double difference = golden::largest_difference(reference, logits);
          EXPECT_GT(difference, kTolerance) << name;  // the 4-bit weights are in use
          EXPECT_LT(difference, 20) << name;
        }
        ASSERT_EQ(hash, expected) << name << ", " << n_threads << " threads, chunk " << chunk;
      }
    }
  }
}

TEST_P(Arch, AllocatesNothingAfterConstruction) {
  const ArchReference reference = reference_of(GetParam());
  Rig rig(path(), 2);
  std::vector<float> logits(reference.tokens.size() * static_cast<size_t>(reference.width));
  std::vector<BatchToken> batch;
  for (int32_t i = 0; i < 150; ++i)
    batch.push_back({reference.tokens[static_cast<size_t>(i)], i, 0, true});
  const BatchToken next{3, 150, 0, true};
  const size_t before = test::allocations();
  ASSERT_TRUE(rig.cache.reserve(0, 150));
  rig.decoder->forward(batch, rig.cache, logits.data());
  ASSERT_TRUE(rig.cache.reserve(0, 151));
  rig.decoder->forward({&next, 1}, rig.cache, logits.data());
  EXPECT_EQ(test::allocations(), before);
}

INSTANTIATE_TEST_SUITE_P(Decoders, Arch,
                         ::testing::Values("llama3", "llama_linear", "llama_yarn", "mistral",
                                           "mixtral", "qwen2", "qwen3", "qwen3moe", "gemma2",
                                           "gemma3", "phi3", "phi3_longrope", "gptneox", "gpt2"),
                         [](const auto& param) { return std::string(param.param); });

// ---- every branch is at work: switched off, the logits are others ------------------------------

struct Branch {
  const char* model;
  const char* what;
  Change off;
};

template <typename Edit>
Change config(Edit edit) {
  return [edit](ModelConfig& c, std::span<LayerPlan>) { edit(c); };
}
template <typename Edit>
Change layers(Edit edit) {
  return [edit](ModelConfig&, std::span<LayerPlan> plans) {
    for (LayerPlan& plan : plans) edit(plan);
  };
}

const Change kNoWindow = layers([](LayerPlan& p) { p.window = 0; });
const Change kNoScaling = config([](ModelConfig& c) { c.rope_position_scale = 1.0; });
const Change kNoMagnitude = config([](ModelConfig& c) { c.rope_magnitude = 1.0; });
const Change kOtherPairs = config([](ModelConfig& c) { c.rope_interleaved = !c.rope_interleaved; });
const Change kNoQBias = layers([](LayerPlan& p) { p.attn_q.bias = nullptr; });
const Change kNoKBias = layers([](LayerPlan& p) { p.attn_k.bias = nullptr; });
const Change kNoVBias = layers([](LayerPlan& p) { p.attn_v.bias = nullptr; });
const Change kNoOutputBias = layers([](LayerPlan& p) { p.attn_output.bias = nullptr; });
const Change kNoUpBias = layers([](LayerPlan& p) { p.ffn_up.bias = nullptr; });
const Change kNoDownBias = layers([](LayerPlan& p) { p.ffn_down.bias = nullptr; });
const Change kNoNormBias = layers([](LayerPlan& p) { p.attn_norm.bias = nullptr; });
const Change kNoQNorm = layers([](LayerPlan& p) { p.attn_q_norm = {}; });
const Change kNoKNorm = layers([](LayerPlan& p) { p.attn_k_norm = {}; });
const Change kNoAttnPostNorm = layers([](LayerPlan& p) { p.attn_post_norm = {}; });
const Change kNoFfnPostNorm = layers([](LayerPlan& p) { p.ffn_post_norm = {}; });
const Change kOneExpert = config([](ModelConfig& c) { c.n_experts_used = 1; });
const Change kRawExperts = config([](ModelConfig& c) { c.normalize_experts = false; });
const Change kNoEmbeddingScale = config([](ModelConfig& c) { c.embedding_scale = 1.0f; });
const Change kRmsNorm = config([](ModelConfig& c) { c.norm = NormKind::rms; });
const Change kSwappedHalves = layers([](LayerPlan& p) { std::swap(p.ffn_gate, p.ffn_up); });
Change other_nonlinearity(Nonlinearity kind) {
  return config([kind](ModelConfig& c) { c.nonlinearity = kind; });
}

TEST(ArchBranches, EachChangesTheResult) {
  const Branch branches[] = {
      {"llama3", "pairs", kOtherPairs},
      {"llama_linear", "linear scaling", kNoScaling},
      {"llama_linear", "bias of Q", kNoQBias},
      {"llama_linear", "bias of the output", kNoOutputBias},
      {"llama_yarn", "scaling", kNoScaling},
      {"llama_yarn", "ramp", config([](ModelConfig& c) { c.yarn_extrapolation = 0; })},
      {"llama_yarn", "slow end", config([](ModelConfig& c) { c.yarn_beta_slow = 4; })},
      {"llama_yarn", "magnitude", kNoMagnitude},
      {"mistral", "window", kNoWindow},
      {"mistral", "exact width of the window", layers([](LayerPlan& p) { ++p.window; })},
      {"mixtral", "second expert", kOneExpert},
      {"mixtral", "normalised weights", kRawExperts},
      {"qwen2", "pairs", kOtherPairs},
      {"qwen2", "bias of Q", kNoQBias},
      {"qwen2", "bias of K", kNoKBias},
      {"qwen2", "bias of V", kNoVBias},
      {"qwen3", "norm of Q", kNoQNorm},
      {"qwen3", "norm of K", kNoKNorm},
      {"qwen3moe", "more than one expert", kOneExpert},
      {"qwen3moe", "normalised weights", kRawExperts},
      {"gemma2", "cap of scores", config([](ModelConfig& c) { c.attention_softcap = 0; })},
      {"gemma2", "cap of logits", config([](ModelConfig& c) { c.logit_softcap = 0; })},
      {"gemma2", "window", kNoWindow},
      {"gemma2", "embedding scale", kNoEmbeddingScale},
      {"gemma2", "norm after attention", kNoAttnPostNorm},
      {"gemma2", "norm after feed-forward", kNoFfnPostNorm},
      {"gemma2", "tanh form of GELU", other_nonlinearity(Nonlinearity::gelu_erf)},
      {"gemma3", "window", kNoWindow},
      {"gemma3", "base of windowed layers",
       layers([](LayerPlan& p) { p.turn = LayerPlan::Turn::global; })},
      {"gemma3", "layers that see everything", layers([](LayerPlan& p) { p.window = 40; })},
      {"gemma3", "scaling of other layers", kNoScaling},
      {"gemma3", "norm of Q", kNoQNorm},
      {"gemma3", "norm after attention", kNoAttnPostNorm},
      {"phi3", "window", kNoWindow},
      {"phi3", "order of gate and up", kSwappedHalves},
      {"phi3_longrope", "magnitude", kNoMagnitude},
      {"gptneox", "parallel residual", config([](ModelConfig& c) { c.parallel_residual = false; })},
      {"gptneox", "partial rotation", config([](ModelConfig& c) { c.rope_dims = c.head_dim; })},
      {"gptneox", "error function in GELU", other_nonlinearity(Nonlinearity::gelu_tanh)},
      {"gptneox", "LayerNorm", kRmsNorm},
      {"gptneox", "bias of the norm", kNoNormBias},
      {"gptneox", "bias of V", kNoVBias},
      {"gptneox", "bias of up", kNoUpBias},
      {"gptneox", "bias of down", kNoDownBias},
      {"gpt2", "tanh form of GELU", other_nonlinearity(Nonlinearity::gelu_erf)},
      {"gpt2", "LayerNorm", kRmsNorm},
      {"gpt2", "bias of Q", kNoQBias},
      {"gpt2", "bias of the output", kNoOutputBias},
  };
  for (const Branch& branch : branches) {
    const ArchReference reference = reference_of(branch.model);
    Rig rig(golden::arch_folder(branch.model) / "model.gguf", 2, branch.off);
    EXPECT_GT(golden::largest_difference(reference, rig.all_logits(reference)), 2 * kTolerance)
        << branch.model << " without: " << branch.what;
  }
}

TEST(ArchBranches, LongContextsTurnByTheirOwnFactors) {
  const ArchReference reference = reference_of("phi3_longrope");
  Rig rig(golden::arch_folder("phi3_longrope") / "model.gguf", 2, {}, /*n_ctx=*/64);
  EXPECT_GT(golden::largest_difference(reference, rig.all_logits(reference)), 2 * kTolerance);
}

TEST(ArchBranches, TensorsThatTurnAndPlaceAreUsed) {
  testing::ScratchFolder folder;
  for (const auto& [model, tensor, value] : {std::tuple{"llama3", "rope_freqs.weight", 1.0f},
                                             std::tuple{"gpt2", "position_embd.weight", 0.0f}}) {
    const ArchReference reference = reference_of(model);
    golden::write_flattened(golden::arch_folder(model) / "model.gguf", tensor, value,
                            folder / "flat.gguf");
    Rig rig(folder / "flat.gguf", 2);
    EXPECT_GT(golden::largest_difference(reference, rig.all_logits(reference)), 2 * kTolerance)
        << model << " without " << tensor;
  }
}

TEST(ArchErrors, ContextsBeyondTheLearnedPositionsAreRefused) {
  ThreadPool pool(1);
  const auto model = Model::load(golden::arch_folder("gpt2") / "model.gguf", pool).take();
  Decoder::Options options;
  options.n_ctx = 257;
  const auto decoder = Decoder::create(*model, pool, options);
  ASSERT_FALSE(decoder.ok());
  EXPECT_EQ(decoder.error().kind, ErrorKind::kFailure);
  EXPECT_NE(decoder.error().message.find("256 positions; a context of 257"), std::string::npos);
}

TEST(ArchErrors, EncodersAreNoDecoders) {
  ThreadPool pool(1);
  const auto model = Model::load(golden::arch_folder("bert") / "model.gguf", pool).take();
  const auto decoder = Decoder::create(*model, pool, {});
  ASSERT_FALSE(decoder.ok());
  EXPECT_NE(decoder.error().message.find("nibble embed"), std::string::npos);
}

TEST(ArchBytes, OfExpertsOnlyThoseInUseAreRead) {
  ThreadPool pool(1);
  const auto model = Model::load(golden::arch_folder("mixtral") / "model.gguf", pool).take();
  // BF16 matrices: Q, K, V, O; two of five experts; the router in F32; output.
  const int64_t attention = 2 * (32 * 32 + 2 * 32 * 16 + 32 * 32), expert = 2 * 3 * 32 * 64;
  EXPECT_EQ(model->bytes_read_per_token(), 2 * (attention + 2 * expert + 4 * 5 * 32) + 2 * 96 * 32);
}

}  // namespace
}  // namespace nibble
