// Collecting an importance matrix: run text through the model and add up the squares of what every
// linear layer sees.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/result.h"
#include "quantize/importance.h"

namespace nibble {

struct CalibrateOptions {
  std::filesystem::path text;
  int64_t chunk_tokens = 512;  // context of every token: at most one chunk, BOS first
  int64_t max_tokens = 0;      // 0: the whole text
  int n_threads = 1;
};

// One entry per linear layer, named like its weight. Matrices with one input (q, k, v; gate, up)
// have equal entries. The head's is named after the matrix that does its work: the embedding in a
// model without a head of its own. The result does not depend on the number of threads.
// progress(done, total) counts chunks. Errors: those of loading; kFailure for a text shorter than
// one chunk can be; kInterrupted.
Result<ImportanceMatrix> calibrate(const std::filesystem::path& model,
                                   const CalibrateOptions& options,
                                   const std::function<void(int64_t, int64_t)>& progress,
                                   const std::atomic<bool>* cancelled);

}  // namespace nibble
