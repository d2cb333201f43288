// tokenizer_config.json, the file beside tokenizer.json: which tokens are special and what goes
// before and behind a text.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace nibble {

// Sets bos, eos, unknown, padding, cls, sep and mask from {bos,eos,unk,pad,cls,sep,mask}_token,
// add_bos and add_eos from add_{bos,eos}_token, add_space_prefix of "gpt2" from add_prefix_space,
// and names and types from added_tokens_decoder (ids up to 2^20 beyond the vocabulary extend it).
// Other keys are not looked at. A token that the vocabulary does not have is left out with a
// warning in `data.warnings`. kInvalid: no JSON, or a key of another type.
Status apply_tokenizer_config(std::string_view json, VocabularyData& data);

// Tokens "[PAD<id>]" of type kUnused up to `size` (a model's embedding often has more rows than the
// tokenizer has tokens). Nothing when there are as many or more.
void pad_vocabulary(VocabularyData& data, size_t size);

}  // namespace nibble
