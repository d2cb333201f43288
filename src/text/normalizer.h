// Steps that rewrite a text before it is cut (the "normalizer" of tokenizer.json; what
// SentencePiece and BERT do by themselves). Bytes that are not UTF-8 pass through unless a step
// says otherwise.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/charsmap.h"
#include "text/regex.h"
#include "text/unicode_class.h"

namespace nibble {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Never fails; any number of threads.
  virtual std::string apply(std::string_view text) const = 0;
};
using NormalizerChain = std::vector<std::unique_ptr<Normalizer>>;

struct BertOptions {
  bool clean_text = true;            // drops control characters, every space becomes " "
  bool handle_chinese_chars = true;  // spaces around CJK ideographs
  bool strip_accents = true;
  bool lowercase = true;
};

std::unique_ptr<Normalizer> make_form_normalizer(NormalForm form);
std::unique_ptr<Normalizer> make_lowercase();
std::unique_ptr<Normalizer> make_strip(bool left, bool right);
std::unique_ptr<Normalizer> make_strip_accents();
std::unique_ptr<Normalizer> make_prepend(std::string prefix);
std::unique_ptr<Normalizer> make_replace(std::string literal, std::string content);
// A text on which the expression exceeds its work limit stays as it is.
std::unique_ptr<Normalizer> make_regex_replace(Regex regex, std::string content);
std::unique_ptr<Normalizer> make_nmt();
std::unique_ptr<Normalizer> make_byte_level_normalizer();
// Invalid bytes are dropped, as U+FFFD is.
std::unique_ptr<Normalizer> make_bert(const BertOptions& options);
// Hugging Face's reading of a charsmap: per grapheme, then per code point.
std::unique_ptr<Normalizer> make_precompiled(Charsmap charsmap);
// SentencePiece's: the longest entry at each place; an invalid byte becomes U+FFFD.
std::unique_ptr<Normalizer> make_charsmap(Charsmap charsmap);
// Spaces at the ends go, runs of spaces become one.
std::unique_ptr<Normalizer> make_squeeze_spaces();

}  // namespace nibble
