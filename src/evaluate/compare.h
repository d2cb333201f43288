// Proof of what quantization cost: the same text through the original and through each quantized
// model.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "evaluate/divergence.h"

namespace nibble {

struct CompareOptions {
  std::filesystem::path text;
  int64_t window = 512;    // tokens; at most what the models were made for
  int64_t max_tokens = 0;  // 0: the whole text
  int n_threads = 1;
  int64_t speed_tokens = 16;  // decoded per repeat
  int speed_repeats = 5;      // interleaved, medians of ratios
};

struct ComparedModel {
  std::filesystem::path path;
  int64_t file_bytes = 0;
  double bits_per_weight = 0;
  DivergenceSummary divergence;
  double decode_speedup = 0;  // against the base, both as they would run
};

struct Comparison {
  std::filesystem::path base_path;
  int64_t base_file_bytes = 0;
  double base_ppl = 0;
  int64_t n_documents = 0, n_windows = 0, n_scored = 0;
  std::vector<ComparedModel> models;
};

// The base runs in float-activation mode with a float32 KV cache; the others as they would be used.
// Logits are compared window by window and forgotten. progress(done, total) counts windows times
// models. Errors: those of loading; kFailure for a text that is too short or vocabularies that
// differ; kInterrupted.
Result<Comparison> compare_models(const std::filesystem::path& base,
                                  const std::vector<std::filesystem::path>& models,
                                  const CompareOptions& options,
                                  const std::function<void(int64_t, int64_t)>& progress,
                                  const std::atomic<bool>* cancelled);

}  // namespace nibble
