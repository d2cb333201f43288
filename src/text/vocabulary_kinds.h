// Builds the tokenizers that the fields of VocabularyData describe by themselves.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace nibble {

// `data` has passed the checks that are common to all models (Tokenizer::create calls this).
// kFailure: an unknown model, splitter or normal form. kInvalid: contradictory data.
Result<std::unique_ptr<Tokenizer>> create_from_fields(VocabularyData data);

// A name from a file, fit for a message: at most 40 characters, all printable ASCII.
std::string plain_name(std::string_view name);

}  // namespace nibble
