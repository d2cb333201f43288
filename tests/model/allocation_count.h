// How often this test program has called operator new so far.
#pragma once

#include <cstddef>

namespace nibble::test {
size_t allocations();
}
