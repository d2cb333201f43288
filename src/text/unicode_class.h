// What a code point is and what it turns into, as the tokenizers of published models see it. Tables
// of utf8proc, except where Hugging Face's library is known to use an older Unicode
// (unicode_exceptions.inc): models were trained with what it does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nibble {

bool is_unicode_space(uint32_t code_point);    // the property White_Space
bool is_unicode_number(uint32_t code_point);   // categories N
bool is_unicode_mark(uint32_t code_point);     // categories M
bool is_nonspacing_mark(uint32_t code_point);  // category Mn
// Categories P and all of ASCII that is neither letter, digit, space nor control.
bool is_punctuation(uint32_t code_point);
// Categories Cc, Cf and Co, but not tab, newline and carriage return.
bool is_bert_control(uint32_t code_point);
// What \w means in Rust's regular expressions: letters, marks, decimal digits, connectors, joiners.
bool is_word_character(uint32_t code_point);

// The lower-case form: one code point, or two for U+0130.
void append_lower_case(uint32_t code_point, std::string& out);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
// Bytes that are not UTF-8 stay where they are.
std::string normal_form(std::string_view text, NormalForm form);

}  // namespace nibble
