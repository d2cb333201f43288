// The vocabulary of a model from its GGUF metadata.
#pragma once

#include "base/result.h"
#include "container/gguf.h"
#include "text/tokenizer.h"

namespace nibble {

// Reads tokenizer.ggml.{model, pre, tokens, token_type, merges, *_token_id, add_*_token}. Where the
// file does not say whether a BOS goes first, the splitter's row does (text/pretokenize.h).
// kInvalid: no tokenizer in the file, a key of the wrong type, arrays whose lengths disagree, a
// token type that does not exist. What the vocabulary itself must fulfil, Tokenizer::create checks.
Result<VocabularyData> read_vocabulary(const GgufMetadata& metadata);

}  // namespace nibble
