// The kernels in AVX2 + FMA + F16C. This file and encode_avx2.cpp are the only ones compiled with
// those flags (cmake/isa_flags.cmake).
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "formats/blocks.h"
#include "formats/codebooks.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace nibble::isa_avx2 {
namespace {
#include "kernels/simd_avx2.h"

#include "kernels/lanes-inl.h"
using WideLanes = Lanes8;

#include "kernels/unpack-inl.h"

#include "kernels/dots_of_two-inl.h"

#include "kernels/table-inl.h"
}  // namespace

const KernelTable& table() {
  static const KernelTable instance = [] {
    KernelTable table = make_table("avx2");
    set_wide_encoders(table.encode);
    return table;
  }();
  return instance;
}
}  // namespace nibble::isa_avx2
#endif
