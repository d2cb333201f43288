// Steps that cut a text into the pieces inside which tokens are formed (the "pre-tokenizer" of
// tokenizer.json; what tokenizer.ggml.pre names).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace nibble {

struct Piece {
  size_t begin, length;
  bool at_start;  // the piece begins where the whole text begins
};

// A text and the pieces of it that are left; they are in order and none is empty.
struct Pieces {
  std::string text;
  std::vector<Piece> list;
  uint64_t regex_work = UINT64_MAX;  // what expressions may still do, see Regex::work_for()

  std::string_view view(const Piece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.length);
  }
};

// What becomes of the delimiters that a splitter finds.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

class Splitter {
 public:
  virtual ~Splitter() = default;
  // Cuts every piece. Never fails: when an expression has used up what it may do (only texts made
  // for that, or an expression that is), it leaves the rest of the text as it is. Any bytes are
  // allowed. Any number of threads.
  virtual void apply(Pieces& pieces) const = 0;
};
using SplitterChain = std::vector<std::unique_ptr<Splitter>>;

// Delimiters are the matches; with `invert`, what lies between them.
std::unique_ptr<Splitter> make_regex_splitter(Regex regex, SplitBehavior behavior, bool invert);
// Delimiters are the occurrences of `literal` (not empty).
std::unique_ptr<Splitter> make_text_splitter(std::string literal, SplitBehavior behavior,
                                             bool invert);
// Delimiters are the code points for which the predicate holds.
std::unique_ptr<Splitter> make_class_splitter(bool (*is_delimiter)(uint32_t),
                                              SplitBehavior behavior);
// Runs of word characters and runs of anything else but spaces; spaces are removed.
std::unique_ptr<Splitter> make_word_splitter();
// Pieces of `length` >= 1 code points.
std::unique_ptr<Splitter> make_length_splitter(size_t length);
// Spells every piece in the byte alphabet (byte_level.h), after putting a space before those that
// have none if `add_prefix_space` and cutting them with `regex` if there is one.
std::unique_ptr<Splitter> make_byte_level_splitter(bool add_prefix_space,
                                                   std::optional<Regex> regex);

enum class PrependScheme { kFirst, kNever, kAlways };
// Spaces become `replacement` (one code point), one is put before the pieces that have none
// (kFirst: only at the start of the text), and a piece is cut before each, if `split`.
std::unique_ptr<Splitter> make_metaspace_splitter(std::string replacement, PrependScheme scheme,
                                                  bool split);

}  // namespace nibble
