#include "text/byte_level.h"

#include <array>

#include "base/utf8.h"

namespace nibble {
namespace {

constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr uint32_t kFirstBorrowed = 0x100;

struct Alphabet {
  std::array<uint32_t, 256> character{};
  std::array<uint8_t, 68> borrowed{};  // the byte behind U+0100 + i
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  uint32_t n_borrowed = 0;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    if (stands_for_itself(byte)) {
      alphabet.character[byte] = byte;
    } else {
      alphabet.borrowed[n_borrowed] = static_cast<uint8_t>(byte);
      alphabet.character[byte] = kFirstBorrowed + n_borrowed++;
    }
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

uint32_t byte_level_character(uint8_t byte) { return kAlphabet.character[byte]; }

std::string byte_level_spelling(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    append_utf8(byte_level_character(static_cast<uint8_t>(byte)), spelling);
  }
  return spelling;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  while (!spelling.empty()) {
    const CodePoint point = decode_utf8(spelling);
    if (!point.valid) return std::nullopt;
    if (point.value < 256 && stands_for_itself(point.value)) {
      bytes.push_back(static_cast<char>(point.value));
    } else if (point.value >= kFirstBorrowed &&
               point.value - kFirstBorrowed < kAlphabet.borrowed.size()) {
      bytes.push_back(static_cast<char>(kAlphabet.borrowed[point.value - kFirstBorrowed]));
    } else {
      return std::nullopt;
    }
    spelling.remove_prefix(point.length);
  }
  return bytes;
}

}  // namespace nibble
