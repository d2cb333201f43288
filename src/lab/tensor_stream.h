// Writing tensors piece by piece with all threads: what the generator and the maps share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "container/gguf.h"

namespace nibble::lab {

// How a job runs. progress and cancelled may be null; progress is called by the thread that called
// the job, with numbers that never fall.
struct JobControl {
  ThreadPool& pool;
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress;
  const std::atomic<bool>* cancelled = nullptr;
};

// Fills rows [first, first + n) of a tensor into `out` (exactly their bytes). Called from any
// thread; `thread` is in [0, n_threads).
using ProduceRows =
    std::function<void(int64_t first, int64_t n, int thread, std::span<std::byte> out)>;

class TensorStream {
 public:
  // The writer has begun (GgufWriter::begin) and outlives the stream.
  TensorStream(GgufWriter& writer, const JobControl& control);

  // Writes the whole tensor. Memory: half a megabyte of weights per thread, or a row if that is
  // longer. Errors: those of the writer; kInterrupted when cancelled.
  Status write(size_t index, const ProduceRows& produce);

 private:
  bool is_cancelled() const {
    return control_.cancelled != nullptr && control_.cancelled->load(std::memory_order_relaxed);
  }
  void fail(const Error& error);

  GgufWriter& writer_;
  const JobControl& control_;
  uint64_t total_bytes_ = 0;
  std::vector<std::vector<std::byte>> buffers_;  // per thread
  std::atomic<uint64_t> done_bytes_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
};

// Reproducible seeds for the parts of a whole: different for different (seed, a, b).
uint64_t derive_seed(uint64_t seed, uint64_t a, uint64_t b);

}  // namespace nibble::lab
