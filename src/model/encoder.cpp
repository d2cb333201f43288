#include "model/encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "ops/attention.h"

namespace nibble {
namespace {

int64_t whole_segments(int64_t n_tokens) {
  return (n_tokens + kSegmentPositions - 1) / kSegmentPositions * kSegmentPositions;
}

}  // namespace

Result<std::unique_ptr<Encoder>> Encoder::create(const Model& model, ThreadPool& pool,
                                                 const Options& options) {
  const ModelConfig& c = model.config();
  const std::string where = model.source().path().string();
  if (!c.is_encoder) {
    return make_error(ErrorKind::kFailure, "[{}] is no encoder: {} models continue texts", where,
                      c.architecture);
  }
  if (options.max_tokens > c.n_ctx_train) {
    return make_error(ErrorKind::kFailure,
                      "[{}] takes texts of at most {} tokens; {} are too many; choose a smaller "
                      "context (-c)",
                      where, c.n_ctx_train, options.max_tokens);
  }
  std::unique_ptr<Encoder> encoder(new Encoder(model));
  RETURN_IF_ERROR(encoder->allocate(pool, options));
  return encoder;
}

Status Encoder::allocate(ThreadPool& pool, const Options& options) {
  const ModelConfig& c = model_.config();
  max_tokens_ = options.max_tokens;
  const KernelTable& kernels = options.kernels != nullptr ? *options.kernels : kernels::active();
  ASSIGN_OR_RETURN(workspace_, Workspace::create(kernels, pool, options.activations, max_tokens_,
                                                 model_.max_row_len()));
  ASSIGN_OR_RETURN(rope_, Rope::create(rope_options(model_, max_tokens_), max_tokens_));
  ASSIGN_OR_RETURN(feed_forward_, FeedForward::create(c, max_tokens_));
  const int64_t padded = whole_segments(max_tokens_);
  const std::pair<Buffer*, int64_t> buffers[] = {
      {&hidden_, max_tokens_ * c.d_model},
      {&q_, max_tokens_ * c.q_dim()},
      {&k_, max_tokens_ * c.kv_dim()},
      {&v_, max_tokens_ * c.kv_dim()},
      {&attended_, max_tokens_ * c.q_dim()},
      {&projected_, max_tokens_ * c.d_model},
      {&positions_, max_tokens_},
      {&keys_, padded * c.kv_dim()},
      {&values_, padded * c.kv_dim()},
  };
  for (const auto& [buffer, n] : buffers) {
    ASSIGN_OR_RETURN(*buffer, Buffer::allocate(static_cast<size_t>(n) * sizeof(float)));
  }
  for (int32_t i = 0; i < max_tokens_; ++i) positions_.as<int32_t>()[i] = i;
  attention_scratch_floats_ = AttentionScratch(c.head_dim, c.n_heads / c.n_kv_heads).total;
  ASSIGN_OR_RETURN(
      attention_scratch_,
      Buffer::allocate(static_cast<size_t>(attention_scratch_floats_ * pool.n_threads()) * 4));
  return {};
}

int64_t Encoder::buffer_bytes(const ModelConfig& c, int64_t max_row_len, const Options& options,
                              int n_threads) {
  const int64_t rows = 2 * c.d_model + 2 * c.q_dim() + 2 * c.kv_dim() + c.rope_dims + 2;
  const int64_t attention = AttentionScratch(c.head_dim, c.n_heads / c.n_kv_heads).total;
  int64_t columns = 0;
  if (options.activations == ActivationMode::kQuantized) {
    columns = column_layout(Activation::kQ8_32, max_row_len).column_bytes +
              column_layout(Activation::kQ8_256, max_row_len).column_bytes;
  }
  return options.max_tokens * (rows * 4 + columns) +
         2 * whole_segments(options.max_tokens) * c.kv_dim() * 4 +
         FeedForward::buffer_bytes(c, options.max_tokens) +
         n_threads * (attention * 4 + kernels::scratch_bytes(max_row_len));
}

std::span<const float> Encoder::run(std::span<const int32_t> tokens) {
  const auto n = static_cast<int64_t>(tokens.size());
  CHECK(n > 0 && n <= max_tokens_);
  embed(tokens);
  for (int64_t layer = 0; layer < model_.config().n_layers; ++layer) run_layer(layer, n);
  return {hidden_.as<float>(), static_cast<size_t>(n * model_.config().d_model)};
}

// Words, token types (all of the first kind: one text, not a pair) and positions, normalised.
void Encoder::embed(std::span<const int32_t> tokens) {
  const ModelConfig& c = model_.config();
  const KernelTable& kernels = workspace_.kernels();
  float* part = projected_.as<float>();
  const auto add = [&](const Tensor& table, int64_t row, float* to) {
    if (!table.present()) return;
    table.format->decode(table.row(row), part, c.d_model);
    kernels.add(to, part, c.d_model);
  };
  for (size_t t = 0; t < tokens.size(); ++t) {
    float* to = hidden_.as<float>() + static_cast<int64_t>(t) * c.d_model;
    std::memset(to, 0, static_cast<size_t>(c.d_model) * sizeof(float));
    add(model_.token_embd(), tokens[t], to);
    add(model_.token_types(), 0, to);
    add(model_.position_embd(), static_cast<int64_t>(t), to);
  }
  norm_rows(workspace_, c.norm, hidden_.as<float>(), model_.token_embd_norm(), c.norm_epsilon,
            static_cast<int64_t>(tokens.size()), c.d_model, hidden_.as<float>());
}

void Encoder::run_layer(int64_t layer, int64_t n) {
  const ModelConfig& c = model_.config();
  const LayerPlan& plan = model_.layers()[static_cast<size_t>(layer)];
  float* hidden = hidden_.as<float>();        // [n, d_model]
  float* projected = projected_.as<float>();  // [n, d_model]
  const auto add_and_norm = [&](const Norm& norm) {
    add_rows(workspace_, hidden, projected, n, c.d_model);
    norm_rows(workspace_, c.norm, hidden, norm, c.norm_epsilon, n, c.d_model, hidden);
  };
  {
    Input input(workspace_, hidden, n, c.d_model, c.d_model);
    matmul(plan.attn_q, input, q_.as<float>(), c.q_dim());
    matmul(plan.attn_k, input, k_.as<float>(), c.kv_dim());
    matmul(plan.attn_v, input, v_.as<float>(), c.kv_dim());
  }
  if (plan.turn != LayerPlan::Turn::none) {
    rope_.set_positions({positions_.as<int32_t>(), static_cast<size_t>(n)});
    rope_.apply(workspace_, q_.as<float>(), n, c.n_heads, c.head_dim);
    rope_.apply(workspace_, k_.as<float>(), n, c.n_kv_heads, c.head_dim);
  }
  attention(n);
  {
    Input input(workspace_, attended_.as<float>(), n, c.q_dim(), c.q_dim());
    matmul(plan.attn_output, input, projected, c.d_model);
  }
  add_and_norm(plan.attn_output_norm);
  feed_forward_.run(workspace_, c, plan, layer, hidden, n, projected, {});
  add_and_norm(plan.layer_output_norm);
}

void Encoder::attention(int64_t n) {
  const ModelConfig& c = model_.config();
  const KernelTable& kernels = workspace_.kernels();
  const int64_t padded = whole_segments(max_tokens_);
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t head = 0; head < c.n_kv_heads; ++head) {
      const int64_t from = t * c.kv_dim() + head * c.head_dim;
      const int64_t to = (head * padded + t) * c.head_dim;
      const auto size = static_cast<size_t>(c.head_dim) * sizeof(float);
      std::memcpy(keys_.as<float>() + to, k_.as<float>() + from, size);
      std::memcpy(values_.as<float>() + to, v_.as<float>() + from, size);
    }
  }
  const int64_t n_runs = (n + kRunTokens - 1) / kRunTokens;
  workspace_.pool().parallel_for(
      n_runs * c.n_kv_heads, 1, [&](int64_t begin, int64_t end, int thread) {
        for (int64_t i = begin; i < end; ++i) {
          AttentionTask task;
          task.first_position = i / c.n_kv_heads * kRunTokens;
          task.q = q_.as<float>() + task.first_position * c.q_dim();
          task.out = attended_.as<float>() + task.first_position * c.q_dim();
          task.n_tokens = std::min(kRunTokens, n - task.first_position);
          task.n_heads = c.n_heads;
          task.group = c.n_heads / c.n_kv_heads;
          task.kv_head = i % c.n_kv_heads;
          task.head_dim = c.head_dim;
          task.scale = c.attention_scale;
          task.n_positions = n;
          attend(kernels, task, attention_scratch_.as<float>() + thread * attention_scratch_floats_,
                 [&](int64_t segment, int64_t, float*, float*, AttentionArgs& args) {
                   const int64_t at =
                       (task.kv_head * padded + segment * kSegmentPositions) * c.head_dim;
                   args.keys = keys_.as<float>() + at;
                   args.values = values_.as<float>() + at;
                 });
        }
      });
}

void pool_hidden(const KernelTable& kernels, Pooling pooling, std::span<const float> hidden,
                 std::span<float> out) {
  const size_t width = out.size(), n = hidden.size() / width;
  const float* row = hidden.data();
  if (pooling == Pooling::last) row += (n - 1) * width;
  std::memcpy(out.data(), row, width * sizeof(float));
  if (pooling == Pooling::cls || pooling == Pooling::last) return;
  for (size_t t = 1; t < n; ++t) {
    kernels.add(out.data(), hidden.data() + t * width, static_cast<int64_t>(width));
  }
  kernels.scale(out.data(), 1.0f / static_cast<float>(n), static_cast<int64_t>(width));
}

void normalize_length(std::span<float> x) {
  double squares = 0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  if (squares == 0) return;
  const double inverse = 1.0 / std::sqrt(squares);
  for (float& v : x) v = static_cast<float>(static_cast<double>(v) * inverse);
}

}  // namespace nibble
