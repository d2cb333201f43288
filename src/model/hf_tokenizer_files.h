// The tokenizer of a GGUF file as the files of a Hugging Face folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "container/model_source.h"

namespace nibble {

// Names and contents: tokenizer_config.json with the chat template, and tokenizer.json
// (tokenizer.huggingface.json as it is where the file carries one; byte-level BPE and WordPiece
// written from the vocabulary) or tokenizer.model (SentencePiece). What cannot be said goes into
// `warnings`. Errors: those of read_vocabulary; kFailure for a kind that has no such form.
Result<std::vector<std::pair<std::string, std::string>>> tokenizer_files(
    const GgufMetadata& metadata, std::vector<std::string>& warnings);

}  // namespace nibble
