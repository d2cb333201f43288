#include "ops/interleave.h"

#include <algorithm>
#include <atomic>

#include "base/check.h"

namespace nibble {

bool can_interleave(const KernelTable& kernels, const Format& format) {
  return kernels.interleave[static_cast<uint32_t>(format.id)] != nullptr;
}

int64_t interleaved_row_bytes(const KernelTable& kernels, const Format& format, int64_t row_len) {
  return row_len / format.block_len *
         kernels.interleaved_block_bytes[static_cast<uint32_t>(format.id)];
}

int64_t interleaved_bytes(const KernelTable& kernels, const Format& format, int64_t n_rows,
                          int64_t row_len) {
  const int64_t n_groups = (n_rows + kRowGroup - 1) / kRowGroup;
  return n_groups * kRowGroup * interleaved_row_bytes(kernels, format, row_len);
}

Tensor interleave_rows(const KernelTable& kernels, const Tensor& rows, ThreadPool& pool,
                       std::byte* out, int64_t* n_bad_scales) {
  CHECK(rows.storage != Storage::kInterleaved && can_interleave(kernels, *rows.format));
  const auto interleave = kernels.interleave[static_cast<uint32_t>(rows.format->id)];
  const int64_t n_groups = (rows.n_rows + kRowGroup - 1) / kRowGroup;
  Tensor groups = make_tensor(*rows.format, rows.n_rows, rows.row_len, out, Storage::kInterleaved);
  groups.row_bytes = interleaved_row_bytes(kernels, *rows.format, rows.row_len);
  std::atomic<int64_t> n_bad{0};
  pool.parallel_for(n_groups, 4, [&](int64_t begin, int64_t end, int) {
    const int64_t n_rows = std::min(end * kRowGroup, rows.n_rows) - begin * kRowGroup;
    const int64_t n =
        n_bad_scales == nullptr
            ? 0
            : count_bad_scales(*rows.format, rows.row(begin * kRowGroup), n_rows * rows.row_len);
    if (n != 0) n_bad.fetch_add(n, std::memory_order_relaxed);
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * kRowGroup;
      interleave(rows.row(first), rows.row_bytes, std::min(kRowGroup, rows.n_rows - first),
                 rows.row_len, out + first * groups.row_bytes);
    }
  });
  if (n_bad_scales != nullptr) *n_bad_scales = n_bad.load();
  return groups;
}

}  // namespace nibble
