// Reads tokenizer.json, the file of Hugging Face's `tokenizers` library: a pipeline of added
// tokens, normalizer, pre-tokenizer, model, post-processor and decoder, each interpreted as
// written. Source of the format and of what each part does: the library itself
// (huggingface/tokenizers).
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace nibble {

// `where` names the file in messages. Where tokenizer.ggml.* can say the same (by comparing the
// parts, never by a hash of results), the JSON is taken apart into those fields; otherwise it also
// stands in `huggingface_json`, with a warning that llama.cpp would split differently. truncation
// and padding are not the tokenizer's business here and are ignored. kInvalid: no JSON,
// contradictory or missing parts (a BPE model without merges, ids out of range ...); kFailure: a
// part that nibble does not know, by its name.
Result<VocabularyData> read_tokenizer_json(std::string_view json, std::string_view where);

}  // namespace nibble
