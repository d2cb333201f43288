// Reads tokenizer.model, the file of Google's SentencePiece: a protocol buffer of pieces, scores
// and normalizer options.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace nibble {

// BPE models become the vocabulary model "llama", Unigram models "t5". `where` names the file in
// messages. kInvalid: truncated or contradictory bytes; kFailure: a model type (word, char) that
// nibble does not know.
Result<VocabularyData> read_sentencepiece(std::string_view bytes, std::string_view where);

}  // namespace nibble
