// The families that registry.cpp lists; each lives in arch_<family>.cpp.
#pragma once

#include "model/architecture.h"

namespace nibble {
extern const Architecture kArchLlama;
}  // namespace nibble
