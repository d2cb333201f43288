#include "model/decoder.h"

#include <cstring>

#include "ops/attention.h"

namespace nibble {
namespace {

Rope::Options local_rope(const ModelConfig& c) {
  Rope::Options rope;
  rope.base = c.rope_local_base;
  rope.n_dims = c.rope_local_base > 0 ? c.rope_dims : 0;
  rope.interleaved = c.rope_interleaved;
  return rope;
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
      {&projected_, c.d_model}, {&positions_, 1},      {&runs_, sizeof(Run) / 4},
  };
  for (const auto& [buffer, width] : buffers) {
    ASSIGN_OR_RETURN(*buffer,
                     Buffer::allocate(static_cast<size_t>(width * max_batch_) * sizeof(float)));
  }
  attention_scratch_floats_ = AttentionScratch(c.head_dim, c.n_heads / c.n_kv_heads).total;
  ASSIGN_OR_RETURN(
      attention_scratch_,
      Buffer::allocate(static_cast<size_t>(attention_scratch_floats_ * pool.n_threads()) * 4));
  return {};
}

int64_t Decoder::buffer_bytes(const ModelConfig& c, int64_t max_row_len, const Options& options,
                              int n_threads) {
  const int64_t n_ropes = c.rope_local_base > 0 ? 2 : 1;
  const int64_t rows = 3 * c.d_model + 2 * c.q_dim() + 2 * c.kv_dim() + n_ropes * (c.rope_dims + 1);
  const int64_t attention = AttentionScratch(c.head_dim, c.n_heads / c.n_kv_heads).total;
  int64_t columns = 0;
  if (options.activations == ActivationMode::kQuantized) {
    columns = column_layout(Activation::kQ8_32, max_row_len).column_bytes +
              column_layout(Activation::kQ8_256, max_row_len).column_bytes;
  }
  return options.max_batch * (rows * 4 + columns) +
         FeedForward::buffer_bytes(c, options.max_batch) +
         n_threads * (attention * 4 + kernels::scratch_bytes(max_row_len)) + c.vocab_size * 4;
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

int64_t Decoder::split_into_runs(std::span<const BatchToken> batch) {
  auto* runs = runs_.as<Run>();
  int64_t n_runs = 0;
  for (size_t t = 0; t < batch.size(); ++t) {
    const bool extends = n_runs > 0 && runs[n_runs - 1].count < kRunTokens &&
                         batch[t].sequence == batch[t - 1].sequence &&
                         batch[t].position == batch[t - 1].position + 1;
    if (extends) {
      ++runs[n_runs - 1].count;
    } else {
      runs[n_runs++] = {static_cast<int32_t>(t), 1};
    }
  }
  return n_runs;
}

void Decoder::attention(int64_t layer, std::span<const BatchToken> batch, const KvCache& cache) {
  const int64_t n_kv_heads = model_.config().n_kv_heads;
  const int64_t n_runs = split_into_runs(batch);
  // Later runs of a prompt see more positions: dealing them first keeps the threads level.
  workspace_.pool().parallel_for(
      n_runs * n_kv_heads, 1, [&](int64_t begin, int64_t end, int thread) {
        for (int64_t task = begin; task < end; ++task) {
          const Run& run = runs_.as<Run>()[n_runs - 1 - task / n_kv_heads];
          attend_run(run, task % n_kv_heads, layer, batch, cache, thread);
        }
      });
}

void Decoder::attend_run(const Run& run, int64_t kv_head, int64_t layer,
                         std::span<const BatchToken> batch, const KvCache& cache, int thread) {
  const ModelConfig& c = model_.config();
  const KernelTable& kernels = workspace_.kernels();
  const BatchToken& first = batch[static_cast<size_t>(run.first)];
  AttentionTask task;
  task.q = q_.as<float>() + run.first * c.q_dim();
  task.out = attended_.as<float>() + run.first * c.q_dim();
  task.n_tokens = run.count;
  task.n_heads = c.n_heads;
  task.group = c.n_heads / c.n_kv_heads;
  task.kv_head = kv_head;
  task.head_dim = c.head_dim;
  task.scale = c.attention_scale;
  task.softcap = c.attention_softcap;
  task.first_position = first.position;
  task.window = model_.layers()[static_cast<size_t>(layer)].window;
  attend(kernels, task, attention_scratch_.as<float>() + thread * attention_scratch_floats_,
         [&](int64_t segment, int64_t n, float* keys, float* values, AttentionArgs& args) {
           args.keys = cache.keys(kernels, layer, first.sequence, segment, kv_head, n, keys);
           args.values = cache.values(kernels, layer, first.sequence, segment, kv_head, n, values);
         });
}

}  // namespace nibble
