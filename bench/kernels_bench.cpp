// How fast are the kernels alone? Decode: row-dots streamed over 256 MB, in bytes per second, with
// the read probe as the limit. Prefill: a 512-row panel times 64 columns out of the cache, in
// operations per second, with the int8 probe beside it. Threads: all that the process may use; run
// interleaved
// (--benchmark_enable_random_interleaving) and believe medians.
#include <benchmark/benchmark.h>

#include <memory>

#include "base/buffer.h"
#include "base/cpu.h"
#include "base/random.h"
#include "ops/matmul.h"

namespace nibble {
namespace {

constexpr int64_t kRowLen = 4096;

ThreadPool& pool() {
  static ThreadPool instance(usable_cores());
  return instance;
}

// Rows of encoded Gaussian weights: one block row repeated, since values do not matter for time.
Buffer make_rows(const Format& format, int64_t n_rows) {
  const size_t row_bytes = format.size_bytes(kRowLen);
  Buffer rows =
      Buffer::allocate(row_bytes * static_cast<size_t>(n_rows), Buffer::Pages::kHuge).take();
  Random random(1);
  std::vector<float> x(static_cast<size_t>(kRowLen));
  for (float& v : x) v = static_cast<float>(random.normal() * 0.02);
  std::vector<std::byte> row(row_bytes);
  format.encode(x.data(), nullptr, row.data(), kRowLen);
  for (int64_t r = 0; r < n_rows; ++r) {
    std::copy(row.begin(), row.end(), rows.data() + static_cast<size_t>(r) * row_bytes);
  }
  return rows;
}

void run_matmul(benchmark::State& state, FormatId id, int64_t n_rows, int64_t n_columns) {
  const Format& format = format_of(id);
  const Buffer rows = make_rows(format, n_rows);
  const Tensor weights = make_tensor(format, n_rows, kRowLen, rows.data(), Storage::kArena);
  Workspace workspace =
      Workspace::create(kernels::active(), pool(), ActivationMode::kQuantized, n_columns, kRowLen)
          .take();
  const std::vector<float> x(static_cast<size_t>(kRowLen * n_columns), 0.5f);
  std::vector<float> out(static_cast<size_t>(n_rows * n_columns));
  for (auto _ : state) {
    Input input(workspace, x.data(), n_columns, kRowLen, kRowLen);
    matmul(weights, input, out.data(), n_rows);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * weights.size_bytes());
  state.counters["ops"] =
      benchmark::Counter(static_cast<double>(state.iterations() * n_rows * kRowLen * n_columns * 2),
                         benchmark::Counter::kIsRate);
}

void decode(benchmark::State& state, FormatId id) {
  constexpr int64_t kStreamBytes = int64_t{256} << 20;
  run_matmul(state, id,
             kStreamBytes / static_cast<int64_t>(format_of(id).size_bytes(kRowLen)) / 8 * 8, 1);
}

void prefill(benchmark::State& state, FormatId id) { run_matmul(state, id, 512, 64); }

void read_limit(benchmark::State& state) {
  constexpr int64_t kBytes = int64_t{256} << 20, kChunk = int64_t{1} << 20;
  Buffer buffer = Buffer::allocate(kBytes, Buffer::Pages::kHuge).take();
  std::fill_n(buffer.data(), kBytes, std::byte{1});
  for (auto _ : state) {
    pool().parallel_for(kBytes / kChunk, 1, [&](int64_t chunk, int64_t, int) {
      benchmark::DoNotOptimize(
          kernels::active().read_probe(buffer.data() + chunk * kChunk, kChunk));
    });
  }
  state.SetBytesProcessed(state.iterations() * kBytes);
}

void int8_limit(benchmark::State& state) {
  constexpr int64_t kRounds = 100'000;
  for (auto _ : state) {
    pool().parallel_for(pool().n_threads(), 1, [&](int64_t, int64_t, int) {
      benchmark::DoNotOptimize(kernels::active().int8_probe(kRounds));
    });
  }
  state.counters["ops"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kRounds * kInt8ProbeOps * pool().n_threads()),
      benchmark::Counter::kIsRate);
}

void register_all() {
  benchmark::RegisterBenchmark("read limit", read_limit)->UseRealTime();
  benchmark::RegisterBenchmark("int8 limit", int8_limit)->UseRealTime();
  for (const Format& format : all_formats()) {
    if (!format.is_weight) continue;
    const std::string name(format.name);
    const FormatId id = format.id;
    benchmark::RegisterBenchmark(("decode " + name).c_str(), [id](benchmark::State& s) {
      decode(s, id);
    })->UseRealTime();
    benchmark::RegisterBenchmark(("prefill " + name).c_str(), [id](benchmark::State& s) {
      prefill(s, id);
    })->UseRealTime();
  }
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  nibble::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
