// What the parts of pipeline.h share.
#pragma once

#include <span>
#include <string_view>

#include "quantize/pipeline.h"

namespace nibble {

// Weights in blocks, which have been through a quantizer.
bool is_block_format(const Format& format);

// A writer with the metadata and the tensors of the plan declared, divided into files as the
// options say, before begin().
Result<GgufWriter> make_writer(const std::filesystem::path& path, const ModelSource& source,
                               const QuantizeOptions& options, const QuantizePlan& plan);

// plan_quantize() without a file: the types need only metadata and shapes. `where` is the name of
// the model in messages. Sizes of files are left 0.
Result<QuantizePlan> plan_tensors(const GgufMetadata& metadata, std::span<const GgufTensor> tensors,
                                  const QuantizeOptions& options, std::string_view where);

// Reads options.imatrix into the plan, whose tensors need only their sources, before their types
// are chosen. kInvalid when it knows none of them, or one with another shape.
Status read_importance(const QuantizeOptions& options, std::span<const GgufTensor> tensors,
                       QuantizePlan& plan);

// Once the types are chosen: which tensors have importance data; what is missing becomes a warning.
Status assign_importance(const QuantizeOptions& options, bool tied_embeddings, QuantizePlan& plan);

}  // namespace nibble
