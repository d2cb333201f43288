// UTF-8, as RFC 3629 has it: no overlong forms, no surrogates, at most U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nibble {

struct CodePoint {
  uint32_t value;   // U+FFFD when the bytes are no valid sequence
  uint32_t length;  // bytes consumed: 1..4; 1 for an invalid byte
  bool valid;
};

// The code point at the start of `text`, which must not be empty.
CodePoint decode_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);
void append_utf8(uint32_t code_point, std::string& out);

// How many bytes at the end of `text` are the beginning of a sequence that more bytes could
// complete (0 to 3). What a streaming writer holds back.
size_t incomplete_utf8_tail(std::string_view text);

}  // namespace nibble
