// The kernels in plain C++: the reference, and what runs where nothing better does.
#include <cstddef>
#include <cstdint>

#include "formats/blocks.h"
#include "formats/codebooks.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace nibble::isa_portable {
namespace {
#include "kernels/simd_portable.h"

#include "kernels/lanes-inl.h"
using WideLanes = Lanes8;

#include "kernels/unpack-inl.h"

#include "kernels/dots_of_two-inl.h"

#include "kernels/table-inl.h"
}  // namespace

const KernelTable& table() {
  static const KernelTable instance = make_table("portable");
  return instance;
}
}  // namespace nibble::isa_portable
