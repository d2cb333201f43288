// One accessor per ISA; dispatch.cpp is their only caller.
#pragma once

#include "kernels/kernels.h"

namespace nibble::isa_portable {
const KernelTable& table();
}
#if defined(__x86_64__)
namespace nibble::isa_avx2 {
const KernelTable& table();
void set_wide_encoders(EncodeFn* table);  // encode_avx2.cpp
}  // namespace nibble::isa_avx2
namespace nibble::isa_avx512 {
const KernelTable& table();
}
#elif defined(__aarch64__)
namespace nibble::isa_neon {
const KernelTable& table();
}
namespace nibble::isa_neon_i8mm {
const KernelTable& table();
}
#endif
