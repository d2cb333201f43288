#include "container/printable.h"

#include <fmt/format.h>

#include <iterator>

#include "base/utf8.h"

namespace nibble {

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= max_bytes) return out + "...";
    const CodePoint point = decode_utf8(text);
    const bool control = point.value < 0x20 || (point.value >= 0x7f && point.value < 0xa0);
    for (const char byte : text.substr(0, point.length)) {
      if (point.valid && !control) {
        out.push_back(byte);
      } else {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(byte));
      }
    }
    text.remove_prefix(point.length);
  }
  return out;
}

}  // namespace nibble
