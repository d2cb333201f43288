#include "quantize/calibration.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/finite.h"
#include "engine/engine.h"
#include "evaluate/documents.h"
#include "model/decoder.h"

namespace nibble {
namespace {

// The sums of one input, in double: the order of tokens is fixed, so the bits are, too.
struct Collected {
  std::vector<double> sums;  // [n]
  int64_t n_tokens = 0;
};

class Collector {
 public:
  explicit Collector(ThreadPool& pool) : pool_(pool) {}

  // x: [n_tokens, n]. Threads share out columns, so that each sum is added by one thread.
  void add(const LinearSite& where, const float* x, int64_t n_tokens, int64_t n) {
    Collected& site = sites_[where];
    site.sums.resize(static_cast<size_t>(n));
    site.n_tokens += n_tokens;
    double* sums = site.sums.data();
    constexpr int64_t kColumns = 64;
    pool_.parallel_for((n + kColumns - 1) / kColumns, 1, [&](int64_t begin, int64_t end, int) {
      const int64_t last = std::min(n, end * kColumns);
      for (int64_t t = 0; t < n_tokens; ++t) {
        for (int64_t j = begin * kColumns; j < last; ++j) {
          const double v = x[t * n + j];
          sums[j] += v * v;
        }
      }
    });
  }

  // One entry per weight; of the experts of a mixture their sums one after the other, zeros for
  // those that saw no token.
  ImportanceMatrix matrix(const Model& model) const {
    ImportanceMatrix result;
    for (auto site = sites_.begin(); site != sites_.end();) {
      const LinearSite& where = site->first;
      const size_t n = site->second.sums.size();
      const auto n_matrices = static_cast<size_t>(where.expert >= 0 ? model.config().n_experts : 1);
      ImportanceEntry entry;
      entry.sums.resize(n_matrices * n);
      entry.counts.resize(n_matrices);
      auto end = site;
      for (;
           end != sites_.end() && end->first.role == where.role && end->first.layer == where.layer;
           ++end) {
        const auto matrix = static_cast<size_t>(std::max<int64_t>(end->first.expert, 0));
        std::copy(end->second.sums.begin(), end->second.sums.end(),
                  entry.sums.begin() + static_cast<ptrdiff_t>(matrix * n));
        entry.counts[matrix] = static_cast<float>(end->second.n_tokens);
      }
      for (const std::string& name :
           model.weights_behind(where.role, static_cast<int>(where.layer))) {
        result.add(name, entry);
      }
      site = end;
    }
    return result;
  }

 private:
  ThreadPool& pool_;
  std::map<LinearSite, Collected> sites_;
};

struct Rig {
  std::unique_ptr<Model> model;
  std::unique_ptr<Decoder> decoder;
  KvCache cache;
  std::unique_ptr<Tokenizer> tokenizer;
};

Result<Rig> make_rig(const std::filesystem::path& path, const CalibrateOptions& options,
                     ThreadPool& pool) {
  Rig rig;
  ASSIGN_OR_RETURN(rig.model, Model::load(path, pool));
  ASSIGN_OR_RETURN(rig.tokenizer, load_tokenizer(path));
  Decoder::Options decoder;
  decoder.max_batch = std::min(options.chunk_tokens, rig.model->config().n_ctx_train);
  decoder.n_ctx = decoder.max_batch;
  ASSIGN_OR_RETURN(rig.decoder, Decoder::create(*rig.model, pool, decoder));
  KvCache::Options cache;
  cache.n_ctx = decoder.max_batch;
  cache.key_type = cache.value_type = FormatId::F32;
  ASSIGN_OR_RETURN(rig.cache, KvCache::create(rig.model->config(), cache));
  return rig;
}

}  // namespace

Result<ImportanceMatrix> calibrate(const std::filesystem::path& model,
                                   const CalibrateOptions& options,
                                   const std::function<void(int64_t, int64_t)>& progress,
                                   const std::atomic<bool>* cancelled) {
  ThreadPool pool(options.n_threads);
  ASSIGN_OR_RETURN(Rig rig, make_rig(model, options, pool));
  ASSIGN_OR_RETURN(const std::string text, read_text_file(options.text));
  const std::vector<Window> chunks =
      make_windows(*rig.tokenizer, text, rig.decoder->max_batch(), options.max_tokens);
  if (chunks.empty()) {
    return make_error(ErrorKind::kFailure,
                      "[{}] is too short to calibrate on: not one chunk of {} tokens; give a text "
                      "of some hundred kilobytes that resembles what the model will be used for",
                      options.text.string(), std::min(kMinWindow, rig.decoder->max_batch()));
  }
  Collector collector(pool);
  rig.decoder->set_hook([&](const LinearSite& site, const float* x, int64_t n_tokens, int64_t n) {
    collector.add(site, x, n_tokens, n);
  });
  std::vector<float> logits(
      static_cast<size_t>(rig.decoder->max_batch() * rig.model->config().vocab_size));
  std::vector<BatchToken> batch;
  const auto n_chunks = static_cast<int64_t>(chunks.size());
  for (int64_t i = 0; i < n_chunks; ++i) {
    if (cancelled != nullptr && cancelled->load()) {
      return make_error(ErrorKind::kInterrupted, "[calibrate] interrupted; nothing was written");
    }
    const std::vector<int32_t>& tokens = chunks[static_cast<size_t>(i)].tokens;
    rig.cache.truncate(0, 0);
    CHECK(rig.cache.reserve(0, static_cast<int64_t>(tokens.size())));
    batch.clear();
    for (const int32_t token : tokens) {
      batch.push_back({token, static_cast<int32_t>(batch.size()), 0, true});
    }
    rig.decoder->forward(batch, rig.cache, logits.data());
    const auto n_logits = batch.size() * static_cast<size_t>(rig.model->config().vocab_size);
    if (!all_finite({logits.data(), n_logits})) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] the model's answer is no number (NaN or infinity), so nothing can be "
                        "learned from it; its weights are damaged",
                        model.string());
    }
    progress(i + 1, n_chunks);
  }
  ImportanceMatrix matrix = collector.matrix(*rig.model);
  matrix.set_source({{options.text.filename().string()},
                     static_cast<uint32_t>(n_chunks),
                     static_cast<uint32_t>(rig.decoder->max_batch())});
  return matrix;
}

}  // namespace nibble
