// How fast is attention alone? One layer of the shape 2048, 32 query heads on 4 KV heads of 64, at
// the depth 4096: per type of the cache, microseconds per token of a decode step (over 22 layers'
// worth of keys and values, so that they come from memory as in a model) and of a prompt of 512,
// with bytes per second beside the read probe, and operations per second. Threads: all that the
// process may use; run interleaved (--benchmark_enable_random_interleaving) and believe medians.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/buffer.h"
#include "base/cpu.h"
#include "base/random.h"
#include "ops/attention.h"

namespace nibble {
namespace {

constexpr Attention::Shape kShape{.n_heads = 32, .n_kv_heads = 4, .head_dim = 64};
constexpr int64_t kDepth = 4096, kPrompt = 512, kLayers = 22;
constexpr int64_t kSegments = (kDepth + kPrompt) / kSegmentPositions;

ThreadPool& pool() {
  static ThreadPool instance(usable_cores());
  return instance;
}

class Cache final : public KvSegments {
 public:
  explicit Cache(KvType type) : bytes_(kv_segment_bytes(type, kShape.head_dim)) {
    key_type = value_type = type;
    const int64_t n_segments = kLayers * kSegments * kShape.n_kv_heads;
    keys_ = Buffer::allocate(static_cast<size_t>(bytes_ * n_segments)).take();
    values_ = Buffer::allocate(static_cast<size_t>(bytes_ * n_segments)).take();
    Random random(1);
    std::vector<float> x(static_cast<size_t>(kShape.head_dim));
    for (int64_t position = 0; position < kSegmentPositions; ++position) {
      for (float& f : x) f = static_cast<float>(random.normal());
      kernels::active().store_key(type, x.data(), kShape.head_dim, position, keys_.data());
      kernels::active().store_value(type, x.data(), kShape.head_dim, position, values_.data());
    }
    for (int64_t s = 1; s < n_segments; ++s) {
      std::copy_n(keys_.data(), bytes_, keys_.data() + s * bytes_);
      std::copy_n(values_.data(), bytes_, values_.data() + s * bytes_);
    }
  }
  KvSegment at(int32_t layer, int64_t segment, int64_t kv_head) const override {
    const int64_t offset = ((segment * kLayers + layer) * kShape.n_kv_heads + kv_head) * bytes_;
    return {keys_.data() + offset, values_.data() + offset};
  }
  // Bytes of one layer up to the depth.
  int64_t layer_bytes() const {
    return 2 * bytes_ * kDepth / kSegmentPositions * kShape.n_kv_heads;
  }
  const std::byte* all_keys() const { return keys_.data(); }
  int64_t side_bytes() const { return static_cast<int64_t>(keys_.size()); }

 private:
  int64_t bytes_;
  Buffer keys_, values_;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double read_rate(const Cache& cache) {
  constexpr int64_t kChunk = 65536;
  const int64_t n = cache.side_bytes() / kChunk;
  const auto start = std::chrono::steady_clock::now();
  pool().parallel_for(n, 1, [&](int64_t chunk, int64_t, int) {
    benchmark::DoNotOptimize(
        kernels::active().read_probe(cache.all_keys() + chunk * kChunk, kChunk));
  });
  return static_cast<double>(n * kChunk) / seconds_since(start);
}

// n_tokens at the depth, neighbours of one sequence; every layer once per iteration.
void attend(benchmark::State& state, KvType type, int64_t n_tokens) {
  const Cache cache(type);
  Attention attention = Attention::create(kernels::active(), pool(), kShape).take();
  const int64_t row = kShape.n_heads * kShape.head_dim;
  std::vector<float> q(static_cast<size_t>(n_tokens * row)), out(q.size());
  Random random(2);
  for (float& f : q) f = static_cast<float>(random.normal());
  std::vector<AttentionRun> runs;
  for (int64_t t = 0; t < n_tokens; t += attention.run_tokens()) {
    runs.push_back(
        {.first_row = static_cast<int32_t>(t),
         .n_tokens = static_cast<int32_t>(std::min(attention.run_tokens(), n_tokens - t)),
         .first_position = static_cast<int32_t>(kDepth - (n_tokens == 1) + t),
         .sequence = 0});
  }
  AttentionCall call;
  call.q = q.data();
  call.out = out.data();
  call.runs = runs;
  call.segments = &cache;
  call.scale = 0.125f;
  const int64_t n_layers = n_tokens == 1 ? kLayers : 1;
  std::vector<double> of_read;
  double seconds = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    for (int32_t layer = 0; layer < n_layers; ++layer) {
      for (AttentionRun& run : runs) run.sequence = layer;
      attention.run(call);
    }
    const double time = seconds_since(start);
    state.SetIterationTime(time);
    seconds += time;
    const double rate = static_cast<double>(cache.layer_bytes() * n_layers) / time;
    if (n_tokens == 1) of_read.push_back(rate / read_rate(cache));
  }
  const auto steps = static_cast<double>(state.iterations() * n_layers);
  const auto positions = static_cast<double>(kDepth + (n_tokens - 1) / 2);
  state.counters["us_per_token_layer"] = seconds * 1e6 / steps / static_cast<double>(n_tokens);
  state.counters["flops"] = 4 * positions * static_cast<double>(row * n_tokens) * steps / seconds;
  if (of_read.empty()) return;
  state.counters["bytes_per_second"] = static_cast<double>(cache.layer_bytes()) * steps / seconds;
  std::nth_element(of_read.begin(), of_read.begin() + of_read.size() / 2, of_read.end());
  state.counters["of_read"] = of_read[of_read.size() / 2];
}

void register_all() {
  for (const auto& [name, type] :
       {std::pair{"f32", KvType::kFloat32}, {"f16", KvType::kFloat16}, {"q8_0", KvType::kCodes8}}) {
    for (const int64_t n : {int64_t{1}, kPrompt}) {
      const std::string what = (n == 1 ? "decode " : "prefill ") + std::string(name);
      benchmark::RegisterBenchmark(what.c_str(), [type = type, n](benchmark::State& s) {
        attend(s, type, n);
      })->UseManualTime();
    }
  }
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  nibble::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
