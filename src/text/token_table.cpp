#include "text/token_table.h"

#include <algorithm>
#include <utility>

#include "text/added_tokens.h"

namespace nibble {

int value_of_byte_token(std::string_view spelling) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') return -1;
  const int high = digit(spelling[3]), low = digit(spelling[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string spelling_of_byte_token(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

Result<TokenTable> TokenTable::create(std::vector<std::string> spellings,
                                      std::vector<TokenType> types) {
  TokenTable table;
  table.spellings_ = std::move(spellings);
  table.types_ = std::move(types);
  RETURN_IF_ERROR(table.index());
  return table;
}

Status TokenTable::index() {
  by_spelling_.reserve(spellings_.size());
  for (int32_t id = 0; id < size(); ++id) {
    const std::string_view text = spelling(id);
    if (text.empty()) continue;
    const auto [found, is_new] = by_spelling_.emplace(text, id);
    if (!is_new) {
      return make_error(ErrorKind::kInvalid,
                        "[tokenizer] tokens {} and {} have the same spelling; spellings must "
                        "differ; the vocabulary is damaged",
                        found->second, id);
    }
    longest_bytes_ = std::max(longest_bytes_, text.size());
    switch (type(id)) {
      case TokenType::kByte:
        if (value_of_byte_token(text) >= 0) break;
        return make_error(ErrorKind::kInvalid,
                          "[tokenizer] token {} is a byte token but not spelled <0x00> to <0xFF>; "
                          "the vocabulary is damaged",
                          id);
      case TokenType::kControl:
      case TokenType::kUnknown:
      case TokenType::kUserDefined:
        if (text.size() <= AddedTokens::kMaxBytes) break;
        return make_error(ErrorKind::kInvalid,
                          "[tokenizer] special token {} has {} bytes; at most {} are allowed; the "
                          "vocabulary is damaged",
                          id, text.size(), AddedTokens::kMaxBytes);
      default:
        break;
    }
  }
  return {};
}

int32_t TokenTable::find(std::string_view spelling) const {
  const auto found = by_spelling_.find(spelling);
  return found == by_spelling_.end() ? -1 : found->second;
}

int32_t TokenTable::find_plain(std::string_view spelling) const {
  const int32_t id = find(spelling);
  return id >= 0 && is_plain(id) ? id : -1;
}

int32_t TokenTable::byte_token(uint8_t byte) const {
  return find_plain(spelling_of_byte_token(byte));
}

}  // namespace nibble
