// nibble calibrate: what the columns of every weight are worth, measured on text.
#include <algorithm>
#include <memory>

#include "base/cpu.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "quantize/calibration.h"

namespace nibble {
namespace {

struct Options {
  std::string model, output;
  CalibrateOptions calibrate;
};

Status run_calibrate(Options options) {
  CalibrateOptions& calibrate_options = options.calibrate;
  if (calibrate_options.n_threads == 0) calibrate_options.n_threads = usable_cores();
  if (is_same_file(options.output, options.model) ||
      is_same_file(options.output, calibrate_options.text)) {
    return make_error(ErrorKind::kUsage, "[{}] is both input and output; give -o another name",
                      options.output);
  }
  ProgressBar bar("calibrating");
  const auto progress = [&](int64_t done, int64_t total) { bar.update(done, total); };
  auto matrix = calibrate(options.model, calibrate_options, progress, &interrupted());
  if (!matrix.ok()) return matrix.error();
  RETURN_IF_ERROR(matrix->write(options.output));
  fmt::print("{}: {} weights, {} tokens in {} chunks of {}\n", options.output,
             matrix->entries().size(), matrix->n_tokens(), matrix->source().n_chunks,
             matrix->source().chunk_tokens);
  return {};
}

}  // namespace

void add_calibrate(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(
      "calibrate", "Measure on text what each column of the weights is worth (imatrix)");
  verb->add_option("MODEL", options->model,
                   "The model, best in 16 or 32 bits: a GGUF file, or a folder")
      ->required();
  verb->add_option("--text,-f,--file", options->calibrate.text,
                   "Text like that which the model will be used for; 50,000 tokens and more")
      ->required();
  verb->add_option("-o,--output", options->output,
                   "The importance matrix to write (GGUF), for quantize --imatrix")
      ->required();
  verb->add_option("--tokens", options->calibrate.max_tokens, "Use at most this many tokens")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  verb->add_option("--chunk", options->calibrate.chunk_tokens, "Tokens per chunk")
      ->check(CLI::Range(int64_t{16}, int64_t{1} << 20))
      ->capture_default_str();
  add_threads_flag(*verb, options->calibrate.n_threads);
  verb->callback(
      [options, &command] { command.run = [options] { return run_calibrate(*options); }; });
}

}  // namespace nibble
