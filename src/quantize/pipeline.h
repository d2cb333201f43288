// From a model to a smaller model: plan (what every tensor becomes, and how large the file will be)
// and execution, streamed in chunks through all threads. The bytes of the output depend on the
// input and the options only, not on threads, instruction set or time.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "container/gguf.h"
#include "quantize/importance.h"
#include "quantize/recipe.h"

namespace nibble {

struct QuantizeOptions {
  std::string to;                 // name of a recipe
  bool allow_requantize = false;  // a source that is quantized already is refused without

  std::filesystem::path imatrix{};          // importance matrix; empty: none
  RowPolicy rows = RowPolicy::smallest;     // for rows that are not whole blocks
  bool pure = false;                        // the recipe's base type for every matrix
  bool leave_output = false;                // output.weight keeps its type
  std::string output_type{};                // of output.weight (or of the embedding that stands in)
  std::string embedding_type{};             // of token_embd.weight
  std::vector<std::string> tensor_types{};  // REGEX=TYPE, the first that matches counts
  std::vector<std::string> metadata{};      // KEY=TYPE:VALUE, set before anything is decided

  // The files of the output (GgufWriter::split); neither: one. Of a source in one file, keep_split
  // makes one file.
  bool keep_split = false;       // each tensor in the file of the number that it has in the source
  uint64_t split_max_bytes = 0;  // files of at most so many bytes; 0: no limit
};

struct TensorPlan {
  GgufTensor source;  // name, shape, format and bytes in the input
  TensorIdentity identity;
  const Format* requested = nullptr;  // what the recipe wants; the source format for what it leaves
  const Format* chosen = nullptr;     // what is written
  std::string reason;                 // why chosen is not requested; empty when it is
  std::string importance;             // name in the importance matrix; empty: no data
  uint64_t size_bytes = 0;            // in the output

  bool converted() const { return chosen != source.format; }
};

struct QuantizePlan {
  const Recipe* recipe = nullptr;
  GgufMetadata metadata;            // of the output
  std::vector<TensorPlan> tensors;  // in the order of the input, which is that of the output
  std::optional<ImportanceMatrix> importance;
  std::vector<std::string> warnings;  // to be shown: nothing wrong, but hardly meant

  // The first tensor that has so few bits that it is of no use without importance data, which it
  // lacks. Planned, but not written.
  std::string needs_importance;

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

// What quantize_file() would do with this model; nothing is written. A source that is quantized
// already is planned, too (n_requantized says so). Errors: kFailure (unknown recipe, a type that is
// not written), kUsage (a flag that cannot be; a type that a tensor named by a flag cannot take;
// rows that are not whole blocks under RowPolicy::strict), those of ImportanceMatrix::read(), and
// kInvalid for the importance matrix of another model.
Result<QuantizePlan> plan_quantize(const ModelSource& source, const QuantizeOptions& options);

struct QuantizeReport {
  QuantizePlan plan;
  std::vector<std::filesystem::path> files;  // that were written
  // Per tensor of the plan: sqrt(sum (w - w')^2 / sum w^2) of what was written, in double precision
  // and in an order that depends on the shape alone. -1: copied as it is.
  std::vector<double> relative_errors;
  double seconds = 0;
  // Of the process; 0 where the system does not tell. Its own pages, looked at after each tensor,
  // and the most it ever held, mapped pages of files included.
  int64_t anonymous_bytes = 0;
  int64_t resident_bytes = 0;
};

// Indices of at most n converted tensors, largest relative error first.
std::vector<size_t> worst_tensors(const QuantizeReport& report, size_t n);

// How far it is: `done` of `total`, in bytes of the input's tensors, weighed by the work they are,
// so that half of it is half of the time. Called by the thread that called quantize_file(), never
// with a smaller number than before; the last call, when the file stands under its name, has
// done == total.
using QuantizeProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

// Writes the quantized model to `output`, complete or not at all. The input is a GGUF file or a
// Hugging Face folder. Metadata is carried over;
// general.file_type and general.quantization_version are set, and quantize.imatrix.* as llama.cpp
// does. progress and cancelled may be null; *cancelled may be set by a signal handler. Anonymous
// memory: about 1 MB per thread, the metadata and the importance matrix. Errors: those of
// plan_quantize(), and kUsage (output is the input; quantized source without allow_requantize; so
// few bits that importance data is needed, and none), kNotFound, kInvalid (malformed file; weights
// or scales that are NaN or infinite: the message names the first), kFailure (unwritable output,
// weights too large for the target), kResource (disk full), kInterrupted.
Result<QuantizeReport> quantize_file(const std::filesystem::path& input,
                                     const std::filesystem::path& output,
                                     const QuantizeOptions& options, ThreadPool& pool,
                                     const QuantizeProgress& progress,
                                     const std::atomic<bool>* cancelled);

}  // namespace nibble
