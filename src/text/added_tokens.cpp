#include "text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "text/unicode_class.h"

namespace nibble {
namespace {

// The code point that ends at the end of `text`, which is not empty.
uint32_t last_code_point(std::string_view text, size_t& length) {
  for (length = 1; length <= 4 && length <= text.size(); ++length) {
    const CodePoint point = decode_utf8(text.substr(text.size() - length));
    if (point.valid && point.length == length) return point.value;
  }
  length = 1;
  return 0xfffd;
}

bool is_inside_word(std::string_view text, size_t begin, size_t end) {
  size_t length = 0;
  if (begin > 0 && is_word_character(last_code_point(text.substr(0, begin), length))) return true;
  return end < text.size() && is_word_character(decode_utf8(text.substr(end)).value);
}

size_t skip_spaces_left(std::string_view text, size_t from, size_t floor) {
  while (from > floor) {
    size_t length = 0;
    if (!is_unicode_space(last_code_point(text.substr(floor, from - floor), length))) break;
    from -= length;
  }
  return from;
}

size_t skip_spaces_right(std::string_view text, size_t from) {
  while (from < text.size()) {
    const CodePoint point = decode_utf8(text.substr(from));
    if (!is_unicode_space(point.value)) break;
    from += point.length;
  }
  return from;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    CHECK(!tokens_[i].spelling.empty() && tokens_[i].spelling.size() <= kMaxBytes);
    entries.emplace_back(tokens_[i].spelling, static_cast<int32_t>(i));
  }
  trie_ = ByteTrie(std::move(entries));
}

ByteTrie::Match AddedTokens::longest(std::string_view text, size_t special_bytes) const {
  ByteTrie::Match best;
  uint32_t node = ByteTrie::kRoot;
  for (size_t i = 0; i < text.size(); ++i) {
    node = trie_.child(node, text[i]);
    if (node == ByteTrie::kNowhere) break;
    const int32_t value = trie_.value(node);
    if (value < 0) continue;
    if (tokens_[static_cast<size_t>(value)].is_special && i + 1 > special_bytes) continue;
    best = {value, i + 1};
  }
  return best;
}

std::vector<TextFragment> AddedTokens::split(std::string_view text,
                                             std::span<const TextRange> special_ranges) const {
  std::vector<TextFragment> fragments;
  size_t run_begin = 0, at = 0, range = 0;
  while (at < text.size()) {
    while (range < special_ranges.size() && special_ranges[range].end <= at) ++range;
    const bool is_in_range = range < special_ranges.size() && special_ranges[range].begin <= at;
    const size_t special_bytes = is_in_range ? special_ranges[range].end - at : 0;
    const ByteTrie::Match match = longest(text.substr(at), special_bytes);
    if (match.value < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(match.value)];
    size_t begin = at, end = at + match.length;
    at = end;
    if (token.single_word && is_inside_word(text, begin, end)) continue;
    if (token.lstrip) begin = skip_spaces_left(text, begin, run_begin);
    if (token.rstrip) end = skip_spaces_right(text, end);
    if (begin > run_begin) fragments.push_back({text.substr(run_begin, begin - run_begin), -1});
    fragments.push_back({text.substr(begin, end - begin), token.token});
    run_begin = at = end;
  }
  if (run_begin < text.size()) fragments.push_back({text.substr(run_begin), -1});
  return fragments;
}

}  // namespace nibble
