#include "model/encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace nibble {
namespace {

int64_t whole_segments(int64_t n_tokens) {
  return (n_tokens + kSegmentPositions - 1) / kSegmentPositions * kSegmentPositions;
}

Attention::Shape attention_shape(const ModelConfig& c) {
  return {.n_heads = c.n_heads, .n_kv_heads = c.n_kv_heads, .head_dim = c.head_dim};
}

// Keys and values of all heads, float32.
class Segments final : public KvSegments {
 public:
  Segments(const ModelConfig& config, int64_t max_tokens, Buffer& keys, Buffer& values)
      : head_dim_(config.head_dim),
        head_bytes_(whole_segments(max_tokens) * config.head_dim * 4),
        keys_(keys),
        values_(values) {}
  KvSegment at(int32_t, int64_t segment, int64_t kv_head) const override {
    const int64_t offset = offset_of(segment, kv_head);
    return {keys_.data() + offset, values_.data() + offset};
  }
  void store(const KernelTable& kernels, int64_t position, int64_t head, const float* key,
             const float* value) {
    const int64_t offset = offset_of(position / kSegmentPositions, head);
    const int64_t row = position % kSegmentPositions;
    kernels.store_key(key_type, key, head_dim_, row, keys_.data() + offset);
    kernels.store_value(value_type, value, head_dim_, row, values_.data() + offset);
  }

 private:
  int64_t offset_of(int64_t segment, int64_t kv_head) const {
    return kv_head * head_bytes_ + segment * kv_segment_bytes(KvType::kFloat32, head_dim_);
  }
  int64_t head_dim_, head_bytes_;
  Buffer &keys_, &values_;
};

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
  ASSIGN_OR_RETURN(attention_, Attention::create(kernels, pool, attention_shape(c)));
  const int64_t per_run = attention_.run_tokens();
  runs_.reserve(static_cast<size_t>((max_tokens_ + per_run - 1) / per_run));
  return {};
}

int64_t Encoder::buffer_bytes(const ModelConfig& c, int64_t max_row_len, const Options& options,
                              int n_threads) {
  const int64_t rows = 2 * c.d_model + 2 * c.q_dim() + 2 * c.kv_dim() + c.rope_dims + 2;
  int64_t columns = 0;
  if (options.activations == ActivationMode::kQuantized) {
    columns = column_layout(Activation::kQ8_32, max_row_len).column_bytes +
              column_layout(Activation::kQ8_256, max_row_len).column_bytes;
  }
  return options.max_tokens * (rows * 4 + columns) +
         2 * whole_segments(options.max_tokens) * c.kv_dim() * 4 +
         FeedForward::buffer_bytes(c, options.max_tokens) +
         Attention::buffer_bytes(attention_shape(c), n_threads) +
         n_threads * kernels::scratch_bytes(max_row_len);
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
  Segments segments(c, max_tokens_, keys_, values_);
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t head = 0; head < c.n_kv_heads; ++head) {
      const int64_t from = t * c.kv_dim() + head * c.head_dim;
      segments.store(workspace_.kernels(), t, head, k_.as<float>() + from, v_.as<float>() + from);
    }
  }
  runs_.clear();
  for (int64_t t = 0; t < n; t += attention_.run_tokens()) {
    const auto first = static_cast<int32_t>(t);
    const auto count = static_cast<int32_t>(std::min(attention_.run_tokens(), n - t));
    runs_.push_back(
        {.first_row = first, .n_tokens = count, .first_position = first, .sequence = 0});
  }
  AttentionCall call;
  call.q = q_.as<float>();
  call.out = attended_.as<float>();
  call.runs = runs_;
  call.segments = &segments;
  call.scale = c.attention_scale;
  call.n_positions = n;
  attention_.run(call);
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
