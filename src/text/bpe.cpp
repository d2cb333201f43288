// Byte-pair encoding by ranked merges, and SentencePiece's by scores.
#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/merge_chain-inl.h"
#include "text/token_model.h"

namespace nibble {
namespace {

using Symbol = ModelScratch::Symbol;

constexpr int32_t kNoToken = -1;

// Appends the symbols for characters without a token: byte tokens, the unknown token, or nothing.
class UnknownCharacters {
 public:
  UnknownCharacters(const TokenTable& table, const UnknownOptions& options) : options_(options) {
    for (size_t byte = 0; byte < 256; ++byte) {
      byte_token_[byte] =
          options.byte_fallback ? table.byte_token(static_cast<uint8_t>(byte)) : kNoToken;
    }
  }

  // `character` at `begin` of the piece. `was_unknown`: the last appended symbol is an unknown
  // token with which this one may be fused; updated.
  void append(std::string_view character, size_t begin, bool& was_unknown,
              std::vector<Symbol>& symbols) const {
    const bool has_bytes = std::all_of(character.begin(), character.end(), [&](char c) {
      return byte_token_[static_cast<unsigned char>(c)] >= 0;
    });
    if (has_bytes) {
      for (const char c : character) {
        Symbol symbol;
        symbol.token = byte_token_[static_cast<unsigned char>(c)];
        symbol.begin = static_cast<uint32_t>(begin++);
        symbol.length = 1;
        symbols.push_back(symbol);
      }
      was_unknown = false;
      return;
    }
    if (options_.unknown < 0) return;
    if (!was_unknown || !options_.fuse) {
      Symbol symbol;
      symbol.token = options_.unknown;
      symbol.begin = static_cast<uint32_t>(begin);
      symbols.push_back(symbol);
    }
    symbols.back().length += static_cast<uint32_t>(character.size());
    was_unknown = true;
  }

 private:
  UnknownOptions options_;
  std::array<int32_t, 256> byte_token_{};
};

class BpeModel final : public TokenModel {
 public:
  BpeModel(const TokenTable& table, const BpeOptions& options)
      : table_(table), options_(options), unknown_(table, options.unknown) {
    for (uint32_t c = 0; c < token_of_character_.size(); ++c) {
      std::string spelling;
      append_utf8(c, spelling);
      token_of_character_[c] = table.find_plain(spelling);
    }
    if (!options.is_byte_level) return;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      int32_t& token = token_of_character_[byte_level_character(static_cast<uint8_t>(byte))];
      if (token < 0) token = table.byte_token(static_cast<uint8_t>(byte));
    }
  }

  Status index(const std::vector<MergePair>& merges) {
    const std::string& prefix = options_.continuing_prefix;
    rank_of_pair_.reserve(merges.size());
    for (const MergePair& merge : merges) {
      const int32_t left = table_.find(merge.left), right = table_.find(merge.right);
      std::string_view tail = merge.right;
      // The right side begins with the prefix, which the merged token has at its beginning only.
      if (!prefix.empty() && tail.starts_with(prefix)) tail.remove_prefix(prefix.size());
      const int32_t result = table_.find(merge.left + std::string(tail));
      if (left < 0 || right < 0 || result < 0) {
        return make_error(ErrorKind::kInvalid,
                          "[tokenizer] merge {} is not two tokens separated by a space that "
                          "together are a token; the vocabulary was cut or is damaged",
                          results_.size());
      }
      // Plain text never becomes a control token, whatever the merges say.
      if (table_.is_plain(result)) {
        const auto rank = static_cast<uint32_t>(results_.size());
        rank_of_pair_.emplace(pair_key(left, right), rank);
      }
      results_.push_back(result);
    }
    return {};
  }

  void encode(std::string_view piece, ModelScratch& scratch,
              std::vector<int32_t>& tokens) const override {
    if (options_.whole_words_first) {
      const int32_t whole = table_.find_plain(piece);
      if (whole >= 0) {
        tokens.push_back(whole);
        return;
      }
    }
    append_characters(piece, scratch.symbols);
    link_symbols(scratch.symbols);
    merge_chain(
        scratch,
        [&](Symbol& left, const Symbol& right) {
          const auto found = rank_of_pair_.find(pair_key(left.token, right.token));
          if (found == rank_of_pair_.end()) return;
          left.rank = found->second;
          left.merged = results_[found->second];
        },
        [&](const Symbol& symbol, uint32_t rank) { return symbol.merged == results_[rank]; });
    if (scratch.symbols.empty()) return;
    for (int32_t i = 0; i >= 0; i = scratch.symbols[static_cast<size_t>(i)].next) {
      tokens.push_back(scratch.symbols[static_cast<size_t>(i)].token);
    }
  }

