// The real model against an independent engine (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "model/decoder.h"
#include "tests/support/golden.h"

namespace nibble {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(NIBBLE_TEST_DATA) / "golden";

struct Runner {
  ThreadPool pool{2};
  std::unique_ptr<Model> model;
  std::unique_ptr<Decoder> decoder;
  KvCache cache;
  std::vector<Buffer> decoded;

  // Every matrix is decoded to float32 once and put in its place: the dequantized file, in memory.
  static std::unique_ptr<Runner> create() {
    auto runner = std::make_unique<Runner>();
    auto model = Model::load(NIBBLE_DEMO_MODEL, runner->pool);
    if (!model.ok()) return nullptr;
    runner->model = model.take();
    runner->decode_weights();
    Decoder::Options options;
    options.max_batch = 256;
    options.activations = ActivationMode::kFloat;
    runner->decoder = Decoder::create(*runner->model, runner->pool, options).take();
    KvCache::Options cache;
    cache.n_ctx = 512;
    cache.key_type = cache.value_type = FormatId::F32;
    runner->cache = KvCache::create(runner->model->config(), cache).take();
    return runner;
  }
  void decode_weights() {
    using R = TensorRole;
    const auto decode = [&](R role, int layer, const Tensor& tensor) {
      auto values =
          Buffer::allocate(static_cast<size_t>(tensor.n_rows * tensor.row_len) * sizeof(float))
              .take();
      pool.parallel_for(tensor.n_rows, 64, [&](int64_t begin, int64_t end, int) {
        tensor.format->decode(tensor.row(begin), values.as<float>() + begin * tensor.row_len,
                              (end - begin) * tensor.row_len);
      });
      model->replace(role, layer,
                     make_tensor(format_of(FormatId::F32), tensor.n_rows, tensor.row_len,
                                 values.data(), Storage::kArena));
      decoded.push_back(std::move(values));
    };
    decode(R::token_embd, -1, model->token_embd());
    for (int i = 0; i < static_cast<int>(model->config().n_layers); ++i) {
      const LayerPlan plan = model->layers()[static_cast<size_t>(i)];
      decode(R::attn_q, i, plan.attn_q);
      decode(R::attn_k, i, plan.attn_k);
      decode(R::attn_v, i, plan.attn_v);
      decode(R::attn_output, i, plan.attn_output);
      decode(R::ffn_gate, i, plan.ffn_gate);
      decode(R::ffn_up, i, plan.ffn_up);
      decode(R::ffn_down, i, plan.ffn_down);
    }
  }
  // Logits behind each of `tokens`, which follow the n_past that the cache holds.
  std::vector<float> forward(std::span<const int32_t> tokens, int64_t n_past, bool all) {
    std::vector<BatchToken> batch;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const auto position = n_past + static_cast<int64_t>(i);
      batch.push_back(
          {tokens[i], static_cast<int32_t>(position), 0, all || i + 1 == tokens.size()});
    }
    EXPECT_TRUE(cache.reserve(0, n_past + static_cast<int64_t>(tokens.size())));
    std::vector<float> logits((all ? tokens.size() : 1) *
                              static_cast<size_t>(model->config().vocab_size));
    decoder->forward(batch, cache, logits.data());
    return logits;
  }
};

TEST(Golden, LogitsEqualTheIndependentEngines) {
  const auto runner = Runner::create();
  if (!runner)
    GTEST_SKIP() << "the demo model is missing: " << NIBBLE_DEMO_MODEL
                 << "; run scripts/fetch_demo_model";
  const auto golden = golden::read_logits(kGolden / "smollm2_logits.bin");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  ASSERT_EQ(golden->positions.size(), 200u);
  ASSERT_EQ(golden->vocab_size, runner->model->config().vocab_size);
  const std::vector<float> logits = runner->forward(golden->tokens, 0, true);
  double worst = 0;
  for (size_t t = 0; t < golden->positions.size(); ++t) {
    const golden::LogitsAt& at = golden->positions[t];
    const float* ours = logits.data() + t * static_cast<size_t>(golden->vocab_size);
    for (size_t k = 0; k < golden->sampled_ids.size(); ++k) {
      const float difference = std::abs(ours[golden->sampled_ids[k]] - at.logits[k]);
      worst = std::max(worst, static_cast<double>(difference / at.rms));
    }
    worst =
        std::max(worst, static_cast<double>(std::abs(ours[at.argmax] - at.argmax_logit) / at.rms));
    double squares = 0;
    for (int64_t v = 0; v < golden->vocab_size; ++v)
      squares += static_cast<double>(ours[v]) * static_cast<double>(ours[v]);
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(golden->vocab_size)),
                static_cast<double>(at.rms), 1e-4 * static_cast<double>(at.rms));
  }
  std::printf("largest difference / RMS over 200 positions: %.2e\n", worst);
  EXPECT_LT(worst, 1e-3);
}

TEST(Golden, GreedyContinuationsEqualTheIndependentEngines) {
  const auto runner = Runner::create();
  if (!runner)
    GTEST_SKIP() << "the demo model is missing: " << NIBBLE_DEMO_MODEL
                 << "; run scripts/fetch_demo_model";
  const auto runs = golden::read_greedy(kGolden / "smollm2_greedy.json");
  ASSERT_TRUE(runs.ok()) << runs.error().message;
  ASSERT_EQ(runs->size(), 5u);
  int parted = 0;
  for (const golden::GreedyRun& run : *runs) {
    ASSERT_EQ(run.continuation_ids.size(), 64u);
    runner->cache.truncate(0, 0);
    auto n_past = static_cast<int64_t>(run.prompt_ids.size());
    std::vector<float> logits = runner->forward(run.prompt_ids, 0, false);
    for (size_t i = 0; i < run.continuation_ids.size(); ++i) {
      const auto best =
          static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      if (best != run.continuation_ids[i]) {
        std::printf("'%s' parts at token %zu: %d instead of %d, their top-2 gap %.4f\n",
                    run.prompt.c_str(), i, best, run.continuation_ids[i], run.top2_gaps[i]);
        EXPECT_LT(run.top2_gaps[i], 0.1) << "parted without a near tie";
        ++parted;
        break;
      }
      logits = runner->forward({&best, 1}, n_past++, false);
    }
  }
  EXPECT_LE(parted, 1);
}

}  // namespace
}  // namespace nibble
