// What is looked at in the weights on their way: values that cannot be, and the error they get.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "formats/format.h"

namespace nibble {

// How many numbers of a tensor are bad, and the first of them, counted by many threads in any
// order.
class BadValues {
 public:
  void reset() {
    count_ = 0;
    first_ = kNone;
  }
  void add(int64_t count, int64_t first) {
    count_.fetch_add(count, std::memory_order_relaxed);
    int64_t known = first_.load(std::memory_order_relaxed);
    while (first < known && !first_.compare_exchange_weak(known, first)) {
    }
  }
  bool any() const { return count_.load(std::memory_order_relaxed) > 0; }
  int64_t count() const { return count_.load(); }
  int64_t first() const { return first_.load(); }  // index in the tensor

 private:
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> count_{0}, first_{kNone};
};

// x[0] is number `first` of the tensor.
void count_non_finite(const float* x, int64_t n, int64_t first, BadValues& bad);
// Scales of n weights in blocks; the index is that of the first weight of the block.
void count_bad_scales(const Format& format, const std::byte* blocks, int64_t n, int64_t first,
                      BadValues& bad);
void count_too_large(const Format& target, const float* x, int64_t n, int64_t first,
                     BadValues& bad);

// The largest weight that survives. Block formats have 16-bit scales; some could stretch a little
// further, but no model has such weights unless something is wrong with it. The encoders would
// write their largest value instead, without a word.
float largest_weight(const Format& format);

// Sums of squares: of what a conversion changed, and of the weights.
struct ErrorSums {
  double error = 0, weight = 0;

  ErrorSums& operator+=(const ErrorSums& other) {
    error += other.error;
    weight += other.weight;
    return *this;
  }
  double relative() const;
};

// Of n weights and the blocks they became, in an order that depends on n alone.
ErrorSums measure_error(const Format& format, const float* x, const std::byte* blocks, int64_t n);

}  // namespace nibble
