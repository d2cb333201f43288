#include "model/decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace nibble {
namespace {

// What attend() needs per thread, in floats, in this order.
struct AttentionScratch {
  int64_t queries, state, scores, keys, values, visible, total;
  AttentionScratch(const ModelConfig& config, int64_t max_queries) {
    const int64_t padded = max_queries + 3;
    queries = 0;
    state = queries + padded * config.head_dim;
    scores = state + padded * (config.head_dim + 2);
    keys = scores + padded * kSegmentPositions;
    values = keys + kSegmentPositions * config.head_dim;
    visible = values + kSegmentPositions * config.head_dim;
    total = (visible + padded + 15) / 16 * 16;
  }
};

}  // namespace

Status Decoder::allocate(ThreadPool& pool, const Options& options) {
  const ModelConfig& c = model_.config();
  max_batch_ = options.max_batch;
  const KernelTable& kernels = options.kernels != nullptr ? *options.kernels : kernels::active();
  ASSIGN_OR_RETURN(workspace_, Workspace::create(kernels, pool, options.activations, max_batch_,
                                                 model_.max_row_len()));
  Rope::Options rope;
  rope.base = c.rope_base;
  rope.position_scale = c.rope_position_scale;
  rope.n_dims = c.rope_dims;
  rope.interleaved = c.rope_interleaved;
  rope.factors = model_.rope_factors();
  ASSIGN_OR_RETURN(rope_, Rope::create(rope, max_batch_));
  const std::pair<Buffer*, int64_t> buffers[] = {
      {&hidden_, c.d_model}, {&normed_, c.d_model},   {&q_, c.q_dim()},          {&k_, c.kv_dim()},
      {&v_, c.kv_dim()},     {&attended_, c.q_dim()}, {&projected_, c.d_model},  {&gate_, c.d_ff},
      {&up_, c.d_ff},        {&positions_, 1},        {&runs_, sizeof(Run) / 4},
  };
  for (const auto& [buffer, width] : buffers) {
    ASSIGN_OR_RETURN(*buffer,
                     Buffer::allocate(static_cast<size_t>(width * max_batch_) * sizeof(float)));
  }
  attention_scratch_floats_ = AttentionScratch(c, kRunTokens * (c.n_heads / c.n_kv_heads)).total;
  ASSIGN_OR_RETURN(
      attention_scratch_,
      Buffer::allocate(static_cast<size_t>(attention_scratch_floats_ * pool.n_threads()) * 4));
  return {};
}

int64_t Decoder::buffer_bytes(const ModelConfig& c, int64_t max_row_len, const Options& options,
                              int n_threads) {
  const int64_t rows = 3 * c.d_model + 2 * c.q_dim() + 2 * c.kv_dim() + 2 * c.d_ff + c.rope_dims;
  const int64_t attention = AttentionScratch(c, kRunTokens * (c.n_heads / c.n_kv_heads)).total;
  int64_t columns = 0;
  if (options.activations == ActivationMode::kQuantized) {
    columns = column_layout(Activation::kQ8_32, max_row_len).column_bytes +
              column_layout(Activation::kQ8_256, max_row_len).column_bytes;
  }
  return options.max_batch * (rows * 4 + columns) +
         n_threads * (attention * 4 + kernels::scratch_bytes(max_row_len)) + c.vocab_size * 4;
}

Result<std::unique_ptr<Decoder>> Decoder::create(const Model& model, ThreadPool& pool,
                                                 const Options& options) {
  std::unique_ptr<Decoder> decoder(new Decoder(model));
  RETURN_IF_ERROR(decoder->allocate(pool, options));
  return decoder;
}

void Decoder::call_hook(TensorRole role, int64_t layer, const float* x, int64_t n_tokens,
                        int64_t n) {
  if (hook_) hook_(role, layer, x, n_tokens, n);
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
  const int64_t d_model = model_.config().d_model;
  for (size_t t = 0; t < batch.size(); ++t) {
    table.format->decode(table.row(batch[t].token), hidden + static_cast<int64_t>(t) * d_model,
                         d_model);
  }
}

