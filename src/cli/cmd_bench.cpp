// nibble bench: tokens per second beside the limit of the hardware.
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "evaluate/bench.h"

namespace nibble {
namespace {

struct Options {
  std::string model;
  bool json = false;
  BenchOptions bench;
};

nlohmann::ordered_json to_json(const BenchResult& r) {
  return {{"prefill_tps", r.prefill_tps},
          {"decode_tps", r.decode_tps},
          {"load_ms", r.load_ms},
          {"peak_rss_bytes", r.peak_rss_bytes},
          {"peak_anon_bytes", r.peak_anon_bytes},
          {"read_bandwidth_bytes_per_s", r.read_bandwidth_bytes_per_s},
          {"decode_bandwidth_fraction", r.decode_bandwidth_fraction},
          {"int8_ops_per_s_one_thread", r.int8_ops_per_s_one},
          {"int8_ops_per_s_all_threads", r.int8_ops_per_s_all},
          {"n_threads", r.n_threads},
          {"cores_seen", r.cores_seen},
          {"disturbed", r.disturbed}};
}

void print_text(const BenchResult& r, const BenchOptions& options) {
  fmt::print("prefill {:<5}  {:8.1f} tokens/s\n", options.n_prefill, r.prefill_tps);
  fmt::print("decode {:<5}   {:8.1f} tokens/s   {:.0f} % of the read bandwidth\n", options.n_decode,
             r.decode_tps, 100 * r.decode_bandwidth_fraction);
  fmt::print("load            {:8.0f} ms\n", r.load_ms);
  fmt::print("memory          {} resident, of this {} not of the file\n",
             human_bytes(static_cast<double>(r.peak_rss_bytes)),
             human_bytes(static_cast<double>(r.peak_anon_bytes)));
  fmt::print("this machine    {:.1f} GB/s read, {:.0f} GOPS int8 on one thread, {:.0f} on {}\n",
             r.read_bandwidth_bytes_per_s / 1e9, r.int8_ops_per_s_one / 1e9,
             r.int8_ops_per_s_all / 1e9, r.n_threads);
  if (r.disturbed) {
    fmt::print(
        "disturbed: {} threads computed like {:.1f} cores while this ran; the figures are too "
        "low\n",
        r.n_threads, r.cores_seen);
  }
}

Status run_bench(const Options& options) {
  ProgressBar bar("measuring");
  const auto progress = [&](int64_t done, int64_t total) { bar.update(done, total); };
  auto result = bench_model(options.model, options.bench, progress, &interrupted());
  if (!result.ok()) return result.error();
  if (options.json) {
    fmt::print("{}\n", to_json(*result).dump(2));
  } else {
    print_text(*result, options.bench);
  }
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      app.add_subcommand("bench", "Measure tokens per second beside the limit of the hardware");
  verb->add_option("MODEL", options->model, "The model: a GGUF file, or a Hugging Face folder")
      ->required();
  verb->add_option("-p,--prefill", options->bench.n_prefill, "Tokens of the prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_option("-n,--decode", options->bench.n_decode, "Tokens to generate")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_option("-r,--repeats", options->bench.repeats, "Repeats; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_threads_flag(*verb, options->bench.n_threads);
  add_json_flag(*verb, options->json);
  verb->callback([options, &command] { command.run = [options] { return run_bench(*options); }; });
}

}  // namespace nibble
