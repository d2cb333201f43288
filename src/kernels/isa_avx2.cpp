// The kernels in AVX2 + FMA + F16C. The only file compiled with those flags
// (cmake/isa_flags.cmake).
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "formats/blocks.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace nibble::isa_avx2 {
namespace {
#include "kernels/simd_avx2.h"
#include "kernels/table-inl.h"
}  // namespace

const KernelTable& table() {
  static const KernelTable instance = make_table("avx2");
  return instance;
}
}  // namespace nibble::isa_avx2
#endif
