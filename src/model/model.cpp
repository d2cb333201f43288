#include "model/model.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "model/source.h"

namespace nibble {

Tensor* Model::slot(TensorRole role, int layer) {
  if (role == TensorRole::token_embd) return &token_embd_;
  if (role == TensorRole::output) return &output_;
  if (role == TensorRole::position_embd) return &position_embd_;
  if (role == TensorRole::token_types) return &token_types_;
  if (layer < 0) return nullptr;
  LayerPlan& plan = layers_[static_cast<size_t>(layer)];
  switch (role) {
    case TensorRole::attn_q:
      return &plan.attn_q;
    case TensorRole::attn_k:
      return &plan.attn_k;
    case TensorRole::attn_v:
      return &plan.attn_v;
    case TensorRole::attn_output:
      return &plan.attn_output;
    case TensorRole::ffn_gate_inp:
      return &plan.ffn_gate_inp;
    case TensorRole::ffn_gate:
      return &plan.ffn_gate;
    case TensorRole::ffn_up:
      return &plan.ffn_up;
    case TensorRole::ffn_down:
      return &plan.ffn_down;
    default:
      return nullptr;
  }
}

Norm* Model::norm_slot(TensorRole role, int layer) {
  if (role == TensorRole::output_norm) return &output_norm_;
  if (role == TensorRole::token_embd_norm) return &token_embd_norm_;
  if (layer < 0) return nullptr;
  LayerPlan& plan = layers_[static_cast<size_t>(layer)];
  switch (role) {
    case TensorRole::attn_norm:
      return &plan.attn_norm;
    case TensorRole::attn_q_norm:
      return &plan.attn_q_norm;
    case TensorRole::attn_k_norm:
      return &plan.attn_k_norm;
    case TensorRole::attn_post_norm:
      return &plan.attn_post_norm;
    case TensorRole::attn_output_norm:
      return &plan.attn_output_norm;
    case TensorRole::ffn_norm:
      return &plan.ffn_norm;
    case TensorRole::ffn_post_norm:
      return &plan.ffn_post_norm;
    case TensorRole::layer_output_norm:
      return &plan.layer_output_norm;
    default:
      return nullptr;
  }
}

// Puts a matrix where it belongs, a fused one in parts; biases stay.
void Model::place(TensorRole role, int layer, const Tensor& matrix) {
  const auto put = [](Tensor& to, const Tensor& from) {
    const float* bias = to.bias;
    to = from;
    to.bias = bias;
  };
  if (role == TensorRole::attn_qkv) {
    LayerPlan& plan = layers_[static_cast<size_t>(layer)];
    const int64_t q = config_.q_dim(), kv = config_.kv_dim();
    put(plan.attn_q, rows_of(matrix, 0, q));
    put(plan.attn_k, rows_of(matrix, q, kv));
    put(plan.attn_v, rows_of(matrix, q + kv, kv));
  } else if (role == TensorRole::ffn_up && config_.fused_gate_up) {
    LayerPlan& plan = layers_[static_cast<size_t>(layer)];
    put(plan.ffn_gate, rows_of(matrix, 0, config_.d_ff));
    put(plan.ffn_up, rows_of(matrix, config_.d_ff, config_.d_ff));
  } else {
    Tensor* to = slot(role, layer);
    CHECK(to != nullptr);
    put(*to, matrix);
  }
}

void Model::place_bias(TensorRole role, int layer, const float* bias) {
  if (Norm* norm = norm_slot(role, layer)) {
    norm->bias = bias;
  } else if (role == TensorRole::attn_qkv) {
    LayerPlan& plan = layers_[static_cast<size_t>(layer)];
    plan.attn_q.bias = bias;
    plan.attn_k.bias = bias + config_.q_dim();
    plan.attn_v.bias = bias + config_.q_dim() + config_.kv_dim();
  } else {
    Tensor* matrix = slot(role, layer);
    CHECK(matrix != nullptr);
    matrix->bias = bias;
  }
}

// The bytes of a tensor: in the map, or put together in memory of our own.
Result<const std::byte*> Model::hold(const GgufTensor& tensor) {
  if (const auto bytes = source_->view(tensor); !bytes.empty()) return bytes.data();
  ASSIGN_OR_RETURN(Buffer buffer, Buffer::allocate(tensor.size_bytes));
  source_->read(tensor, 0, tensor.n_elements(), buffer.data());
  source_->dont_need(tensor);
  held_bytes_ += static_cast<int64_t>(buffer.size());
  held_.push_back(std::move(buffer));
  return held_.back().data();
}

Status Model::bind(const TensorRule& rule, int layer) {
  const std::string name = tensor_name(rule.role, layer, rule.part);
  const std::string where = source_->path().string();
  const GgufTensor* tensor = source_->find_tensor(name);
  if (tensor == nullptr) {
    if (!rule.required()) return {};
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} is missing; the file holds no complete model", where,
                      name);
  }
  const int64_t n_matrices = rule.part == TensorPart::experts ? config_.n_experts : 1;
  const int64_t row_len = dim_size(config_, rule.row_len),
                n_rows = dim_size(config_, rule.n_rows) * n_matrices;
  if (tensor->row_len() != row_len || tensor->n_rows() != n_rows) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} has the shape [{}, {}]; [{}, {}] follows from "
                      "the metadata",
                      where, name, tensor->row_len(), tensor->n_rows(), row_len, n_rows);
  }
  if (!tensor->format->is_weight) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} has the type {}; a weight type is needed", where, name,
                      tensor->format->name);
  }
  if (rule.n_rows == Dim::one) return bind_vector(rule, layer, *tensor);
  ASSIGN_OR_RETURN(const std::byte* data, hold(*tensor));
  const Storage storage = source_->view(*tensor).empty() ? Storage::kArena : Storage::kMapped;
  place(rule.role, layer, make_tensor(*tensor->format, n_rows, row_len, data, storage));
  return {};
}

