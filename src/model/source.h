// Opening a model, whatever form it comes in.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "container/model_source.h"

namespace nibble {

// A GGUF file, or a Hugging Face folder (config.json, *.safetensors, tokenizer files). Errors:
// those of GgufFile::open and of open_folder (model/hf_import.h); kUsage for a single weights file,
// which is no model without its folder, and for pickled weights, which are never read.
Result<std::unique_ptr<ModelSource>> open_source(const std::filesystem::path& path);

}  // namespace nibble
