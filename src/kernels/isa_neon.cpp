// The kernels in NEON with the dot product, the only file compiled with those flags
// (cmake/isa_flags.cmake).
#if defined(__aarch64__)
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "formats/blocks.h"
#include "formats/codebooks.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace nibble::isa_neon {
namespace {
#include "kernels/simd_neon.h"

#include "kernels/lanes-inl.h"

#include "kernels/simd_neon_lanes.h"
using WideLanes = StepLanes;

#include "kernels/unpack-inl.h"

#include "kernels/dots_of_four-inl.h"

#include "kernels/table-inl.h"
}  // namespace

const KernelTable& table() {
  static const KernelTable instance = make_table("neon");
  return instance;
}
}  // namespace nibble::isa_neon
#endif
