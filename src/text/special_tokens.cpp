#include "text/special_tokens.h"

#include "base/check.h"

namespace nibble {
namespace {

uint64_t edge(uint64_t node, char byte) { return (node << 8) | static_cast<unsigned char>(byte); }

}  // namespace

SpecialTokens::SpecialTokens() : token_of_{-1} {}

void SpecialTokens::add(std::string_view spelling, int32_t token) {
  CHECK(!spelling.empty() && spelling.size() <= kMaxBytes);
  begins_[static_cast<unsigned char>(spelling[0])] = true;
  uint32_t node = 0;
  for (const char byte : spelling) {
    const auto [found, is_new] =
        edges_.emplace(edge(node, byte), static_cast<uint32_t>(token_of_.size()));
    if (is_new) token_of_.push_back(-1);
    node = found->second;
  }
  if (token_of_[node] < 0) token_of_[node] = token;
}

std::vector<TextFragment> SpecialTokens::split(std::string_view text) const {
  std::vector<TextFragment> fragments;
  size_t run_begin = 0, at = 0;
  while (at < text.size()) {
    int32_t token = -1;
    size_t token_end = at;
    if (begins_[static_cast<unsigned char>(text[at])]) {
      uint32_t node = 0;
      for (size_t i = at; i < text.size(); ++i) {
        const auto found = edges_.find(edge(node, text[i]));
        if (found == edges_.end()) break;
        node = found->second;
        if (token_of_[node] >= 0) {
          token = token_of_[node];
          token_end = i + 1;
        }
      }
    }
    if (token < 0) {
      ++at;
      continue;
    }
    if (at > run_begin) fragments.push_back({text.substr(run_begin, at - run_begin), -1});
    fragments.push_back({text.substr(at, token_end - at), token});
    run_begin = at = token_end;
  }
  if (run_begin < text.size()) fragments.push_back({text.substr(run_begin), -1});
  return fragments;
}

}  // namespace nibble
