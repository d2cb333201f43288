#include "quantize/pipeline.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <numeric>
#include <optional>

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "kernels/kernels.h"
#include "model/source.h"
#include "quantize/pipeline_values.h"
#include "quantize/pipeline_work.h"
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

// Whole rows as long as several fit; longer rows are cut at multiples of kChunkWeights, unless an
// encoder must see them whole.
class Chunks {
 public:
  Chunks(const GgufTensor& tensor, bool whole_rows)
      : row_len_(tensor.row_len()), n_(tensor.n_elements()) {
    if (row_len_ <= kChunkWeights || whole_rows) {
      stride_ = row_len_ * std::max<int64_t>(kChunkWeights / std::max<int64_t>(row_len_, 1), 1);
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

// Rows with importance data reach the encoder whole.
bool needs_whole_rows(const TensorPlan& tensor) { return !tensor.importance.empty(); }

int64_t longest_piece(const QuantizePlan& plan) {
  int64_t longest = kChunkWeights;
  for (const TensorPlan& tensor : plan.tensors) {
    if (needs_whole_rows(tensor)) longest = std::max(longest, tensor.source.row_len());
  }
  return longest;
}

// "row 3, column 17"; of a stack of matrices also which.
std::string place_of(const GgufTensor& tensor, int64_t index) {
  const int64_t column = index % tensor.row_len(), row = index / tensor.row_len();
  if (tensor.dims[2] * tensor.dims[3] == 1) return fmt::format("row {}, column {}", row, column);
  return fmt::format("matrix {}, row {}, column {}", row / tensor.dims[1], row % tensor.dims[1],
                     column);
}

// One run: a tensor at a time, its chunks dealt to the pool.
class Run {
 public:
  Run(const ModelSource& source, QuantizeReport& report, GgufWriter& writer, ThreadPool& pool,
      const QuantizeProgress& progress, const std::atomic<bool>* cancelled)
      : source_(source),
        report_(report),
        plan_(report.plan),
        writer_(writer),
        pool_(pool),
        progress_(progress),
        cancelled_(cancelled) {}

  Status all() {
    const auto n_threads = static_cast<size_t>(pool_.n_threads());
    float_bytes_ = static_cast<size_t>(longest_piece(plan_)) * sizeof(float);
    ASSIGN_OR_RETURN(scratch_, Buffer::allocate(n_threads * 3 * float_bytes_));
    if (progress_) work_ = WorkEstimate::measure(plan_, pool_.n_threads());
    for (size_t i = 0; i < plan_.tensors.size(); ++i) RETURN_IF_ERROR(tensor(i));
    return check_cancelled();
  }

 private:
  Status tensor(size_t index) {
    const TensorPlan& plan = plan_.tensors[index];
    const Chunks chunks(plan.source, needs_whole_rows(plan));
    bad_.reset();
    too_large_.reset();
    RETURN_IF_ERROR(load_factors(plan));
    errors_.assign(static_cast<size_t>(plan.converted() ? chunks.count() : 0), {});
    pool_.parallel_for(chunks.count(), 1, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        if (failed_.load(std::memory_order_relaxed) || is_cancelled()) return;
        chunk(index, chunks[i], i, thread);
        if (thread == 0) report_progress(index);
      }
    });
    RETURN_IF_ERROR(source_.check_unchanged(plan.source));
    if (error_) return *error_;
    RETURN_IF_ERROR(check_cancelled());
    RETURN_IF_ERROR(check_values(plan));
    finish_tensor(index);
    return {};
  }

  // The factors of the tensor at hand stay with the run: one row of them per matrix.
  Status load_factors(const TensorPlan& plan) {
    factors_.clear();
    if (plan.importance.empty()) return {};
    GgufTensor named = plan.source;
    named.name = plan.importance;
    ASSIGN_OR_RETURN(factors_, plan_.importance->factors(named));
    return {};
  }

  void chunk(size_t index, const Chunk& chunk, int64_t number, int thread) {
    const TensorPlan& plan = plan_.tensors[index];
    const Format& source = *plan.source.format;
    const Format& target = *plan.chosen;
    auto* x =
        reinterpret_cast<float*>(scratch_.data() + static_cast<size_t>(thread) * 3 * float_bytes_);
    auto* blocks = reinterpret_cast<std::byte*>(x) + float_bytes_;
    const std::span bytes = source_bytes(plan.source, chunk, blocks + float_bytes_);

    std::span output = bytes;
    if (is_block_format(source)) {
      count_bad_scales(source, bytes.data(), chunk.n, chunk.first, bad_);
    }
    if (source.is_weight && (plan.converted() || !is_block_format(source))) {
      decode(source, bytes.data(), x, chunk.n);
      if (!is_block_format(source)) count_non_finite(x, chunk.n, chunk.first, bad_);
    }
    if (plan.converted()) count_too_large(target, x, chunk.n, chunk.first, too_large_);
    // After a bad value the rest of the tensor is only counted; an encoder never sees one.
    if (bad_.any() || too_large_.any()) return;
    if (plan.converted()) {
      encode(plan, x, chunk, blocks);
      output = {blocks, target.size_bytes(chunk.n)};
      errors_[static_cast<size_t>(number)] = measure_error(target, x, blocks, chunk.n);
    }
    const Status written = writer_.write(index, target.size_bytes(chunk.first), output);
    if (!written.ok()) fail(written.error());
    done_weights_ += chunk.n;
  }

  // Of the weights of a chunk: in the map, or put together in `room`.
  std::span<const std::byte> source_bytes(const GgufTensor& tensor, const Chunk& chunk,
                                          std::byte* room) const {
    const size_t begin = tensor.format->size_bytes(chunk.first);
    const size_t size = tensor.format->size_bytes(chunk.n);
    if (const auto view = source_.view(tensor); !view.empty()) return view.subspan(begin, size);
    source_.read(tensor, chunk.first, chunk.n, room);
    return {room, size};
  }

  // F16 is what most models come in: the processor's own conversion, which is exact as well.
  static void decode(const Format& source, const std::byte* bytes, float* x, int64_t n) {
    if (source.id == FormatId::F16) {
      kernels::active().from_f16(reinterpret_cast<const uint16_t*>(bytes), x, n);
    } else {
      source.decode(bytes, x, n);
    }
  }

  void encode(const TensorPlan& plan, const float* x, const Chunk& chunk, std::byte* blocks) const {
    const Format& target = *plan.chosen;
    // Row by row, since a row is what an encoder may look at as a whole; plain floats at once.
    const int64_t n_per_call = target.block_len > 1 ? chunk.n_per_row : chunk.n;
    const EncodeFn encode_row = kernels::encoder(kernels::active(), target);
    for (int64_t i = 0; i < chunk.n; i += n_per_call) {
      const int64_t row = (chunk.first + i) / plan.source.row_len();
      const float* factors =
          factors_.empty() ? nullptr
                           : factors_.data() + row / plan.source.dims[1] * plan.source.row_len();
      encode_row(x + i, factors, blocks + target.size_bytes(i), n_per_call);
    }
  }

  Status check_values(const TensorPlan& plan) const {
    const Format& source = *plan.source.format;
    if (bad_.any()) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] tensor {} ({}) has {} {} that are NaN or infinite, the first at {}; "
                        "a model like that cannot be used: the file was damaged or badly "
                        "converted, get it again",
                        source_.path().string(), plan.source.name, source.name, bad_.count(),
                        is_block_format(source) ? "scales" : "weights",
                        place_of(plan.source, bad_.first()));
    }
    if (too_large_.any()) {
      return make_error(ErrorKind::kFailure,
                        "[{}] tensor {} has {} weights too large for {}, which reaches {}, the "
                        "first at {}; BF16 and F32 hold larger ones",
                        source_.path().string(), plan.source.name, too_large_.count(),
                        plan.chosen->name, largest_weight(*plan.chosen),
                        place_of(plan.source, too_large_.first()));
    }
    return {};
  }

  void finish_tensor(size_t index) {
    ErrorSums sums;
    for (const ErrorSums& chunk : errors_) sums += chunk;  // in order: the same for any threads
    report_.relative_errors.push_back(errors_.empty() ? -1 : sums.relative());
    report_progress(index);
    done_work_ += work_of(index);
    done_weights_ = 0;
    const ProcessMemory memory = process_memory();
    report_.anonymous_bytes = std::max(report_.anonymous_bytes, memory.anonymous);
    report_.resident_bytes = std::max(report_.resident_bytes, memory.peak_resident);
    source_.dont_need(plan_.tensors[index].source);
  }

  bool is_cancelled() const {
    return cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed);
  }
  Status check_cancelled() const {
    if (!is_cancelled()) return {};
    return make_error(ErrorKind::kInterrupted, "[quantize] interrupted; nothing was written");
  }

  double work_of(size_t index) const {
    if (!progress_) return 0;
    return work_.per_weight(index) * static_cast<double>(plan_.tensors[index].source.n_elements());
  }
  void report_progress(size_t index) const {
    if (!progress_ || work_.total() <= 0) return;
    const double done = done_work_ + work_.per_weight(index) * static_cast<double>(done_weights_);
    const double share = std::min(done / work_.total(), 1.0);
    const auto total = plan_.source_bytes;
    progress_(static_cast<uint64_t>(share * static_cast<double>(total)), total);
  }

  void fail(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
    failed_ = true;
  }

  const ModelSource& source_;
  QuantizeReport& report_;
  const QuantizePlan& plan_;
  GgufWriter& writer_;
  ThreadPool& pool_;
  const QuantizeProgress& progress_;
  const std::atomic<bool>* cancelled_;

  // Per thread: the weights as floats, the blocks they become, and those they were where the source
  // has to put them together (never larger).
  Buffer scratch_;
  size_t float_bytes_ = 0;
  WorkEstimate work_;
  double done_work_ = 0;  // of the tensors before the one at hand

  // of the tensor at hand
  std::vector<float> factors_;
  std::vector<ErrorSums> errors_;  // per chunk
  BadValues bad_, too_large_;
  std::atomic<int64_t> done_weights_{0};

  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::optional<Error> error_;
};

