// nibble quantize: fewer bits per weight.
#include <cmath>
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "quantize/pipeline.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string input, output, positional_type, to;
  int n_threads = 0, positional_threads = 0;
  bool dry_run = false, json = false, allow_requantize = false;
};

Json to_json(const QuantizePlan& plan) {
  Json document;
  document["type"] = plan.recipe->name;
  document["n_params"] = plan.n_params;
  document["source_bytes"] = plan.source_file_bytes;
  document["file_bytes"] = plan.file_bytes;
  document["requested_bits_per_weight"] = plan.requested_bits_per_weight;
  document["bits_per_weight"] = plan.bits_per_weight;
  document["tensors"] = Json::array();
  for (const TensorPlan& tensor : plan.tensors) {
    Json row = {{"name", tensor.source.name},
                {"from", tensor.source.format->name},
                {"type", tensor.chosen->name},
                {"bytes", tensor.size_bytes}};
    if (!tensor.reason.empty()) row["reason"] = tensor.reason;
    document["tensors"].push_back(std::move(row));
  }
  return document;
}

void print_tensors(const QuantizePlan& plan) {
  for (const TensorPlan& tensor : plan.tensors) {
    fmt::print("  {:<32} {:<7} -> {:<7} {}{}\n", tensor.source.name, tensor.source.format->name,
               tensor.chosen->name, human_bytes(static_cast<double>(tensor.size_bytes)),
               tensor.reason.empty() ? "" : "  (" + tensor.reason + ")");
  }
}

void print_summary(const QuantizePlan& plan, bool with_substitutes) {
  const double from = static_cast<double>(plan.source_file_bytes),
               to = static_cast<double>(plan.file_bytes);
  fmt::print("{} -> {} ({:.1f} % {})\n", human_bytes(from), human_bytes(to),
             std::abs(100 * (1 - to / from)), to > from ? "larger" : "smaller");
  fmt::print("bits per weight: {:.3f} requested by {}, {:.3f} true\n",
             plan.requested_bits_per_weight, plan.recipe->name, plan.bits_per_weight);
  if (plan.n_substituted == 0) return;
  fmt::print("{} tensors have another type than requested", plan.n_substituted);
  if (!with_substitutes) {
    fmt::print("\n");
    return;
  }
  fmt::print(":\n");
  std::string last_reason;
  int same = 0;
  const auto flush = [&] {
    if (same > 0) fmt::print("  {} tensors: {}\n", same, last_reason);
  };
  for (const TensorPlan& tensor : plan.tensors) {
    if (tensor.chosen == tensor.requested) continue;
    if (tensor.reason != last_reason) {
      flush();
      same = 0;
      last_reason = tensor.reason;
    }
    ++same;
  }
  flush();
}

Status run_quantize(const Options& options) {
  QuantizeOptions quantize;
  quantize.to = options.to.empty() ? options.positional_type : options.to;
  quantize.allow_requantize = options.allow_requantize;
  if (options.dry_run) {
    ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(options.input));
    ASSIGN_OR_RETURN(const QuantizePlan plan, plan_quantize(file, quantize));
    if (options.json) {
      fmt::print("{}\n", to_json(plan).dump(2));
    } else {
      print_tensors(plan);
      print_summary(plan, false);
    }
    return {};
  }
  const int wanted = options.n_threads > 0 ? options.n_threads : options.positional_threads;
  ThreadPool pool(wanted > 0 ? wanted : usable_cores());
  ProgressBar bar("quantizing");
  const auto progress = [&](uint64_t done, uint64_t total) {
    bar.update(static_cast<int64_t>(done), static_cast<int64_t>(total));
  };
  auto report =
      quantize_file(options.input, options.output, quantize, pool, progress, &interrupted());
  if (!report.ok()) return report.error();
  if (options.json) {
    Json document = to_json(report->plan);
    document["seconds"] = report->seconds;
    fmt::print("{}\n", document.dump(2));
  } else {
    fmt::print("{} written in {:.1f} s\n", options.output, report->seconds);
    print_summary(report->plan, true);
  }
  return {};
}

}  // namespace

void add_quantize(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("quantize", "Write a model with fewer bits per weight");
  verb->add_option("IN", options->input, "The model to read (GGUF)")->required();
  verb->add_option("OUT", options->output, "The file to write")->required();
  verb->add_option("TYPE", options->positional_type, "The type, as a third word instead of --to");
  verb->add_option("THREADS", options->positional_threads, "Threads, as a fourth word")
      ->check(CLI::Range(1, kMaxThreads));
  verb->add_option("--to", options->to, "The type: " + recipe_names());
  add_threads_flag(*verb, options->n_threads);
  add_json_flag(*verb, options->json);
  verb->add_flag("--dry-run", options->dry_run,
                 "Print types per tensor and the final size; write nothing");
  verb->add_flag("--allow-requantize", options->allow_requantize,
                 "Accept a model that is quantized already (its error adds to the new one)");
  verb->callback([options, &command] {
    if (options->to.empty() == options->positional_type.empty()) {
      throw CLI::ValidationError("quantize",
                                 "give the type once, as --to TYPE or as the third word");
    }
    command.run = [options] { return run_quantize(*options); };
  });
}

}  // namespace nibble
