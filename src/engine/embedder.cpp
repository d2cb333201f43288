#include "engine/embedder.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/finite.h"
#include "base/memory.h"
#include "model/decoder.h"
#include "model/encoder.h"

namespace nibble {
namespace {

Pooling pooling_of(PoolBy by) {
  return by == PoolBy::mean ? Pooling::mean : by == PoolBy::cls ? Pooling::cls : Pooling::last;
}

PoolBy choose_pooling(const ModelConfig& config, const EmbedderOptions& options) {
  if (options.pooling) return *options.pooling;
  switch (config.pooling) {
    case Pooling::mean:
      return PoolBy::mean;
    case Pooling::cls:
      return PoolBy::cls;
    case Pooling::last:
      return PoolBy::last;
    case Pooling::none:
      break;
  }
  return config.is_encoder ? PoolBy::mean : PoolBy::last;
}

class EmbedderImpl final : public Embedder {
 public:
  explicit EmbedderImpl(int n_threads) : pool_(n_threads) {}

  Status open(const std::filesystem::path& path, const EmbedderOptions& options);
  const EmbedderInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  Result<std::vector<float>> embed(std::span<const int32_t> tokens) override;

 private:
  Status open_encoder(const EmbedderOptions& options);
  Status open_decoder(const EmbedderOptions& options);
  Status check_memory(int64_t buffer_bytes) const;
  std::span<const float> decoder_states(std::span<const int32_t> tokens);

