#include "evaluate/bench.h"

#include <algorithm>
#include <memory>

#include "base/memory.h"
#include "engine/engine.h"
#include "evaluate/median.h"
#include "evaluate/probe.h"
#include "evaluate/stopwatch.h"

namespace nibble {
namespace {

int64_t largest(const std::vector<int64_t>& list) {
  return *std::max_element(list.begin(), list.end());
}

// Decoding starts behind one token at least: there must be logits to choose from.
int64_t first_length(int64_t depth) { return std::max<int64_t>(depth, 1); }

std::vector<BenchRow> rows_of(const BenchOptions& options) {
  std::vector<BenchRow> rows;
  const auto add = [&](bool decode, int64_t n, int64_t depth, int64_t batch) {
    if (n == 0) return;
    BenchRow row;
    row.decode = decode;
    row.n_tokens = n;
    row.depth = depth;
    row.batch = batch;
    rows.push_back(row);
  };
  for (const int64_t depth : options.depths) {
    for (const int64_t n : options.n_prefill) add(false, n, depth, 1);
    for (const int64_t batch : options.batches) {
      for (const int64_t n : options.n_decode) add(true, n, depth, batch);
    }
  }
  return rows;
}

// A loaded model with as many timelines at each depth as the largest batch asks.
class Bench {
 public:
  Bench(const BenchOptions& options, const std::atomic<bool>* cancelled)
      : options_(options), cancelled_(cancelled) {}

  Status load(const std::filesystem::path& path, const BenchRun& run) {
    const int64_t per_depth = largest(options_.batches);
    EngineOptions engine;
    engine.n_threads = run.n_threads;
    engine.key_type = run.key_type;
    engine.value_type = run.value_type;
    engine.n_sessions = per_depth * static_cast<int64_t>(options_.depths.size());
    engine.n_ctx = std::max(largest(options_.depths) + largest(options_.n_prefill),
                            first_length(largest(options_.depths)) + largest(options_.n_decode));
    ASSIGN_OR_RETURN(engine_, Engine::load(path, engine));
    for (int64_t s = 0; s < engine.n_sessions; ++s) {
      ASSIGN_OR_RETURN(timelines_.emplace_back().session, engine_->new_session());
      for (int64_t i = 0; i < engine_->info().n_ctx; ++i) {  // no two alike
        timelines_.back().tokens.push_back(
            static_cast<int32_t>((i * 37 + s * 101 + 11) % engine_->info().vocab_size));
      }
    }
    return {};
  }
  // Tokens per second.
  Result<double> measure(const BenchRow& row) {
    const int64_t start = first_length(row.depth);
    RETURN_IF_ERROR(sync(row, start));  // what stands behind it is dropped
    const Stopwatch watch;
    int64_t n_done = row.n_tokens * row.batch;
    if (row.decode) {
      for (int64_t i = 1; i <= row.n_tokens; ++i) RETURN_IF_ERROR(sync(row, start + i));
    } else {
      RETURN_IF_ERROR(sync(row, std::max(row.depth + row.n_tokens, start)));
      n_done = timeline(row, 0).session->n_computed();
    }
    return static_cast<double>(n_done) / watch.seconds();
  }
  // Bytes read per decoded token, at the mean depth of the row.
  double bytes_per_token(const BenchRow& row) const {
    const EngineInfo& info = engine_->info();
    return static_cast<double>(info.bytes_read_per_token) / static_cast<double>(row.batch) +
           static_cast<double>(info.kv_bytes_per_position) *
               (static_cast<double>(first_length(row.depth)) +
                static_cast<double>(row.n_tokens) / 2);
  }
  const EngineInfo& info() const { return engine_->info(); }

 private:
  struct Timeline {
    std::unique_ptr<Session> session;
    std::vector<int32_t> tokens;
  };
  Timeline& timeline(const BenchRow& row, int64_t sequence) {
    const auto at = std::find(options_.depths.begin(), options_.depths.end(), row.depth);
    const auto place = static_cast<int64_t>(at - options_.depths.begin());
    return timelines_[static_cast<size_t>(place * largest(options_.batches) + sequence)];
  }
  Status sync(const BenchRow& row, int64_t n) {
    requests_.clear();
    for (int64_t sequence = 0; sequence < row.batch; ++sequence) {
      Timeline& one = timeline(row, sequence);
      requests_.push_back({one.session.get(), std::span(one.tokens).first(static_cast<size_t>(n))});
    }
    return engine_->sync(requests_, cancelled_);
  }

