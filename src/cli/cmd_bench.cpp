// nibble bench: tokens per second beside the limit of the hardware.
#include <algorithm>
#include <memory>
#include <optional>

#include "base/cpu.h"
#include "cli/bench_report.h"
#include "cli/cache_types.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "evaluate/bench.h"

namespace nibble {
namespace {

struct Options {
  std::string model, compare;
  bool json = false, csv = false;
  std::vector<std::string> key_types = {"f16"}, value_types = {"f16"};
  BenchOptions bench;
};

Status run_bench(Options& options) {
  const auto types = [](const std::vector<std::string>& names) {
    std::vector<FormatId> ids;
    for (const std::string& name : names) ids.push_back(cache_type(name));
    return ids;
  };
  options.bench.key_types = types(options.key_types);
  options.bench.value_types = types(options.value_types);
  const auto asks = [](const std::vector<int64_t>& list) {
    return std::any_of(list.begin(), list.end(), [](int64_t n) { return n > 0; });
  };
  if (!asks(options.bench.n_prefill) && !asks(options.bench.n_decode)) {
    return make_error(ErrorKind::kUsage, "[bench] -p 0 and -n 0 leave nothing to measure");
  }
  std::optional<BenchBaseline> baseline;
  if (!options.compare.empty()) {
    ASSIGN_OR_RETURN(baseline, BenchBaseline::read(options.compare));
  }
  const BenchBaseline* before = baseline ? &*baseline : nullptr;

  std::vector<BenchRun> runs;
  {
    ProgressBar bar("measuring");
    const auto progress = [&](int64_t done, int64_t total) { bar.update(done, total); };
    ASSIGN_OR_RETURN(runs, bench_model(options.model, options.bench, progress, &interrupted()));
  }
  if (options.json) {
    fmt::print("{}\n", bench_json(runs, before).dump(2));
  } else if (options.csv) {
    print_bench_csv(runs, before);
  } else {
    print_bench_text(runs, before);
  }
  return {};
}

void add_list(CLI::App& verb, const char* flags, std::vector<int64_t>& list, int64_t lowest,
              const char* help) {
  verb.add_option(flags, list, help)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(lowest, int64_t{1} << 20))
      ->capture_default_str();
}

}  // namespace

void add_bench(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      app.add_subcommand("bench", "Measure tokens per second beside the limit of the hardware");
  BenchOptions& bench = options->bench;
  verb->add_option("MODEL", options->model, "The model: a GGUF file, or a Hugging Face folder")
      ->required();
  verb->footer(
      "Flags that take a list (512,2048) measure every combination. Rows are interleaved, the "
      "median of the repeats counts.");
  add_list(*verb, "-p,--prefill", bench.n_prefill, 0, "Tokens of the prompt; 0: none (list)");
  add_list(*verb, "-n,--decode", bench.n_decode, 0, "Tokens to generate; 0: none (list)");
  add_list(*verb, "-d,--depth", bench.depths, 0, "Tokens in the context before (list)");
  add_list(*verb, "-b,--batch", bench.batches, 1, "Sequences that generate together (list)");
  verb->add_option("-t,--threads", bench.n_threads,
                   "Threads (default: the physical cores this process may use; list)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, kMaxThreads));
  verb->add_option("--cache-type-k", options->key_types, "Type of cached keys (short: -ctk; list)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(is_cache_type());
  verb->add_option("--cache-type-v", options->value_types,
                   "Type of cached values (short: -ctv; list)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(is_cache_type());
  verb->add_option("-r,--repeats", bench.repeats, "Repeats; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb->add_option("--compare", options->compare,
                   "An earlier result of --json: how many times as fast each row is now");
  add_json_flag(*verb, options->json);
  verb->add_flag("--csv", options->csv, "Print one line of comma-separated values per row")
      ->excludes("--json");
  verb->callback([options, &command] { command.run = [options] { return run_bench(*options); }; });
}

}  // namespace nibble
