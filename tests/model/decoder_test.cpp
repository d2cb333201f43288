// The forward pass: one hash of logits however the work is cut, nothing allocated, pieces equal to
// the whole.
#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/hash.h"
#include "base/memory.h"
#include "ops/interleave.h"
#include "tests/model/allocation_count.h"
#include "tests/support/runnable_model.h"

namespace nibble {
namespace {

constexpr int64_t kTokens = 300;  // more than two attention segments
constexpr int64_t kVocab = 96;

std::filesystem::path write_tiny(const testing::ScratchFolder& folder, FormatId format) {
  testing::TinyShape shape;
  shape.format = format;
  shape.vocab_size = kVocab;
  const std::filesystem::path path = folder / "tiny.gguf";
  testing::write_model(testing::make_runnable_model(shape), path);
  return path;
}

int32_t token_at(int32_t sequence, int64_t position) {
  return static_cast<int32_t>((position * 31 + sequence * 17 + position * position / 7) % kVocab);
}

struct Rig {
  explicit Rig(const std::filesystem::path& path, int n_threads, int64_t max_batch = 512,
               ActivationMode mode = ActivationMode::kQuantized, FormatId kv_type = FormatId::F16)
      : pool(n_threads) {
    model = Model::load(path, pool).take();
    Decoder::Options options;
    options.max_batch = max_batch;
    options.activations = mode;
    decoder = Decoder::create(*model, pool, options).take();
    KvCache::Options cache_options;
    cache_options.n_ctx = 512;
    cache_options.n_sequences = 9;
    cache_options.key_type = cache_options.value_type = kv_type;
    cache = KvCache::create(model->config(), cache_options).take();
  }
  ThreadPool pool;
  std::unique_ptr<Model> model;
  std::unique_ptr<Decoder> decoder;
  KvCache cache;
};

// Logits of every position of sequence 0, computed in chunks with `neighbours` other sequences that
// each add a token to every step (as many as fit), from `start` on.
void compute(Rig& setup, int64_t chunk, int neighbours, int64_t start, std::vector<float>& logits) {
  std::vector<BatchToken> batch;
  std::vector<float> step_logits(static_cast<size_t>(512 * kVocab));
  std::vector<int64_t> depth(9, 0);
  for (int64_t begin = start; begin < kTokens; begin += chunk) {
    const int64_t end = std::min(kTokens, begin + chunk);
    batch.clear();
    ASSERT_TRUE(setup.cache.reserve(0, end));
    // Some neighbours stand before, some behind the tokens of sequence 0.
    for (int n = 1; n <= neighbours; ++n) {
      if (n == neighbours / 2 + 1) {
        for (int64_t i = begin; i < end; ++i) {
          batch.push_back({token_at(0, i), static_cast<int32_t>(i), 0, true});
        }
      }
      const int64_t position = depth[static_cast<size_t>(n)]++;
      ASSERT_TRUE(setup.cache.reserve(n, position + 1));
      batch.push_back({token_at(n, position), static_cast<int32_t>(position), n, n % 2 == 0});
    }
    if (neighbours == 0) {
      for (int64_t i = begin; i < end; ++i)
        batch.push_back({token_at(0, i), static_cast<int32_t>(i), 0, true});
    }
    setup.decoder->forward(batch, setup.cache, step_logits.data());
    int64_t row = 0;
    for (const BatchToken& token : batch) {
      if (!token.want_logits) continue;
      if (token.sequence == 0) {
        std::memcpy(logits.data() + token.position * kVocab, step_logits.data() + row * kVocab,
                    kVocab * sizeof(float));
      }
      ++row;
    }
  }
}

struct HashCase {
  FormatId weights, kv = FormatId::F16;
};

class OneHash : public ::testing::TestWithParam<HashCase> {};

TEST_P(OneHash, OverThreadsChunksNeighboursPrefixReuseAndStorage) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder, GetParam().weights);
  std::string expected;
  for (const int n_threads : {1, 2, 3, 4}) {
    Rig setup(path, n_threads, 512, ActivationMode::kQuantized, GetParam().kv);
    if (n_threads % 2 == 0) {  // the other half of the rigs reads the file's rows as they lie
      ASSERT_TRUE(setup.model->interleave(kernels::active(), setup.pool).ok());
      const bool has_form = can_interleave(kernels::active(), format_of(GetParam().weights));
      EXPECT_EQ(setup.model->output().storage == Storage::kInterleaved, has_form);
      EXPECT_EQ(setup.model->layers()[1].ffn_down.storage == Storage::kInterleaved, has_form);
    }
    for (const int64_t chunk : {1, 7, 64, 512}) {
      for (const int neighbours : {0, 2, 7}) {
        for (const bool reuse : {false, true}) {
          if (chunk == 512 && neighbours > 0 && kTokens + neighbours > 512) continue;
          std::vector<float> logits(static_cast<size_t>(kTokens * kVocab));
          for (int32_t s = 0; s < 9; ++s) setup.cache.truncate(s, 0);
          compute(setup, chunk, neighbours, 0, logits);
          if (reuse) {
            // Another sequence takes over the first 200 positions; the rest is computed anew on top
            // of them.
            const std::vector<float> first = logits;
            for (int32_t s = 1; s < 9; ++s) setup.cache.truncate(s, 0);
            ASSERT_TRUE(setup.cache.share(0, 8, 200));
            ASSERT_TRUE(setup.cache.share(8, 0, 200));
            std::fill(logits.begin() + 200 * kVocab, logits.end(), 0.0f);
            compute(setup, chunk, neighbours, 200, logits);
          }
          const std::string hash = sha256_hex(std::as_bytes(std::span(logits)));
          if (expected.empty()) expected = hash;
          ASSERT_EQ(hash, expected) << n_threads << " threads, chunk " << chunk << ", "
                                    << neighbours << " neighbours, reuse " << reuse;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, OneHash,
                         ::testing::Values(HashCase{FormatId::F16}, HashCase{FormatId::Q4_0},
                                           HashCase{FormatId::Q4_K}, HashCase{FormatId::Q3_K},
                                           HashCase{FormatId::TQ1_0}, HashCase{FormatId::MXFP4},
                                           HashCase{FormatId::IQ1_M}, HashCase{FormatId::IQ3_XXS},
                                           HashCase{FormatId::Q4_K, FormatId::F32},
                                           HashCase{FormatId::Q4_K, FormatId::Q8_0}),
                         [](const auto& param) {
                           return std::string(format_of(param.param.weights).name) + "_kv_" +
                                  std::string(format_of(param.param.kv).name);
                         });

// An expanded format takes more memory than the file: what is reserved for others is not taken.
TEST(Interleave, LeavesRowsAsTheyLieWhenMemoryIsShort) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder, FormatId::IQ2_XXS);
  ThreadPool pool(1);
  const auto model = Model::load(path, pool).take();
  const int64_t mapped = model->layers()[0].ffn_down.size_bytes();
  const Status refused = model->interleave(kernels::active(), pool, available_memory_bytes());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kResource);
  EXPECT_EQ(model->layers()[0].ffn_down.storage, Storage::kMapped);
  ASSERT_TRUE(model->interleave(kernels::active(), pool).ok());
  EXPECT_EQ(model->layers()[0].ffn_down.storage, Storage::kInterleaved);
  EXPECT_EQ(model->layers()[0].ffn_down.size_bytes(), mapped / 66 * 102);
}

TEST(Decoder, AllocatesNothingAfterConstruction) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder, FormatId::Q4_K);
  Rig setup(path, 2);
  std::vector<BatchToken> prompt, next;
  for (int64_t i = 0; i < 200; ++i)
    prompt.push_back({token_at(0, i), static_cast<int32_t>(i), 0, i == 199});
  for (int64_t i = 200; i < 210; ++i)
    next.push_back({token_at(0, i), static_cast<int32_t>(i), 0, true});
  std::vector<float> logits(static_cast<size_t>(kVocab));

  const size_t before = test::allocations();
  ASSERT_TRUE(setup.cache.reserve(0, 200));
  setup.decoder->forward(prompt, setup.cache, logits.data());
  for (size_t i = 0; i < next.size(); ++i) {
    ASSERT_TRUE(setup.cache.reserve(0, 201 + static_cast<int64_t>(i)));
    setup.decoder->forward({&next[i], 1}, setup.cache, logits.data());
  }
  EXPECT_EQ(test::allocations(), before);
  const auto grown = std::make_unique<int>(1);  // the counter counts
  EXPECT_GT(test::allocations(), before);
}

