#include "lab/tensor_stream.h"

#include <algorithm>

#include "base/random.h"

namespace nibble::lab {
namespace {
constexpr int64_t kChunkWeights = 128 * 1024;
}  // namespace

TensorStream::TensorStream(GgufWriter& writer, const JobControl& control)
    : writer_(writer), control_(control), buffers_(static_cast<size_t>(control.pool.n_threads())) {
  for (const GgufTensor& tensor : writer.tensors()) total_bytes_ += tensor.size_bytes;
}

void TensorStream::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = error;
  failed_ = true;
}

Status TensorStream::write(size_t index, const ProduceRows& produce) {
  const GgufTensor& tensor = writer_.tensors()[index];
  const size_t row_bytes = tensor.format->size_bytes(tensor.row_len());
  const int64_t grain = std::max<int64_t>(1, kChunkWeights / tensor.row_len());
  control_.pool.parallel_for(tensor.n_rows(), grain, [&](int64_t begin, int64_t end, int thread) {
    if (failed_.load(std::memory_order_relaxed) || is_cancelled()) return;
    std::vector<std::byte>& buffer = buffers_[static_cast<size_t>(thread)];
    buffer.resize(static_cast<size_t>(end - begin) * row_bytes);
    produce(begin, end - begin, thread, buffer);
    const Status written = writer_.write(index, static_cast<uint64_t>(begin) * row_bytes, buffer);
    if (!written.ok()) fail(written.error());
    done_bytes_ += buffer.size();
    if (thread == 0 && control_.progress) control_.progress(done_bytes_.load(), total_bytes_);
  });
  if (error_) return *error_;
  if (is_cancelled()) {
    return make_error(ErrorKind::kInterrupted, "[nibble-lab] interrupted; nothing was written");
  }
  if (control_.progress) control_.progress(done_bytes_.load(), total_bytes_);
  return {};
}

uint64_t derive_seed(uint64_t seed, uint64_t a, uint64_t b) {
  return Random(Random(Random(seed).next() + a).next() + b).next();
}

}  // namespace nibble::lab
