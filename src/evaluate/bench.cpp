#include "evaluate/bench.h"

#include <algorithm>
#include <chrono>

#include "base/buffer.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "evaluate/median.h"
#include "kernels/kernels.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<int32_t> some_tokens(int64_t n, int64_t vocab_size) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<int32_t>((i * 37 + 11) % vocab_size));
  return tokens;
}

// What the machine gives at this moment.
class Probe {
 public:
  static Result<Probe> create(ThreadPool& pool) {
    Probe probe(pool);
    // 1 GiB, less where memory is short: it must only be far larger than any cache.
    const int64_t bytes = std::min<int64_t>(kBytes, available_memory_bytes() / 4 / kChunk * kChunk);
    ASSIGN_OR_RETURN(probe.buffer_,
                     Buffer::allocate(static_cast<size_t>(bytes), Buffer::Pages::kHuge));
    std::byte* data = probe.buffer_.data();
    pool.parallel_for(bytes / kChunk, 1, [&](int64_t chunk, int64_t, int) {
      std::fill_n(data + chunk * kChunk, kChunk,
                  std::byte{1});  // touched by the threads that will read
    });
    return probe;
  }

  double read_bandwidth() {
    const KernelTable& kernels = kernels::active();
    const auto start = Clock::now();
    pool_->parallel_for(static_cast<int64_t>(buffer_.size()) / kChunk, 1,
                        [&](int64_t chunk, int64_t, int) {
                          sink_ += kernels.read_probe(buffer_.data() + chunk * kChunk, kChunk);
                        });
    return static_cast<double>(buffer_.size()) / seconds_since(start);
  }

  double int8_rate(int n_threads) {
    const KernelTable& kernels = kernels::active();
    constexpr int64_t kRounds = 2'000'000;
    const auto start = Clock::now();
    pool_->parallel_for(n_threads, 1,
                        [&](int64_t, int64_t, int) { sink_ += kernels.int8_probe(kRounds); });
    return static_cast<double>(kRounds * kInt8ProbeOps * n_threads) / seconds_since(start);
  }

 private:
  static constexpr int64_t kBytes = int64_t{1} << 30, kChunk = int64_t{1} << 20;
  explicit Probe(ThreadPool& pool) : pool_(&pool) {}

  ThreadPool* pool_;
  Buffer buffer_;
  static inline std::atomic<uint64_t> sink_{0};
};

class Bench {
 public:
  Bench(const BenchOptions& options, const std::atomic<bool>* cancelled)
      : options_(options), cancelled_(cancelled) {}

  Status load(const std::filesystem::path& path) {
    EngineOptions engine;
    engine.n_threads = options_.n_threads;
    engine.n_ctx = std::max(options_.n_prefill, options_.n_decode + 1);
    ASSIGN_OR_RETURN(engine_, Engine::load(path, engine));
    ASSIGN_OR_RETURN(session_, engine_->new_session());
    tokens_ = some_tokens(engine.n_ctx, engine_->info().vocab_size);
    return {};
  }
  // Tokens per second.
  Result<double> prefill() {
    RETURN_IF_ERROR(forget());
    const auto start = Clock::now();
    RETURN_IF_ERROR(sync(options_.n_prefill));
    return static_cast<double>(session_->n_computed()) / seconds_since(start);
  }
  Result<double> decode() {
    RETURN_IF_ERROR(forget());
    const auto start = Clock::now();
    for (int64_t i = 2; i <= options_.n_decode + 1; ++i) RETURN_IF_ERROR(sync(i));
    return static_cast<double>(options_.n_decode) / seconds_since(start);
  }
  // Bytes read per decoded token, at the mean depth of decode().
  double bytes_per_token() const {
    const EngineInfo& info = engine_->info();
    return static_cast<double>(info.bytes_read_per_token) +
           static_cast<double>(info.kv_bytes_per_position) *
               (static_cast<double>(options_.n_decode) / 2 + 1);
  }
  const EngineInfo& info() const { return engine_->info(); }

 private:
  Status forget() { return sync(1); }  // the first token alone: everything behind it is dropped
  Status sync(int64_t n) {
    return session_->sync(std::span(tokens_).first(static_cast<size_t>(n)), cancelled_);
  }

  const BenchOptions& options_;
  const std::atomic<bool>* cancelled_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Session> session_;
  std::vector<int32_t> tokens_;
};

}  // namespace

Result<BenchResult> bench_model(const std::filesystem::path& path, const BenchOptions& options,
                                const std::function<void(int64_t, int64_t)>& progress,
                                const std::atomic<bool>* cancelled) {
  BenchResult result;
  Bench bench(options, cancelled);
  RETURN_IF_ERROR(bench.load(path));
  result.load_ms = bench.info().load_ms;
  result.n_threads = bench.info().n_threads;
  const int64_t n_steps = options.repeats + 1;
  // A round to warm up, and to see the memory before the probe takes its own.
  ASSIGN_OR_RETURN(const double warm_prefill, bench.prefill());
  ASSIGN_OR_RETURN(const double warm_decode, bench.decode());
  static_cast<void>(warm_prefill);
  static_cast<void>(warm_decode);
  const ProcessMemory memory = process_memory();
  result.peak_rss_bytes = memory.peak_resident;
  result.peak_anon_bytes = memory.anonymous;
  progress(1, n_steps);

  ThreadPool pool(result.n_threads);
  ASSIGN_OR_RETURN(Probe probe, Probe::create(pool));
  std::vector<double> prefill, decode, bandwidth, fraction, int8_one, int8_all, cores;
  double before = probe.read_bandwidth();
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    ASSIGN_OR_RETURN(const double decode_tps, bench.decode());
    const double after = probe.read_bandwidth();
    decode.push_back(decode_tps);
    bandwidth.push_back(after);
    fraction.push_back(decode_tps * bench.bytes_per_token() / ((before + after) / 2));
    before = after;
    int8_one.push_back(probe.int8_rate(1));
    int8_all.push_back(probe.int8_rate(result.n_threads));
    cores.push_back(int8_all.back() / int8_one.back());
    ASSIGN_OR_RETURN(const double prefill_tps, bench.prefill());
    prefill.push_back(prefill_tps);
    progress(repeat + 2, n_steps);
  }
  result.prefill_tps = median(prefill);
  result.decode_tps = median(decode);
  result.read_bandwidth_bytes_per_s = median(bandwidth);
  result.decode_bandwidth_fraction = median(fraction);
  result.int8_ops_per_s_one = median(int8_one);
  result.int8_ops_per_s_all = median(int8_all);
  result.cores_seen = median(cores);
  result.disturbed = result.n_threads > 1 && result.cores_seen < 0.85 * result.n_threads;
  return result;
}

}  // namespace nibble