Status Model::bind_vector(const TensorRule& rule, int layer, const GgufTensor& tensor) {
  ASSIGN_OR_RETURN(const std::byte* data, hold(tensor));
  const std::string where = source_->path().string();
  const auto n = static_cast<size_t>(tensor.row_len());
  // Copied: norms of some files are F16, and a few kB in use can keep 2 MB of the file resident.
  vectors_.push_back(std::make_unique<float[]>(n));
  float* values = vectors_.back().get();
  tensor.format->decode(data, values, tensor.row_len());
  std::span<const float>* factors =
      rule.role == TensorRole::rope_freqs           ? &rope_factors_
      : rule.role == TensorRole::rope_factors_long  ? &rope_factors_long_
      : rule.role == TensorRole::rope_factors_short ? &rope_factors_short_
                                                    : nullptr;
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] the tensor {} holds a NaN or an infinity at {}; the file "
                        "is damaged",
                        where, tensor.name, i);
    }
    if (factors != nullptr && values[i] <= 0) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] {} holds {} at {}; positive divisors are allowed", where, tensor.name,
                        values[i], i);
    }
  }
  if (factors != nullptr) {
    *factors = {values, n};
  } else if (rule.part == TensorPart::bias) {
    place_bias(rule.role, layer, values);
  } else {
    norm_slot(rule.role, layer)->gain = values;
  }
  return {};
}

Status Model::bad_scales(const GgufTensor& tensor, int64_t n) const {
  return make_error(ErrorKind::kInvalid,
                    "[{}] the tensor {} has {} block scales that are NaN or infinite; the file is "
                    "damaged or was quantized from a broken model",
                    source_->path().string(), tensor.name, n);
}

Status Model::check_values(ThreadPool& pool) {
  constexpr int64_t kRowsPerChunk = 64;
  if (all_checked_) return {};
  for (const GgufTensor& tensor : source_->tensors()) {
    if (!tensor.format->is_weight || tensor.format->block_len == 1) continue;
    if (checked_.contains(&tensor)) continue;
    const std::byte* data = source_->view(tensor).data();  // only files have blocks
    const size_t row_bytes = tensor.format->size_bytes(tensor.row_len());
    std::atomic<int64_t> bad{0};
    pool.parallel_for(tensor.n_rows(), kRowsPerChunk, [&](int64_t begin, int64_t end, int) {
      const int64_t n =
          count_bad_scales(*tensor.format, data + static_cast<size_t>(begin) * row_bytes,
                           (end - begin) * tensor.row_len());
      if (n != 0) bad.fetch_add(n, std::memory_order_relaxed);
    });
    RETURN_IF_ERROR(source_->check_unchanged());
    if (bad.load() != 0) return bad_scales(tensor, bad.load());
    checked_.insert(&tensor);
    if (moved_) source_->dont_need(tensor);  // what is left is looked up row by row
  }
  all_checked_ = true;
  return {};
}

