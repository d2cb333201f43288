// The families that registry.cpp lists; each lives in arch_<family>.cpp.
#pragma once

#include "model/architecture.h"

namespace nibble {
extern const Architecture kArchLlama;
extern const Architecture kArchQwen2, kArchQwen3, kArchQwen3Moe;
extern const Architecture kArchGemma2, kArchGemma3;
extern const Architecture kArchPhi3;
extern const Architecture kArchGptNeox, kArchGpt2;
extern const Architecture kArchBert, kArchNomicBert;
}  // namespace nibble
