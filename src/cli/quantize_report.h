// What `nibble quantize` and `nibble convert` do and say, as text or as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "quantize/pipeline.h"

namespace nibble {

nlohmann::ordered_json plan_json(const QuantizePlan& plan);

// Every tensor with its types and size, then the sums.
void print_plan(const QuantizePlan& plan);

// quantize_file() under a progress bar with this label, then its report.
Status write_and_report(const char* label, const std::string& input, const std::string& output,
                        const QuantizeOptions& options, int n_threads, bool json);

}  // namespace nibble
