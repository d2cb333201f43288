// nibble embed: texts to vectors.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/command.h"
#include "engine/embedder.h"

namespace nibble {
namespace {

struct Options {
  std::string model, file, pooling;
  std::vector<std::string> texts;
  bool json = false, cut = false, as_is = false, float_activations = false;
  EmbedderOptions embedder;
};

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  while (const size_t n = std::fread(buffer, 1, sizeof(buffer), stdin)) text.append(buffer, n);
  return text;
}

// One text per line; an empty last line is none.
std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    size_t length = end - begin;
    if (length > 0 && text[begin + length - 1] == '\r') --length;
    lines.push_back(text.substr(begin, length));
    begin = end + 1;
  }
  return lines;
}

Result<std::vector<std::string>> read_texts(const Options& options) {
  if (!options.texts.empty()) return options.texts;
  if (options.file.empty()) return split_lines(read_standard_input());
  ASSIGN_OR_RETURN(const std::string text, read_text_file(options.file));
  return split_lines(text);
}

Status run_embed(Options options) {
  if (options.pooling == "mean") options.embedder.pooling = PoolBy::mean;
  if (options.pooling == "cls") options.embedder.pooling = PoolBy::cls;
  if (options.pooling == "last") options.embedder.pooling = PoolBy::last;
  options.embedder.normalize = !options.as_is;
  if (options.float_activations) options.embedder.activations = ActivationMode::kFloat;
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, read_texts(options));
  if (texts.empty()) {
    return make_error(ErrorKind::kUsage,
                      "[embed] there is no text; give it behind the model, with --file, or on "
                      "standard input, one per line");
  }
  ASSIGN_OR_RETURN(const auto embedder, Embedder::load(options.model, options.embedder));
  nlohmann::ordered_json embeddings = nlohmann::ordered_json::array();
  for (size_t i = 0; i < texts.size(); ++i) {
    ASSIGN_OR_RETURN(const std::vector<float> vector, embedder->embed(texts[i], options.cut));
    if (options.json) {
      embeddings.push_back({{"index", i}, {"embedding", vector}});
      continue;
    }
    fmt::print("{}\n", fmt::join(vector, " "));
  }
  if (!options.json) return {};
  const nlohmann::ordered_json document = {{"architecture", embedder->info().architecture},
                                           {"width", embedder->info().width},
                                           {"embeddings", embeddings}};
  fmt::print("{}\n", document.dump());
  return {};
}

}  // namespace

void add_embed(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(
      "embed", "Print the vector of each text (BERT-like encoders, or any model)");
  verb->add_option("MODEL", options->model, "The model")->required();
  auto* texts =
      verb->add_option("TEXT", options->texts, "Texts; without any, the lines of standard input");
  verb->add_option("-f,--file", options->file, "Take the lines of this file as texts")
      ->excludes(texts);
  verb->add_option("--pooling", options->pooling,
                   "How the tokens' states become one vector (default: as the model says)")
      ->check(CLI::IsMember({"mean", "cls", "last"}));
  verb->add_flag("--no-normalize", options->as_is, "Leave the vectors at their own length");
  verb->add_flag("--cut", options->cut, "Cut off the end of texts that are too long");
  verb->add_flag("--float-activations", options->float_activations,
                 "Compute in float32 whatever the weights: slower, without the error of 8-bit "
                 "activations");
  verb->add_option("-c,--ctx", options->embedder.n_ctx, "Longest text in tokens")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  add_json_flag(*verb, options->json);
  add_threads_flag(*verb, options->embedder.n_threads);
  verb->callback([options, &command] { command.run = [options] { return run_embed(*options); }; });
}

}  // namespace nibble
