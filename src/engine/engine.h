// THE boundary: programs reach a model only through this header.
//
//   Engine  = a loaded model with its tokenizer, threads and caches
//   Session = one timeline of tokens; the caller says the whole text, the engine decides what to
//   reuse
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "container/model_source.h"
#include "formats/format.h"
#include "ops/matmul.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace nibble {

class Model;

struct EngineOptions {
  int64_t n_ctx = 0;                  // 0: what the model was made for, at most kDefaultContext
  int64_t n_batch = 512;              // tokens per step while reading a prompt
  int64_t n_sessions = 1;             // sessions alive at the same time
  int n_threads = 0;                  // 0: the physical cores this process may use
  FormatId key_type = FormatId::F16;  // of the KV cache: F32, F16 or Q8_0
  FormatId value_type = FormatId::F16;
  ActivationMode activations = ActivationMode::kQuantized;
  // Leave the weights in the pages of the file: ready sooner, shared with other processes, but
  // slower to compute with. So it is done, too, when memory is short.
  bool mapped_weights = false;
};

inline constexpr int64_t kDefaultContext = 4096;

struct EngineInfo {
  std::string architecture;
  std::string name;  // general.name, or the file name
  int64_t n_params = 0;
  int64_t file_bytes = 0;
  int64_t n_ctx = 0;
  int64_t n_ctx_train = 0;
  int64_t vocab_size = 0;
  int64_t bytes_read_per_token = 0;   // weights that one decoded token reads
  int64_t kv_bytes_per_position = 0;  // and keys and values per position before it
  int n_threads = 1;
  double load_ms = 0;
};

class Session {
 public:
  virtual ~Session() = default;

  // Makes the timeline equal to `prefix` (not empty) and computes the logits behind its last token.
  // What agrees with the present timeline is kept, the rest rebuilt. kFailure when the prefix is
  // longer than the context (both numbers named); kInterrupted when *cancel becomes true (checked
  // between steps; the timeline then holds what was computed).
  virtual Status sync(std::span<const int32_t> prefix,
                      const std::atomic<bool>* cancel = nullptr) = 0;
  // [vocab_size], of the last sync().
  virtual std::span<const float> logits() const = 0;
  // Tokens that the last sync() had to compute.
  virtual int64_t n_computed() const = 0;
  virtual int64_t n_ctx() const = 0;
};

// One of the sessions of Engine::sync() and the text that it shall hold.
struct SyncRequest {
  Session* session = nullptr;
  std::span<const int32_t> prefix;
};

class Engine {
 public:
  // Errors: those of the file (kNotFound, kUsage, kInvalid, kFailure), kResource when weights, KV
  // cache and buffers exceed the memory that is available.
  static Result<std::unique_ptr<Engine>> load(const std::filesystem::path& path,
                                              const EngineOptions& options);
  virtual ~Engine() = default;

  virtual const EngineInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  // kFailure when n_sessions are alive already. The engine must outlive its sessions.
  virtual Result<std::unique_ptr<Session>> new_session() = 0;
  // Session::sync() of several sessions of this engine (each once) in common steps: their tokens
  // share every read of the weights. The same bits as one after the other, and the same errors;
  // when a prefix cannot be taken, no session has changed.
  virtual Status sync(std::span<const SyncRequest> requests,
                      const std::atomic<bool>* cancel = nullptr) = 0;
};

// Empty, or the sentence that says why NIBBLE_ISA could not be obeyed.
const char* isa_error();

// A model as it lies on disk, a GGUF file or a Hugging Face folder: metadata and tensors.
Result<std::unique_ptr<ModelSource>> open_model(const std::filesystem::path& path);

// What export_model() wrote.
struct ExportSummary {
  uint64_t file_bytes = 0;
  size_t n_files = 0, n_tensors = 0;
  size_t n_decoded = 0;  // tensors that were in block formats
  std::vector<std::string> warnings;
};
// Writes a model as a Hugging Face folder (model/hf_export.h); tensors in block formats become
// `decoded`, F32 or BF16.
Result<ExportSummary> export_model(
    const ModelSource& source, const std::filesystem::path& folder, FormatId decoded,
    ThreadPool& pool, const std::function<void(uint64_t done, uint64_t total)>& progress,
    const std::atomic<bool>* cancelled);

// Tokenizer of a model or vocabulary-only file, without loading weights.
Result<std::unique_ptr<Tokenizer>> load_tokenizer(const std::filesystem::path& path);

// The chat template of a model, without loading weights. A model without one is no error.
Result<ChatTemplateSource> load_chat_template(const std::filesystem::path& path);

// What a model needs in memory: weights, keys and values (F16), buffers.
struct MemoryNeed {
  int64_t n_ctx = 0;
  int64_t bytes = 0;
};
// At 2048, 8192 and the full context (those not above it, ascending, no doubles), or empty when the
// file holds no model that nibble can run.
std::vector<MemoryNeed> memory_needs(const std::filesystem::path& path);

}  // namespace nibble
