// The kernels in AVX-512 with VNNI, the only file compiled with those flags
// (cmake/isa_flags.cmake).
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "formats/blocks.h"
#include "formats/codebooks.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace nibble::isa_avx512 {
namespace {
#include "kernels/simd_avx512.h"

#include "kernels/lanes-inl.h"
using WideLanes = Lanes16;

#include "kernels/unpack-inl.h"

#include "kernels/dots_of_four-inl.h"

#include "kernels/table-inl.h"
}  // namespace

const KernelTable& table() {
  static const KernelTable instance = [] {
    KernelTable table = make_table("avx512");
    isa_avx2::set_wide_encoders(table.encode);
    return table;
  }();
  return instance;
}
}  // namespace nibble::isa_avx512
#endif
