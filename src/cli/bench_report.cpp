#include "cli/bench_report.h"

#include <fmt/format.h>

#include "base/json.h"
#include "cli/cache_types.h"
#include "cli/progress.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxBaselineBytes = uint64_t{64} << 20;

// What tells rows apart.
Json row_key(const BenchRun& run, const BenchRow& row) {
  return {{"test", row.decode ? "decode" : "prefill"},
          {"n_tokens", row.n_tokens},
          {"depth", row.depth},
          {"batch", row.batch},
          {"n_threads", run.n_threads},
          {"type_k", cache_type_name(run.key_type)},
          {"type_v", cache_type_name(run.value_type)}};
}

const BenchRow* first_row(const BenchRun& run, bool decode) {
  for (const BenchRow& row : run.rows) {
    if (row.decode == decode) return &row;
  }
  return nullptr;
}

Json row_json(const BenchRun& run, const BenchRow& row, const BenchBaseline* baseline) {
  Json json = row_key(run, row);
  json["tokens_per_s"] = row.tokens_per_s;
  json["lowest"] = row.lowest;
  json["highest"] = row.highest;
  if (row.decode) json["bandwidth_fraction"] = row.bandwidth_fraction;
  json["read_bandwidth_bytes_per_s"] = run.read_bandwidth_bytes_per_s;
  json["cores_seen"] = run.cores_seen;
  json["disturbed"] = run.disturbed;
  if (baseline != nullptr) {
    const double ratio = baseline->ratio(run, row);
    json["ratio"] = ratio > 0 ? Json(ratio) : Json(nullptr);
  }
  return json;
}

std::string describe(const BenchRow& row) {
  std::string text = fmt::format("{} {}", row.decode ? "decode" : "prefill", row.n_tokens);
  if (row.depth > 0) text += fmt::format(" at {}", row.depth);
  if (row.batch > 1) text += fmt::format(" x {}", row.batch);
  return text;
}

void print_row(const BenchRun& run, const BenchRow& row, const BenchBaseline* baseline) {
  fmt::print("{:<22} {:9.1f} tokens/s  ({:.1f} to {:.1f})", describe(row), row.tokens_per_s,
             row.lowest, row.highest);
  if (row.decode) fmt::print("  {:.0f} % of the read bandwidth", 100 * row.bandwidth_fraction);
  if (baseline != nullptr) {
    const double ratio = baseline->ratio(run, row);
    fmt::print("  {}", ratio > 0 ? fmt::format("{:.2f} times as fast as before", ratio)
                                 : "not measured before");
  }
  fmt::print("\n");
}

}  // namespace

Result<BenchBaseline> BenchBaseline::read(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const nlohmann::json json, read_json_file(path, kMaxBaselineBytes));
  const auto not_ours = [&] {
    return make_error(ErrorKind::kInvalid,
                      "[{}] is no result of `nibble bench --json`; --compare takes a file that "
                      "this wrote",
                      path.string());
  };
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array()) return not_ours();
  for (const auto& row : json["rows"]) {
    if (!row.is_object() || !row.contains("tokens_per_s") || !row["tokens_per_s"].is_number()) {
      return not_ours();
    }
  }
  BenchBaseline baseline;
  baseline.rows_ = json["rows"];
  return baseline;
}

double BenchBaseline::ratio(const BenchRun& run, const BenchRow& row) const {
  const Json key = row_key(run, row);
  for (const auto& old : rows_) {
    bool same = true;
    for (const auto& [name, value] : key.items()) {
      same = same && old.contains(name) && Json(old[name]) == value;
    }
    const double rate = old["tokens_per_s"].get<double>();
    if (same && rate > 0) return row.tokens_per_s / rate;
  }
  return 0;
}

