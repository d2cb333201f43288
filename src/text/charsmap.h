// The character table of SentencePiece ("precompiled_charsmap"): which bytes are rewritten to which
// before a text is cut into tokens.
//
//   u32 n | n bytes: double array of u32 units | replacement strings, each ended by a NUL
//
//   unit of a node:  bits 0-7 label | 8 has a value | 9 offset is in units of 256 | 10-31 offset
//   unit of a value: bits 0-30, the place of the replacement
//
// A child along byte c is at (node XOR offset) XOR c, and its label says c. Source: the darts-clone
// library and google/sentencepiece, src/normalizer.cc. Little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nibble {

class Charsmap {
 public:
  // kInvalid when the sizes contradict. Indices inside are checked where they are used: a walk that
  // leaves the table finds nothing.
  static Result<Charsmap> parse(std::string_view bytes);

  struct Match {
    size_t length = 0;  // bytes of the text, 0: nothing found
    std::string_view replacement;
  };
  // The longest entry that is a prefix of `text` (what SentencePiece replaces).
  Match longest(std::string_view text) const;
  // The replacement of the shortest one (what Hugging Face's Precompiled does with a character).
  std::optional<std::string_view> shortest(std::string_view text) const;

 private:
  Match find(std::string_view text, bool longest) const;
  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace nibble
