#include "lab/vocabulary_maker.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "text/byte_level.h"

namespace nibble::lab {
namespace {

using Spellings = std::unordered_set<std::string>;

// Left and right of "left right"; the left one may begin with a space of its own.
std::pair<std::string_view, std::string_view> halves(std::string_view merge) {
  const size_t space = merge.find(' ', 1);
  if (space == std::string_view::npos) return {merge, {}};
  return {merge.substr(0, space), merge.substr(space + 1)};
}

std::array<int32_t*, 5> special_ids(VocabularyData& data) {
  return {&data.bos, &data.eos, &data.eot, &data.unknown, &data.padding};
}

bool is_byte(const std::string& spelling) {
  const auto bytes = bytes_of_spelling(spelling);
  return bytes && bytes->size() == 1;
}

// Cuts the tokens; those that special ids name move to the last places that hold neither a special
// token nor a byte.
Status cut(VocabularyData& data, size_t size) {
  std::vector<int32_t> lost;
  for (const int32_t* id : special_ids(data)) {
    if (*id >= static_cast<int64_t>(size)) lost.push_back(*id);
  }
  std::sort(lost.begin(), lost.end(), std::greater<>());
  lost.erase(std::unique(lost.begin(), lost.end()), lost.end());
  auto place = static_cast<int32_t>(size);
  for (const int32_t from : lost) {
    const auto is_free = [&](int32_t id) {
      const auto ids = special_ids(data);
      return std::none_of(ids.begin(), ids.end(), [&](const int32_t* s) { return *s == id; }) &&
             !is_byte(data.tokens[static_cast<size_t>(id)]);
    };
    do {
      --place;
    } while (place >= 0 && !is_free(place));
    if (place < 0) {
      return make_error(ErrorKind::kInvalid,
                        "[vocabulary] {} tokens have no room for {} special tokens beside the "
                        "bytes; choose a larger shape",
                        size, lost.size());
    }
    const auto to = static_cast<size_t>(place), source = static_cast<size_t>(from);
    data.tokens[to] = data.tokens[source];
    data.types[to] = data.types[source];
    for (int32_t* id : special_ids(data)) {
      if (*id == from) *id = place;
    }
  }
  data.tokens.resize(size);
  data.types.resize(size);
  const Spellings left(data.tokens.begin(), data.tokens.end());
  std::erase_if(data.merges, [&](const std::string& merge) {
    const auto [a, b] = halves(merge);
    const std::string x(a), y(b);
    return !left.contains(x) || !left.contains(y) || !left.contains(x + y);
  });
  return {};
}

void pad(VocabularyData& data, size_t size) {
  const Spellings taken(data.tokens.begin(), data.tokens.end());
  while (data.tokens.size() < size) {
    const size_t id = data.tokens.size();
    std::string spelling = fmt::format("<|pad_{}|>", id);
    while (taken.contains(spelling)) spelling = fmt::format("<{}>", spelling);
    data.tokens.push_back(std::move(spelling));
    data.types.push_back(TokenType::kUnused);
  }
}

}  // namespace

VocabularyData generate_vocabulary(int64_t size) {
  CHECK(size >= kMinVocabulary);
  const auto n = static_cast<size_t>(size);
  VocabularyData data;
  data.model = "gpt2";
  data.pre = "gpt-2";
  data.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  data.types.assign(data.tokens.size(), TokenType::kControl);
  data.bos = 0;
  data.eos = data.eot = 2;
  data.padding = 2;
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(byte_level_spelling(std::string(1, static_cast<char>(byte))));
  }
  // Breadth first over all words: each word but the last letter is an earlier token, and no word is
  // made twice.
  std::vector<std::string> words = {byte_level_spelling(" ")};
  for (char letter = 'a'; letter <= 'z'; ++letter) words.emplace_back(1, letter);
  for (size_t i = 0; data.tokens.size() < n; ++i) {
    for (char letter = 'a'; letter <= 'z' && data.tokens.size() < n; ++letter) {
      data.merges.push_back(fmt::format("{} {}", words[i], letter));
      data.tokens.push_back(fmt::format("{}{}", words[i], letter));
      words.push_back(data.tokens.back());
    }
  }
  data.types.resize(n, TokenType::kNormal);
  return data;
}

Result<VocabularyData> fit_vocabulary(VocabularyData data, int64_t size) {
  CHECK(size > 0);
  // Whatever is wrong with it should be said of the file it came from.
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(std::move(data)));
  data = tokenizer->vocabulary();
  data.types.resize(data.tokens.size(), TokenType::kNormal);
  const auto n = static_cast<size_t>(size);
  if (data.tokens.size() > n) RETURN_IF_ERROR(cut(data, n));
  pad(data, n);
  return data;
}

}  // namespace nibble::lab