TEST(Decoder, LayerByLayerEqualsForwardAndHookSeesEveryLinearInput) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder, FormatId::Q4_0);
  Rig setup(path, 2);
  std::vector<BatchToken> batch;
  for (int64_t i = 0; i < 20; ++i)
    batch.push_back({token_at(0, i), static_cast<int32_t>(i), 0, i >= 18});
  std::vector<float> whole(2 * kVocab), pieces(2 * kVocab);
  ASSERT_TRUE(setup.cache.reserve(0, 20));
  setup.decoder->forward(batch, setup.cache, whole.data());

  std::vector<std::pair<TensorRole, int64_t>> seen;
  setup.decoder->set_hook([&](const LinearSite& site, const float*, int64_t n_tokens, int64_t n) {
    seen.emplace_back(site.role, site.layer);
    EXPECT_EQ(site.expert, -1);
    EXPECT_EQ(n_tokens, site.role == TensorRole::output ? 2 : 20);
    EXPECT_EQ(n, site.role == TensorRole::ffn_down ? 512 : 256);
  });
  std::vector<float> hidden(20 * 256);
  setup.decoder->embed(batch, hidden.data());
  for (int64_t layer = 0; layer < 2; ++layer)
    setup.decoder->run_layer(layer, batch, setup.cache, hidden.data());
  setup.decoder->head(batch, hidden.data(), pieces.data());
  EXPECT_EQ(whole, pieces);
  using R = TensorRole;
  const std::vector<std::pair<R, int64_t>> expected = {
      {R::attn_q, 0},      {R::attn_output, 0}, {R::ffn_gate, 0}, {R::ffn_down, 0}, {R::attn_q, 1},
      {R::attn_output, 1}, {R::ffn_gate, 1},    {R::ffn_down, 1}, {R::output, -1}};
  EXPECT_EQ(seen, expected);
}

