// Types of the KV cache: which are taken, and what they cost.
#include "model/kv_cache.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

ModelConfig shape(int64_t head_dim) {
  ModelConfig config;
  config.n_layers = 3;
  config.n_heads = 4;
  config.n_kv_heads = 2;
  config.head_dim = head_dim;
  return config;
}

TEST(KvCache, BytesPerType) {
  const ModelConfig config = shape(64);
  const int64_t numbers = 3 * 2 * 64 * 256;  // of keys, in two blocks
  const auto bytes = [&](FormatId keys, FormatId values, int64_t n) {
    return KvCache::size_bytes(config, {.key_type = keys, .value_type = values}, n);
  };
  EXPECT_EQ(bytes(FormatId::F32, FormatId::F32, 129), numbers * 8);
  EXPECT_EQ(bytes(FormatId::F16, FormatId::F16, 256), numbers * 4);
  EXPECT_EQ(bytes(FormatId::Q8_0, FormatId::Q8_0, 256), numbers / 32 * 34 * 2);
  EXPECT_EQ(bytes(FormatId::F16, FormatId::Q8_0, 200), numbers * 2 + numbers / 32 * 34);
}

TEST(KvCache, RefusesTypesItCannotHold) {
  const auto message = [](int64_t head_dim, FormatId keys, FormatId values) {
    const auto cache =
        KvCache::create(shape(head_dim), {.n_ctx = 128, .key_type = keys, .value_type = values});
    return cache.ok() ? std::string() : cache.error().message;
  };
  EXPECT_EQ(message(64, FormatId::Q8_0, FormatId::F32), "");
  EXPECT_EQ(message(72, FormatId::F16, FormatId::F16), "");
  EXPECT_EQ(message(64, FormatId::Q4_0, FormatId::F16),
            "[kv cache] keys cannot be Q4_0; choose F32, F16 or Q8_0");
  EXPECT_EQ(message(72, FormatId::F16, FormatId::Q8_0),
            "[kv cache] values cannot be Q8_0 in heads of 72 dimensions: it has a scale per 32; "
            "choose F32 or F16");
}

}  // namespace
}  // namespace nibble
