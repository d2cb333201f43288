#include "engine/engine_impl.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/cpu.h"
#include "base/log.h"
#include "base/memory.h"
#include "model/encoder.h"
#include "model/hf_export.h"
#include "model/source.h"
#include "model/vocabulary.h"

namespace nibble {
namespace {

Result<std::unique_ptr<Tokenizer>> make_tokenizer(const ModelSource& source,
                                                  const std::filesystem::path& path) {
  auto vocabulary = read_vocabulary(source.metadata());
  auto tokenizer = vocabulary.ok() ? Tokenizer::create(vocabulary.take())
                                   : Result<std::unique_ptr<Tokenizer>>(vocabulary.error());
  if (tokenizer.ok()) return tokenizer;
  return make_error(tokenizer.error().kind, "[{}] {}", path.string(), tokenizer.error().message);
}

// What a model needs against what there is. Returns the bytes that are needed beside the weights.
Result<int64_t> check_memory(const std::filesystem::path& path, const Model& model,
                             const KvCache::Options& cache, const Decoder::Options& decoder,
                             int n_threads) {
  // In floating point: hyperparameters are bounded one by one, their product is not.
  const ModelConfig& c = model.config();
  const double kv = static_cast<double>(KvCache::size_bytes(c, cache, KvCache::kBlockPositions)) *
                    (static_cast<double>(cache.n_ctx) / KvCache::kBlockPositions + 1) *
                    static_cast<double>(cache.n_sequences);
  const double buffers =
      static_cast<double>(Decoder::buffer_bytes(c, model.max_row_len(), decoder, n_threads));
  const double weights = static_cast<double>(
      (model.source().file_bytes() + static_cast<uint64_t>(model.held_bytes())));
  const double available = static_cast<double>(available_memory_bytes());
  if (weights + kv + buffers <= available) return static_cast<int64_t>(kv + buffers);
  return make_error(
      ErrorKind::kResource,
      "[{}] needs {:.1f} GB (weights {:.1f}, context of {} {:.1f}, buffers "
      "{:.1f}); {:.1f} GB are available; choose a smaller context (-c) or more bits saved",
      path.string(), (weights + kv + buffers) / 1e9, weights / 1e9, cache.n_ctx, kv / 1e9,
      buffers / 1e9, available / 1e9);
}

}  // namespace

Status EngineImpl::open(const std::filesystem::path& path, const EngineOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(model_, Model::open(path));
  const ModelConfig& c = model_->config();
  ASSIGN_OR_RETURN(tokenizer_, make_tokenizer(model_->source(), path));

  KvCache::Options cache;
  cache.n_ctx = options.n_ctx > 0 ? options.n_ctx : std::min(c.n_ctx_train, kDefaultContext);
  cache.n_sequences = options.n_sessions;
  cache.key_type = options.key_type;
  cache.value_type = options.value_type;
  if (cache.n_ctx > c.n_ctx_train) {
    warn("[{}] a context of {} is longer than the {} the model was made for", path.string(),
         cache.n_ctx, c.n_ctx_train);
  }
  Decoder::Options decoder;
  decoder.max_batch = std::min(options.n_batch, cache.n_ctx * options.n_sessions);
  decoder.n_ctx = cache.n_ctx;
  decoder.activations = options.activations;
  ASSIGN_OR_RETURN(const int64_t other_bytes,
                   check_memory(path, *model_, cache, decoder, pool_.n_threads()));
  ASSIGN_OR_RETURN(cache_, KvCache::create(c, cache));
  if (decoder.activations == ActivationMode::kQuantized && !options.mapped_weights) {
    const Status moved = model_->interleave(kernels::active(), pool_, other_bytes);
    if (!moved.ok() && moved.error().kind != ErrorKind::kResource) return moved;
  }
  if (!options.mapped_weights) RETURN_IF_ERROR(model_->check_values(pool_));
  ASSIGN_OR_RETURN(decoder_, Decoder::create(*model_, pool_, decoder));
  batch_.reserve(static_cast<size_t>(decoder_->max_batch()));
  ASSIGN_OR_RETURN(
      step_logits_,
      Buffer::allocate(static_cast<size_t>(options.n_sessions * c.vocab_size) * sizeof(float)));
  for (int64_t s = options.n_sessions; s-- > 0;) free_sequences_.push_back(static_cast<int32_t>(s));

  info_.architecture = c.architecture;
  const GgufValue* name = model_->source().metadata().find("general.name");
  info_.name =
      std::string(name != nullptr && name->as_string() ? *name->as_string() : path.stem().string());
  for (const GgufTensor& tensor : model_->source().tensors()) info_.n_params += tensor.n_elements();
  info_.file_bytes = static_cast<int64_t>(model_->source().file_bytes());
  info_.n_ctx = cache.n_ctx;
  info_.n_ctx_train = c.n_ctx_train;
  info_.vocab_size = c.vocab_size;
  info_.bytes_read_per_token = model_->bytes_read_per_token();
  info_.kv_bytes_per_position =
      KvCache::size_bytes(c, cache, KvCache::kBlockPositions) / KvCache::kBlockPositions;
  info_.n_threads = pool_.n_threads();
  info_.load_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return {};
}

Result<std::unique_ptr<Session>> EngineImpl::new_session() {
  if (free_sequences_.empty()) {
    return make_error(ErrorKind::kFailure, "[engine] all sessions are in use; close one first");
  }
  const int32_t sequence = free_sequences_.back();
  free_sequences_.pop_back();
  return std::unique_ptr<Session>(std::make_unique<SessionImpl>(*this, sequence));
}

Result<std::unique_ptr<Engine>> Engine::load(const std::filesystem::path& path,
                                             const EngineOptions& options) {
  const int n_threads = options.n_threads > 0 ? options.n_threads : usable_cores();
  auto engine = std::make_unique<EngineImpl>(n_threads);
  RETURN_IF_ERROR(engine->open(path, options));
  return std::unique_ptr<Engine>(std::move(engine));
}

const char* isa_error() { return kernels::isa_error(); }

Result<std::unique_ptr<ModelSource>> open_model(const std::filesystem::path& path) {
  return open_source(path);
}

Result<ExportSummary> export_model(const ModelSource& source, const std::filesystem::path& folder,
                                   FormatId decoded, ThreadPool& pool,
                                   const std::function<void(uint64_t, uint64_t)>& progress,
                                   const std::atomic<bool>* cancelled) {
  const ExportOptions options = {.decoded = decoded};
  ASSIGN_OR_RETURN(ExportReport report,
                   export_folder(source, folder, options, pool, progress, cancelled));
  return ExportSummary{.file_bytes = report.file_bytes,
                       .n_files = report.files.size(),
                       .n_tensors = report.n_tensors,
                       .n_decoded = report.n_decoded,
                       .warnings = std::move(report.warnings)};
}

Result<std::unique_ptr<Tokenizer>> load_tokenizer(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const auto source, open_source(path));
  return make_tokenizer(*source, path);
}