TEST(Decoder, FloatActivationsDifferFromQuantizedOnesAndReplacedWeightsAreUsed) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder, FormatId::Q4_0);
  const BatchToken token{5, 0, 0, true};
  const auto logits_of = [&](Rig& setup) {
    std::vector<float> logits(kVocab);
    setup.cache.truncate(0, 0);
    EXPECT_TRUE(setup.cache.reserve(0, 1));
    setup.decoder->forward({&token, 1}, setup.cache, logits.data());
    return logits;
  };
  Rig quantized(path, 1), exact(path, 1, 512, ActivationMode::kFloat);
  const std::vector<float> rounded = logits_of(quantized), reference = logits_of(exact);
  double difference = 0, size = 0;
  for (size_t i = 0; i < kVocab; ++i) {
    difference += std::abs(static_cast<double>(rounded[i] - reference[i]));
    size += std::abs(static_cast<double>(reference[i]));
  }
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 0.05 * size);

  // The same matrix decoded to float32 and put in its place: float activations give the same bits.
  const Tensor& down = exact.model->layers()[1].ffn_down;
  std::vector<float> decoded(static_cast<size_t>(down.n_rows * down.row_len));
  down.format->decode(down.data, decoded.data(), down.n_rows * down.row_len);
  exact.model->replace(TensorRole::ffn_down, 1,
                       make_tensor(format_of(FormatId::F32), down.n_rows, down.row_len,
                                   decoded.data(), Storage::kArena));
  EXPECT_EQ(logits_of(exact), reference);
  std::fill(decoded.begin(), decoded.end(), 0.0f);
  EXPECT_NE(logits_of(exact), reference);
}

}  // namespace
}  // namespace nibble
