// nibble tokenize: standard input, byte for byte, to token ids.
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "engine/engine.h"

namespace nibble {
namespace {

struct Options {
  std::string model;
  bool json = false, no_special = false, special = false;
};

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  while (const size_t n = std::fread(buffer, 1, sizeof(buffer), stdin)) text.append(buffer, n);
  return text;
}

Status run_tokenize(const Options& options) {
  ASSIGN_OR_RETURN(const auto tokenizer, load_tokenizer(options.model));
  EncodeOptions encode;
  encode.add_special = !options.no_special;
  encode.parse_special = options.special;
  const std::vector<int32_t> ids = tokenizer->encode(read_standard_input(), encode);
  if (options.json) {
    fmt::print("{}\n", nlohmann::json(ids).dump());
  } else {
    for (const int32_t id : ids) fmt::print("{}\n", id);
  }
  return {};
}

}  // namespace

void add_tokenize(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("tokenize", "Turn standard input into token ids");
  verb->add_option("MODEL", options->model, "A model, or a GGUF with only a vocabulary")
      ->required();
  add_json_flag(*verb, options->json);
  verb->add_flag("--no-special", options->no_special, "Add no BOS, EOS, CLS or SEP");
  verb->add_flag("--special", options->special,
                 "Let special tokens spelled in the text become those tokens");
  verb->callback(
      [options, &command] { command.run = [options] { return run_tokenize(*options); }; });
}

}  // namespace nibble
