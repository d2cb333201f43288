// A tokenizer as a line of steps: added tokens are found, the text between them is normalized, cut
// into pieces, and each piece is turned into tokens. All kinds of tokenizers are such lines;
// vocabulary_kinds.cpp and tokenizer_json.cpp build them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "text/added_tokens.h"
#include "text/detokenize.h"
#include "text/normalizer.h"
#include "text/splitter.h"
#include "text/token_model.h"
#include "text/token_table.h"
#include "text/tokenizer.h"

namespace nibble {

struct TokenizerPipeline {
  std::unique_ptr<TokenTable> table;  // before `model`, which refers to it
  AddedTokens added;                  // found in the text as it is
  AddedTokens added_normalized;       // found in the normalized text
  NormalizerChain normalizers;
  // SentencePiece: every space becomes U+2581, after one was put before the text if wanted (and
  // before each fragment behind an added token, as llama.cpp does).
  bool escapes_spaces = false;
  bool add_space_prefix = false;
  SplitterChain splitters;
  std::unique_ptr<TokenModel> model;
  std::vector<int32_t> prefix, suffix;  // around a text, with add_special
  DecodeChain decoders;
  bool added_are_literal =
      false;  // added tokens decode to their spelling, not through the decoders
};

std::unique_ptr<Tokenizer> make_pipeline_tokenizer(VocabularyData data, TokenizerPipeline pipeline);

}  // namespace nibble
