// Where a model's matrices are held.
#include <algorithm>

#include "base/memory.h"
#include "model/model.h"
#include "ops/interleave.h"

namespace nibble {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kBytesAtOnce = int64_t{8} << 20;  // of the file's pages

bool is_linear(TensorRole role) {
  switch (role) {
    case TensorRole::token_embd:
    case TensorRole::position_embd:
    case TensorRole::token_types:
      return false;
    default:
      return true;
  }
}

}  // namespace

// What `rule` binds in `layer`, whole; absent when it has no interleaved form, or parts of it
// (experts, fused matrices) would not begin with a group of eight rows.
Tensor Model::interleavable(const KernelTable& kernels, const TensorRule& rule, int layer) const {
  const bool is_head = rule.role == TensorRole::token_embd && tied();
  if (rule.part == TensorPart::bias || rule.n_rows == Dim::one || !rule.wanted(config_)) return {};
  if (!is_linear(rule.role) && !is_head) return {};
  const GgufTensor* tensor = source_->find_tensor(tensor_name(rule.role, layer, rule.part));
  if (tensor == nullptr || !can_interleave(kernels, *tensor->format)) return {};
  const bool in_parts = rule.part == TensorPart::experts || rule.role == TensorRole::attn_qkv ||
                        rule.role == TensorRole::ffn_up;
  for (const int64_t rows : {config_.q_dim(), config_.kv_dim(), config_.d_ff, config_.d_model}) {
    if (in_parts && rows % kRowGroup != 0) return {};
  }
  const auto bytes = source_->view(*tensor);
  if (bytes.empty()) return {};
  return make_tensor(*tensor->format, tensor->n_rows(), tensor->row_len(), bytes.data(),
                     Storage::kMapped);
}

template <typename Visit>
void Model::for_interleavable(const KernelTable& kernels, Visit&& visit) const {
  for (const TensorRule& rule : find_architecture(config_.architecture)->rules) {
    const int n = rule.per_layer ? static_cast<int>(config_.n_layers) : 1;
    for (int i = 0; i < n; ++i) {
      const int layer = rule.per_layer ? i : -1;
      const Tensor matrix = interleavable(kernels, rule, layer);
      if (matrix.present()) visit(rule, layer, matrix);
    }
  }
}

Tensor Model::move_by_eights(const KernelTable& kernels, const GgufTensor& tensor,
                             const Tensor& matrix, ThreadPool& pool, std::byte* out,
                             int64_t* n_bad_scales) const {
  const int64_t step =
      std::max(kBytesAtOnce / matrix.row_bytes / kRowGroup, int64_t{1}) * kRowGroup;
  Tensor groups;
  for (int64_t row = 0; row < matrix.n_rows; row += step) {
    const Tensor part = rows_of(matrix, row, std::min(step, matrix.n_rows - row));
    int64_t n_bad = 0;
    const Tensor moved = interleave_rows(kernels, part, pool, out + row * groups.row_bytes, &n_bad);
    *n_bad_scales += n_bad;
    source_->dont_need(tensor, static_cast<uint64_t>(row * matrix.row_bytes),
                       static_cast<uint64_t>(part.size_bytes()));
    if (row == 0) groups = moved;
  }
  groups.n_rows = matrix.n_rows;
  return groups;
}

Status Model::interleave(const KernelTable& kernels, ThreadPool& pool, int64_t reserved_bytes) {
  int64_t total = 0;
  const auto padded = [&](const Tensor& matrix) {
    const int64_t bytes = interleaved_bytes(kernels, *matrix.format, matrix.n_rows, matrix.row_len);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  };
  for_interleavable(kernels, [&](const TensorRule&, int, const Tensor& m) { total += padded(m); });
  const int64_t available = available_memory_bytes() - reserved_bytes;
  if (total > available) {
    return make_error(ErrorKind::kResource,
                      "[{}] needs {:.1f} GB for its weights; {:.1f} GB of memory are available",
                      source_->path().string(), static_cast<double>(total) / 1e9,
                      static_cast<double>(available) / 1e9);
  }
  ASSIGN_OR_RETURN(Buffer arena,
                   Buffer::allocate(static_cast<size_t>(total), Buffer::Pages::kHuge));
  std::byte* next = arena.data();
  Status first_bad;
  for_interleavable(kernels, [&](const TensorRule& rule, int layer, const Tensor& matrix) {
    const GgufTensor& tensor = *source_->find_tensor(tensor_name(rule.role, layer, rule.part));
    int64_t n_bad = 0;
    const Tensor groups = move_by_eights(kernels, tensor, matrix, pool, next, &n_bad);
    if (n_bad == 0) {
      checked_.insert(&tensor);
    } else if (first_bad.ok()) {
      first_bad = bad_scales(tensor, n_bad);
    }
    next += padded(matrix);
    if (rule.role == TensorRole::token_embd) {
      tied_output_ = groups;
    } else {
      place(rule.role, layer, groups);
    }
  });
  held_.push_back(std::move(arena));
  moved_ = true;
  RETURN_IF_ERROR(source_->check_unchanged());
  return first_bad;
}

}  // namespace nibble
