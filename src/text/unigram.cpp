#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/byte_trie.h"
#include "text/token_model.h"

namespace nibble {
namespace {

// Real vocabularies have tokens of up to 100 bytes and 4 MB of them all.
constexpr size_t kMaxTokenBytes = 1024;
constexpr size_t kMaxVocabularyBytes = size_t{16} << 20;

class UnigramModel final : public TokenModel {
 public:
  UnigramModel(const TokenTable& table, ByteTrie trie, std::vector<double> scores,
               double unknown_score, const UnknownOptions& options)
      : table_(table),
        trie_(std::move(trie)),
        scores_(std::move(scores)),
        unknown_score_(unknown_score),
        options_(options) {
    for (size_t byte = 0; byte < 256; ++byte) {
      byte_token_[byte] = table.byte_token(static_cast<uint8_t>(byte));
    }
  }

  void encode(std::string_view piece, ModelScratch& scratch,
              std::vector<int32_t>& tokens) const override {
    find_paths(piece, scratch.paths);
    // Backwards along the best way; a run of unknown characters is one stretch.
    const size_t n_before = tokens.size();
    auto end = static_cast<int32_t>(piece.size());
    while (end > 0) {
      ModelScratch::Path path = scratch.paths[static_cast<size_t>(end)];
      int32_t begin = path.begin;
      if (path.token < 0) {
        while (begin > 0 && scratch.paths[static_cast<size_t>(begin)].token < 0) {
          begin = scratch.paths[static_cast<size_t>(begin)].begin;
        }
        append_unknown_reversed(
            piece.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), tokens);
      } else {
        tokens.push_back(path.token);
      }
      end = begin;
    }
    std::reverse(tokens.begin() + static_cast<std::ptrdiff_t>(n_before), tokens.end());
  }

 private:
  void find_paths(std::string_view piece, std::vector<ModelScratch::Path>& paths) const {
    paths.assign(piece.size() + 1, {});
    paths[0].begin = 0;
    const auto offer = [&](size_t begin, size_t end, int32_t token, double score) {
      ModelScratch::Path& path = paths[end];
      const double sum = paths[begin].score + score;
      if (path.begin >= 0 && !(sum > path.score)) return;
      path = {sum, static_cast<int32_t>(begin), token};
    };
    for (size_t begin = 0; begin < piece.size();) {
      const size_t character = decode_utf8(piece.substr(begin)).length;
      bool has_single = false;
      uint32_t node = ByteTrie::kRoot;
      for (size_t end = begin; end < piece.size();) {
        node = trie_.child(node, piece[end++]);
        if (node == ByteTrie::kNowhere) break;
        const int32_t token = trie_.value(node);
        if (token < 0) continue;
        offer(begin, end, token, scores_[static_cast<size_t>(token)]);
        has_single = has_single || end - begin == character;
      }
      if (!has_single) offer(begin, begin + character, -1, unknown_score_);
      begin += character;
    }
  }

  void append_unknown_reversed(std::string_view text, std::vector<int32_t>& tokens) const {
    const int32_t token = table_.find_plain(text);
    if (token >= 0) {
      tokens.push_back(token);
      return;
    }
    const bool has_bytes =
        options_.byte_fallback && std::all_of(text.begin(), text.end(), [&](char c) {
          return byte_token_[static_cast<unsigned char>(c)] >= 0;
        });
    if (has_bytes) {
      for (auto c = text.rbegin(); c != text.rend(); ++c) {
        tokens.push_back(byte_token_[static_cast<unsigned char>(*c)]);
      }
    } else if (options_.unknown >= 0) {
      tokens.push_back(options_.unknown);
    }
  }

  const TokenTable& table_;
  ByteTrie trie_;
  std::vector<double> scores_;
  double unknown_score_;
  UnknownOptions options_;
  std::array<int32_t, 256> byte_token_{};
};

}  // namespace

Result<std::unique_ptr<TokenModel>> make_unigram_model(const TokenTable& table,
                                                       std::vector<double> scores,
                                                       double unknown_score,
                                                       const UnknownOptions& unknown) {
  std::vector<std::pair<std::string_view, int32_t>> entries;
  size_t n_bytes = 0;
  for (int32_t id = 0; id < table.size(); ++id) {
    // What a byte token is spelled like is no text.
    if (!table.is_plain(id) || table.type(id) == TokenType::kByte) continue;
    entries.emplace_back(table.spelling(id), id);
    n_bytes += table.spelling(id).size();
  }
  if (table.longest_bytes() > kMaxTokenBytes || n_bytes > kMaxVocabularyBytes) {
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] the longest token has {} bytes and all together {}; at most {} "
                      "and {} are allowed in a Unigram vocabulary; it is damaged",
                      table.longest_bytes(), n_bytes, kMaxTokenBytes, kMaxVocabularyBytes);
  }
  return std::unique_ptr<TokenModel>(std::make_unique<UnigramModel>(
      table, ByteTrie(std::move(entries)), std::move(scores), unknown_score, unknown));
}

}  // namespace nibble
