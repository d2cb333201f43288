#include "model/decoder.h"

#include <cstring>

namespace nibble {
namespace {

Rope::Options local_rope(const ModelConfig& c) {
  Rope::Options rope;
  rope.base = c.rope_local_base;
  rope.n_dims = c.rope_local_base > 0 ? c.rope_dims : 0;
  rope.interleaved = c.rope_interleaved;
  return rope;
}

Attention::Shape attention_shape(const ModelConfig& c) {
  return {.n_heads = c.n_heads, .n_kv_heads = c.n_kv_heads, .head_dim = c.head_dim};
}

}  // namespace

Status Decoder::allocate(ThreadPool& pool, const Options& options) {
  const ModelConfig& c = model_.config();
  max_batch_ = options.max_batch;
  const KernelTable& kernels = options.kernels != nullptr ? *options.kernels : kernels::active();
  ASSIGN_OR_RETURN(workspace_, Workspace::create(kernels, pool, options.activations, max_batch_,
                                                 model_.max_row_len()));
  ASSIGN_OR_RETURN(
      global_rope_,
      Rope::create(rope_options(model_, options.n_ctx > 0 ? options.n_ctx : c.n_ctx_train),
                   max_batch_));
  ASSIGN_OR_RETURN(local_rope_, Rope::create(local_rope(c), max_batch_));
  ASSIGN_OR_RETURN(feed_forward_, FeedForward::create(c, max_batch_));
  const std::pair<Buffer*, int64_t> buffers[] = {
      {&hidden_, c.d_model},    {&normed_, c.d_model}, {&q_, c.q_dim()},
      {&k_, c.kv_dim()},        {&v_, c.kv_dim()},     {&attended_, c.q_dim()},
      {&projected_, c.d_model}, {&positions_, 1},      {&runs_, sizeof(AttentionRun) / 4},
  };
  for (const auto& [buffer, width] : buffers) {
    ASSIGN_OR_RETURN(*buffer,
                     Buffer::allocate(static_cast<size_t>(width * max_batch_) * sizeof(float)));
  }
  ASSIGN_OR_RETURN(attention_, Attention::create(kernels, pool, attention_shape(c)));
  return {};
}

int64_t Decoder::buffer_bytes(const ModelConfig& c, int64_t max_row_len, const Options& options,
                              int n_threads) {
  const int64_t n_ropes = c.rope_local_base > 0 ? 2 : 1;
  const int64_t rows = 3 * c.d_model + 2 * c.q_dim() + 2 * c.kv_dim() + n_ropes * (c.rope_dims + 1);
  int64_t columns = 0;
  if (options.activations == ActivationMode::kQuantized) {
    columns = column_layout(Activation::kQ8_32, max_row_len).column_bytes +
              column_layout(Activation::kQ8_256, max_row_len).column_bytes;
  }
  return options.max_batch * (rows * 4 + columns) +
         FeedForward::buffer_bytes(c, options.max_batch) +
         Attention::buffer_bytes(attention_shape(c), n_threads) +
         n_threads * kernels::scratch_bytes(max_row_len) + c.vocab_size * 4;
}

Result<std::unique_ptr<Decoder>> Decoder::create(const Model& model, ThreadPool& pool,
                                                 const Options& options) {
  const ModelConfig& c = model.config();
  const std::string where = model.source().path().string();
  if (c.is_encoder) {
    return make_error(ErrorKind::kFailure,
                      "[{}] is an encoder ({}): it has no next token; `nibble embed` gives its "
                      "embeddings",
                      where, c.architecture);
  }
  if (model.position_embd().present() && options.n_ctx > model.position_embd().n_rows) {
    return make_error(ErrorKind::kFailure,
                      "[{}] has embeddings for {} positions; a context of {} is too long; choose a "
                      "smaller one (-c)",
                      where, model.position_embd().n_rows, options.n_ctx);
  }
  std::unique_ptr<Decoder> decoder(new Decoder(model));
  RETURN_IF_ERROR(decoder->allocate(pool, options));
  return decoder;
}

void Decoder::call_hook(TensorRole role, int64_t layer, const float* x, int64_t n_tokens,
                        int64_t n) {
  if (hook_) hook_({role, layer}, x, n_tokens, n);
}

void Decoder::forward(std::span<const BatchToken> batch, KvCache& cache, float* logits) {
  float* hidden = hidden_.as<float>();
  embed(batch, hidden);
  for (int64_t layer = 0; layer < model_.config().n_layers; ++layer)
    run_layer(layer, batch, cache, hidden);
  head(batch, hidden, logits);
}

void Decoder::embed(std::span<const BatchToken> batch, float* hidden) {
  const Tensor& table = model_.token_embd();
  const Tensor& positions = model_.position_embd();
  const ModelConfig& c = model_.config();
  const KernelTable& kernels = workspace_.kernels();
  float* position = normed_.as<float>();
  for (const BatchToken& token : batch) {
    table.format->decode(table.row(token.token), hidden, c.d_model);
    if (c.embedding_scale != 1.0f) kernels.scale(hidden, c.embedding_scale, c.d_model);
    if (positions.present()) {
      positions.format->decode(positions.row(token.position), position, c.d_model);
      kernels.add(hidden, position, c.d_model);
    }
    hidden += c.d_model;
  }
}

void Decoder::run_layer(int64_t layer, std::span<const BatchToken> batch, KvCache& cache,
                        float* hidden) {
  const ModelConfig& c = model_.config();
  const LayerPlan& plan = model_.layers()[static_cast<size_t>(layer)];
  const auto n = static_cast<int64_t>(batch.size());
  float* normed = normed_.as<float>();        // [n, d_model]
  float* attended = attended_.as<float>();    // [n, n_heads, head_dim]
  float* projected = projected_.as<float>();  // [n, d_model]
  const auto norm = [&](const float* x, const Norm& weights, float* out) {
    norm_rows(workspace_, c.norm, x, weights, c.norm_epsilon, n, c.d_model, out);
  };

  norm(hidden, plan.attn_norm, normed);
  project(plan, layer, batch, cache);
  attention(layer, batch, cache);
  call_hook(TensorRole::attn_output, layer, attended, n, c.q_dim());
  {
    Input input(workspace_, attended, n, c.q_dim(), c.q_dim());
    matmul(plan.attn_output, input, projected, c.d_model);
  }
  if (plan.attn_post_norm.present()) norm(projected, plan.attn_post_norm, projected);

  // Side by side, the feed-forward network starts from the layer's input; else from the sum.
  if (c.parallel_residual) norm(hidden, plan.ffn_norm, normed);
  add_rows(workspace_, hidden, projected, n, c.d_model);
  if (!c.parallel_residual) norm(hidden, plan.ffn_norm, normed);
  feed_forward_.run(workspace_, c, plan, layer, normed, n, projected, hook_);
  if (plan.ffn_post_norm.present()) norm(projected, plan.ffn_post_norm, projected);
  add_rows(workspace_, hidden, projected, n, c.d_model);
}

// normed_ -> q_ and, in the cache, keys and values, all turned to their positions.
void Decoder::project(const LayerPlan& plan, int64_t layer, std::span<const BatchToken> batch,
                      KvCache& cache) {
  const ModelConfig& c = model_.config();
  const auto n = static_cast<int64_t>(batch.size());
  float* normed = normed_.as<float>();
  float* q = q_.as<float>();  // [n, n_heads, head_dim]
  float* k = k_.as<float>();  // [n, n_kv_heads, head_dim]
  float* v = v_.as<float>();  // [n, n_kv_heads, head_dim]
  call_hook(TensorRole::attn_q, layer, normed, n, c.d_model);
  {
    Input input(workspace_, normed, n, c.d_model, c.d_model);
    matmul(plan.attn_q, input, q, c.q_dim());
    matmul(plan.attn_k, input, k, c.kv_dim());
    matmul(plan.attn_v, input, v, c.kv_dim());
  }
  const auto norm_heads = [&](float* x, const Norm& norm, int64_t n_heads) {
    if (!norm.present()) return;
    norm_rows(workspace_, c.norm, x, norm, c.norm_epsilon, n * n_heads, c.head_dim, x);
  };
  norm_heads(q, plan.attn_q_norm, c.n_heads);
  norm_heads(k, plan.attn_k_norm, c.n_kv_heads);
  if (plan.turn != LayerPlan::Turn::none) {
    auto* positions = positions_.as<int32_t>();
    for (size_t t = 0; t < batch.size(); ++t) positions[t] = batch[t].position;
    Rope& rope = plan.turn == LayerPlan::Turn::local ? local_rope_ : global_rope_;
    rope.set_positions({positions, batch.size()});
    rope.apply(workspace_, q, n, c.n_heads, c.head_dim);
    rope.apply(workspace_, k, n, c.n_kv_heads, c.head_dim);
  }
  for (int64_t t = 0; t < n; ++t) {
    const BatchToken& token = batch[static_cast<size_t>(t)];
    cache.store(workspace_.kernels(), layer, token.sequence, token.position, k + t * c.kv_dim(),
                v + t * c.kv_dim());
  }
}

void Decoder::head(std::span<const BatchToken> batch, const float* hidden, float* logits) {
  const ModelConfig& c = model_.config();
  float* wanted = projected_.as<float>();  // [n_wanted, d_model]
  int64_t n_wanted = 0;
  for (size_t t = 0; t < batch.size(); ++t) {
    if (!batch[t].want_logits) continue;
    std::memcpy(wanted + n_wanted++ * c.d_model, hidden + static_cast<int64_t>(t) * c.d_model,
                static_cast<size_t>(c.d_model) * sizeof(float));
  }
  if (n_wanted == 0) return;
  final_norm(wanted, n_wanted);
  call_hook(TensorRole::output, -1, wanted, n_wanted, c.d_model);
  Input input(workspace_, wanted, n_wanted, c.d_model, c.d_model);
  matmul(model_.output(), input, logits, c.vocab_size);
  if (c.logit_softcap > 0.0f) {
    softcap_rows(workspace_, logits, c.logit_softcap, n_wanted, c.vocab_size);
  }
}

void Decoder::final_norm(float* hidden, int64_t n_tokens) {
  const ModelConfig& c = model_.config();
  norm_rows(workspace_, c.norm, hidden, model_.output_norm(), c.norm_epsilon, n_tokens, c.d_model,
            hidden);
}

std::span<const AttentionRun> Decoder::split_into_runs(std::span<const BatchToken> batch) {
  auto* runs = runs_.as<AttentionRun>();
  size_t n_runs = 0;
  for (size_t t = 0; t < batch.size(); ++t) {
    const bool extends = n_runs > 0 && runs[n_runs - 1].n_tokens < attention_.run_tokens() &&
                         batch[t].sequence == batch[t - 1].sequence &&
                         batch[t].position == batch[t - 1].position + 1;
    if (extends) {
      ++runs[n_runs - 1].n_tokens;
    } else {
      runs[n_runs++] = {.first_row = static_cast<int32_t>(t),
                        .n_tokens = 1,
                        .first_position = batch[t].position,
                        .sequence = batch[t].sequence};
    }
  }
  return {runs, n_runs};
}

void Decoder::attention(int64_t layer, std::span<const BatchToken> batch, const KvCache& cache) {
  const ModelConfig& c = model_.config();
  const KvCache::Layer segments = cache.layer(layer);
  AttentionCall call;
  call.q = q_.as<float>();
  call.out = attended_.as<float>();
  call.runs = split_into_runs(batch);
  call.segments = &segments;
  call.scale = c.attention_scale;
  call.softcap = c.attention_softcap;
  call.window = model_.layers()[static_cast<size_t>(layer)].window;
  attention_.run(call);
}

}  // namespace nibble
