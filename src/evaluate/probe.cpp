#include "evaluate/probe.h"

#include <algorithm>
#include <atomic>

#include "base/memory.h"
#include "evaluate/stopwatch.h"
#include "kernels/kernels.h"

namespace nibble {
namespace {
constexpr int64_t kBytes = int64_t{1} << 30, kChunk = int64_t{1} << 20;
constexpr int64_t kRounds = 2'000'000;
std::atomic<uint64_t> g_sink{0};
}  // namespace

Result<Probe> Probe::create(ThreadPool& pool) {
  Probe probe(pool);
  const int64_t bytes = std::min<int64_t>(kBytes, available_memory_bytes() / 4 / kChunk * kChunk);
  ASSIGN_OR_RETURN(probe.buffer_,
                   Buffer::allocate(static_cast<size_t>(bytes), Buffer::Pages::kHuge));
  std::byte* data = probe.buffer_.data();
  // Touched by the threads that will read.
  pool.parallel_for(bytes / kChunk, 1, [&](int64_t chunk, int64_t, int) {
    std::fill_n(data + chunk * kChunk, kChunk, std::byte{1});
  });
  return probe;
}

double Probe::read_bandwidth() {
  const KernelTable& kernels = kernels::active();
  const Stopwatch watch;
  pool_->parallel_for(static_cast<int64_t>(buffer_.size()) / kChunk, 1,
                      [&](int64_t chunk, int64_t, int) {
                        g_sink += kernels.read_probe(buffer_.data() + chunk * kChunk, kChunk);
                      });
  return static_cast<double>(buffer_.size()) / watch.seconds();
}

double Probe::int8_rate(int n_threads) {
  const KernelTable& kernels = kernels::active();
  const Stopwatch watch;
  pool_->parallel_for(n_threads, 1,
                      [&](int64_t, int64_t, int) { g_sink += kernels.int8_probe(kRounds); });
  return static_cast<double>(kRounds * kInt8ProbeOps * n_threads) / watch.seconds();
}

double Probe::fma_rate(int n_threads) {
  const KernelTable& kernels = kernels::active();
  const Stopwatch watch;
  pool_->parallel_for(n_threads, 1, [&](int64_t, int64_t, int) {
    g_sink += static_cast<uint64_t>(kernels.fma_probe(kRounds));
  });
  return static_cast<double>(kRounds * kFmaProbeOps * n_threads) / watch.seconds();
}

}  // namespace nibble