  ThreadPool pool_;
  EmbedderInfo info_;
  bool normalize_ = true;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Encoder> encoder_;  // this one or the other
  std::unique_ptr<Decoder> decoder_;
  KvCache cache_;
  Buffer states_;  // [n_ctx, d_model] of a decoder
};

Status EmbedderImpl::check_memory(int64_t buffer_bytes) const {
  const double weights = static_cast<double>(model_->source().file_bytes()) +
                         static_cast<double>(model_->held_bytes());
  const double needed = weights + static_cast<double>(buffer_bytes);
  const auto available = static_cast<double>(available_memory_bytes());
  if (needed <= available) return {};
  return make_error(ErrorKind::kResource,
                    "[{}] needs {:.1f} GB (weights {:.1f}, texts of {} tokens the rest); {:.1f} GB "
                    "are available; choose a smaller context (-c)",
                    model_->source().path().string(), needed / 1e9, weights / 1e9, info_.n_ctx,
                    available / 1e9);
}

Status EmbedderImpl::open(const std::filesystem::path& path, const EmbedderOptions& options) {
  ASSIGN_OR_RETURN(model_, Model::load(path, pool_));
  ASSIGN_OR_RETURN(tokenizer_, load_tokenizer(path));
  const ModelConfig& c = model_->config();
  info_.architecture = c.architecture;
  info_.width = c.d_model;
  info_.n_ctx = options.n_ctx > 0 ? options.n_ctx : std::min(c.n_ctx_train, kDefaultContext);
  info_.pooling = choose_pooling(c, options);
  normalize_ = options.normalize;
  return c.is_encoder ? open_encoder(options) : open_decoder(options);
}

Status EmbedderImpl::open_encoder(const EmbedderOptions& options) {
  Encoder::Options encoder;
  encoder.max_tokens = info_.n_ctx;
  encoder.activations = options.activations;
  RETURN_IF_ERROR(check_memory(
      Encoder::buffer_bytes(model_->config(), model_->max_row_len(), encoder, pool_.n_threads())));
  ASSIGN_OR_RETURN(encoder_, Encoder::create(*model_, pool_, encoder));
  return {};
}

Status EmbedderImpl::open_decoder(const EmbedderOptions& options) {
  const ModelConfig& c = model_->config();
  KvCache::Options cache;
  cache.n_ctx = info_.n_ctx;
  Decoder::Options decoder;
  decoder.max_batch = std::min(decoder.max_batch, info_.n_ctx);
  decoder.n_ctx = info_.n_ctx;
  decoder.activations = options.activations;
  const int64_t states_bytes = info_.n_ctx * c.d_model * 4;
  RETURN_IF_ERROR(
      check_memory(KvCache::size_bytes(c, cache, info_.n_ctx) + states_bytes +
                   Decoder::buffer_bytes(c, model_->max_row_len(), decoder, pool_.n_threads())));
  ASSIGN_OR_RETURN(cache_, KvCache::create(c, cache));
  ASSIGN_OR_RETURN(decoder_, Decoder::create(*model_, pool_, decoder));
  ASSIGN_OR_RETURN(states_, Buffer::allocate(static_cast<size_t>(states_bytes)));
  return {};
}

// The states of a model that continues texts, behind its final norm.
std::span<const float> EmbedderImpl::decoder_states(std::span<const int32_t> tokens) {
  const int64_t d_model = model_->config().d_model;
  const auto n = static_cast<int64_t>(tokens.size());
  auto* states = states_.as<float>();
  cache_.truncate(0, 0);
  CHECK(cache_.reserve(0, n));
  std::vector<BatchToken> batch;
  for (int64_t begin = 0; begin < n; begin += decoder_->max_batch()) {
    const int64_t end = std::min(n, begin + decoder_->max_batch());
    batch.clear();
    for (int64_t i = begin; i < end; ++i) {
      batch.push_back({tokens[static_cast<size_t>(i)], static_cast<int32_t>(i), 0, false});
    }
    float* hidden = states + begin * d_model;
    decoder_->embed(batch, hidden);
    for (int64_t layer = 0; layer < model_->config().n_layers; ++layer) {
      decoder_->run_layer(layer, batch, cache_, hidden);
    }
    decoder_->final_norm(hidden, end - begin);
  }
  return {states, static_cast<size_t>(n * d_model)};
}

Result<std::vector<float>> EmbedderImpl::embed(std::span<const int32_t> tokens) {
  if (tokens.empty() || static_cast<int64_t>(tokens.size()) > info_.n_ctx) {
    return make_error(
        ErrorKind::kFailure,
        "[text] has {} tokens; 1 to {} are allowed; shorten it, or let its end be cut "
        "off (--cut)",
        tokens.size(), info_.n_ctx);
  }
  for (const int32_t token : tokens) {
    if (token < 0 || token >= model_->config().vocab_size) {
      return make_error(ErrorKind::kFailure, "[text] token {} is not in 0..{}", token,
                        model_->config().vocab_size - 1);
    }
  }
  const std::span<const float> states =
      encoder_ != nullptr ? encoder_->run(tokens) : decoder_states(tokens);
  RETURN_IF_ERROR(model_->source().check_unchanged());
  std::vector<float> vector(static_cast<size_t>(info_.width));
  pool_hidden(kernels::active(), pooling_of(info_.pooling), states, vector);
  if (!all_finite(vector)) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the model's answer is no number (NaN or infinity); its weights are "
                      "damaged or were made from a broken model",
                      model_->source().path().string());
  }
  if (normalize_) normalize_length(vector);
  return vector;
}

}  // namespace

Result<std::unique_ptr<Embedder>> Embedder::load(const std::filesystem::path& path,
                                                 const EmbedderOptions& options) {
  const int n_threads = options.n_threads > 0 ? options.n_threads : usable_cores();
  auto embedder = std::make_unique<EmbedderImpl>(n_threads);
  RETURN_IF_ERROR(embedder->open(path, options));
  return std::unique_ptr<Embedder>(std::move(embedder));
}

Result<std::vector<float>> Embedder::embed(std::string_view text, bool cut) {
  std::vector<int32_t> tokens = tokenizer().encode(text, {});
  const auto limit = static_cast<size_t>(info().n_ctx);
  if (cut && tokens.size() > limit) {
    const VocabularyData& vocabulary = tokenizer().vocabulary();
    const int32_t last = tokens.back();
    tokens.resize(limit);
    if (last == vocabulary.sep || last == vocabulary.eos) tokens.back() = last;
  }
  return embed(tokens);
}

}  // namespace nibble
