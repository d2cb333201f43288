// Rows by eights: the storage kind that decodes and multiplies fastest. The same results, bit for
// bit, in as many bytes as the rows of the file (rounded up to eight rows), or in more where
// codebook indices become codes.
#pragma once

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "ops/tensor.h"

namespace nibble {

// Whether the format has an interleaved form in this table.
bool can_interleave(const KernelTable& kernels, const Format& format);

// Bytes that a row takes in its group; of the interleaved form of [n_rows, row_len].
// can_interleave() must hold.
int64_t interleaved_row_bytes(const KernelTable& kernels, const Format& format, int64_t row_len);
int64_t interleaved_bytes(const KernelTable& kernels, const Format& format, int64_t n_rows,
                          int64_t row_len);

// The matrix in its interleaved form, written to out: interleaved_bytes() of it, which must outlive
// the result. can_interleave() must hold. Interleaved matrices are multiplied with quantized
// activations only: matmul() CHECKs. Where n_bad_scales is not null, *n_bad_scales is the number of
// block scales that are NaN or infinite: cheaper here than in a pass of its own.
Tensor interleave_rows(const KernelTable& kernels, const Tensor& rows, ThreadPool& pool,
                       std::byte* out, int64_t* n_bad_scales = nullptr);

}  // namespace nibble
