// Byte-level byte-pair encoding, as GPT-2 introduced it (Radford et al. 2019; Sennrich et al.
// 2016).
#pragma once

#include <memory>

#include "text/pretokenize.h"
#include "text/tokenizer.h"

namespace nibble {

// `data` has passed the checks that are common to all models (Tokenizer::create calls this).
// kFailure: the splitter does not compile. kInvalid: two tokens spelled alike; a merge that is no
// pair of tokens forming a token; a control or user-defined token longer than
// SpecialTokens::kMaxBytes; a byte token not spelled <0xHH>. Empty spellings are tolerated (padding
// of some files): such a token is never produced.
Result<std::unique_ptr<Tokenizer>> create_bpe_tokenizer(VocabularyData data,
                                                        const PreTokenizerSpec& spec);

}  // namespace nibble
