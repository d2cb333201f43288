// Speed and memory of a model, beside what the hardware allows.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/result.h"
#include "formats/format.h"

namespace nibble {

// Every combination is measured.
struct BenchOptions {
  std::vector<int64_t> n_prefill = {512};  // tokens of a prompt; 0: none
  std::vector<int64_t> n_decode = {64};    // tokens generated; 0: none
  std::vector<int64_t> depths = {0};       // tokens in the context before
  std::vector<int64_t> batches = {1};      // sequences that decode together
  std::vector<int> n_threads = {0};        // 0: the physical cores this process may use
  std::vector<FormatId> key_types = {FormatId::F16};
  std::vector<FormatId> value_types = {FormatId::F16};
  int repeats = 5;
};

// One kind of work. Rates are of all sequences together.
struct BenchRow {
  bool decode = false;
  int64_t n_tokens = 0, depth = 0;
  int64_t batch = 1;                                 // of decode
  double tokens_per_s = 0, lowest = 0, highest = 0;  // over the repeats; the first is their median
  // Decode: bytes that its steps read (weights once per step, the head included, and keys and
  // values of each sequence) over the bandwidth measured just before and after; median.
  double bandwidth_fraction = 0;
};

// One engine: a number of threads and a kind of cache. Medians over the repeats.
struct BenchRun {
  int n_threads = 1;
  FormatId key_type = FormatId::F16, value_type = FormatId::F16;
  double load_ms = 0;
  // Before the probe takes its memory. The first run's are its own; later ones include what an
  // earlier run has needed.
  int64_t peak_rss_bytes = 0;
  int64_t peak_anon_bytes = 0;  // without pages of the file
  double read_bandwidth_bytes_per_s = 0;
  double int8_ops_per_s_one = 0;  // in cache, on one thread
  double int8_ops_per_s_all = 0;  // on all
  double fma_ops_per_s_all = 0;   // float operations, a fused multiply-add being two
  double cores_seen = 1;          // int8 rate of all threads over that of one
  // More than one thread, but under 0.85 of that many cores: processors share a core, or are busy.
  bool disturbed = false;
  std::vector<BenchRow> rows;
};

// kInterrupted when *cancelled becomes true; else the errors of loading.
Result<std::vector<BenchRun>> bench_model(const std::filesystem::path& path,
                                          const BenchOptions& options,
                                          const std::function<void(int64_t, int64_t)>& progress,
                                          const std::atomic<bool>* cancelled);

}  // namespace nibble
