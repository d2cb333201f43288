// What the name of a model says: "org/SmolLM2-135M-Instruct-v0.2".
#pragma once

#include <string>
#include <string_view>

namespace nibble {

// Empty: the name does not say it.
struct ModelIdParts {
  std::string name;  // without the organization, as it stands
  std::string organization, basename, finetune, version, size_label;
};

// By the rules of llama.cpp's converter: parts between dashes are versions, sizes, tunings or types
// of numbers by their look; what stands before them is the basename. A size far from n_params (the
// true one; 0: unknown) is taken to be a context length, which is part of the tuning. A name with
// spaces is a name only.
ModelIdParts split_model_id(std::string_view id, double n_params);

// Dashes to spaces, and words in small letters begin with a capital one; versions and words that
// begin with a digit stay.
std::string title_of(std::string_view name);

}  // namespace nibble