Error input_is_output(const fs::path& path) {
  return make_error(ErrorKind::kUsage,
                    "[{}] is both input and output; give the output another name", path.string());
}

Status check_paths(const fs::path& input, const fs::path& output) {
  std::error_code ignored;
  const fs::path canonical = fs::weakly_canonical(input, ignored);  // empty when it fails
  const bool same_name = !canonical.empty() && canonical == fs::weakly_canonical(output, ignored);
  if (!same_name && !is_same_file(input, output)) return {};
  return input_is_output(output);
}

Status check_requantize(const ModelSource& source, const QuantizePlan& plan,
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
                    source.path().string(), plan.n_requantized, first->source.name,
                    first->source.format->name);
}

Status check_importance(const QuantizePlan& plan) {
  if (plan.needs_importance.empty()) return {};
  return make_error(ErrorKind::kUsage,
                    "[quantize] {} is of no use without importance data, and tensor {} has none; "
                    "give --imatrix FILE (nibble calibrate collects one), or take Q2_K",
                    plan.recipe->name, plan.needs_importance);
}

}  // namespace

Result<QuantizeReport> quantize_file(const fs::path& input, const fs::path& output,
                                     const QuantizeOptions& options, ThreadPool& pool,
                                     const QuantizeProgress& progress,
                                     const std::atomic<bool>* cancelled) {
  const auto start = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(check_paths(input, output));
  ASSIGN_OR_RETURN(const auto source, open_source(input));
  QuantizeReport report;
  ASSIGN_OR_RETURN(report.plan, plan_quantize(*source, options));
  RETURN_IF_ERROR(check_requantize(*source, report.plan, options));
  RETURN_IF_ERROR(check_importance(report.plan));
  for (const std::string& warning : report.plan.warnings) log_warning(warning);
  ASSIGN_OR_RETURN(GgufWriter writer, make_writer(output, *source, options, report.plan));
  report.files = writer.paths();
  for (const fs::path& from : source->paths()) {
    for (const fs::path& to : report.files) {
      if (is_same_file(from, to)) return input_is_output(to);
    }
  }
  RETURN_IF_ERROR(writer.begin());
  RETURN_IF_ERROR(Run(*source, report, writer, pool, progress, cancelled).all());
  RETURN_IF_ERROR(writer.finish());
  if (progress) progress(report.plan.source_bytes, report.plan.source_bytes);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report.seconds = elapsed.count();
  return report;
}

std::vector<size_t> worst_tensors(const QuantizeReport& report, size_t n) {
  std::vector<size_t> order(report.relative_errors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::erase_if(order, [&](size_t i) { return report.relative_errors[i] < 0; });
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return report.relative_errors[a] > report.relative_errors[b];
  });
  order.resize(std::min(n, order.size()));
  return order;
}

}  // namespace nibble
