// The splitters that GGUF files name in tokenizer.ggml.pre.
//
// A splitter is a chain of regular expressions (regex.h). Each one cuts every piece that the one
// before it left: its matches become pieces, and so does what lies between them; nothing is
// dropped. A piece is matched as if it were the whole text (look-ahead ends at its edge). Source of
// the names: the values of tokenizer.ggml.pre that llama.cpp knows; of the expressions: the
// tokenizer.json of the models, written as there.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/splitter.h"

namespace nibble {

// One row of the table of splitters.
struct PreTokenizerSpec {
  std::vector<std::string_view> names;     // as in tokenizer.ggml.pre
  std::vector<std::string_view> patterns;  // applied in order
  bool whole_words_first = false;  // a word that is a token is that token, whatever the merges say
  bool adds_bos = false;           // when the file does not say
  // Tokens are spelled in the byte alphabet; else as they are, spaces as U+2581, and bytes without
  // a token as <0x41>.
  bool is_byte_level = true;
  bool drops_spaces = false;  // pieces are words; what lies between the matches is dropped
};

std::span<const PreTokenizerSpec> all_pre_tokenizers();
// Null for an unknown name. The empty name (files older than the key) is "default".
const PreTokenizerSpec* find_pre_tokenizer(std::string_view name);
// The row that splits as these expressions do (compared as text, after writing characters outside
// ASCII as escapes), or null.
const PreTokenizerSpec* match_pre_tokenizer(std::span<const std::string> patterns,
                                            bool whole_words_first);

// The steps of a row, the byte alphabet included. kFailure when an expression does not compile.
Result<SplitterChain> make_splitters(const PreTokenizerSpec& spec);

// How the ByteLevel pre-tokenizer of GPT-2 cuts.
std::string_view gpt2_pattern();

}  // namespace nibble
