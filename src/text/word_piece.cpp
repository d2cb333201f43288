#include <utility>

#include "base/utf8.h"
#include "text/byte_trie.h"
#include "text/token_model.h"

namespace nibble {
namespace {

class WordPieceModel final : public TokenModel {
 public:
  WordPieceModel(const TokenTable& table, const WordPieceOptions& options) : options_(options) {
    std::vector<std::pair<std::string_view, int32_t>> initial, continuing;
    for (int32_t id = 0; id < table.size(); ++id) {
      if (!table.is_plain(id)) continue;
      const std::string_view spelling = table.spelling(id);
      const bool is_initial = spelling.starts_with(options.initial_prefix);
      if (is_initial) initial.emplace_back(spelling.substr(options.initial_prefix.size()), id);
      const bool is_marked = is_initial && !options.initial_prefix.empty();
      if (!is_marked && spelling.starts_with(options.continuing_prefix)) {
        continuing.emplace_back(spelling.substr(options.continuing_prefix.size()), id);
      }
    }
    initial_ = ByteTrie(std::move(initial));
    continuing_ = ByteTrie(std::move(continuing));
  }

  void encode(std::string_view piece, ModelScratch&, std::vector<int32_t>& tokens) const override {
    size_t n_characters = 0;
    for (size_t at = 0; at < piece.size() && n_characters <= options_.max_word_characters;) {
      at += decode_utf8(piece.substr(at)).length;
      ++n_characters;
    }
    const size_t n_before = tokens.size();
    std::string_view rest = n_characters > options_.max_word_characters ? "" : piece;
    bool covered = !rest.empty();
    while (!rest.empty()) {
      const bool at_begin = rest.size() == piece.size();
      const ByteTrie::Match match = (at_begin ? initial_ : continuing_).longest(rest);
      if (match.value < 0) {
        covered = false;
        break;
      }
      tokens.push_back(match.value);
      rest.remove_prefix(match.length);
    }
    if (covered) return;
    tokens.resize(n_before);
    tokens.push_back(options_.unknown);
  }

 private:
  WordPieceOptions options_;
  ByteTrie initial_, continuing_;
};

class WordLevelModel final : public TokenModel {
 public:
  WordLevelModel(const TokenTable& table, int32_t unknown) : table_(table), unknown_(unknown) {}

  void encode(std::string_view piece, ModelScratch&, std::vector<int32_t>& tokens) const override {
    const int32_t token = table_.find_plain(piece);
    if (token >= 0 || unknown_ >= 0) tokens.push_back(token >= 0 ? token : unknown_);
  }

 private:
  const TokenTable& table_;
  int32_t unknown_;
};

}  // namespace

std::unique_ptr<TokenModel> make_word_piece_model(const TokenTable& table,
                                                  const WordPieceOptions& options) {
  return std::make_unique<WordPieceModel>(table, options);
}

std::unique_ptr<TokenModel> make_word_level_model(const TokenTable& table, int32_t unknown) {
  return std::make_unique<WordLevelModel>(table, unknown);
}

}  // namespace nibble