 private:
  static uint64_t pair_key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }

  void append_characters(std::string_view piece, std::vector<Symbol>& symbols) const {
    const bool is_decorated = !options_.continuing_prefix.empty() || !options_.end_suffix.empty();
    symbols.clear();
    bool was_unknown = false;
    std::string decorated;
    for (size_t at = 0; at < piece.size();) {
      const CodePoint point = decode_utf8(piece.substr(at));
      std::string_view character = piece.substr(at, point.length);
      int32_t token = kNoToken;
      if (is_decorated) {
        decorated = at > 0 ? options_.continuing_prefix : "";
        decorated += character;
        if (at + point.length == piece.size()) decorated += options_.end_suffix;
        character = decorated;
        token = table_.find_plain(character);
      } else if (point.valid && point.value < token_of_character_.size()) {
        token = token_of_character_[point.value];
      } else {
        token = table_.find_plain(character);
      }
      if (token >= 0) {
        Symbol symbol;
        symbol.token = token;
        symbol.begin = static_cast<uint32_t>(at);
        symbol.length = point.length;
        symbols.push_back(symbol);
        was_unknown = false;
      } else {
        unknown_.append(character, at, was_unknown, symbols);
      }
      at += point.length;
    }
  }

  const TokenTable& table_;
  BpeOptions options_;
  UnknownCharacters unknown_;
  std::array<int32_t, 0x180> token_of_character_{};
  std::vector<int32_t> results_;  // by rank
  std::unordered_map<uint64_t, uint32_t> rank_of_pair_;
};

class ScoreModel final : public TokenModel {
 public:
  ScoreModel(const TokenTable& table, const std::vector<float>& scores,
             const UnknownOptions& unknown)
      : table_(table), unknown_(table, unknown), ranks_(scores.size()) {
    std::vector<float> sorted(scores);
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    for (size_t id = 0; id < scores.size(); ++id) {
      const auto place =
          std::lower_bound(sorted.begin(), sorted.end(), scores[id], std::greater<>());
      ranks_[id] = static_cast<uint32_t>(place - sorted.begin());
    }
  }

  void encode(std::string_view piece, ModelScratch& scratch,
              std::vector<int32_t>& tokens) const override {
    std::vector<Symbol>& symbols = scratch.symbols;
    symbols.clear();
    for (size_t at = 0; at < piece.size();) {
      Symbol symbol;
      symbol.begin = static_cast<uint32_t>(at);
      symbol.length = decode_utf8(piece.substr(at)).length;
      at += symbol.length;
      symbols.push_back(symbol);
    }
    link_symbols(symbols);
    merge_chain(
        scratch,
        [&](Symbol& left, const Symbol& right) {
          const size_t length = size_t{left.length} + right.length;
          if (length > table_.longest_bytes()) return;
          const int32_t token = table_.find_plain(piece.substr(left.begin, length));
          if (token < 0) return;
          left.rank = ranks_[static_cast<size_t>(token)];
          left.merged = token;
        },
        [](const Symbol& symbol, uint32_t rank) { return symbol.rank == rank; });
    std::vector<Symbol> unknown;
    bool was_unknown = false;
    for (int32_t i = symbols.empty() ? -1 : 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
      const Symbol& symbol = symbols[static_cast<size_t>(i)];
      const std::string_view text = piece.substr(symbol.begin, symbol.length);
      const int32_t token = symbol.token >= 0 ? symbol.token : table_.find_plain(text);
      if (token >= 0) {
        tokens.push_back(token);
        was_unknown = false;
        continue;
      }
      const size_t n_before = unknown.size();
      unknown_.append(text, symbol.begin, was_unknown, unknown);
      for (size_t k = n_before; k < unknown.size(); ++k) tokens.push_back(unknown[k].token);
    }
  }

 private:
  const TokenTable& table_;
  UnknownCharacters unknown_;
  std::vector<uint32_t> ranks_;  // per token: the place of its score, best first
};

}  // namespace

Result<std::unique_ptr<TokenModel>> make_bpe_model(const TokenTable& table,
                                                   const std::vector<MergePair>& merges,
                                                   const BpeOptions& options) {
  auto model = std::make_unique<BpeModel>(table, options);
  RETURN_IF_ERROR(model->index(merges));
  return std::unique_ptr<TokenModel>(std::move(model));
}

std::unique_ptr<TokenModel> make_score_model(const TokenTable& table, std::vector<float> scores,
                                             const UnknownOptions& unknown) {
  return std::make_unique<ScoreModel>(table, scores, unknown);
}

}  // namespace nibble
