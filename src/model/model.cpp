#include "model/model.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace nibble {

Tensor* Model::slot(TensorRole role, int layer) {
  if (role == TensorRole::token_embd) return &token_embd_;
  if (role == TensorRole::output) return &output_;
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

const float** Model::vector_slot(TensorRole role, int layer) {
  if (role == TensorRole::output_norm) return &output_norm_;
  LayerPlan& plan = layers_[static_cast<size_t>(std::max(layer, 0))];
  if (role == TensorRole::attn_norm) return &plan.attn_norm;
  if (role == TensorRole::ffn_norm) return &plan.ffn_norm;
  return nullptr;
}

Status Model::bind(const TensorRule& rule, int layer) {
  const std::string name = tensor_name(rule.role, layer);
  const std::string where = file_.path().string();
  const GgufTensor* tensor = file_.find_tensor(name);
  if (tensor == nullptr) {
    if (!rule.required) return {};
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} is missing; the file holds no complete model", where,
                      name);
  }
  const int64_t row_len = dim_size(config_, rule.row_len), n_rows = dim_size(config_, rule.n_rows);
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
  const std::byte* data = file_.data(*tensor).data();
  if (Tensor* matrix = slot(rule.role, layer)) {
    *matrix = make_tensor(*tensor->format, n_rows, row_len, data, Storage::kMapped);
    return {};
  }
  const float* values = reinterpret_cast<const float*>(data);
  if (tensor->format->id != FormatId::F32) {  // small vectors; norms of some files are F16
    converted_.push_back(std::make_unique<float[]>(static_cast<size_t>(row_len)));
    tensor->format->decode(data, converted_.back().get(), row_len);
    values = converted_.back().get();
  }
  for (int64_t i = 0; i < row_len; ++i) {
    if (!std::isfinite(values[i])) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] the tensor {} holds a NaN or an infinity at {}; the file "
                        "is damaged",
                        where, name, i);
    }
  }
  if (rule.role == TensorRole::rope_freqs) {
    for (int64_t i = 0; i < row_len; ++i) {
      if (values[i] <= 0) {
        return make_error(ErrorKind::kInvalid,
                          "[{}] {} holds {} at {}; positive divisors are allowed", where, name,
                          values[i], i);
      }
    }
    rope_factors_ = {values, static_cast<size_t>(row_len)};
  } else {
    *vector_slot(rule.role, layer) = values;
  }
  return {};
}

Status Model::check_values(ThreadPool& pool) const {
  constexpr int64_t kRowsPerChunk = 64;
  for (const GgufTensor& tensor : file_.tensors()) {
    if (!tensor.format->is_weight || tensor.format->block_len == 1) continue;
    const std::byte* data = file_.data(tensor).data();
    const size_t row_bytes = tensor.format->size_bytes(tensor.row_len());
    std::atomic<int64_t> bad{0};
    pool.parallel_for(tensor.n_rows(), kRowsPerChunk, [&](int64_t begin, int64_t end, int) {
      const int64_t n =
          count_bad_scales(*tensor.format, data + static_cast<size_t>(begin) * row_bytes,
                           (end - begin) * tensor.row_len());
      if (n != 0) bad.fetch_add(n, std::memory_order_relaxed);
    });
    if (bad.load() != 0) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] the tensor {} has {} block scales that are NaN or "
                        "infinite; the file is damaged or was quantized from a broken model",
                        file_.path().string(), tensor.name, bad.load());
    }
  }
  return {};
}

Result<std::unique_ptr<Model>> Model::load(const std::filesystem::path& path, ThreadPool& pool) {
  auto model = std::make_unique<Model>();
  ASSIGN_OR_RETURN(model->file_, GgufFile::open(path));
  ASSIGN_OR_RETURN(model->config_, read_config(model->file_, path.string()));
  const Architecture* architecture = find_architecture(model->config_.architecture);
  model->layers_.resize(static_cast<size_t>(model->config_.n_layers));
  for (const TensorRule& rule : architecture->rules) {
    const int n = rule.per_layer ? static_cast<int>(model->config_.n_layers) : 1;
    for (int i = 0; i < n; ++i) RETURN_IF_ERROR(model->bind(rule, rule.per_layer ? i : -1));
  }
  const Status values = model->check_values(pool);
  RETURN_IF_ERROR(model->file_.check_unchanged());
  RETURN_IF_ERROR(values);
  return model;
}

void Model::replace(TensorRole role, int layer, const Tensor& tensor) {
  Tensor* old = slot(role, layer);
  CHECK(old != nullptr);
  CHECK(tensor.row_len == (old->present() ? old->row_len : token_embd_.row_len));
  CHECK(tensor.n_rows == (old->present() ? old->n_rows : token_embd_.n_rows));
  *old = tensor;
}

namespace {
template <typename Visit>
void for_each_matrix(const LayerPlan& plan, Visit&& visit) {
  for (const Tensor* tensor : {&plan.attn_q, &plan.attn_k, &plan.attn_v, &plan.attn_output,
                               &plan.ffn_gate, &plan.ffn_up, &plan.ffn_down}) {
    visit(*tensor);
  }
}
}  // namespace

int64_t Model::bytes_read_per_token() const {
  int64_t total = output().size_bytes();
  for (const LayerPlan& plan : layers_) {
    for_each_matrix(plan, [&](const Tensor& tensor) { total += tensor.size_bytes(); });
  }
  return total;
}

int64_t Model::max_row_len() const {
  int64_t longest = token_embd_.row_len;
  for_each_matrix(layers_.front(),
                  [&](const Tensor& t) { longest = std::max(longest, t.row_len); });
  return longest;
}

}  // namespace nibble
