// Finds tokens that are spelled literally in a text (control and user-defined tokens).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nibble {

// Part of a text: a run without special tokens (token < 0), or one special token.
struct TextFragment {
  std::string_view text;
  int32_t token = -1;
};

class SpecialTokens {
 public:
  // Longer spellings are refused by the tokenizer: the search takes up to this many steps a byte.
  static constexpr size_t kMaxBytes = 256;

  SpecialTokens();
  // `spelling`: 1 to kMaxBytes bytes. The first token of a spelling stays.
  void add(std::string_view spelling, int32_t token);

  // From left to right, at each byte the longest spelling that begins there. No fragment is empty.
  std::vector<TextFragment> split(std::string_view text) const;

 private:
  // A trie: node 0 is the root; an edge is found by (node, byte).
  std::array<bool, 256> begins_{};  // whether any spelling begins with the byte
  std::vector<int32_t> token_of_;   // per node, -1: no spelling ends here
  std::unordered_map<uint64_t, uint32_t> edges_;
};

}  // namespace nibble
