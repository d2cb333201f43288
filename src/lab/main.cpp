// nibble-lab: what developers of nibble need and users do not. Models of a given shape, and maps
// that change weights but not what the model computes.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <new>
#include <string>

#include <CLI/CLI.hpp>

#include "base/cpu.h"
#include "base/log.h"
#include "base/mapping_guard.h"
#include "kernels/kernels.h"
#include "lab/generate.h"
#include "lab/maps.h"
#include "lab/tokenize.h"
#include "quantize/recipe.h"

namespace nibble::lab {
namespace {

std::atomic<bool> interrupted{false};

// The first Ctrl-C ends the job, which removes its unfinished file; a second one ends the program.
void on_signal(int) {
  if (interrupted.exchange(true)) _exit(static_cast<int>(ErrorKind::kInterrupted));
}

void install_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  install_mapping_guard();
}

void print_error(const std::string& message) { fmt::print(stderr, "nibble-lab: {}\n", message); }

// Percent on standard error, when that is a terminal.
class Progress {
 public:
  Progress() : terminal_(isatty(STDERR_FILENO) != 0) {}
  ~Progress() {
    if (last_ >= 0) fmt::print(stderr, "\r\033[K");
  }
  void operator()(uint64_t done, uint64_t total) {
    const int percent = total == 0 ? 100 : static_cast<int>(100 * done / total);
    if (!terminal_ || percent == last_) return;
    last_ = percent;
    fmt::print(stderr, "\r{:3} % of {:.2f} GB", percent, static_cast<double>(total) / 1e9);
    std::fflush(stderr);
  }

