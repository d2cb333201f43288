// How fast are the kernels alone? Decode: row-dots streamed over 600 MB of a file, in its bytes per
// second; after each pass the read probe reads as many, and of_read is the median of what the dots
// reach of its speed; held_of_read, of the bytes held, which are more where rows by eights take
// more. Prefill: a 512-row panel times 64 columns out of the cache, in operations per
// second, with the int8 probe beside it. Threads: all that the process may use; run interleaved
// (--benchmark_enable_random_interleaving) and believe medians.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/cpu.h"
#include "base/random.h"
#include "ops/interleave.h"
#include "ops/matmul.h"
#include "tests/support/random_blocks.h"

namespace nibble {
namespace {

constexpr int64_t kRowLen = 4096;

ThreadPool& pool() {
  static ThreadPool instance(usable_cores());
  return instance;
}

constexpr int64_t kStreamBytes = 600'000'000;

// One row of random blocks repeated, since values do not matter for time; in the storage kind in
// which a model holds them.
Buffer make_rows(const Format& format, int64_t n_rows) {
  const size_t row_bytes = format.size_bytes(kRowLen);
  Buffer rows =
      Buffer::allocate(row_bytes * static_cast<size_t>(n_rows), Buffer::Pages::kHuge).take();
  Random random(1);
  const std::vector<std::byte> row = testing::random_blocks(format, kRowLen, random);
  for (int64_t r = 0; r < n_rows; ++r) {
    std::copy(row.begin(), row.end(), rows.data() + static_cast<size_t>(r) * row_bytes);
  }
  return rows;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Seconds to read n bytes once with all threads.
double read_seconds(const std::byte* data, int64_t n) {
  constexpr int64_t kChunk = int64_t{1} << 20;
  const auto start = std::chrono::steady_clock::now();
  pool().parallel_for(n / kChunk, 1, [&](int64_t chunk, int64_t, int) {
    benchmark::DoNotOptimize(kernels::active().read_probe(data + chunk * kChunk, kChunk));
  });
  return seconds_since(start) * static_cast<double>(n) /
         static_cast<double>(std::max<int64_t>(n / kChunk * kChunk, 1));
}

void run_matmul(benchmark::State& state, FormatId id, int64_t n_rows, int64_t n_columns,
                bool beside_read) {
  const Format& format = format_of(id);
  Buffer rows = make_rows(format, n_rows);
  Tensor weights = make_tensor(format, n_rows, kRowLen, rows.data(), Storage::kArena);
  if (can_interleave(kernels::active(), format)) {
    Buffer groups =
        Buffer::allocate(
            static_cast<size_t>(interleaved_bytes(kernels::active(), format, n_rows, kRowLen)),
            Buffer::Pages::kHuge)
            .take();
    weights = interleave_rows(kernels::active(), weights, pool(), groups.data());
    rows = std::move(groups);
  }
  Workspace workspace =
      Workspace::create(kernels::active(), pool(), ActivationMode::kQuantized, n_columns, kRowLen)
          .take();
  const std::vector<float> x(static_cast<size_t>(kRowLen * n_columns), 0.5f);
  std::vector<float> out(static_cast<size_t>(n_rows * n_columns));
  const auto file_bytes = n_rows * static_cast<int64_t>(format.size_bytes(kRowLen));
  std::vector<double> of_read;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    Input input(workspace, x.data(), n_columns, kRowLen, kRowLen);
    matmul(weights, input, out.data(), n_rows);
    benchmark::DoNotOptimize(out.data());
    const double seconds = seconds_since(start);
    state.SetIterationTime(seconds);
    if (beside_read) of_read.push_back(read_seconds(rows.data(), file_bytes) / seconds);
  }
  state.SetBytesProcessed(state.iterations() * file_bytes);
  state.counters["ops"] =
      benchmark::Counter(static_cast<double>(state.iterations() * n_rows * kRowLen * n_columns * 2),
                         benchmark::Counter::kIsRate);
  if (of_read.empty()) return;
  const auto middle = of_read.begin() + static_cast<std::ptrdiff_t>(of_read.size() / 2);
  std::nth_element(of_read.begin(), middle, of_read.end());
  state.counters["of_read"] = *middle;
  state.counters["held_of_read"] =
      *middle * static_cast<double>(weights.size_bytes()) / static_cast<double>(file_bytes);
}

void decode(benchmark::State& state, FormatId id) {
  const auto row_bytes = static_cast<int64_t>(format_of(id).size_bytes(kRowLen));
  run_matmul(state, id, kStreamBytes / row_bytes / 8 * 8, 1, true);
}

void prefill(benchmark::State& state, FormatId id) { run_matmul(state, id, 512, 64, false); }

void read_limit(benchmark::State& state) {
  Buffer buffer = Buffer::allocate(kStreamBytes, Buffer::Pages::kHuge).take();
  std::fill_n(buffer.data(), kStreamBytes, std::byte{1});
  for (auto _ : state) state.SetIterationTime(read_seconds(buffer.data(), kStreamBytes));
  state.SetBytesProcessed(state.iterations() * kStreamBytes);
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

void fma_limit(benchmark::State& state) {
  constexpr int64_t kRounds = 100'000;
  for (auto _ : state) {
    pool().parallel_for(pool().n_threads(), 1, [&](int64_t, int64_t, int) {
      benchmark::DoNotOptimize(kernels::active().fma_probe(kRounds));
    });
  }
  state.counters["ops"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kRounds * kFmaProbeOps * pool().n_threads()),
      benchmark::Counter::kIsRate);
}

void register_all() {
  benchmark::RegisterBenchmark("read limit", read_limit)->UseManualTime();
  benchmark::RegisterBenchmark("int8 limit", int8_limit)->UseRealTime();
  benchmark::RegisterBenchmark("fma limit", fma_limit)->UseRealTime();
  for (const Format& format : all_formats()) {
    if (!format.is_weight) continue;
    const std::string name(format.name);
    const FormatId id = format.id;
    benchmark::RegisterBenchmark(("decode " + name).c_str(), [id](benchmark::State& s) {
      decode(s, id);
    })->UseManualTime();
    benchmark::RegisterBenchmark(("prefill " + name).c_str(), [id](benchmark::State& s) {
      prefill(s, id);
    })->UseManualTime();
  }
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  nibble::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
