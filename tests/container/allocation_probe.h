// Counts what the test program allocates with operator new.
#pragma once

#include <cstddef>

namespace nibble::test {

void reset_allocation_probe();
// Since the last reset: the largest single request, and the largest total alive above the level at
// the reset.
size_t largest_allocation();
size_t peak_allocated();

}  // namespace nibble::test
