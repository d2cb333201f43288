// The byte alphabet of GPT-2: each of the 256 bytes has one printable character, so that a
// vocabulary of byte strings can be written as text. Bytes that are printable in Latin-1
// (0x21-0x7e, 0xa1-0xac, 0xae-0xff) stand for themselves; the other 68 get U+0100, U+0101, ... in
// order, so a space is U+0120. Source: openai/gpt-2, src/encoder.py, bytes_to_unicode().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nibble {

// The character that stands for a byte: U+0021 to U+0143.
uint32_t byte_level_character(uint8_t byte);

// How the bytes are spelled in a byte-level vocabulary (UTF-8).
std::string byte_level_spelling(std::string_view bytes);

// The bytes behind a spelling; nullopt when it has a character outside the alphabet or is not
// UTF-8.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

}  // namespace nibble
