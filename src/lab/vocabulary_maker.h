// Vocabularies of a wanted size: generated, or another model's cut or padded.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "container/gguf.h"
#include "text/tokenizer.h"

namespace nibble::lab {

// The smallest generated vocabulary: three special tokens and the 256 bytes.
inline constexpr int64_t kMinVocabulary = 259;

// A byte-level BPE vocabulary of `size` >= kMinVocabulary tokens: <|endoftext|> (also BOS),
// <|im_start|>, <|im_end|> (EOS), the bytes in order, then words of small letters, with and
// without a space before them, one merge of two earlier tokens each. Always the same; a smaller one
// is the beginning of a larger one.
VocabularyData generate_vocabulary(int64_t size);

// `data` with exactly `size` tokens. Cut: tokens from `size` on go, and with them the merges that
// name or make them; BOS, EOS and the other special tokens that would go take the places of the
// last tokens. Padded: tokens <|pad_ID|> of type "unused" follow. kInvalid: `data` is no valid
// vocabulary, or has no room for its special tokens; kFailure: a kind nibble does not know.
Result<VocabularyData> fit_vocabulary(VocabularyData data, int64_t size);

}  // namespace nibble::lab
