// What the tests of the lab share: making a model, and comparing what two models compute.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/random.h"
#include "lab/generate.h"
#include "model/decoder.h"
#include "model/kv_cache.h"

namespace nibble::lab {

inline GenerateOptions options_for(std::string_view shape, std::string type) {
  GenerateOptions options;
  options.shape = *find_shape(shape);
  options.type = std::move(type);
  return options;
}

inline void generate(const GenerateOptions& options, const std::filesystem::path& path,
                     int n_threads = 2) {
  ThreadPool pool(n_threads);
  const auto plan = generate_model(options, path, {pool, {}, nullptr});
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  ASSERT_EQ(std::filesystem::file_size(path), plan->file_bytes);
}

inline std::string hash_of(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  return file.ok() ? sha256_hex(file->bytes()) : file.error().message;
}

// The same tokens for any model with that vocabulary.
inline std::vector<int32_t> some_tokens(int64_t n, int64_t vocab_size) {
  Random random(42);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i) {
    tokens.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size))));
  }
  return tokens;
}

// Logits after each token, in float activations and with a float cache: [n_tokens, vocab_size].
// Empty (and a failed test) when the model does not load.
inline std::vector<float> logits_of(const std::filesystem::path& path,
                                    const std::vector<int32_t>& tokens) {
  ThreadPool pool(2);
  const auto model = Model::load(path, pool);
  EXPECT_TRUE(model.ok()) << model.error().message;
  if (!model.ok()) return {};
  const auto n = static_cast<int64_t>(tokens.size());
  auto decoder =
      Decoder::create(**model, pool, {.max_batch = n, .activations = ActivationMode::kFloat});
  auto cache = KvCache::create(
      (*model)->config(), {.n_ctx = n, .key_type = FormatId::F32, .value_type = FormatId::F32});
  EXPECT_TRUE(decoder.ok() && cache.ok());
  if (!decoder.ok() || !cache.ok() || !cache->reserve(0, n)) return {};
  std::vector<BatchToken> batch;
  for (int32_t i = 0; i < n; ++i) batch.push_back({tokens[static_cast<size_t>(i)], i, 0, true});
  std::vector<float> logits(static_cast<size_t>(n * (*model)->config().vocab_size));
  (*decoder)->forward(batch, *cache, logits.data());
  return logits;
}

// max|difference| / RMS(logits), the largest over all positions.
inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b,
                                 size_t n_positions) {
  EXPECT_EQ(a.size(), b.size());
  EXPECT_GT(a.size(), 0u);
  if (a.size() != b.size() || a.empty()) return HUGE_VAL;
  const size_t vocab_size = a.size() / n_positions;
  double worst = 0;
  for (size_t i = 0; i < n_positions; ++i) {
    double largest = 0, squares = 0;
    for (size_t k = i * vocab_size; k < (i + 1) * vocab_size; ++k) {
      largest = std::max(largest, std::fabs(static_cast<double>(a[k]) - b[k]));
      squares += static_cast<double>(a[k]) * a[k];
    }
    const double rms = std::sqrt(squares / static_cast<double>(vocab_size));
    EXPECT_GT(rms, 0.0);
    EXPECT_TRUE(std::isfinite(largest));
    worst = std::max(worst, largest / rms);
  }
  return worst;
}

}  // namespace nibble::lab
