// Models of any Llama shape with generated weights, for timing and for tests.
//
// Their quality means nothing; everything else about them is like a real model: every tensor of the
// shape in the type a recipe gives it, a vocabulary, activations of a sane size. Matrices are
// Gaussian with deviation 1 / sqrt(row_len), those that end a residual branch another
// 1 / sqrt(2 n_layers); gains are 1.
//
// A model of up to kExactWeights weights is encoded weight by weight: at Q4_K_M it is, byte for
// byte, what `nibble quantize` makes of the same model at F32. In larger ones the search of the
// encoder would take hours, so matrices of block formats are dealt out: per format, row length and
// deviation a pool of about a million weights is encoded, and each run of 256 weights (32 where
// rows are no multiple of 256) is a copy of a pseudo-randomly chosen one. Every block is one that
// the encoder made, and no two rows are alike.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "container/gguf.h"
#include "lab/shape.h"
#include "lab/tensor_stream.h"
#include "model/tensor_roles.h"

namespace nibble::lab {

inline constexpr uint64_t kExactWeights = uint64_t{1} << 24;

struct GenerateOptions {
  ModelShape shape;
  std::string type;                 // name of a recipe, or of a weight format without one
  std::filesystem::path tokenizer;  // GGUF whose vocabulary is cut or padded; empty: generated
  uint64_t seed = 1;
};

struct GeneratedTensor {
  std::string name;
  TensorIdentity identity;
  const Format* format = nullptr;
  std::vector<int64_t> dims;  // GGUF order: row_len first; one for vectors
};

struct GeneratePlan {
  GgufMetadata metadata;
  std::vector<GeneratedTensor> tensors;
  uint64_t n_params = 0;
  uint64_t tensor_bytes = 0;
  uint64_t file_bytes = 0;
};

// What generate_model() would write. Errors: kFailure (unknown type), those of reading the
// tokenizer's file, kInvalid (a shape that contradicts itself).
Result<GeneratePlan> plan_model(const GenerateOptions& options);

// Writes the model, complete or not at all. The bytes depend on the options only, not on threads.
// Memory: the vocabulary, about 1 MB per thread, and the pools (about 10 MB). Errors: those of
// plan_model and of GgufWriter, kUsage (output is the tokenizer's file), kInterrupted.
Result<GeneratePlan> generate_model(const GenerateOptions& options,
                                    const std::filesystem::path& output, const JobControl& control);

// The same model as a Hugging Face folder (model/hf_export.h): F32, F16 or BF16, else kUsage.
Result<GeneratePlan> generate_folder(const GenerateOptions& options,
                                     const std::filesystem::path& folder,
                                     const JobControl& control);

}  // namespace nibble::lab
