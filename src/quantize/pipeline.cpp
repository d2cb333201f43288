#include "quantize/pipeline.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>

#include "base/buffer.h"
#include "quantize/plan.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// Weights per chunk: half a megabyte as floats, which stays in a core's own cache. The cuts depend
// on the shape alone, so that an encoder sees the same pieces whoever works on them.
constexpr int64_t kChunkWeights = 128 * 1024;

struct Chunk {
  int64_t first;  // weight within the tensor, a multiple of every block length
  int64_t n;
  int64_t n_per_row;  // encode this many at a time: a row, or the part of one that is here
};

// Whole rows as long as several fit; longer rows are cut at multiples of kChunkWeights.
class Chunks {
 public:
  explicit Chunks(const GgufTensor& tensor) : row_len_(tensor.row_len()), n_(tensor.n_elements()) {
    if (row_len_ <= kChunkWeights) {
      stride_ = row_len_ * (kChunkWeights / std::max<int64_t>(row_len_, 1));
      count_ = n_ == 0 ? 0 : (n_ + stride_ - 1) / stride_;
    } else {
      per_row_ = (row_len_ + kChunkWeights - 1) / kChunkWeights;
      count_ = tensor.n_rows() * per_row_;
    }
  }

  int64_t count() const { return count_; }

  Chunk operator[](int64_t index) const {
    if (per_row_ == 0) {
      const int64_t first = index * stride_;
      return {first, std::min(stride_, n_ - first), row_len_};
    }
    const int64_t column = index % per_row_ * kChunkWeights;
    const int64_t n = std::min(kChunkWeights, row_len_ - column);
    return {index / per_row_ * row_len_ + column, n, n};
  }

 private:
  int64_t row_len_, n_;
  int64_t stride_ = 0, per_row_ = 0, count_ = 0;
};

bool is_non_finite(float value) {
  return (std::bit_cast<uint32_t>(value) & 0x7f800000u) == 0x7f800000u;
}

int64_t count_non_finite(const float* x, int64_t n) {
  return std::count_if(x, x + n, is_non_finite);
}

// The largest weight that survives. Block formats have 16-bit scales; some could stretch a little
// further, but no model has such weights unless something is wrong with it. The encoders would
// write their largest value instead, without a word.
float largest_weight(const Format& format) {
  switch (format.id) {
    case FormatId::F32:
      return std::numeric_limits<float>::max();
    case FormatId::BF16:
      return 0x1.fep127f;
    default:
      return 65504.f;  // of F16
  }
}

int64_t count_too_large(const Format& format, const float* x, int64_t n) {
  const float limit = largest_weight(format);
  return std::count_if(x, x + n, [=](float value) { return std::fabs(value) > limit; });
}

// One run: a tensor at a time, its chunks dealt to the pool.
class Run {
 public:
  Run(const GgufFile& file, const QuantizePlan& plan, GgufWriter& writer, ThreadPool& pool,
      const QuantizeProgress& progress, const std::atomic<bool>* cancelled)
      : file_(file),
        plan_(plan),
        writer_(writer),
        pool_(pool),
        progress_(progress),
        cancelled_(cancelled) {}

  Status all() {
    const auto n_threads = static_cast<size_t>(pool_.n_threads());
    ASSIGN_OR_RETURN(scratch_, Buffer::allocate(n_threads * kScratchBytes));
    for (size_t i = 0; i < plan_.tensors.size(); ++i) RETURN_IF_ERROR(tensor(i));
    return check_cancelled();
  }

 private:
  // Per thread: the weights as floats, and the blocks they become (never larger).
  static constexpr size_t kFloatBytes = kChunkWeights * sizeof(float);
  static constexpr size_t kScratchBytes = 2 * kFloatBytes;

