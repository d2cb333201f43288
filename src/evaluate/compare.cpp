#include "evaluate/compare.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "base/file.h"
#include "evaluate/documents.h"
#include "evaluate/median.h"
#include "model/decoder.h"
#include "model/vocabulary.h"

namespace nibble {
namespace {

// One model, ready to compute windows.
struct Runner {
  std::unique_ptr<Model> model;
  std::unique_ptr<Decoder> decoder;
  KvCache cache;
};

Result<Runner> make_runner(const std::filesystem::path& path, ThreadPool& pool, int64_t window,
                           ActivationMode activations, FormatId kv_type) {
  Runner runner;
  ASSIGN_OR_RETURN(runner.model, Model::load(path, pool));
  Decoder::Options options;
  options.max_batch = std::min(window, runner.model->config().n_ctx_train);
  options.n_ctx = options.max_batch;
  options.activations = activations;
  if (activations == ActivationMode::kQuantized) {
    const Status moved = runner.model->interleave(kernels::active(), pool);
    if (!moved.ok() && moved.error().kind != ErrorKind::kResource) return moved.error();
  }
  ASSIGN_OR_RETURN(runner.decoder, Decoder::create(*runner.model, pool, options));
  KvCache::Options cache;
  cache.n_ctx = options.max_batch;
  cache.key_type = cache.value_type = kv_type;
  ASSIGN_OR_RETURN(runner.cache, KvCache::create(runner.model->config(), cache));
  return runner;
}

// Logits at the scored positions of a window: [n_scored, vocab_size].
void compute_window(Runner& runner, const Window& window, std::vector<BatchToken>& batch,
                    float* logits) {
  const auto n = static_cast<int64_t>(window.tokens.size());
  runner.cache.truncate(0, 0);
  CHECK(runner.cache.reserve(0, n));
  batch.clear();
  for (int64_t i = 0; i < n; ++i) {
    batch.push_back({window.tokens[static_cast<size_t>(i)], static_cast<int32_t>(i), 0,
                     i >= window.first_scored && i < n - 1});
  }
  runner.decoder->forward(batch, runner.cache, logits);
}

// Milliseconds to decode n tokens from an empty context.
double decode_ms(Runner& runner, int64_t n, float* logits) {
  runner.cache.truncate(0, 0);
  const auto step = [&](int64_t i) {
    CHECK(runner.cache.reserve(0, i + 1));
    const BatchToken token{static_cast<int32_t>((i * 37 + 11) % runner.model->config().vocab_size),
                           static_cast<int32_t>(i), 0, true};
    runner.decoder->forward({&token, 1}, runner.cache, logits);
  };
  step(0);
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 1; i <= n; ++i) step(i);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

double bits_per_weight(const ModelSource& file) {
  int64_t n_params = 0, bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    n_params += tensor.n_elements();
    bytes += static_cast<int64_t>(tensor.size_bytes);
  }
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(n_params);
}

class Comparer {
 public:
  Comparer(const CompareOptions& options, ThreadPool& pool) : options_(options), pool_(pool) {}

  Status load(const std::filesystem::path& base, const std::vector<std::filesystem::path>& models);
  Status cut_text();
  Status score(const std::function<void(int64_t, int64_t)>& progress,
               const std::atomic<bool>* cancelled);
  Status measure_speed(const std::filesystem::path& base, const std::atomic<bool>* cancelled);
  Status check_files() const;
  Comparison result() &&;

 private:
  int64_t vocab_size() const { return base_.model->config().vocab_size; }

  const CompareOptions& options_;
  ThreadPool& pool_;
  Runner base_;
  std::vector<Runner> runners_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Window> windows_;
  std::vector<std::vector<TokenScore>> scores_;  // per model
  std::vector<int32_t> clusters_;                // per scored token
  Comparison comparison_;
};

// What was measured was measured on whole files.
Status Comparer::check_files() const {
  RETURN_IF_ERROR(base_.model->source().check_unchanged());
  for (const Runner& runner : runners_) RETURN_IF_ERROR(runner.model->source().check_unchanged());
  return {};
}

Status Comparer::load(const std::filesystem::path& base,
                      const std::vector<std::filesystem::path>& models) {
  ASSIGN_OR_RETURN(
      base_, make_runner(base, pool_, options_.window, ActivationMode::kFloat, FormatId::F32));
  ASSIGN_OR_RETURN(VocabularyData vocabulary, read_vocabulary(base_.model->source().metadata()));
  ASSIGN_OR_RETURN(tokenizer_, Tokenizer::create(std::move(vocabulary)));
  comparison_.base_path = base;
  comparison_.base_file_bytes = static_cast<int64_t>(base_.model->source().file_bytes());
  for (const auto& path : models) {
    ASSIGN_OR_RETURN(Runner runner, make_runner(path, pool_, options_.window,
                                                ActivationMode::kQuantized, FormatId::F16));
    ASSIGN_OR_RETURN(const VocabularyData other,
                     read_vocabulary(runner.model->source().metadata()));
    if (runner.model->config().vocab_size != vocab_size() ||
        other.tokens != tokenizer_->vocabulary().tokens) {
      return make_error(ErrorKind::kFailure,
                        "[{}] has another vocabulary than {}; only files of one model can "
                        "be compared",
                        path.string(), base.string());
    }
    ComparedModel compared;
    compared.path = path;
    compared.file_bytes = static_cast<int64_t>(runner.model->source().file_bytes());
    compared.bits_per_weight = bits_per_weight(runner.model->source());
    comparison_.models.push_back(std::move(compared));
    runners_.push_back(std::move(runner));
  }
  return {};
}

Status Comparer::cut_text() {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(options_.text));
  int64_t length = std::min(options_.window, base_.decoder->max_batch());
  for (const Runner& runner : runners_) length = std::min(length, runner.decoder->max_batch());
  windows_ = make_windows(*tokenizer_, text, length, options_.max_tokens);
  std::set<int32_t> documents;
  for (const Window& window : windows_) {
    documents.insert(window.document);
    comparison_.n_scored += static_cast<int64_t>(window.tokens.size()) - 1 - window.first_scored;
  }
  comparison_.n_documents = static_cast<int64_t>(documents.size());
  comparison_.n_windows = static_cast<int64_t>(windows_.size());
  if (comparison_.n_scored > 0) return {};
  return make_error(ErrorKind::kFailure,
                    "[{}] gives no window of at least {} tokens; give a longer text",
                    options_.text.string(), std::min(kMinWindow, length));
}

