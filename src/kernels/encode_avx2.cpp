// The searching encoders with eight lanes in AVX2: the same text as formats/encoders.cpp and the
// same bytes out. Multiplications and additions stay apart (-ffp-contract=off), FMA or not.
#if defined(__x86_64__)
#include <cstdint>

#include "formats/blocks.h"
#include "kernels/tables.h"

#define NIBBLE_LANES 8

namespace nibble::isa_avx2 {
namespace {
#include "formats/encoders-inl.h"
}  // namespace

void set_wide_encoders(EncodeFn* table) { set_encoders(table); }
}  // namespace nibble::isa_avx2
#endif
