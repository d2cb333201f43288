// What the two halves of pipeline.h share.
#pragma once

#include "quantize/pipeline.h"

namespace nibble {

// Weights in blocks, which have been through a quantizer.
bool is_block_format(const Format& format);

// A writer with the metadata and the tensors of the plan declared, before begin().
Result<GgufWriter> make_writer(const std::filesystem::path& path, const GgufFile& file,
                               const QuantizePlan& plan);

}  // namespace nibble
