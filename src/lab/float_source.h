// A Llama model as float32, tensor by tensor: the input of the function-preserving maps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "model/model.h"

namespace nibble::lab {

class FloatSource {
 public:
  // Errors: those of Model::load; kFailure for another family, or for a tensor the forward pass
  // does not use (a map that leaves it behind would change the function in other programs).
  static Result<FloatSource> open(const std::filesystem::path& path, ThreadPool& pool);

  const ModelConfig& config() const { return model_->config(); }
  const ModelSource& source() const { return model_->source(); }
  bool tied() const { return model_->tied(); }

  // The tensor in this role; null when the file has none.
  const GgufTensor* find(TensorRole role, int layer = -1) const;
  // Rows [first, first + n) as floats: [n, row_len].
  void decode_rows(const GgufTensor& tensor, int64_t first, int64_t n, float* out) const;
  // The whole tensor as floats. CHECK: it is there.
  std::vector<float> decode(TensorRole role, int layer = -1) const;
  // Tells the system that the pages of this tensor are not needed any more.
  void release(const GgufTensor& tensor) const { source().dont_need(tensor); }

 private:
  explicit FloatSource(std::unique_ptr<Model> model) : model_(std::move(model)) {}
  std::unique_ptr<Model> model_;
};

}  // namespace nibble::lab
