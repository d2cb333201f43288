// nibble compare: what quantization cost, measured.
#include <cmath>
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "evaluate/compare.h"

namespace nibble {
namespace {

struct Options {
  std::string base, text;
  std::vector<std::string> models;
  int64_t max_tokens = 0;
  int n_threads = 0;
  bool json = false;
};

nlohmann::ordered_json to_json(const Comparison& c) {
  nlohmann::ordered_json document;
  document["base"] = {
      {"path", c.base_path.string()}, {"file_bytes", c.base_file_bytes}, {"ppl", c.base_ppl}};
  document["n_documents"] = c.n_documents;
  document["n_windows"] = c.n_windows;
  document["n_scored"] = c.n_scored;
  document["models"] = nlohmann::ordered_json::array();
  for (const ComparedModel& m : c.models) {  // a NaN (a single document has no error) becomes null
    document["models"].push_back({{"path", m.path.string()},
                                  {"file_bytes", m.file_bytes},
                                  {"bits_per_weight", m.bits_per_weight},
                                  {"kld_mean", m.divergence.kld_mean},
                                  {"kld_stderr", m.divergence.kld_stderr},
                                  {"kld_p99", m.divergence.kld_p99},
                                  {"same_top", m.divergence.same_top},
                                  {"ppl", m.divergence.ppl},
                                  {"ppl_ratio", m.divergence.ppl_ratio},
                                  {"ppl_ratio_stderr", m.divergence.ppl_ratio_stderr},
                                  {"decode_speedup", m.decode_speedup}});
  }
  return document;
}

std::string plus_minus(double value, double error, int digits) {
  if (std::isnan(error)) return fmt::format("{:.{}f}", value, digits);
  return fmt::format("{:.{}f} ± {:.{}f}", value, digits, error, digits);
}

void print_text(const Comparison& c) {
  fmt::print("{} documents, {} tokens scored; base {} ({}), perplexity {:.3f}\n\n", c.n_documents,
             c.n_scored, c.base_path.string(), human_bytes(static_cast<double>(c.base_file_bytes)),
             c.base_ppl);
  fmt::print("{:<28} {:>9} {:>7} {:>7} {:>19} {:>8} {:>8} {:>17} {:>7}\n", "model", "size",
             "smaller", "bits/w", "mean KL divergence", "99 %", "same top", "perplexity ratio",
             "decode");
  for (const ComparedModel& m : c.models) {
    const DivergenceSummary& d = m.divergence;
    const double smaller =
        100 * (1 - static_cast<double>(m.file_bytes) / static_cast<double>(c.base_file_bytes));
    fmt::print("{:<28} {:>9} {:>5.1f} % {:>7.3f} {:>19} {:>8.4f} {:>6.2f} % {:>17} {:>5.2f} x\n",
               m.path.filename().string(), human_bytes(static_cast<double>(m.file_bytes)), smaller,
               m.bits_per_weight, plus_minus(d.kld_mean, d.kld_stderr, 5), d.kld_p99,
               100 * d.same_top, plus_minus(d.ppl_ratio, d.ppl_ratio_stderr, 4), m.decode_speedup);
  }
}

Status run_compare(const Options& options) {
  CompareOptions compare;
  compare.text = options.text;
  compare.max_tokens = options.max_tokens;
  compare.n_threads = options.n_threads > 0 ? options.n_threads : usable_cores();
  ProgressBar bar("comparing");
  const auto progress = [&](int64_t done, int64_t total) { bar.update(done, total); };
  const std::vector<std::filesystem::path> models(options.models.begin(), options.models.end());
  auto comparison = compare_models(options.base, models, compare, progress, &interrupted());
  if (!comparison.ok()) return comparison.error();
  if (options.json) {
    fmt::print("{}\n", to_json(*comparison).dump(2));
  } else {
    print_text(*comparison);
  }
  return {};
}

}  // namespace

void add_compare(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(
      "compare", "Measure what quantization cost: divergence, perplexity, speed");
  verb->add_option("BASE", options->base, "The original model")->required();
  verb->add_option("QUANT", options->models, "Quantized files of the same model")->required();
  verb->add_option("--text", options->text,
                   "Text to test on; documents begin at lines ' = Title = '")
      ->required();
  verb->add_option("--tokens", options->max_tokens, "Use at most this many tokens of the text")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  add_threads_flag(*verb, options->n_threads);
  add_json_flag(*verb, options->json);
  verb->callback(
      [options, &command] { command.run = [options] { return run_compare(*options); }; });
}

}  // namespace nibble
