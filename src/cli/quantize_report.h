// What `nibble quantize` says at its end: as text, and as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "quantize/pipeline.h"

namespace nibble {

nlohmann::ordered_json plan_json(const QuantizePlan& plan);
nlohmann::ordered_json report_json(const QuantizeReport& report);

// Every tensor with its types and size, then the sums.
void print_plan(const QuantizePlan& plan);
void print_report(const QuantizeReport& report);

}  // namespace nibble
