// A Hugging Face folder as a model: what its family's rules make of its configuration, tensors and
// tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.h"
#include "container/model_source.h"

namespace nibble {

// Tensors stay where they are in the mapped files, or are put together from them when they are
// read. Vectors, norms and small delicate matrices are F32, as llama.cpp keeps them; the rest has
// the type it has in the folder (F64 and 8-bit types with scales: F32). Errors: those of
// HfRepo::open; kFailure for a family that nibble does not know (with the list), for keys in
// config.json that it does not know, and for weights quantized by other programs; kInvalid for
// tensors that are missing, that no rule accounts for, or whose shape contradicts config.json.
Result<std::unique_ptr<ModelSource>> open_folder(const std::filesystem::path& folder);

}  // namespace nibble