Result<ChatTemplateSource> load_chat_template(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const auto source, open_source(path));
  const GgufMetadata& metadata = source->metadata();
  ChatTemplateSource found;
  if (const GgufValue* text = metadata.find("tokenizer.chat_template")) {
    found.text = text->as_string().value_or("");
  }
  const GgufValue* list = metadata.find("tokenizer.ggml.tokens");
  const auto tokens = list != nullptr ? list->as_strings() : std::nullopt;
  if (!tokens) return found;
  for (const auto& [name, key] : {std::pair{"bos_token", "bos_token_id"},
                                  {"eos_token", "eos_token_id"},
                                  {"unk_token", "unknown_token_id"},
                                  {"pad_token", "padding_token_id"},
                                  {"sep_token", "seperator_token_id"},
                                  {"cls_token", "cls_token_id"},
                                  {"mask_token", "mask_token_id"}}) {
    const GgufValue* id = metadata.find(std::string("tokenizer.ggml.") + key);
    const auto index = id != nullptr ? id->as_uint() : std::nullopt;
    if (index && *index < tokens->size())
      found.special_tokens.emplace_back(name, (*tokens)[*index]);
  }
  return found;
}

namespace {
// Beside the weights: buffers, and keys and values in F16.
double working_bytes(const ModelConfig& config, int64_t row_len, int64_t n_ctx) {
  if (config.is_encoder) {
    Encoder::Options options;
    options.max_tokens = n_ctx;
    return static_cast<double>(Encoder::buffer_bytes(config, row_len, options, usable_cores()));
  }
  Decoder::Options options;
  options.max_batch = std::min<int64_t>(options.max_batch, n_ctx);
  const int64_t n_blocks = (n_ctx + KvCache::kBlockPositions - 1) / KvCache::kBlockPositions;
  return static_cast<double>(KvCache::size_bytes(config, {}, KvCache::kBlockPositions)) *
             static_cast<double>(n_blocks) +
         static_cast<double>(Decoder::buffer_bytes(config, row_len, options, usable_cores()));
}
}  // namespace

std::vector<MemoryNeed> memory_needs(const std::filesystem::path& path) {
  const auto source = open_source(path);
  if (!source.ok()) return {};
  const auto config = read_config(**source, path.string());
  if (!config.ok()) return {};
  std::vector<MemoryNeed> needs;
  const int64_t row_len = std::max({config->d_model, config->d_ff, config->q_dim()});
  for (const int64_t n_ctx : {int64_t{2048}, int64_t{8192}, config->n_ctx_train}) {
    if (n_ctx > config->n_ctx_train || (!needs.empty() && needs.back().n_ctx >= n_ctx)) continue;
    const double bytes =
        static_cast<double>((*source)->file_bytes()) + working_bytes(*config, row_len, n_ctx);
    if (bytes < 9e18) needs.push_back({n_ctx, static_cast<int64_t>(bytes)});
  }
  return needs;
}

}  // namespace nibble
