// nibble convert: a folder of safetensors into one GGUF file, at 16 or 32 bits.
#include <memory>

#include "cli/command.h"
#include "cli/quantize_report.h"
#include "quantize/pipeline.h"

namespace nibble {
namespace {

struct Options {
  std::string input, output;
  QuantizeOptions convert;
  int n_threads = 0;
  bool json = false;
};

}  // namespace

void add_convert(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      app.add_subcommand("convert", "Write a Hugging Face folder as a GGUF file of 16 or 32 bits");
  verb->add_option("FOLDER", options->input,
                   "The folder (config.json, *.safetensors, tokenizer.json)")
      ->required();
  verb->add_option("OUT", options->output, "The file to write (GGUF)")->required();
  verb->add_option("--to", options->convert.to,
                   "The type of matrices: F16, BF16 or F32 (vectors and norms are F32)")
      ->required()
      ->check(CLI::IsMember({"F16", "BF16", "F32"}, CLI::ignore_case));
  verb->add_option(
          "--override-kv", options->convert.metadata,
          "KEY=TYPE:VALUE: other metadata; TYPE is int, float, bool or str; may be repeated")
      ->allow_extra_args(false);
  add_threads_flag(*verb, options->n_threads);
  add_json_flag(*verb, options->json);
  verb->callback([options, &command] {
    command.run = [options] {
      return write_and_report("converting", options->input, options->output, options->convert,
                              options->n_threads, options->json);
    };
  });
}

}  // namespace nibble
