// Template source -> tokens, with Jinja2's rules for whitespace (trim_blocks and lstrip_blocks on,
// one newline at the end of the source dropped).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nibble::jinja {

enum class TokenKind : uint8_t {
  kData,           // template text, as it will be printed
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  size_t offset = 0;  // in the normalized source
  std::string text;   // data, name, operator; a string with its escapes resolved
  int64_t integer = 0;
  double number = 0;
};

// Line breaks become \n, and one at the end is dropped.
std::string normalize_source(std::string_view source);

// `source`: normalized. An error's offset goes to `error_at`.
Result<std::vector<Token>> tokenize(std::string_view source, size_t& error_at);

// "line 3, column 7", both from 1, columns in characters.
std::string position_text(std::string_view source, size_t offset);

}  // namespace nibble::jinja