Status Comparer::score(const std::function<void(int64_t, int64_t)>& progress,
                       const std::atomic<bool>* cancelled) {
  const int64_t vocab = vocab_size();
  const auto bytes = static_cast<size_t>(base_.decoder->max_batch() * vocab) * sizeof(float);
  ASSIGN_OR_RETURN(Buffer log_p, Buffer::allocate(bytes));
  ASSIGN_OR_RETURN(Buffer p, Buffer::allocate(bytes));
  ASSIGN_OR_RETURN(Buffer logits, Buffer::allocate(bytes));
  const auto row = [&](Buffer& buffer, int64_t i) {
    return std::span<float>(buffer.as<float>() + i * vocab, static_cast<size_t>(vocab));
  };
  std::vector<BatchToken> batch;
  std::vector<TokenScore> window_scores;
  scores_.resize(runners_.size());
  const auto n_steps = static_cast<int64_t>(windows_.size() * (runners_.size() + 1));
  int64_t step = 0;
  for (const Window& window : windows_) {
    const int64_t n = static_cast<int64_t>(window.tokens.size()) - 1 - window.first_scored;
    compute_window(base_, window, batch, log_p.as<float>());
    pool_.parallel_for(n, 1, [&](int64_t begin, int64_t, int) {
      normalize_reference(row(log_p, begin), row(p, begin));
    });
    progress(++step, n_steps);
    clusters_.insert(clusters_.end(), static_cast<size_t>(n), window.document);
    for (size_t m = 0; m < runners_.size(); ++m) {
      if (cancelled != nullptr && cancelled->load()) {
        return make_error(ErrorKind::kInterrupted, "[compare] interrupted");
      }
      compute_window(runners_[m], window, batch, logits.as<float>());
      window_scores.assign(static_cast<size_t>(n), {});
      pool_.parallel_for(n, 1, [&](int64_t i, int64_t, int) {
        window_scores[static_cast<size_t>(i)] =
            score_token(row(log_p, i), row(p, i), row(logits, i),
                        window.tokens[static_cast<size_t>(window.first_scored + i + 1)]);
      });
      scores_[m].insert(scores_[m].end(), window_scores.begin(), window_scores.end());
      progress(++step, n_steps);
    }
  }
  return {};
}

Status Comparer::measure_speed(const std::filesystem::path& base,
                               const std::atomic<bool>* cancelled) {
  // The base as people would run it: with the activations of its own format.
  ASSIGN_OR_RETURN(Runner plain, make_runner(base, pool_, options_.window,
                                             ActivationMode::kQuantized, FormatId::F16));
  ASSIGN_OR_RETURN(Buffer logits,
                   Buffer::allocate(static_cast<size_t>(vocab_size()) * sizeof(float)));
  const int64_t n = std::min(options_.speed_tokens, plain.decoder->max_batch() - 1);
  if (n < 1) return {};
  std::vector<std::vector<double>> ratios(runners_.size());
  for (int repeat = 0; repeat < options_.speed_repeats; ++repeat) {
    for (size_t m = 0; m < runners_.size(); ++m) {
      if (cancelled != nullptr && cancelled->load()) {
        return make_error(ErrorKind::kInterrupted, "[compare] interrupted");
      }
      const double base_ms = decode_ms(plain, n, logits.as<float>());
      ratios[m].push_back(base_ms / decode_ms(runners_[m], n, logits.as<float>()));
    }
  }
  for (size_t m = 0; m < runners_.size(); ++m)
    comparison_.models[m].decode_speedup = median(ratios[m]);
  return {};
}

Comparison Comparer::result() && {
  for (size_t m = 0; m < runners_.size(); ++m) {
    comparison_.models[m].divergence = summarize(scores_[m], clusters_);
    comparison_.base_ppl = comparison_.models[m].divergence.ppl_base;
  }
  return std::move(comparison_);
}

}  // namespace

Result<Comparison> compare_models(const std::filesystem::path& base,
                                  const std::vector<std::filesystem::path>& models,
                                  const CompareOptions& options,
                                  const std::function<void(int64_t, int64_t)>& progress,
                                  const std::atomic<bool>* cancelled) {
  ThreadPool pool(options.n_threads);
  Comparer comparer(options, pool);
  RETURN_IF_ERROR(comparer.load(base, models));
  RETURN_IF_ERROR(comparer.cut_text());
  RETURN_IF_ERROR(comparer.score(progress, cancelled));
  RETURN_IF_ERROR(comparer.measure_speed(base, cancelled));
  RETURN_IF_ERROR(comparer.check_files());
  return std::move(comparer).result();
}

}  // namespace nibble
