// What the recipes are for, in plain words and measured figures: the text of `nibble quants`.
#pragma once

#include <span>
#include <string_view>

#include "quantize/recipe.h"

namespace nibble {

// A row per recipe of all_recipes(), in that order.
struct QuantGuide {
  std::string_view recipe;
  std::string_view advice;
  bool recommended = false;
};
std::span<const QuantGuide> quant_guides();

// Bits per weight of all tensors together when the recipe is applied, without an importance matrix,
// to the shape of a 7B model (Mistral 7B: 32 layers, 4096 wide, 8 key-value heads, 7.24e9 weights).
double bits_per_weight_7b(const Recipe& recipe);
inline constexpr double kWeights7b = 7.242e9;

// What a format cost a real model. Made from bench/results/formats.json by
// tools/formats_report.py, which also says there how it was measured.
struct FormatFigures {
  FormatId id;
  double kld;        // mean KL divergence, nats per token, ffn_down alone in the format, rest F16
  double kld_error;  // its standard error
};
std::span<const FormatFigures> format_figures();
// Of the recipe's main format; null when that was not measured (F32, COPY) or no matrix of a 7B
// model gets it.
const FormatFigures* figures_7b(const Recipe& recipe);

}  // namespace nibble