  const BenchOptions& options_;
  const std::atomic<bool>* cancelled_;
  std::unique_ptr<Engine> engine_;
  std::vector<Timeline> timelines_;
  std::vector<SyncRequest> requests_;
};

// Repeats of one row.
struct Samples {
  std::vector<double> rate, fraction;
};

Status bench_one(const std::filesystem::path& path, const BenchOptions& options,
                 const std::function<void()>& step_done, const std::atomic<bool>* cancelled,
                 BenchRun& run) {
  Bench bench(options, cancelled);
  RETURN_IF_ERROR(bench.load(path, run));
  run.load_ms = bench.info().load_ms;
  run.n_threads = bench.info().n_threads;
  run.rows = rows_of(options);
  // A round to warm up, and to see the memory before the probe takes its own.
  for (const BenchRow& row : run.rows) {
    ASSIGN_OR_RETURN(const double warm, bench.measure(row));
    static_cast<void>(warm);
    step_done();
  }
  const ProcessMemory memory = process_memory();
  run.peak_rss_bytes = memory.peak_resident;
  run.peak_anon_bytes = memory.anonymous;

  ThreadPool pool(run.n_threads);
  ASSIGN_OR_RETURN(Probe probe, Probe::create(pool));
  std::vector<Samples> samples(run.rows.size());
  std::vector<double> bandwidth, int8_one, int8_all, fma_all, cores;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (size_t i = 0; i < run.rows.size(); ++i) {
      const BenchRow& row = run.rows[i];
      const double before = row.decode ? probe.read_bandwidth() : 0;
      ASSIGN_OR_RETURN(const double rate, bench.measure(row));
      samples[i].rate.push_back(rate);
      if (row.decode) {
        bandwidth.push_back(probe.read_bandwidth());
        samples[i].fraction.push_back(rate * bench.bytes_per_token(row) /
                                      ((before + bandwidth.back()) / 2));
      }
      step_done();
    }
    if (bandwidth.empty()) bandwidth.push_back(probe.read_bandwidth());
    int8_one.push_back(probe.int8_rate(1));
    int8_all.push_back(probe.int8_rate(run.n_threads));
    fma_all.push_back(probe.fma_rate(run.n_threads));
    cores.push_back(int8_all.back() / int8_one.back());
  }
  for (size_t i = 0; i < run.rows.size(); ++i) {
    const auto [low, high] = std::minmax_element(samples[i].rate.begin(), samples[i].rate.end());
    run.rows[i].lowest = *low;
    run.rows[i].highest = *high;
    run.rows[i].tokens_per_s = median(samples[i].rate);
    run.rows[i].bandwidth_fraction = median(samples[i].fraction);
  }
  run.read_bandwidth_bytes_per_s = median(bandwidth);
  run.int8_ops_per_s_one = median(int8_one);
  run.int8_ops_per_s_all = median(int8_all);
  run.fma_ops_per_s_all = median(fma_all);
  run.cores_seen = median(cores);
  run.disturbed = run.n_threads > 1 && run.cores_seen < 0.85 * run.n_threads;
  return {};
}

}  // namespace

Result<std::vector<BenchRun>> bench_model(const std::filesystem::path& path,
                                          const BenchOptions& options,
                                          const std::function<void(int64_t, int64_t)>& progress,
                                          const std::atomic<bool>* cancelled) {
  std::vector<BenchRun> runs;
  for (const int n_threads : options.n_threads) {
    for (const FormatId key_type : options.key_types) {
      for (const FormatId value_type : options.value_types) {
        BenchRun& run = runs.emplace_back();
        run.n_threads = n_threads;
        run.key_type = key_type;
        run.value_type = value_type;
      }
    }
  }
  const auto n_steps =
      static_cast<int64_t>(runs.size() * rows_of(options).size()) * (options.repeats + 1);
  int64_t n_done = 0;
  const auto step_done = [&] { progress(++n_done, n_steps); };
  for (BenchRun& run : runs) {
    RETURN_IF_ERROR(bench_one(path, options, step_done, cancelled, run));
  }
  return runs;
}

}  // namespace nibble
