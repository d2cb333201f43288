// What the machine gives at this moment: the limits beside which speeds are quoted.
#pragma once

#include "base/buffer.h"
#include "base/result.h"
#include "base/thread_pool.h"

namespace nibble {

class Probe {
 public:
  // Takes 1 GiB in huge pages, less where memory is short: it must only be far larger than any
  // cache. The pool must outlive the probe. kResource: no memory.
  static Result<Probe> create(ThreadPool& pool);

  // Bytes per second that all threads together read once, in order.
  double read_bandwidth();
  // Integer operations per second in registers and the first-level cache, on so many threads.
  double int8_rate(int n_threads);
  // Float operations per second (a fused multiply-add is two) in registers, on so many threads.
  double fma_rate(int n_threads);

 private:
  explicit Probe(ThreadPool& pool) : pool_(&pool) {}

  ThreadPool* pool_;
  Buffer buffer_;
};

}  // namespace nibble
