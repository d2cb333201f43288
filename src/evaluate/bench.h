// Speed and memory of a model, beside what the hardware allows.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "base/result.h"

namespace nibble {

struct BenchOptions {
  int64_t n_prefill = 512;
  int64_t n_decode = 64;  // from an empty context
  int repeats = 5;
  int n_threads = 0;  // 0: the physical cores this process may use
};

struct BenchResult {
  // Medians over the repeats.
  double prefill_tps = 0;
  double decode_tps = 0;
  double load_ms = 0;
  int64_t peak_rss_bytes = 0;   // before the probe takes its memory
  int64_t peak_anon_bytes = 0;  // the same, without pages of the file
  double read_bandwidth_bytes_per_s = 0;
  // (weights read per token, the head included, and keys and values) * tokens/s over the bandwidth
  // measured just before and after; median of these adjacent pairs.
  double decode_bandwidth_fraction = 0;
  double int8_ops_per_s_one = 0;  // in cache, on one thread
  double int8_ops_per_s_all = 0;  // on all
  int n_threads = 1;
  double cores_seen = 1;  // int8 rate of all threads over that of one
  // More than one thread, but under 0.85 of that many cores: processors share a core, or are busy.
  bool disturbed = false;
};

// kInterrupted when *cancelled becomes true; else the errors of loading.
Result<BenchResult> bench_model(const std::filesystem::path& path, const BenchOptions& options,
                                const std::function<void(int64_t, int64_t)>& progress,
                                const std::atomic<bool>* cancelled);

}  // namespace nibble