  Status tensor(size_t index) {
    const TensorPlan& plan = plan_.tensors[index];
    const Chunks chunks(plan.source);
    n_bad_ = 0;
    n_too_large_ = 0;
    pool_.parallel_for(chunks.count(), 1, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        if (failed_.load(std::memory_order_relaxed) || is_cancelled()) return;
        chunk(index, chunks[i], thread);
        if (thread == 0) report_progress();
      }
    });
    if (error_) return *error_;
    RETURN_IF_ERROR(check_cancelled());
    RETURN_IF_ERROR(check_values(plan));
    report_progress();
    file_.file().dont_need(file_.data(plan.source));
    return {};
  }

  void chunk(size_t index, const Chunk& chunk, int thread) {
    const TensorPlan& plan = plan_.tensors[index];
    const Format& source = *plan.source.format;
    const Format& target = *plan.chosen;
    const std::span bytes =
        file_.data(plan.source).subspan(source.size_bytes(chunk.first), source.size_bytes(chunk.n));
    auto* x =
        reinterpret_cast<float*>(scratch_.data() + static_cast<size_t>(thread) * kScratchBytes);
    auto* blocks = reinterpret_cast<std::byte*>(x) + kFloatBytes;

    std::span output = bytes;
    if (is_block_format(source)) n_bad_ += count_bad_scales(source, bytes.data(), chunk.n);
    if (source.is_weight && (plan.converted() || !is_block_format(source))) {
      source.decode(bytes.data(), x, chunk.n);
      if (!is_block_format(source)) n_bad_ += count_non_finite(x, chunk.n);
    }
    if (plan.converted()) n_too_large_ += count_too_large(target, x, chunk.n);
    // After a bad value the rest of the tensor is only counted; an encoder never sees one.
    if (n_bad_ > 0 || n_too_large_ > 0) return;
    if (plan.converted()) {
      encode(target, x, chunk, blocks);
      output = {blocks, target.size_bytes(chunk.n)};
    }
    const Status written = writer_.write(index, target.size_bytes(chunk.first), output);
    if (!written.ok()) fail(written.error());
    done_bytes_ += bytes.size();
  }

  static void encode(const Format& target, const float* x, const Chunk& chunk, std::byte* blocks) {
    // Row by row, since a row is what an encoder may look at as a whole; plain floats at once.
    const int64_t n_per_call = target.block_len > 1 ? chunk.n_per_row : chunk.n;
    for (int64_t i = 0; i < chunk.n; i += n_per_call) {
      target.encode(x + i, nullptr, blocks + target.size_bytes(i), n_per_call);
    }
  }

  Status check_values(const TensorPlan& plan) const {
    const Format& source = *plan.source.format;
    if (n_bad_ > 0) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] tensor {} ({}) has {} {} that are NaN or infinite; a model like that "
                        "cannot be used: the file was damaged or badly converted, get it again",
                        file_.file().path().string(), plan.source.name, source.name, n_bad_.load(),
                        is_block_format(source) ? "scales" : "weights");
    }
    if (n_too_large_ > 0) {
      return make_error(ErrorKind::kFailure,
                        "[{}] tensor {} has {} weights too large for {}, which reaches {}; BF16 "
                        "and F32 hold larger ones",
                        file_.file().path().string(), plan.source.name, n_too_large_.load(),
                        plan.chosen->name, largest_weight(*plan.chosen));
    }
    return {};
  }

  bool is_cancelled() const {
    return cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed);
  }
  Status check_cancelled() const {
    if (!is_cancelled()) return {};
    return make_error(ErrorKind::kInterrupted, "[quantize] interrupted; nothing was written");
  }

  void report_progress() const {
    if (progress_) progress_(done_bytes_.load(), plan_.source_bytes);
  }

  void fail(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
    failed_ = true;
  }

  const GgufFile& file_;
  const QuantizePlan& plan_;
  GgufWriter& writer_;
  ThreadPool& pool_;
  const QuantizeProgress& progress_;
  const std::atomic<bool>* cancelled_;

  Buffer scratch_;
  std::atomic<uint64_t> done_bytes_{0};
  std::atomic<int64_t> n_bad_{0}, n_too_large_{0};  // of the tensor at hand
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
};

Status check_paths(const fs::path& input, const fs::path& output) {
  std::error_code ignored;
  const fs::path canonical = fs::weakly_canonical(input, ignored);  // empty when it fails
  const bool same_name = !canonical.empty() && canonical == fs::weakly_canonical(output, ignored);
  if (!same_name && !is_same_file(input, output)) return {};
  return make_error(ErrorKind::kUsage,
                    "[{}] is both input and output; give the output another name", output.string());
}

Status check_requantize(const GgufFile& file, const QuantizePlan& plan,
                        const QuantizeOptions& options) {
  if (options.allow_requantize || plan.n_requantized == 0) return {};
  const auto first =
      std::find_if(plan.tensors.begin(), plan.tensors.end(), [](const TensorPlan& tensor) {
        return tensor.converted() && is_block_format(*tensor.source.format);
      });
  return make_error(ErrorKind::kUsage,
                    "[{}] is quantized already: {} of its tensors would be converted a second time "
                    "({} is {}), which adds the errors of both types and brings back nothing that "
                    "the first lost; start from the 16- or 32-bit model, or accept the loss with "
                    "--allow-requantize",
                    file.file().path().string(), plan.n_requantized, first->source.name,
                    first->source.format->name);
}

}  // namespace

Result<QuantizeReport> quantize_file(const fs::path& input, const fs::path& output,
                                     const QuantizeOptions& options, ThreadPool& pool,
                                     const QuantizeProgress& progress,
                                     const std::atomic<bool>* cancelled) {
  const auto start = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(check_paths(input, output));
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(input));
  QuantizeReport report;
  ASSIGN_OR_RETURN(report.plan, plan_quantize(file, options));
  RETURN_IF_ERROR(check_requantize(file, report.plan, options));
  ASSIGN_OR_RETURN(GgufWriter writer, make_writer(output, file, report.plan));
  RETURN_IF_ERROR(writer.begin());
  RETURN_IF_ERROR(Run(file, report.plan, writer, pool, progress, cancelled).all());
  RETURN_IF_ERROR(writer.finish());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report.seconds = elapsed.count();
  return report;
}

}  // namespace nibble
