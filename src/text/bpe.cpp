#include "text/bpe.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>

#include "text/byte_level.h"
#include "text/pretokenize.h"
#include "text/special_tokens.h"

namespace nibble {
namespace {

// Longer words are cut, so that positions in a word fit 31 bits.
constexpr size_t kMaxWordBytes = size_t{1} << 30;

constexpr int32_t kNoToken = -1;  // a byte that has no token
constexpr int32_t kMerged = -2;   // became part of the symbol before it

struct Merge {
  int32_t left, right, result;
};

// "<0x0A>" -> 10
std::optional<uint8_t> value_of_byte_token(std::string_view spelling) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') {
    return std::nullopt;
  }
  const int high = digit(spelling[3]), low = digit(spelling[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<uint8_t>(high * 16 + low);
}

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(VocabularyData data, PreTokenizer splitter, bool whole_words_first)
      : Tokenizer(std::move(data)),
        splitter_(std::move(splitter)),
        whole_words_first_(whole_words_first) {}

  Status index() {
    RETURN_IF_ERROR(index_tokens());
    RETURN_IF_ERROR(index_bytes());
    return index_merges();
  }

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override {
    std::vector<int32_t> tokens;
    if (options.add_special && data_.add_bos) tokens.push_back(data_.bos);
    const SpecialTokens& specials = options.parse_special ? all_specials_ : user_defined_;
    Scratch scratch;
    for (const TextFragment& fragment : specials.split(text)) {
      if (fragment.token >= 0) {
        tokens.push_back(fragment.token);
        continue;
      }
      for (std::string_view word : splitter_.split(fragment.text)) {
        for (; word.size() > kMaxWordBytes; word.remove_prefix(kMaxWordBytes)) {
          encode_word(word.substr(0, kMaxWordBytes), scratch, tokens);
        }
        encode_word(word, scratch, tokens);
      }
    }
    if (options.add_special && data_.add_eos) tokens.push_back(data_.eos);
    return tokens;
  }

  std::string decode(int32_t token, bool with_special) const override {
    if (token < 0 || token >= vocab_size()) return "";
    const std::string& spelling = data_.tokens[static_cast<size_t>(token)];
    switch (type_of(token)) {
      case TokenType::kControl:
      case TokenType::kUnknown:
        return with_special ? spelling : "";
      case TokenType::kUserDefined:
        return spelling;
      case TokenType::kUnused:
        return "";
      case TokenType::kByte:
        return std::string(1, static_cast<char>(value_of_byte_token(spelling).value_or(0)));
      default:
        // A spelling outside the byte alphabet is text as it stands.
        return bytes_of_spelling(spelling).value_or(spelling);
    }
  }

  int32_t find(std::string_view token) const override {
    const auto found = by_spelling_.find(token);
    return found == by_spelling_.end() ? -1 : found->second;
  }

 private:
  // The word as a chain of tokens; a position is the index of a symbol's first byte.
  struct Symbol {
    int32_t token;
    int32_t previous, next;  // -1: none
  };
  // A candidate merge: rank in the upper, position of the left symbol in the lower 32 bits, so that
  // the smallest is the best rank, leftmost first. Candidates are not removed when a neighbour
  // changes; whoever takes one checks that it still describes the chain.
  struct Scratch {
    std::vector<Symbol> symbols;
    std::vector<uint64_t> heap;
  };

  TokenType type_of(int32_t token) const {
    return data_.types.empty() ? TokenType::kNormal : data_.types[static_cast<size_t>(token)];
  }

  Status index_tokens() {
    by_spelling_.reserve(data_.tokens.size());
    for (int32_t id = 0; id < vocab_size(); ++id) {
      const std::string_view spelling = data_.tokens[static_cast<size_t>(id)];
      if (spelling.empty()) continue;  // can neither be found nor produced
      const auto [found, is_new] = by_spelling_.emplace(spelling, id);
      if (!is_new) {
        return make_error(
            ErrorKind::kInvalid,
            "[tokenizer] tokens {} and {} have the same spelling; spellings must differ; "
            "the vocabulary is damaged",
            found->second, id);
      }
      const TokenType type = type_of(id);
      if (type != TokenType::kControl && type != TokenType::kUserDefined &&
          type != TokenType::kUnknown) {
        continue;
      }
      if (spelling.size() > SpecialTokens::kMaxBytes) {
        return make_error(ErrorKind::kInvalid,
                          "[tokenizer] special token {} has {} bytes; at most {} are allowed; the "
                          "vocabulary is damaged",
                          id, spelling.size(), SpecialTokens::kMaxBytes);
      }
      all_specials_.add(spelling, id);
      if (type == TokenType::kUserDefined) user_defined_.add(spelling, id);
    }
    return {};
  }

  Status index_bytes() {
    for (int byte = 0; byte < 256; ++byte) {
      const auto value = static_cast<uint8_t>(byte);
      const int32_t id = find(byte_level_spelling(std::string(1, static_cast<char>(value))));
      // A control token that happens to be one letter must not come out of plain text.
      const bool usable = id >= 0 && type_of(id) != TokenType::kControl;
      token_of_byte_[value] = usable ? id : kNoToken;
    }
    for (int32_t id = 0; id < vocab_size(); ++id) {
      if (type_of(id) != TokenType::kByte) continue;
      const auto value = value_of_byte_token(data_.tokens[static_cast<size_t>(id)]);
      if (!value) {
        return make_error(
            ErrorKind::kInvalid,
            "[tokenizer] token {} is a byte token but not spelled <0x00> to <0xFF>; the "
            "vocabulary is damaged",
            id);
      }
      if (token_of_byte_[*value] == kNoToken) token_of_byte_[*value] = id;
    }
    // A real unknown token stands for a byte without a token. Many vocabularies only name some
    // control token there (SmolLM2: <|endoftext|>), which must not come out of plain text: such a
    // byte is dropped, as the models' own tokenizers do.
    if (data_.unknown >= 0 && type_of(data_.unknown) == TokenType::kUnknown) {
      std::replace(token_of_byte_.begin(), token_of_byte_.end(), kNoToken, data_.unknown);
    }
    return {};
  }

  Status index_merges() {
    merges_.reserve(data_.merges.size());
    rank_of_pair_.reserve(data_.merges.size());
    for (const std::string& line : data_.merges) {
      const std::string_view merge = line;
      const size_t space = merge.find(' ', 1);
      const std::string_view left = merge.substr(0, space);
      const std::string_view right =
          space == std::string_view::npos ? std::string_view() : merge.substr(space + 1);
      const int32_t left_id = find(left), right_id = find(right);
      const int32_t result = find(std::string(left) + std::string(right));
      if (left_id < 0 || right_id < 0 || result < 0) {
        return make_error(
            ErrorKind::kInvalid,
            "[tokenizer] merge {} is not two tokens separated by a space that together are "
            "a token; the vocabulary was cut or is damaged",
            merges_.size());
      }
      // Plain text never becomes a control token, whatever the merges say.
      if (type_of(result) != TokenType::kControl) {
        rank_of_pair_.emplace(pair_key(left_id, right_id), static_cast<uint32_t>(merges_.size()));
      }
      merges_.push_back({left_id, right_id, result});
    }
    return {};
  }

  static uint64_t pair_key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }

  std::optional<uint64_t> candidate(const std::vector<Symbol>& symbols, int32_t left) const {
    if (left < 0 || symbols[static_cast<size_t>(left)].next < 0) return std::nullopt;
    const Symbol& symbol = symbols[static_cast<size_t>(left)];
    const auto found =
        rank_of_pair_.find(pair_key(symbol.token, symbols[static_cast<size_t>(symbol.next)].token));
    if (found == rank_of_pair_.end()) return std::nullopt;
    return (uint64_t{found->second} << 32) | static_cast<uint32_t>(left);
  }

  // Repeats the best merge anywhere in the word until none applies: O(n log n).
  void encode_word(std::string_view word, Scratch& scratch, std::vector<int32_t>& tokens) const {
    if (whole_words_first_) {
      const int32_t whole = find(byte_level_spelling(word));
      if (whole >= 0 && type_of(whole) == TokenType::kNormal) {
        tokens.push_back(whole);
        return;
      }
    }
    std::vector<Symbol>& symbols = scratch.symbols;
    std::vector<uint64_t>& heap = scratch.heap;
    symbols.clear();
    const auto n = static_cast<int32_t>(word.size());
    for (int32_t i = 0; i < n; ++i) {
      const auto byte = static_cast<unsigned char>(word[static_cast<size_t>(i)]);
      symbols.push_back({token_of_byte_[byte], i - 1, i + 1 < n ? i + 1 : -1});
    }
    heap.clear();
    for (int32_t i = 0; i + 1 < n; ++i) {
      if (const auto merge = candidate(symbols, i)) heap.push_back(*merge);
    }
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    const auto push = [&](int32_t left) {
      if (const auto merge = candidate(symbols, left)) {
        heap.push_back(*merge);
        std::push_heap(heap.begin(), heap.end(), std::greater<>());
      }
    };
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      const uint64_t best = heap.back();
      heap.pop_back();
      const Merge& merge = merges_[best >> 32];
      const auto position = static_cast<int32_t>(best & 0xffffffffu);
      Symbol& left = symbols[static_cast<size_t>(position)];
      if (left.token != merge.left || left.next < 0) continue;  // outdated
      Symbol& right = symbols[static_cast<size_t>(left.next)];
      if (right.token != merge.right) continue;  // outdated
      left.token = merge.result;
      left.next = right.next;
      right.token = kMerged;
      if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = position;
      push(left.previous);
      push(position);
    }
    for (int32_t i = 0; i >= 0 && i < n; i = symbols[static_cast<size_t>(i)].next) {
      const int32_t token = symbols[static_cast<size_t>(i)].token;
      if (token != kNoToken) tokens.push_back(token);
    }
  }

  PreTokenizer splitter_;
  bool whole_words_first_;
  std::unordered_map<std::string_view, int32_t> by_spelling_;  // views into data_.tokens
  std::array<int32_t, 256> token_of_byte_{};
  std::vector<Merge> merges_;  // by rank
  std::unordered_map<uint64_t, uint32_t> rank_of_pair_;
  SpecialTokens all_specials_;  // control, unknown and user-defined tokens
  SpecialTokens user_defined_;  // found in any text, special parsing or not
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> create_bpe_tokenizer(VocabularyData data,
                                                        const PreTokenizerSpec& spec) {
  ASSIGN_OR_RETURN(PreTokenizer splitter, PreTokenizer::create(spec));
  auto tokenizer =
      std::make_unique<BpeTokenizer>(std::move(data), std::move(splitter), spec.whole_words_first);
  RETURN_IF_ERROR(tokenizer->index());
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace nibble
