// nibble export: a GGUF file as a folder of safetensors.
#include <memory>

#include "base/cpu.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "engine/engine.h"

namespace nibble {
namespace {

struct Options {
  std::string input, output;
  bool bf16 = false;
  int n_threads = 0;
};

Status run_export(const Options& options) {
  ASSIGN_OR_RETURN(const auto source, open_model(options.input));
  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  auto report = [&] {
    ProgressBar bar("exporting");
    const auto progress = [&](uint64_t done, uint64_t total) {
      bar.update(static_cast<int64_t>(done), static_cast<int64_t>(total));
    };
    return export_model(*source, options.output, options.bf16 ? FormatId::BF16 : FormatId::F32,
                        pool, progress, &interrupted());
  }();
  if (!report.ok()) return report.error();
  for (const std::string& warning : report->warnings) log_warning(warning);
  fmt::print("{}: {} tensors, {} in {} files\n", options.output, report->n_tensors,
             human_bytes(static_cast<double>(report->file_bytes)), report->n_files);
  if (report->n_decoded > 0) {
    fmt::print("{} tensors were quantized and are now {}; what quantizing lost stays lost\n",
               report->n_decoded, options.bf16 ? "BF16" : "F32");
  }
  return {};
}

}  // namespace

void add_export(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      app.add_subcommand("export", "Write a model as a Hugging Face folder (safetensors)");
  verb->add_option("MODEL", options->input, "The model to read (GGUF)")->required();
  verb->add_option("FOLDER", options->output, "The folder to write; new or empty")->required();
  verb->add_flag("--bf16", options->bf16,
                 "Quantized tensors become BF16 instead of F32 (half the size, rounded)");
  add_threads_flag(*verb, options->n_threads);
  verb->callback([options, &command] { command.run = [options] { return run_export(*options); }; });
}

}  // namespace nibble