 private:
  bool terminal_;
  int last_ = -1;
};

struct Options {
  std::string input, output, preset, type, tokenizer;
  uint64_t seed = 1;
  int64_t n_ctx = 0;
  double sigma = RescaleOptions().sigma;
  int n_threads = 0;
  bool dry_run = false, as_folder = false;
  TokenizeOptions tokenize;
};

// Runs a job on the wanted threads and says how long it took.
template <typename Job>
Status timed(const Options& options, Job&& job) {
  ThreadPool pool(options.n_threads > 0 ? options.n_threads : usable_cores());
  const auto start = std::chrono::steady_clock::now();
  Status status;
  {
    Progress progress;
    const JobControl control = {pool, std::ref(progress), &interrupted};
    status = job(control);
  }
  if (!status.ok()) return status;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print(stderr, "{} written in {:.1f} s\n", options.output, seconds.count());
  return {};
}

Status run_shape(const Options& options) {
  GenerateOptions generate;
  const ModelShape* shape = find_shape(options.preset);
  if (shape == nullptr) {
    return make_error(ErrorKind::kUsage, "[--preset] '{}' is unknown; known are: {}",
                      options.preset, shape_names());
  }
  generate.shape = *shape;
  if (options.n_ctx > 0) generate.shape.n_ctx = options.n_ctx;
  generate.type = options.type;
  generate.tokenizer = options.tokenizer;
  generate.seed = options.seed;
  if (options.dry_run) {
    ASSIGN_OR_RETURN(const GeneratePlan plan, plan_model(generate));
    for (const GeneratedTensor& tensor : plan.tensors) {
      fmt::print("  {:<32} {:<7} [{}]\n", tensor.name, tensor.format->name,
                 fmt::join(tensor.dims, ", "));
    }
    fmt::print("{} parameters, {} bytes\n", plan.n_params, plan.file_bytes);
    return {};
  }
  return timed(options, [&](const JobControl& control) -> Status {
    const auto plan = options.as_folder ? generate_folder(generate, options.output, control)
                                        : generate_model(generate, options.output, control);
    return plan.ok() ? Status() : Status(plan.error());
  });
}

Status run_rescale(const Options& options) {
  return timed(options, [&](const JobControl& control) {
    return rescale_model(options.input, options.output,
                         {.sigma = options.sigma, .seed = options.seed}, control);
  });
}

Status run_widen(const Options& options) {
  return timed(options, [&](const JobControl& control) {
    return widen_model(options.input, options.output, {.seed = options.seed}, control);
  });
}

void add_common_flags(CLI::App& verb, Options& options) {
  verb.add_option("--seed", options.seed, "Seed of all random numbers")->capture_default_str();
  verb.add_option("-t,--threads", options.n_threads,
                  "Threads (default: the physical cores this process may use)")
      ->check(CLI::Range(1, kMaxThreads));
}

void add_verbs(CLI::App& app, Options& options, std::function<Status()>& job) {
  CLI::App* shape = app.add_subcommand("shape", "Write a model of a known shape, made-up weights");
  shape->add_option("--preset", options.preset, "The shape: " + shape_names())->required();
  shape->add_option("--type", options.type, "The type: " + recipe_names())->required();
  shape->add_option("--tokenizer", options.tokenizer,
                    "GGUF whose vocabulary to take, cut or padded (default: a generated one)");
  shape->add_option("--ctx", options.n_ctx, "Context length to write (default: the preset's)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  shape->add_flag("--dry-run", options.dry_run, "Print tensors and size; write nothing");
  shape->add_flag("--folder", options.as_folder,
                  "OUT is a Hugging Face folder (config.json, safetensors), not a GGUF file");
  shape->add_option("OUT", options.output, "The file to write")->required();
  shape->callback([&] { job = [&] { return run_shape(options); }; });

  CLI::App* rescale = app.add_subcommand(
      "rescale", "Move random factors between weights; the model computes the same (F32 out)");
  rescale->add_option("--sigma", options.sigma, "Deviation of the logarithm of the factors")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  rescale->callback([&] { job = [&] { return run_rescale(options); }; });

  CLI::App* widen = app.add_subcommand(
      "widen", "Turn the residual stream into a wider one; the model computes the same (F32 out)");
  widen->callback([&] { job = [&] { return run_widen(options); }; });

  CLI::App* tokenize = app.add_subcommand(
      "tokenize", "Token ids and text of every line of standard input, a JSON string each");
  tokenize->add_option("FILE", options.input, "GGUF, tokenizer.json or tokenizer.model")
      ->required();
  tokenize->add_flag("--add-special", options.tokenize.add_special, "Add BOS, EOS, CLS, SEP");
  tokenize->add_flag("--special", options.tokenize.parse_special,
                     "Let special tokens spelled in the text become those tokens");
  tokenize->callback([&] {
    job = [&] { return tokenize_lines(options.input, options.tokenize, stdin, stdout); };
  });

  for (CLI::App* map : {rescale, widen}) {
    map->add_option("IN", options.input, "The model to read (GGUF, Llama)")->required();
    map->add_option("OUT", options.output, "The file to write")->required();
  }
  for (CLI::App* verb : {shape, rescale, widen}) add_common_flags(*verb, options);
}

int run(int argc, char** argv) {
  set_log_sink(
      [](std::string_view message) { fmt::print(stderr, "nibble-lab: warning: {}\n", message); });
  install_signals();
  CLI::App app{"nibble-lab makes models for timing and testing nibble.", "nibble-lab"};
  app.require_subcommand(1);
  Options options;
  std::function<Status()> job;
  add_verbs(app, options, job);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help
    app.exit(success);
    return 0;
  } catch (const CLI::ParseError& error) {
    const std::string text = error.what();
    print_error(
        fmt::format("[command line] {}; see nibble-lab --help", text.substr(0, text.find('\n'))));
    return static_cast<int>(ErrorKind::kUsage);
  }
  if (*kernels::isa_error() != '\0') {
    print_error(kernels::isa_error());
    return static_cast<int>(ErrorKind::kUsage);
  }
  try {
    const Status status = job();
    if (status.ok()) return 0;
    print_error(status.error().message);
    return static_cast<int>(status.error().kind);
  } catch (const std::bad_alloc&) {  // the standard containers' only way to say it
    print_error("[memory] not enough memory; close other programs or choose a smaller model");
    return static_cast<int>(ErrorKind::kResource);
  }
}

}  // namespace
}  // namespace nibble::lab

int main(int argc, char** argv) { return nibble::lab::run(argc, argv); }
