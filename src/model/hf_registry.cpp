#include <algorithm>

#include "model/hf_families.h"

namespace nibble {
namespace {
const HfFamily* const kFamilies[] = {&kHfLlama,  &kHfQwen2,  &kHfQwen3,    &kHfQwen3Moe,
                                     &kHfGemma2, &kHfGemma3, &kHfPhi3,     &kHfGptNeox,
                                     &kHfGpt2,   &kHfBert,   &kHfNomicBert};
}  // namespace

const HfFamily* find_hf_family_by_class(std::string_view name) {
  for (const HfFamily* family : kFamilies) {
    if (std::find(family->classes.begin(), family->classes.end(), name) != family->classes.end()) {
      return family;
    }
  }
  return nullptr;
}

const HfFamily* find_hf_family(std::string_view architecture) {
  for (const HfFamily* family : kFamilies) {
    if (family->architecture == architecture) return family;
  }
  return nullptr;
}

std::string known_hf_classes() {
  std::string names;
  for (const HfFamily* family : kFamilies) {
    for (const std::string_view name : family->classes) {
      if (!names.empty()) names += ", ";
      names += name;
    }
  }
  return names;
}

std::string exported_architectures() {
  std::string names;
  for (const HfFamily* family : kFamilies) {
    if (family->write == nullptr) continue;
    if (!names.empty()) names += ", ";
    names += family->architecture;
  }
  return names;
}

}  // namespace nibble
