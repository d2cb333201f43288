// Steps that turn the spellings of tokens back into text (the "decoder" of tokenizer.json).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/regex.h"

namespace nibble {

struct DecodePiece {
  std::string text;
  bool is_literal = false;  // text as it stands, not a spelling; steps leave it alone
};

class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  // `is_whole`: the pieces are all tokens of a text; else they are somewhere inside of one, and
  // what a step does at the ends of a text does not happen.
  virtual void apply(std::vector<DecodePiece>& pieces, bool is_whole) const = 0;
};
using DecodeChain = std::vector<std::unique_ptr<DecodeStep>>;

// Bytes instead of the byte alphabet, and one piece. A spelling outside the alphabet stays.
std::unique_ptr<DecodeStep> make_byte_level_decoder();
// <0x41> becomes that byte. (Hugging Face's writes U+FFFD for bytes that are no UTF-8 together;
// here they stay, so that text can be streamed and any bytes come back.)
std::unique_ptr<DecodeStep> make_byte_fallback_decoder();
// `replacement` becomes a space; at the beginning of a text nothing, with `drops_first`.
std::unique_ptr<DecodeStep> make_metaspace_decoder(std::string replacement, bool drops_first);
// Spaces before words, and with `cleanup` not before punctuation marks. See WordPieceOptions.
std::unique_ptr<DecodeStep> make_word_piece_decoder(std::string continuing_prefix,
                                                    std::string initial_prefix, bool cleanup);
std::unique_ptr<DecodeStep> make_fuse_decoder();
std::unique_ptr<DecodeStep> make_replace_decoder(std::string literal, std::string content);
std::unique_ptr<DecodeStep> make_regex_replace_decoder(Regex regex, std::string content);
// Up to `start` and `stop` times `content` at the ends of each piece. `is_of_text`: it comes behind
// a step that fuses, so the ends are those of the text.
std::unique_ptr<DecodeStep> make_strip_decoder(std::string content, size_t start, size_t stop,
                                               bool is_of_text);
// `suffix` becomes a space, but not at the end of a text.
std::unique_ptr<DecodeStep> make_bpe_decoder(std::string suffix);
// A space between tokens: what happens without any decoder.
std::unique_ptr<DecodeStep> make_join_decoder();

}  // namespace nibble
