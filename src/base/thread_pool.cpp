#include "base/thread_pool.h"

#include <algorithm>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nibble {
namespace {

// About 20 to 50 microseconds: longer than the gap between two operators of a forward pass, short
// enough that an idle program is idle.
constexpr int kSpins = 1 << 10;

inline void cpu_relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int n_threads) {
  CHECK(n_threads >= 1);
  workers_.reserve(static_cast<size_t>(n_threads) - 1);
  for (int thread = 1; thread < n_threads; ++thread) {
    workers_.emplace_back([this, thread] { worker_loop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_.store(true);
    epoch_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::work(int thread) {
  for (;;) {
    const int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= n_) return;
    function_(context_, begin, std::min(n_, begin + grain_), thread);
  }
}

void ThreadPool::run(int64_t n, int64_t grain, Function function, void* context) {
  CHECK(grain >= 1);
  if (n <= 0) return;
  if (workers_.empty() || n <= grain) {
    for (int64_t begin = 0; begin < n; begin += grain) {
      function(context, begin, std::min(n, begin + grain), 0);
    }
    return;
  }
  function_ = function;
  context_ = context;
  n_ = n;
  grain_ = grain;
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    const std::lock_guard lock(
        mutex_);  // a worker going to sleep must see the new epoch or the notice
    epoch_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  work(0);
  int spins = 0;
  while (running_.load(std::memory_order_acquire) != 0) {
    if (++spins < kSpins) {
      cpu_relax();
    } else {
      std::this_thread::yield();  // a worker lost its core: let it have ours
    }
  }
}

void ThreadPool::worker_loop(int thread) {
  uint64_t seen = 0;
  for (;;) {
    int spins = 0;
    while (epoch_.load(std::memory_order_acquire) == seen) {
      if (++spins < kSpins) {
        cpu_relax();
        continue;
      }
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return epoch_.load(std::memory_order_relaxed) != seen; });
    }
    seen = epoch_.load(std::memory_order_acquire);
    if (stop_.load()) return;
    work(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace nibble
