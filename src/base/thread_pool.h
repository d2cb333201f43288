// One pool, passed by reference. Work is dealt in small chunks from an atomic counter, so that a
// slow or busy core costs its share and not the step. Which thread computes a chunk never changes a
// result.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace nibble {

class ThreadPool {
 public:
  // n_threads >= 1, the caller's thread included: n_threads - 1 workers are started.
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int n_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, thread) over disjoint ranges that cover [0, n), each at most `grain`
  // long; thread is in [0, n_threads). Returns when all are done. Not reentrant. Allocates nothing.
  template <typename Body>
  void parallel_for(int64_t n, int64_t grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(
        n, grain,
        [](void* context, int64_t begin, int64_t end, int thread) {
          (*static_cast<Plain*>(context))(begin, end, thread);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Function = void (*)(void*, int64_t, int64_t, int);

  void run(int64_t n, int64_t grain, Function function, void* context);
  void work(int thread);
  void worker_loop(int thread);

  // The task at hand; written by run() while the workers are idle.
  Function function_ = nullptr;
  void* context_ = nullptr;
  int64_t n_ = 0, grain_ = 1;

  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint64_t> epoch_{0};
  alignas(64) std::atomic<int> running_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace nibble
