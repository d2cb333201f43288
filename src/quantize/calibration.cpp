#include "quantize/calibration.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "engine/engine.h"
#include "evaluate/documents.h"
#include "model/decoder.h"

namespace nibble {
namespace {

using Site = std::pair<TensorRole, int64_t>;  // of one hook: whose input, in which layer

// The sums of one input, in double: the order of tokens is fixed, so the bits are, too.
struct Collected {
  std::vector<double> sums;  // [n]
  int64_t n_tokens = 0;
};

class Collector {
 public:
  explicit Collector(ThreadPool& pool) : pool_(pool) {}

  // x: [n_tokens, n]. Threads share out columns, so that each sum is added by one thread.
  void add(TensorRole role, int64_t layer, const float* x, int64_t n_tokens, int64_t n) {
    Collected& site = sites_[{role, layer}];
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

  ImportanceMatrix matrix(bool tied) const {
    ImportanceMatrix result;
    for (const auto& [site, collected] : sites_) {
      ImportanceEntry entry;
      entry.sums.assign(collected.sums.begin(), collected.sums.end());
      entry.counts = {static_cast<float>(collected.n_tokens)};
      for (const TensorRole role : weights_behind(site.first, tied)) {
        result.add(tensor_name(role, static_cast<int>(site.second)), entry);
      }
    }
    return result;
  }

 private:
  // The weights that one input goes into (model/decoder.cpp calls the hook once for all of them).
  static std::vector<TensorRole> weights_behind(TensorRole role, bool tied) {
    switch (role) {
      case TensorRole::attn_q:
        return {TensorRole::attn_q, TensorRole::attn_k, TensorRole::attn_v};
      case TensorRole::ffn_gate:
        return {TensorRole::ffn_gate, TensorRole::ffn_up};
      case TensorRole::output:
        return {tied ? TensorRole::token_embd : TensorRole::output};
      default:
        return {role};
    }
  }

  ThreadPool& pool_;
  std::map<Site, Collected> sites_;
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
  rig.decoder->set_hook([&](TensorRole role, int64_t layer, const float* x, int64_t n_tokens,
                            int64_t n) { collector.add(role, layer, x, n_tokens, n); });
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
    progress(i + 1, n_chunks);
  }
  ImportanceMatrix matrix = collector.matrix(rig.model->tied());
  matrix.set_source({{options.text.filename().string()},
                     static_cast<uint32_t>(n_chunks),
                     static_cast<uint32_t>(rig.decoder->max_batch())});
  return matrix;
}

}  // namespace nibble