Result<std::unique_ptr<Model>> Model::open(const std::filesystem::path& path) {
  auto model = std::make_unique<Model>();
  ASSIGN_OR_RETURN(model->source_, open_source(path));
  ASSIGN_OR_RETURN(model->config_, read_config(*model->source_, path.string()));
  const Architecture* architecture = find_architecture(model->config_.architecture);
  model->layers_.resize(static_cast<size_t>(model->config_.n_layers));
  for (const TensorRule& rule : architecture->rules) {
    if (!rule.wanted(model->config_)) continue;
    const int n = rule.per_layer ? static_cast<int>(model->config_.n_layers) : 1;
    for (int i = 0; i < n; ++i) RETURN_IF_ERROR(model->bind(rule, rule.per_layer ? i : -1));
  }
  const ModelConfig& c = model->config_;
  for (int64_t i = 0; i < c.n_layers; ++i) {
    LayerPlan& plan = model->layers_[static_cast<size_t>(i)];
    plan.window = c.windowed(i) ? c.window : 0;
    plan.turn = c.rope_dims == 0                         ? LayerPlan::Turn::none
                : c.windowed(i) && c.rope_local_base > 0 ? LayerPlan::Turn::local
                                                         : LayerPlan::Turn::global;
  }
  RETURN_IF_ERROR(model->source_->check_unchanged());
  return model;
}

Result<std::unique_ptr<Model>> Model::load(const std::filesystem::path& path, ThreadPool& pool) {
  ASSIGN_OR_RETURN(auto model, open(path));
  RETURN_IF_ERROR(model->check_values(pool));
  return model;
}

void Model::replace(TensorRole role, int layer, const Tensor& tensor) {
  const Architecture* architecture = find_architecture(config_.architecture);
  const auto rule = std::find_if(
      architecture->rules.begin(), architecture->rules.end(), [&](const TensorRule& candidate) {
        return candidate.role == role && candidate.part != TensorPart::bias &&
               candidate.wanted(config_);
      });
  CHECK(rule != architecture->rules.end());
  CHECK(tensor.row_len == dim_size(config_, rule->row_len));
  CHECK(tensor.n_rows == dim_size(config_, rule->n_rows) *
                             (rule->part == TensorPart::experts ? config_.n_experts : 1));
  place(role, layer, tensor);
  if (role == TensorRole::token_embd) tied_output_ = {};
}

void Model::alter(const std::function<void(ModelConfig&, std::span<LayerPlan>)>& change) {
  change(config_, layers_);
}

std::span<const float> Model::rope_factors(int64_t n_ctx) const {
  if (!rope_factors_.empty()) return rope_factors_;
  return n_ctx > config_.n_ctx_original ? rope_factors_long_ : rope_factors_short_;
}

Rope::Options rope_options(const Model& model, int64_t n_ctx) {
  const ModelConfig& c = model.config();
  Rope::Options rope;
  rope.base = c.rope_base;
  rope.n_dims = c.rope_dims;
  rope.interleaved = c.rope_interleaved;
  rope.factors = model.rope_factors(n_ctx);
  rope.position_scale = c.rope_position_scale;
  rope.magnitude = c.rope_magnitude;
  rope.extrapolation = c.yarn_extrapolation;
  rope.beta_fast = c.yarn_beta_fast;
  rope.beta_slow = c.yarn_beta_slow;
  rope.n_ctx_original = c.n_ctx_original;
  return rope;
}

std::vector<std::string> Model::weights_behind(TensorRole role, int layer) const {
  using R = TensorRole;
  std::vector<R> roles = {role};
  if (role == R::output && tied()) roles = {R::token_embd};
  if (role == R::attn_q) roles = {R::attn_q, R::attn_k, R::attn_v, R::attn_qkv};
  if (role == R::ffn_gate) roles = {R::ffn_gate, R::ffn_up};
  std::vector<std::string> names;
  for (const R candidate : roles) {
    for (const TensorRule& rule : find_architecture(config_.architecture)->rules) {
      if (rule.role == candidate && rule.part != TensorPart::bias && rule.wanted(config_)) {
        names.push_back(tensor_name(rule.role, layer, rule.part));
      }
    }
  }
  return names;
}

int64_t Model::bytes_read_per_token() const {
  int64_t total = output().size_bytes();
  for (const LayerPlan& plan : layers_) {
    for (const Tensor* tensor :
         {&plan.attn_q, &plan.attn_k, &plan.attn_v, &plan.attn_output, &plan.ffn_gate_inp}) {
      total += tensor->size_bytes();
    }
    for (const Tensor* tensor : {&plan.ffn_gate, &plan.ffn_up, &plan.ffn_down}) {
      total += plan.ffn_gate_inp.present()
                   ? tensor->size_bytes() / config_.n_experts * config_.n_experts_used
                   : tensor->size_bytes();
    }
  }
  return total;
}

int64_t Model::max_row_len() const {
  return std::max({config_.d_model, config_.d_ff, config_.q_dim()});
}

}  // namespace nibble
