// Splits text into the words inside which byte pairs may merge.
//
// A splitter is a chain of regular expressions. Each one cuts every piece that the one before it
// left: its matches become pieces, and so does what lies between them; nothing is dropped. A piece
// is matched as if it were the whole text (look-ahead ends at its edge). Source of the names: the
// values of tokenizer.ggml.pre in GGUF files; of the expressions: the tokenizer.json of the models.
// Character classes are those of PCRE2's Unicode version (10.42: Unicode 14); what was assigned
// later counts as a symbol.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nibble {

// One row of the table of splitters.
struct PreTokenizerSpec {
  std::vector<std::string_view> names;     // as in tokenizer.ggml.pre
  std::vector<std::string_view> patterns;  // applied in order
  bool whole_words_first = false;  // a word that is a token is that token, whatever the merges say
  bool adds_bos = false;           // when the file does not say
};

std::span<const PreTokenizerSpec> all_pre_tokenizers();
// Null for an unknown name. The empty name (files older than the key) is "default".
const PreTokenizerSpec* find_pre_tokenizer(std::string_view name);

class PreTokenizer {
 public:
  // kFailure when an expression does not compile (it came from a file).
  static Result<PreTokenizer> create(const PreTokenizerSpec& spec);

  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // The pieces in order; together they are `text`, byte for byte, and none is empty. Any bytes are
  // allowed: the expressions see each byte that is not part of valid UTF-8 as one U+FFFD, a symbol.
  // Never fails: a piece on which an expression exceeds its work limit (linear in the piece) stays
  // whole. Any number of threads.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct State;
  explicit PreTokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// PCRE2's \s has U+180E and differs from what the tokenizers mean by it: \s and \S in `pattern`
// become explicit classes of the Unicode property White_Space.
std::string with_explicit_whitespace(std::string_view pattern);

}  // namespace nibble
