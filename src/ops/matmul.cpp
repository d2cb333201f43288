#include "ops/matmul.h"

#include <algorithm>

#include "base/check.h"

namespace nibble {
namespace {

// Rows dealt at a time. Many columns: one panel of the tiled kernels. Few columns: long runs of
// memory (from 24 to 192 kB a run, decode gains a sixth), but at least eight shares for each
// thread, so that a slow core leaves its part to others.
int64_t rows_per_chunk(const Tensor& weights, int64_t n_columns, int n_threads) {
  if (n_columns >= 16) return kTileRows;
  constexpr int64_t kLeastBytes = 24 << 10, kMostBytes = 192 << 10;
  const int64_t bytes = std::clamp(weights.size_bytes() / (8 * n_threads), kLeastBytes, kMostBytes);
  const int64_t rows = bytes / std::max<int64_t>(weights.row_bytes, 1);
  return std::clamp<int64_t>(rows / kRowGroup * kRowGroup, kRowGroup, 2048);
}

int slot(Activation kind) { return kind == Activation::kQ8_32 ? 0 : 1; }

}  // namespace

Result<Workspace> Workspace::create(const KernelTable& kernels, ThreadPool& pool,
                                    ActivationMode mode, int64_t max_columns, int64_t max_row_len) {
  Workspace workspace;
  workspace.kernels_ = &kernels;
  workspace.pool_ = &pool;
  workspace.mode_ = mode;
  workspace.scratch_bytes_ = (kernels::scratch_bytes(max_row_len) + 4095) / 4096 * 4096;
  ASSIGN_OR_RETURN(
      workspace.scratch_,
      Buffer::allocate(static_cast<size_t>(workspace.scratch_bytes_ * pool.n_threads())));
  if (mode == ActivationMode::kQuantized) {
    for (const Activation kind : {Activation::kQ8_32, Activation::kQ8_256}) {
      const int64_t bytes = column_layout(kind, max_row_len).column_bytes * max_columns;
      ASSIGN_OR_RETURN(workspace.columns_[slot(kind)],
                       Buffer::allocate(static_cast<size_t>(bytes)));
    }
  }
  return workspace;
}

const std::byte* Input::columns(Activation kind, int64_t* column_bytes) {
  if (kind == Activation::kFloat) {
    *column_bytes = stride_ * 4;
    return reinterpret_cast<const std::byte*>(x_);
  }
  *column_bytes = column_layout(kind, row_len_).column_bytes;
  std::byte* base = workspace_.columns_[slot(kind)].data();
  DCHECK(static_cast<size_t>(*column_bytes * n_columns_) <= workspace_.columns_[slot(kind)].size());
  if (!ready_[slot(kind)]) {
    ready_[slot(kind)] = true;
    const int64_t bytes = *column_bytes;
    workspace_.pool().parallel_for(n_columns_, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t c = begin; c < end; ++c) {
        workspace_.kernels().quantize_column(x_ + c * stride_, row_len_, kind, base + c * bytes);
      }
    });
  }
  return base;
}

void matmul(const Tensor& weights, Input& input, float* out, int64_t out_stride) {
  DCHECK(weights.row_len == input.row_len_);
  Workspace& workspace = input.workspace_;
  const Format& format = *weights.format;
  const bool interleaved = weights.storage == Storage::kInterleaved;
  const KernelTable& kernels = workspace.kernels();
  const MatmulFn fast =
      (interleaved ? kernels.matmul_interleaved : kernels.matmul)[static_cast<uint32_t>(format.id)];
  const bool decoded = fast == nullptr || (workspace.mode() == ActivationMode::kFloat &&
                                           format.activation != Activation::kFloat);
  CHECK(!(interleaved && decoded));

  MatmulArgs args;
  args.row_bytes = weights.row_bytes;
  args.row_len = weights.row_len;
  args.columns =
      input.columns(decoded ? Activation::kFloat : format.activation, &args.column_bytes);
  args.n_columns = input.n_columns_;
  args.out_stride = out_stride;
  const int64_t chunk = rows_per_chunk(weights, args.n_columns, workspace.pool().n_threads());
  workspace.pool().parallel_for(weights.n_rows, chunk, [&](int64_t begin, int64_t end, int thread) {
    MatmulArgs part = args;
    part.weights = weights.row(begin);
    part.n_rows = end - begin;
    part.out = out + begin;
    part.scratch = workspace.scratch(thread);
    if (decoded) {
      kernels.matmul_decoded(part, format.decode);
    } else {
      fast(part);
    }
    if (weights.bias == nullptr) return;
    for (int64_t c = 0; c < part.n_columns; ++c) {
      workspace.kernels().add(part.out + c * out_stride, weights.bias + begin, part.n_rows);
    }
  });
}

}  // namespace nibble
