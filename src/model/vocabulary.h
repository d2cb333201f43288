// The vocabulary of a model from its GGUF metadata.
#pragma once

#include "base/result.h"
#include "container/gguf.h"
#include "text/tokenizer.h"

namespace nibble {

// Reads tokenizer.ggml.{model, pre, tokens, token_type, scores, merges, *_token_id, add_*_token,
// add_space_prefix, remove_extra_whitespaces, precompiled_charsmap, normalizer.*} and
// tokenizer.huggingface.json. Where the file does not say what goes around a text and which tokens
// those are, llama.cpp's defaults for the kind hold (for "gpt2" those of the splitter's row,
// text/pretokenize.h).
// kInvalid: no tokenizer in the file, a key of the wrong type, arrays whose lengths disagree, a
// token type that does not exist. What the vocabulary itself must fulfil, Tokenizer::create checks.
Result<VocabularyData> read_vocabulary(const GgufMetadata& metadata);

// Writes what read_vocabulary reads, with the keys and types that llama.cpp's converter uses;
// beside them tokenizer.huggingface.json where the data carries it and nibble.tokenizer.normalizer
// where there is a normal form (llama.cpp knows no such key). The chat template is not written
// here.
void write_vocabulary(const VocabularyData& data, GgufMetadata& metadata);

}  // namespace nibble
