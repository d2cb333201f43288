// From a model to a smaller model: plan (what every tensor becomes, and how large the file will be)
// and execution, streamed in chunks through all threads. The bytes of the output depend on the
// input and the recipe only, not on threads, instruction set or time.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "container/gguf.h"
#include "quantize/recipe.h"

namespace nibble {

struct QuantizeOptions {
  std::string to;                 // name of a recipe
  bool allow_requantize = false;  // a source that is quantized already is refused without
};

struct TensorPlan {
  GgufTensor source;  // name, shape, format and bytes in the input
  TensorIdentity identity;
  const Format* requested = nullptr;  // what the recipe wants; the source format for what it leaves
  const Format* chosen = nullptr;     // what is written
  std::string reason;                 // why chosen is not requested; empty when it is
  uint64_t size_bytes = 0;            // in the output

  bool converted() const { return chosen != source.format; }
};

struct QuantizePlan {
  const Recipe* recipe = nullptr;
  std::vector<TensorPlan> tensors;  // in the order of the input, which is that of the output

  uint64_t n_params = 0;      // elements of all tensors
  uint64_t source_bytes = 0;  // of all tensors, in the input
  uint64_t tensor_bytes = 0;  // of all tensors, in the output
  uint64_t file_bytes = 0;    // the output, exactly
  uint64_t source_file_bytes = 0;

  // Bits per weight, 8 x tensor bytes / parameters: if every tensor had the requested format (rows
  // that do not fit counted as if they did), and as it will be.
  double requested_bits_per_weight = 0;
  double bits_per_weight = 0;

  int n_substituted = 0;  // tensors with chosen != requested
  int n_requantized = 0;  // tensors converted from a block format
};

// What quantize_file() would do with this file; nothing is written. A source that is quantized
// already is planned, too (n_requantized says so). Errors: kFailure (unknown recipe).
Result<QuantizePlan> plan_quantize(const GgufFile& file, const QuantizeOptions& options);

struct QuantizeReport {
  QuantizePlan plan;
  double seconds = 0;
};

// done_bytes of total_bytes of the input's tensors are processed. Called by the thread that called
// quantize_file(), never with a smaller number than before; the last call has done == total.
using QuantizeProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

// Writes the quantized model to `output`, complete or not at all. Metadata is carried over;
// general.file_type and general.quantization_version are set. progress and cancelled may be null;
// *cancelled may be set by a signal handler. Anonymous memory: about 1 MB per thread, and the
// metadata. Errors: kUsage (output is the input; quantized source without allow_requantize),
// kNotFound, kInvalid (malformed file; weights or scales that are NaN or infinite), kFailure
// (unknown recipe, unwritable output, weights too large for the target), kResource (disk full),
// kInterrupted.
Result<QuantizeReport> quantize_file(const std::filesystem::path& input,
                                     const std::filesystem::path& output,
                                     const QuantizeOptions& options, ThreadPool& pool,
                                     const QuantizeProgress& progress,
                                     const std::atomic<bool>* cancelled);

}  // namespace nibble
