// The files of Hugging Face's older tokenizers, in folders without tokenizer.json: a list of words,
// or a vocabulary with merges. What the classes in tokenizer_config.json do with them is a matter
// of the classes; nibble knows those of BERT, GPT-2 and Qwen 2.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace nibble {

// `text` is vocab.txt, one token a line; `config` tokenizer_config.json or empty. WordPiece as
// BertTokenizer has it (do_lower_case, strip_accents, tokenize_chinese_chars, {unk,sep,cls,pad,
// mask}_token). Errors: those of read_tokenizer_json; kFailure for another tokenizer_class;
// kInvalid when the list has no token of one of these names.
Result<VocabularyData> read_word_list(std::string_view text, std::string_view config,
                                      std::string_view where);

struct MergeFiles {
  std::string_view vocab;   // vocab.json: tokens and ids
  std::string_view merges;  // merges.txt: "left right" a line, best first
  std::string_view added;   // added_tokens.json: control tokens and ids; may be empty
  std::string_view config;  // tokenizer_config.json; may be empty
};
// Byte-level BPE as GPT2Tokenizer or Qwen2Tokenizer has it; where the configuration names no class,
// model_type ("gpt2", "qwen2" ...) tells. Errors as above.
Result<VocabularyData> read_vocabulary_and_merges(const MergeFiles& files,
                                                  std::string_view model_type,
                                                  std::string_view where);

}  // namespace nibble