void Decoder::run_layer(int64_t layer, std::span<const BatchToken> batch, KvCache& cache,
                        float* hidden) {
  const ModelConfig& c = model_.config();
  const LayerPlan& plan = model_.layers()[static_cast<size_t>(layer)];
  const auto n = static_cast<int64_t>(batch.size());
  float* normed = normed_.as<float>();        // [n, d_model]
  float* q = q_.as<float>();                  // [n, n_heads, head_dim]
  float* k = k_.as<float>();                  // [n, n_kv_heads, head_dim]
  float* v = v_.as<float>();                  // [n, n_kv_heads, head_dim]
  float* projected = projected_.as<float>();  // [n, d_model]
  float* gate = gate_.as<float>();            // [n, d_ff]
  float* up = up_.as<float>();                // [n, d_ff]

  rms_norm_rows(workspace_, hidden, plan.attn_norm, c.norm_epsilon, n, c.d_model, normed);
  call_hook(TensorRole::attn_q, layer, normed, n, c.d_model);
  {
    Input input(workspace_, normed, n, c.d_model, c.d_model);
    matmul(plan.attn_q, input, q, c.q_dim());
    matmul(plan.attn_k, input, k, c.kv_dim());
    matmul(plan.attn_v, input, v, c.kv_dim());
  }
  auto* positions = positions_.as<int32_t>();
  for (int64_t t = 0; t < n; ++t) positions[t] = batch[static_cast<size_t>(t)].position;
  rope_.set_positions(positions, n);
  rope_.apply(workspace_, q, n, c.n_heads, c.head_dim);
  rope_.apply(workspace_, k, n, c.n_kv_heads, c.head_dim);
  for (int64_t t = 0; t < n; ++t) {
    const BatchToken& token = batch[static_cast<size_t>(t)];
    cache.store(workspace_.kernels(), layer, token.sequence, token.position, k + t * c.kv_dim(),
                v + t * c.kv_dim());
  }
  attention(layer, batch, cache);
  call_hook(TensorRole::attn_output, layer, attended_.as<float>(), n, c.q_dim());
  {
    Input input(workspace_, attended_.as<float>(), n, c.q_dim(), c.q_dim());
    matmul(plan.attn_output, input, projected, c.d_model);
  }
  add_rows(workspace_, hidden, projected, n, c.d_model);

  rms_norm_rows(workspace_, hidden, plan.ffn_norm, c.norm_epsilon, n, c.d_model, normed);
  call_hook(TensorRole::ffn_gate, layer, normed, n, c.d_model);
  {
    Input input(workspace_, normed, n, c.d_model, c.d_model);
    matmul(plan.ffn_gate, input, gate, c.d_ff);
    matmul(plan.ffn_up, input, up, c.d_ff);
  }
  silu_mul_rows(workspace_, gate, up, n, c.d_ff);
  call_hook(TensorRole::ffn_down, layer, gate, n, c.d_ff);
  {
    Input input(workspace_, gate, n, c.d_ff, c.d_ff);
    matmul(plan.ffn_down, input, projected, c.d_model);
  }
  add_rows(workspace_, hidden, projected, n, c.d_model);
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
  rms_norm_rows(workspace_, wanted, model_.output_norm(), c.norm_epsilon, n_wanted, c.d_model,
                wanted);
  call_hook(TensorRole::output, -1, wanted, n_wanted, c.d_model);
  Input input(workspace_, wanted, n_wanted, c.d_model, c.d_model);
  matmul(model_.output(), input, logits, c.vocab_size);
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
          attend(run, task % n_kv_heads, layer, batch, cache, thread);
        }
      });
}

// All query heads that share one KV head, for the tokens of one run, over every segment they see.
void Decoder::attend(const Run& run, int64_t kv_head, int64_t layer,
                     std::span<const BatchToken> batch, const KvCache& cache, int thread) {
  const ModelConfig& c = model_.config();
  const KernelTable& kernels = workspace_.kernels();
  const int64_t group = c.n_heads / c.n_kv_heads, n_queries = run.count * group;
  const AttentionScratch layout(c, kRunTokens * group);
  float* scratch = attention_scratch_.as<float>() + thread * attention_scratch_floats_;
  float* queries = scratch + layout.queries;  // [run.count, group, head_dim]
  float* state = scratch + layout.state;
  auto* visible = reinterpret_cast<int32_t*>(scratch + layout.visible);
  const int64_t state_width = c.head_dim + 2;
  for (int64_t i = 0; i < n_queries; ++i) {
    const int64_t token = run.first + i / group, head = kv_head * group + i % group;
    std::memcpy(queries + i * c.head_dim, q_.as<float>() + (token * c.n_heads + head) * c.head_dim,
                static_cast<size_t>(c.head_dim) * sizeof(float));
    std::fill_n(state + i * state_width, state_width, 0.0f);
    state[i * state_width] = -3.0e38f;
  }
  const BatchToken& first = batch[static_cast<size_t>(run.first)];
  const int64_t n_positions = first.position + run.count;
  AttentionArgs args;
  args.queries = queries;
  args.query_stride = c.head_dim;
  args.n_queries = n_queries;
  args.n_visible = visible;
  args.head_dim = c.head_dim;
  args.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  args.state = state;
  args.scores = scratch + layout.scores;
  for (int64_t begin = 0; begin < n_positions; begin += kSegmentPositions) {
    for (int64_t i = 0; i < n_queries; ++i) {
      const int64_t sees = first.position + i / group + 1 - begin;
      visible[i] = static_cast<int32_t>(std::clamp<int64_t>(sees, 0, kSegmentPositions));
    }
    const int64_t n = std::min(kSegmentPositions, n_positions - begin),
                  segment = begin / kSegmentPositions;
    args.keys =
        cache.keys(kernels, layer, first.sequence, segment, kv_head, n, scratch + layout.keys);
    args.values =
        cache.values(kernels, layer, first.sequence, segment, kv_head, n, scratch + layout.values);
    kernels.attention_segment(args);
  }
  for (int64_t i = 0; i < n_queries; ++i) {
    const int64_t token = run.first + i / group, head = kv_head * group + i % group;
    kernels.attention_finish(state + i * state_width, c.head_dim,
                             attended_.as<float>() + (token * c.n_heads + head) * c.head_dim);
  }
}

}  // namespace nibble
