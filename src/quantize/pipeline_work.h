// How much work a plan is, so that half of the progress bar is half of the time: a weight that is
// searched for a good scale costs a hundred times one that is copied.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quantize/pipeline.h"

namespace nibble {

class WorkEstimate {
 public:
  // Tries every conversion of the plan on a few thousand weights (about a millisecond each).
  static WorkEstimate measure(const QuantizePlan& plan, int n_threads);

  // In arbitrary units: all there is, and what one weight of a tensor is of that. What is missing
  // when all tensors are done is the work of finishing the file.
  double total() const { return total_; }
  double per_weight(size_t tensor) const { return per_weight_[tensor]; }

 private:
  double total_ = 0;
  std::vector<double> per_weight_;
};

}  // namespace nibble
