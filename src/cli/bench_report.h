// What nibble bench says, as text, CSV or JSON, and beside an earlier result.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

#include "evaluate/bench.h"

namespace nibble {

// Rates that an earlier `nibble bench --json` wrote.
class BenchBaseline {
 public:
  // Errors: no such file, or no result of bench.
  static Result<BenchBaseline> read(const std::filesystem::path& path);
  // How many times as fast as the same row there; 0 when that has none.
  double ratio(const BenchRun& run, const BenchRow& row) const;

 private:
  nlohmann::json rows_;
};

// baseline null: none. The first prefill and the first decode row stand at the top level, too.
nlohmann::ordered_json bench_json(std::span<const BenchRun> runs, const BenchBaseline* baseline);
void print_bench_csv(std::span<const BenchRun> runs, const BenchBaseline* baseline);
void print_bench_text(std::span<const BenchRun> runs, const BenchBaseline* baseline);

}  // namespace nibble
