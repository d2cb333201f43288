// What Python's str knows about characters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/jinja_text.h"

namespace nibble::jinja {

bool is_space(uint32_t c);       // str.isspace(), what strip() takes away
bool is_line_break(uint32_t c);  // where splitlines() splits
bool is_printable(uint32_t c);   // what repr() shows as it is
bool is_alpha(uint32_t c);
bool is_decimal(uint32_t c);
bool is_digit(uint32_t c);
bool is_numeric(uint32_t c);
bool is_lower(uint32_t c);
bool is_upper(uint32_t c);  // title case is neither
bool is_title(uint32_t c);
inline bool is_alnum(uint32_t c) { return is_alpha(c) || is_numeric(c); }

enum class Case { kLower, kUpper, kTitle, kFold };
// One character in another case, which may be up to three.
void append_cased(uint32_t c, Case which, std::string& out);

// Whole texts. Lower case of a sigma at the end of a word is its final form.
Text upper(const Text& text);
Text lower(const Text& text);
Text casefold(const Text& text);
Text swapcase(const Text& text);
Text capitalize(const Text& text);   // first character in title case, the others lower
Text title_words(const Text& text);  // str.title(): the first of every run of letters

}  // namespace nibble::jinja
