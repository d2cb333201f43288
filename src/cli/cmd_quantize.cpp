// nibble quantize: fewer bits per weight.
#include <charconv>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>

#include "base/checked.h"
#include "base/cpu.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/quantize_report.h"
#include "engine/engine.h"
#include "quantize/pipeline.h"

namespace nibble {
namespace {

struct Options {
  std::string input, words[3];  // of the command line: IN, and [OUT] [TYPE] [THREADS]
  std::string output;
  QuantizeOptions quantize;
  int n_threads = 0;
  bool dry_run = false, json = false, compat_fallback = false, strict = false;
};

constexpr const char* kFileSizeForm =
    "a whole number from 1, then M (a million bytes) or G (a thousand million)";

// "300M", "4G", as gguf-split takes it.
std::optional<uint64_t> parse_file_size(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr + 1 != end || number == 0) return std::nullopt;
  if (*parsed.ptr == 'M') return checked_mul(number, uint64_t{1000000});
  if (*parsed.ptr == 'G') return checked_mul(number, uint64_t{1000000000});
  return std::nullopt;
}

// llama-quantize's order of words: IN [OUT] TYPE [THREADS], where OUT may be missing when the next
// word is a type; or IN OUT beside --to.
void read_words(Options& options) {
  std::vector<std::string> words(std::begin(options.words), std::end(options.words));
  std::erase(words, "");
  const auto take = [&] {
    std::string word = words.front();
    words.erase(words.begin());
    return word;
  };
  std::string& type = options.quantize.to;
  const bool has_flag = !type.empty();
  if (!words.empty() && (has_flag || !find_recipe(words.front()).ok())) options.output = take();
  if (!words.empty() && !has_flag) type = take();
  if (type.empty() || (has_flag && !words.empty())) {
    throw CLI::ValidationError("quantize",
                               "give the type once, as --to TYPE or as a word after OUT");
  }
  if (!words.empty()) {
    const std::string threads = take();
    const std::string error = CLI::Range(1, kMaxThreads)(threads);
    if (!error.empty()) throw CLI::ValidationError("THREADS", error);
    if (options.n_threads == 0) options.n_threads = std::stoi(threads);
  }
  if (!options.output.empty() || options.dry_run) return;
  if (has_flag) throw CLI::RequiredError("OUT");
  // as llama-quantize names it
  const auto recipe = find_recipe(type);
  const std::string name(recipe.ok() ? (*recipe)->name : type);
  const std::string ending = options.quantize.keep_split ? "" : ".gguf";
  const auto folder = std::filesystem::path(options.input).parent_path();
  options.output = (folder / ("ggml-model-" + name + ending)).string();
}

Status run_dry(const Options& options) {
  ASSIGN_OR_RETURN(const auto source, open_model(options.input));
  ASSIGN_OR_RETURN(const QuantizePlan plan, plan_quantize(*source, options.quantize));
  for (const std::string& warning : plan.warnings) log_warning(warning);
  if (options.json) {
    fmt::print("{}\n", plan_json(plan).dump(2));
  } else {
    print_plan(plan);
  }
  return {};
}

Status run_quantize(Options options) {
  if (options.compat_fallback) options.quantize.rows = RowPolicy::like_llama_cpp;
  if (options.strict) options.quantize.rows = RowPolicy::strict;
  if (options.dry_run) return run_dry(options);
  return write_and_report("quantizing", options.input, options.output, options.quantize,
                          options.n_threads, options.json);
}

void add_type_flags(CLI::App& verb, QuantizeOptions& options) {
  verb.add_option("--to", options.to, "The type: " + recipe_names());
  verb.add_option("--tensor-type", options.tensor_types,
                  "REGEX=TYPE: another type for tensors whose name matches; may be repeated, the "
                  "first that matches counts")
      ->allow_extra_args(false);
  verb.add_option("--output-tensor-type", options.output_type, "Another type for output.weight");
  verb.add_option("--token-embedding-type", options.embedding_type,
                  "Another type for token_embd.weight");
  verb.add_flag("--pure", options.pure, "The same type for every matrix, no exceptions");
  verb.add_flag("--leave-output-tensor", options.leave_output, "output.weight keeps its type")
      ->excludes("--output-tensor-type");
  verb.add_option("--imatrix", options.imatrix,
                  "An importance matrix (nibble calibrate, llama-imatrix): which columns matter");
  verb.add_option(
          "--override-kv", options.metadata,
          "KEY=TYPE:VALUE: other metadata; TYPE is int, float, bool or str; may be repeated")
      ->allow_extra_args(false);
  verb.add_flag("--allow-requantize", options.allow_requantize,
                "Accept a model that is quantized already (its error adds to the new one)");
}

void add_split_flags(CLI::App& verb, QuantizeOptions& options) {
  CLI::Option* keep_split =
      verb.add_flag("--keep-split", options.keep_split,
                    "Write as many files as the model was read from (OUT-00001-of-0000N.gguf)");
  verb.add_option_function<std::string>(
          "--split-max-size",
          [&options](const std::string& text) {
            const auto bytes = parse_file_size(text);
            if (!bytes) throw CLI::ValidationError("--split-max-size", kFileSizeForm);
            options.split_max_bytes = *bytes;
          },
          "Write files of at most so many bytes, N followed by M or G (OUT-00001-of-0000N.gguf)")
      ->excludes(keep_split);
}

}  // namespace

void add_quantize(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("quantize", "Write a model with fewer bits per weight");
  verb->add_option("IN", options->input, "The model to read: a GGUF file, or a Hugging Face folder")
      ->required();
  verb->add_option("OUT", options->words[0], "The file to write");
  verb->add_option("TYPE", options->words[1], "The type, as a word instead of --to");
  verb->add_option("THREADS", options->words[2], "Threads, as a last word");
  add_type_flags(*verb, options->quantize);
  add_split_flags(*verb, options->quantize);
  CLI::Option* compat =
      verb->add_flag("--compat-fallback", options->compat_fallback,
                     "Where rows do not fit the type, take what llama.cpp takes (larger)");
  verb->add_flag("--strict", options->strict, "Where rows do not fit the type, refuse")
      ->excludes(compat);
  add_threads_flag(*verb, options->n_threads);
  add_json_flag(*verb, options->json);
  verb->add_flag("--dry-run", options->dry_run,
                 "Print types per tensor and the final size; write nothing");
  verb->callback([options, &command] {
    read_words(*options);
    command.run = [options] { return run_quantize(*options); };
  });
}

}  // namespace nibble
