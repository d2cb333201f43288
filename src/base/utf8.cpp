#include "base/utf8.h"

namespace nibble {
namespace {

// Bytes that a leading byte announces: 1..4, or 0 for a byte that cannot lead.
uint32_t announced_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

// Whether `second` may follow `lead`: shuts out overlong forms, surrogates and > U+10FFFF.
bool second_byte_fits(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xe0:
      return second >= 0xa0 && second <= 0xbf;
    case 0xed:
      return second >= 0x80 && second <= 0x9f;
    case 0xf0:
      return second >= 0x90 && second <= 0xbf;
    case 0xf4:
      return second >= 0x80 && second <= 0x8f;
    default:
      return (second & 0xc0) == 0x80;
  }
}

}  // namespace

CodePoint decode_utf8(std::string_view text) {
  constexpr CodePoint kInvalid{0xfffd, 1, false};
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const uint32_t length = announced_length(byte(0));
  if (length == 1) return {byte(0), 1, true};
  if (length == 0 || text.size() < length || !second_byte_fits(byte(0), byte(1))) return kInvalid;
  uint32_t value = byte(0) & (0x7fu >> length);
  for (uint32_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return kInvalid;
    value = (value << 6) | (byte(i) & 0x3fu);
  }
  return {value, length, true};
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (!point.valid) return false;
    text.remove_prefix(point.length);
  }
  return true;
}

void append_utf8(uint32_t c, std::string& out) {
  const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3f));
    put(0x80 | ((c >> 6) & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

size_t incomplete_utf8_tail(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto lead = static_cast<unsigned char>(text[text.size() - back]);
    if ((lead & 0xc0) == 0x80) continue;
    const uint32_t length = announced_length(lead);
    if (length <= back) return 0;  // complete, or no leading byte at all
    if (back >= 2 &&
        !second_byte_fits(lead, static_cast<unsigned char>(text[text.size() - back + 1]))) {
      return 0;
    }
    return back;
  }
  return 0;
}

}  // namespace nibble
