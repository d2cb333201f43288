// Finds tokens that are spelled literally in a text (control and user-defined tokens; the
// "added_tokens" of tokenizer.json).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"

namespace nibble {

struct AddedToken {
  std::string spelling;
  int32_t token = -1;
  bool is_special = false;   // only found where special tokens may be
  bool single_word = false;  // not inside a word
  bool lstrip = false;       // takes the spaces before it
  bool rstrip = false;       // takes the spaces behind it
};

// Part of a text: a run without added tokens (token < 0), or one added token with its spaces.
struct TextFragment {
  std::string_view text;
  int32_t token = -1;
};

// A stretch of a text, in bytes.
struct TextRange {
  size_t begin, end;
};

class AddedTokens {
 public:
  // Longer spellings are refused by the readers: the search takes up to this many steps a byte.
  static constexpr size_t kMaxBytes = 256;

  AddedTokens() = default;
  // Spellings: 1 to kMaxBytes bytes. Of two with the same spelling the first stays.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // From left to right, at each byte the longest spelling that begins there. No fragment is empty.
  // Special tokens are only found when they lie inside one of `special_ranges` (ascending).
  std::vector<TextFragment> split(std::string_view text,
                                  std::span<const TextRange> special_ranges) const;

 private:
  // Index into tokens_ and length of the longest spelling at the beginning of `text`, special ones
  // up to `special_bytes` long only; -1 when there is none.
  ByteTrie::Match longest(std::string_view text, size_t special_bytes) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;  // values: indices into tokens_
};

}  // namespace nibble
