// A byte-level vocabulary made in the test: 256 bytes, some merges, some special tokens.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "text/byte_level.h"
#include "text/tokenizer.h"

namespace nibble {

// Token ids: byte b is b; then one token per merge, in order; then <s>, </s>, <|im_start|>,
// <|im_end|> (control) and <user> (user-defined), for find().
inline VocabularyData small_vocabulary(
    std::initializer_list<std::pair<std::string_view, std::string_view>> merges = {{"a", "a"},
                                                                                   {"aa", "aa"},
                                                                                   {"aaaa", "aaaa"},
                                                                                   {" ", " "},
                                                                                   {"  ", "  "},
                                                                                   {"h", "e"},
                                                                                   {"l", "l"},
                                                                                   {"he", "ll"},
                                                                                   {"hell", "o"},
                                                                                   {" ", "w"},
                                                                                   {"o", "r"}}) {
  VocabularyData data;
  data.model = "gpt2";
  data.pre = "gpt-2";
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(byte_level_spelling(std::string(1, static_cast<char>(byte))));
  }
  for (const auto& [left, right] : merges) {
    const std::string a = byte_level_spelling(left), b = byte_level_spelling(right);
    data.merges.push_back(a + " " + b);
    data.tokens.push_back(a + b);
  }
  data.types.assign(data.tokens.size(), TokenType::kNormal);
  const auto add = [&](std::string_view spelling, TokenType type) {
    data.tokens.emplace_back(spelling);
    data.types.push_back(type);
    return static_cast<int32_t>(data.tokens.size()) - 1;
  };
  data.bos = add("<s>", TokenType::kControl);
  data.eos = add("</s>", TokenType::kControl);
  add("<|im_start|>", TokenType::kControl);
  add("<|im_end|>", TokenType::kControl);
  add("<user>", TokenType::kUserDefined);
  return data;
}

}  // namespace nibble
