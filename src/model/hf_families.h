// The families that hf_registry.cpp lists; each lives in hf_<family>.cpp.
#pragma once

#include "model/hf_family.h"

namespace nibble {
extern const HfFamily kHfLlama;
extern const HfFamily kHfQwen2;
extern const HfFamily kHfQwen3;
extern const HfFamily kHfQwen3Moe;
extern const HfFamily kHfGemma2;
extern const HfFamily kHfGemma3;
extern const HfFamily kHfPhi3;
extern const HfFamily kHfGptNeox;
extern const HfFamily kHfGpt2;
extern const HfFamily kHfBert;
extern const HfFamily kHfNomicBert;
}  // namespace nibble
