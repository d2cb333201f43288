#include "cli/quantize_report.h"

#include <cmath>
#include <map>

#include "base/cpu.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownWorst = 5;

double reduction_percent(const QuantizePlan& plan) {
  if (plan.source_file_bytes == 0) return 0;
  return 100 *
         (1 - static_cast<double>(plan.file_bytes) / static_cast<double>(plan.source_file_bytes));
}

void print_sizes(const QuantizePlan& plan) {
  const double reduction = reduction_percent(plan);
  fmt::print("{} -> {} ({:.1f} % {})\n", human_bytes(static_cast<double>(plan.source_file_bytes)),
             human_bytes(static_cast<double>(plan.file_bytes)), std::abs(reduction),
             reduction < 0 ? "larger" : "smaller");
  fmt::print("bits per weight: {:.3f} requested by {}, {:.3f} true\n",
             plan.requested_bits_per_weight, plan.recipe->name, plan.bits_per_weight);
}

std::string count_tensors(int n) { return fmt::format("{} tensor{}", n, n == 1 ? "" : "s"); }

// "14 tensors: Q4_K -> IQ4_NL, rows of 576 weights are not a multiple of 256", one line for each
// kind.
void print_substitutes(const QuantizePlan& plan) {
  if (plan.n_substituted == 0) return;
  std::map<std::string, int> kinds;
  for (const TensorPlan& tensor : plan.tensors) {
    if (tensor.chosen == tensor.requested) continue;
    ++kinds[fmt::format("{} -> {}, {}", tensor.requested->name, tensor.chosen->name,
                        tensor.reason)];
  }
  fmt::print("{} {} another type than requested:\n", count_tensors(plan.n_substituted),
             plan.n_substituted == 1 ? "has" : "have");
  for (const auto& [kind, n] : kinds) fmt::print("  {}: {}\n", count_tensors(n), kind);
}

void print_worst(const QuantizeReport& report) {
  const auto worst = worst_tensors(report, kShownWorst);
  if (worst.empty()) return;
  fmt::print("largest relative errors of the weights:\n");
  for (const size_t i : worst) {
    const TensorPlan& tensor = report.plan.tensors[i];
    fmt::print("  {:.4f}  {} ({})\n", report.relative_errors[i], tensor.source.name,
               tensor.chosen->name);
  }
}

Json report_json(const QuantizeReport& report) {
  Json document = plan_json(report.plan);
  for (size_t i = 0; i < report.relative_errors.size(); ++i) {
    if (report.relative_errors[i] < 0) continue;
    document["tensors"][i]["relative_error"] = report.relative_errors[i];
  }
  document["worst"] = Json::array();
  for (const size_t i : worst_tensors(report, kShownWorst)) {
    document["worst"].push_back({{"name", report.plan.tensors[i].source.name},
                                 {"type", report.plan.tensors[i].chosen->name},
                                 {"relative_error", report.relative_errors[i]}});
  }
  document["seconds"] = report.seconds;
  document["anonymous_bytes"] = report.anonymous_bytes;
  document["resident_bytes"] = report.resident_bytes;
  document["files"] = Json::array();
  for (const auto& path : report.files) document["files"].push_back(path.string());
  return document;
}

void print_report(const QuantizeReport& report) {
  const size_t n_files = report.files.size();
  fmt::print("{}{} written in {:.1f} s\n", report.files.front().string(),
             n_files > 1 ? fmt::format(" and {} more", n_files - 1) : "", report.seconds);
  print_sizes(report.plan);
  print_substitutes(report.plan);
  print_worst(report);
  if (report.anonymous_bytes > 0) {
    fmt::print("memory: {} of its own, at most {} with pages of the files\n",
               human_bytes(static_cast<double>(report.anonymous_bytes)),
               human_bytes(static_cast<double>(report.resident_bytes)));
  }
}

}  // namespace

Json plan_json(const QuantizePlan& plan) {
  Json document;
  document["type"] = plan.recipe->name;
  document["n_params"] = plan.n_params;
  document["source_bytes"] = plan.source_file_bytes;
  document["file_bytes"] = plan.file_bytes;
  document["reduction_percent"] = reduction_percent(plan);
  document["requested_bits_per_weight"] = plan.requested_bits_per_weight;
  document["bits_per_weight"] = plan.bits_per_weight;
  document["n_substituted"] = plan.n_substituted;
  document["warnings"] = plan.warnings;
  document["tensors"] = Json::array();
  for (const TensorPlan& tensor : plan.tensors) {
    Json row = {{"name", tensor.source.name},
                {"from", tensor.source.format->name},
                {"type", tensor.chosen->name},
                {"bytes", tensor.size_bytes}};
    if (tensor.chosen != tensor.requested) row["requested"] = tensor.requested->name;
    if (!tensor.reason.empty()) row["reason"] = tensor.reason;
    if (plan.importance) row["importance"] = !tensor.importance.empty();
    document["tensors"].push_back(std::move(row));
  }
  return document;
}

void print_plan(const QuantizePlan& plan) {
  for (const TensorPlan& tensor : plan.tensors) {
    fmt::print("  {:<32} {:<7} -> {:<7} {}{}\n", tensor.source.name, tensor.source.format->name,
               tensor.chosen->name, human_bytes(static_cast<double>(tensor.size_bytes)),
               tensor.reason.empty() ? "" : "  (" + tensor.reason + ")");
  }
  print_sizes(plan);
  print_substitutes(plan);
}

Status write_and_report(const char* label, const std::string& input, const std::string& output,
                        const QuantizeOptions& options, int n_threads, bool json) {
  ThreadPool pool(n_threads > 0 ? n_threads : usable_cores());
  const auto report = [&] {
    ProgressBar bar(label);
    const auto progress = [&](uint64_t done, uint64_t total) {
      bar.update(static_cast<int64_t>(done), static_cast<int64_t>(total));
    };
    return quantize_file(input, output, options, pool, progress, &interrupted());
  }();
  if (!report.ok()) return report.error();
  if (json) {
    fmt::print("{}\n", report_json(*report).dump(2));
  } else {
    print_report(*report);
  }
  return {};
}

}  // namespace nibble