Json bench_json(std::span<const BenchRun> runs, const BenchBaseline* baseline) {
  const BenchRun& run = runs.front();
  Json json;
  if (const BenchRow* row = first_row(run, false)) json["prefill_tps"] = row->tokens_per_s;
  if (const BenchRow* row = first_row(run, true)) {
    json["decode_tps"] = row->tokens_per_s;
    json["decode_bandwidth_fraction"] = row->bandwidth_fraction;
  }
  json["load_ms"] = run.load_ms;
  json["peak_rss_bytes"] = run.peak_rss_bytes;
  json["peak_anon_bytes"] = run.peak_anon_bytes;
  json["read_bandwidth_bytes_per_s"] = run.read_bandwidth_bytes_per_s;
  json["int8_ops_per_s_one_thread"] = run.int8_ops_per_s_one;
  json["int8_ops_per_s_all_threads"] = run.int8_ops_per_s_all;
  json["fma_ops_per_s_all_threads"] = run.fma_ops_per_s_all;
  json["n_threads"] = run.n_threads;
  json["cores_seen"] = run.cores_seen;
  json["disturbed"] = run.disturbed;
  json["rows"] = Json::array();
  for (const BenchRun& each : runs) {
    for (const BenchRow& row : each.rows) json["rows"].push_back(row_json(each, row, baseline));
  }
  return json;
}

void print_bench_csv(std::span<const BenchRun> runs, const BenchBaseline* baseline) {
  fmt::print(
      "test,n_tokens,depth,batch,n_threads,type_k,type_v,tokens_per_s,lowest,highest,"
      "bandwidth_fraction,read_bandwidth_bytes_per_s,cores_seen,disturbed{}\n",
      baseline != nullptr ? ",ratio" : "");
  for (const BenchRun& run : runs) {
    for (const BenchRow& row : run.rows) {
      fmt::print("{},{},{},{},{},{},{},{:.3f},{:.3f},{:.3f},{},{:.0f},{:.3f},{}",
                 row.decode ? "decode" : "prefill", row.n_tokens, row.depth, row.batch,
                 run.n_threads, cache_type_name(run.key_type), cache_type_name(run.value_type),
                 row.tokens_per_s, row.lowest, row.highest,
                 row.decode ? fmt::format("{:.4f}", row.bandwidth_fraction) : "",
                 run.read_bandwidth_bytes_per_s, run.cores_seen, run.disturbed);
      if (baseline != nullptr) {
        const double ratio = baseline->ratio(run, row);
        fmt::print(",{}", ratio > 0 ? fmt::format("{:.4f}", ratio) : "");
      }
      fmt::print("\n");
    }
  }
}

void print_bench_text(std::span<const BenchRun> runs, const BenchBaseline* baseline) {
  for (const BenchRun& run : runs) {
    if (runs.size() > 1) {
      fmt::print("{}{} thread{}, keys {}, values {}\n", &run == runs.data() ? "" : "\n",
                 run.n_threads, run.n_threads == 1 ? "" : "s", cache_type_name(run.key_type),
                 cache_type_name(run.value_type));
    }
    for (const BenchRow& row : run.rows) print_row(run, row, baseline);
    fmt::print("{:<22} {:9.0f} ms\n", "load", run.load_ms);
    fmt::print("{:<22} {} resident, of this {} not of the file\n", "memory",
               human_bytes(static_cast<double>(run.peak_rss_bytes)),
               human_bytes(static_cast<double>(run.peak_anon_bytes)));
    fmt::print(
        "{:<22} {:.1f} GB/s read, {:.0f} GOPS int8 on one thread, {:.0f} on {}, {:.0f} "
        "GFLOPS float\n",
        "this machine", run.read_bandwidth_bytes_per_s / 1e9, run.int8_ops_per_s_one / 1e9,
        run.int8_ops_per_s_all / 1e9, run.n_threads, run.fma_ops_per_s_all / 1e9);
    if (run.disturbed) {
      fmt::print(
          "disturbed: {} threads computed like {:.1f} cores while this ran; the figures are too "
          "low\n",
          run.n_threads, run.cores_seen);
    }
  }
}

}  // namespace nibble
