// nibble quants: the types that quantize writes, what they cost and who should use them.
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/progress.h"
#include "quantize/guide.h"

namespace nibble {
namespace {

Status print_json() {
  nlohmann::ordered_json document = nlohmann::ordered_json::array();
  for (size_t i = 0; i < all_recipes().size(); ++i) {
    const Recipe& recipe = all_recipes()[i];
    const QuantGuide& guide = quant_guides()[i];
    nlohmann::ordered_json row = {
        {"type", recipe.name}, {"advice", guide.advice}, {"recommended", guide.recommended}};
    if (!recipe.copies) {
      row["base_type"] = format_of(recipe.base).name;
      row["bits_per_weight_7b"] = bits_per_weight_7b(recipe);
    }
    if (const FormatFigures* figures = figures_7b(recipe)) {
      row["kld"] = figures->kld;
      row["kld_stderr"] = figures->kld_error;
    }
    document.push_back(std::move(row));
  }
  fmt::print("{}\n", document.dump(2));
  return {};
}

Status print_table() {
  fmt::print("Types for nibble quantize --to TYPE; * marks three that serve most people.\n\n");
  fmt::print("  {:<10} {:>6} {:>8} {:>10}  {}\n", "type", "bits", "7B model", "divergence", "for");
  for (size_t i = 0; i < all_recipes().size(); ++i) {
    const Recipe& recipe = all_recipes()[i];
    const QuantGuide& guide = quant_guides()[i];
    std::string bits = "-", size = "-", divergence = "-";
    if (!recipe.copies) {
      bits = fmt::format("{:.2f}", bits_per_weight_7b(recipe));
      size = human_bytes(bits_per_weight_7b(recipe) / 8 * kWeights7b);
      if (const FormatFigures* figures = figures_7b(recipe)) {
        divergence = fmt::format("{:.5f}", figures->kld);
      }
    }
    fmt::print("{} {:<10} {:>6} {:>8} {:>10}  {}\n", guide.recommended ? '*' : ' ', recipe.name,
               bits, size, divergence, guide.advice);
  }
  fmt::print(
      "\nbits: true bits per weight of a 7B model, which is also what the size is of.\n"
      "divergence: how far next-token probabilities move (mean KL divergence, nats per token) "
      "when\n"
      "  a fifth of SmolLM2-135M, its ffn_down matrices, has the type's main format and the rest "
      "16\n"
      "  bits. It ranks the types; docs/FORMATS.md says how it was measured. What a file costs "
      "your\n"
      "  model, nibble compare measures.\n");
  return {};
}

}  // namespace

void add_quants(CLI::App& app, Command& command) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb =
      app.add_subcommand("quants", "Explain the types: bits, size, measured cost, who for");
  add_json_flag(*verb, *json);
  verb->callback(
      [json, &command] { command.run = [json] { return *json ? print_json() : print_table(); }; });
}

}  // namespace nibble
