// A model as a Hugging Face folder: the rules of its family, the other way round.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "container/model_source.h"

namespace nibble {

inline constexpr uint64_t kMaxExportFileBytes = 5'000'000'000;

struct ExportOptions {
  // The type of tensors in block formats: F32 (exact) or BF16. Others keep theirs.
  FormatId decoded = FormatId::F32;
  uint64_t max_file_bytes = kMaxExportFileBytes;
};

struct ExportReport {
  std::vector<std::filesystem::path> files;
  uint64_t file_bytes = 0;
  size_t n_tensors = 0, n_decoded = 0;
  std::vector<std::string> warnings;
};

// Writes config.json, model.safetensors (or several, with their index) and the tokenizer's files
// into `folder`, complete or not at all. Read again (open_folder) it is the same model. Errors:
// kFailure for a family or a tensor that has no place in a folder; those of SafetensorsWriter;
// kInterrupted. progress and cancelled may be null.
Result<ExportReport> export_folder(
    const ModelSource& source, const std::filesystem::path& folder, const ExportOptions& options,
    ThreadPool& pool, const std::function<void(uint64_t done, uint64_t total)>& progress,
    const std::atomic<bool>* cancelled);

}  // namespace nibble
