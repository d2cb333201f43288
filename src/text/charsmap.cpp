#include "text/charsmap.h"

#include <span>

#include "base/byte_reader.h"

namespace nibble {
namespace {

uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & ((1u << 31) | 0xffu); }
bool has_value(uint32_t unit) { return ((unit >> 8) & 1u) != 0; }
uint32_t value_of(uint32_t unit) { return unit & ~(1u << 31); }

// The longest of NFKC has 33 bytes. A longer one would only blow a text up.
constexpr size_t kMaxReplacementBytes = 64;

}  // namespace

Result<Charsmap> Charsmap::parse(std::string_view bytes) {
  ByteReader reader(std::as_bytes(std::span(bytes)));
  const auto n_bytes = reader.read<uint32_t>();
  if (!n_bytes || *n_bytes % sizeof(uint32_t) != 0 || *n_bytes == 0 ||
      *n_bytes > reader.remaining()) {
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] the character table (precompiled_charsmap) has {} bytes and "
                      "announces {}; it is damaged",
                      bytes.size(), n_bytes.value_or(0));
  }
  Charsmap map;
  map.units_.reserve(*n_bytes / sizeof(uint32_t));
  for (uint32_t i = 0; i < *n_bytes / sizeof(uint32_t); ++i) {
    map.units_.push_back(*reader.read<uint32_t>());
  }
  map.replacements_ = *reader.take_string(reader.remaining());
  return map;
}

Charsmap::Match Charsmap::find(std::string_view text, bool longest) const {
  Match match;
  size_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0) break;
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    const bool found = has_value(units_[node]);
    node ^= offset_of(units_[node]);
    if (!found) continue;
    if (node >= units_.size()) break;
    const size_t begin = value_of(units_[node]);
    const size_t end = replacements_.find('\0', begin);
    if (begin >= replacements_.size() || end == std::string::npos ||
        end - begin > kMaxReplacementBytes) {
      break;
    }
    match = {i + 1, std::string_view(replacements_).substr(begin, end - begin)};
    if (!longest) break;
  }
  return match;
}

Charsmap::Match Charsmap::longest(std::string_view text) const { return find(text, true); }

std::optional<std::string_view> Charsmap::shortest(std::string_view text) const {
  const Match match = find(text, false);
  if (match.length == 0) return std::nullopt;
  return match.replacement;
}

}  // namespace nibble
