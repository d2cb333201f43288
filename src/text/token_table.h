// The tokens of a vocabulary by id and by spelling.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace nibble {

class TokenTable {
 public:
  // `types`: empty (all normal) or one per spelling. Empty spellings are tolerated (padding of some
  // files): such a token is never found. kInvalid: two tokens spelled alike; a byte token not
  // spelled <0x00> to <0xFF>; an unknown, control or user-defined token longer than
  // AddedTokens::kMaxBytes.
  static Result<TokenTable> create(std::vector<std::string> spellings,
                                   std::vector<TokenType> types);
  TokenTable(TokenTable&&) = default;
  TokenTable& operator=(TokenTable&&) = default;

  int32_t size() const { return static_cast<int32_t>(spellings_.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  const std::string& spelling(int32_t id) const { return spellings_[static_cast<size_t>(id)]; }
  TokenType type(int32_t id) const {
    return types_.empty() ? TokenType::kNormal : types_[static_cast<size_t>(id)];
  }
  // -1 when there is none.
  int32_t find(std::string_view spelling) const;
  // The same for what a model may make of plain text: never a control or unknown token.
  int32_t find_plain(std::string_view spelling) const;
  bool is_plain(int32_t id) const {
    return type(id) != TokenType::kControl && type(id) != TokenType::kUnknown;
  }
  // The token that stands for a byte (<0x41>), or -1.
  int32_t byte_token(uint8_t byte) const;
  size_t longest_bytes() const { return longest_bytes_; }

 private:
  TokenTable() = default;
  Status index();

  std::vector<std::string> spellings_;
  std::vector<TokenType> types_;
  std::unordered_map<std::string_view, int32_t> by_spelling_;  // views into spellings_
  size_t longest_bytes_ = 0;
};

// "<0x0A>" -> 10; -1 for any other text.
int value_of_byte_token(std::string_view spelling);
std::string spelling_of_byte_token(uint8_t byte);

}  // namespace nibble
