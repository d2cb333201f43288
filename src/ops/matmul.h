// Linear layers: out = W x for a batch of columns, on all threads of the pool.
#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "ops/tensor.h"

namespace nibble {

// kQuantized: activations as the weight format's partner says. kFloat: float32 activations whatever
// the weights, so that the error of weights and of 8-bit activations can be told apart.
enum class ActivationMode { kQuantized, kFloat };

// Kernels, threads and their scratch: what every operator needs. One per decoder; not shared
// between threads that compute at the same time.
class Workspace {
 public:
  // max_columns, max_row_len: the largest batch and the longest row that will come.
  static Result<Workspace> create(const KernelTable& kernels, ThreadPool& pool, ActivationMode mode,
                                  int64_t max_columns, int64_t max_row_len);

  const KernelTable& kernels() const { return *kernels_; }
  ThreadPool& pool() const { return *pool_; }
  ActivationMode mode() const { return mode_; }

 private:
  friend class Input;
  friend void matmul(const Tensor& weights, class Input& input, float* out, int64_t out_stride);

  std::byte* scratch(int thread) { return scratch_.data() + thread * scratch_bytes_; }

  const KernelTable* kernels_ = nullptr;
  ThreadPool* pool_ = nullptr;
  ActivationMode mode_ = ActivationMode::kQuantized;
  int64_t scratch_bytes_ = 0;  // per thread
  Buffer scratch_;
  Buffer columns_[2];  // quantized columns: Q8_32, Q8_256
};

// The float input of one or several linear layers; quantized once per activation kind, on demand.
class Input {
 public:
  // x: [n_columns, row_len], rows of the batch `stride` floats apart. Valid until the workspace's
  // next Input.
  Input(Workspace& workspace, const float* x, int64_t n_columns, int64_t row_len, int64_t stride)
      : workspace_(workspace), x_(x), n_columns_(n_columns), row_len_(row_len), stride_(stride) {}

 private:
  friend void matmul(const Tensor& weights, Input& input, float* out, int64_t out_stride);
  const std::byte* columns(Activation kind, int64_t* column_bytes);

  Workspace& workspace_;
  const float* x_;
  int64_t n_columns_, row_len_, stride_;
  bool ready_[2] = {false, false};
};

// out[c * out_stride + r] for every column c and every row r of the weights, their bias added.
void matmul(const Tensor& weights, Input& input, float* out, int64_t out_stride);

}  // namespace nibble
