#include "text/pipeline.h"

#include <utility>

namespace nibble {
namespace {

constexpr std::string_view kSpaceSymbol = "\u2581";
// All regular expressions of a chain together may take this many times what one may.
constexpr uint64_t kStepsAtFullWork = 2;

class PipelineTokenizer final : public Tokenizer {
 public:
  PipelineTokenizer(VocabularyData data, TokenizerPipeline pipeline)
      : Tokenizer(std::move(data)), pipeline_(std::move(pipeline)) {}

  std::vector<int32_t> encode_parts(std::span<const TextPart> parts,
                                    const EncodeOptions& options) const override {
    std::string joined;
    std::string_view text;
    std::vector<TextRange> special_ranges;
    size_t n_bytes = 0;
    for (const TextPart& part : parts) {
      const size_t begin = n_bytes;
      n_bytes += part.text.size();
      if (!part.parse_special || part.text.empty()) continue;
      if (!special_ranges.empty() && special_ranges.back().end == begin) {
        special_ranges.back().end = n_bytes;
      } else {
        special_ranges.push_back({begin, n_bytes});
      }
    }
    if (parts.size() == 1) {
      text = parts[0].text;
    } else {
      joined.reserve(n_bytes);
      for (const TextPart& part : parts) joined += part.text;
      text = joined;
    }

    std::vector<int32_t> tokens;
    if (options.add_special) tokens = pipeline_.prefix;
    ModelScratch scratch;
    uint64_t regex_work = kStepsAtFullWork * Regex::work_for(n_bytes);
    size_t next_special = 0;
    for (const TextFragment& fragment : pipeline_.added.split(text, special_ranges)) {
      if (fragment.token >= 0) {
        tokens.push_back(fragment.token);
        continue;
      }
      const auto begin = static_cast<size_t>(fragment.text.data() - text.data());
      const TextRange range = {begin, begin + fragment.text.size()};
      while (next_special < special_ranges.size() && special_ranges[next_special].end < range.end) {
        ++next_special;
      }
      const bool is_markup =
          next_special < special_ranges.size() && special_ranges[next_special].begin <= range.begin;
      encode_fragment(fragment.text, is_markup, begin == 0 && options.at_start,
                      begin > 0 || options.at_start, scratch, regex_work, tokens);
    }
    if (options.add_special) {
      tokens.insert(tokens.end(), pipeline_.suffix.begin(), pipeline_.suffix.end());
    }
    return tokens;
  }

  std::string decode(int32_t token, bool with_special) const override {
    std::vector<DecodePiece> pieces;
    append_piece(token, with_special, pieces);
    return run_decoders(std::move(pieces), false);
  }

  std::string decode(std::span<const int32_t> tokens, bool with_special) const override {
    std::vector<DecodePiece> pieces;
    pieces.reserve(tokens.size());
    for (const int32_t token : tokens) append_piece(token, with_special, pieces);
    return run_decoders(std::move(pieces), true);
  }

  int32_t find(std::string_view token) const override { return pipeline_.table->find(token); }

 private:
  void encode_fragment(std::string_view text, bool is_markup, bool at_start, bool wants_space,
                       ModelScratch& scratch, uint64_t& regex_work,
                       std::vector<int32_t>& tokens) const {
    std::string normalized(text);
    for (const auto& step : pipeline_.normalizers) normalized = step->apply(normalized);
    if (pipeline_.escapes_spaces && !normalized.empty()) {
      std::string escaped;
      escaped.reserve(normalized.size() + normalized.size() / 2);
      if (pipeline_.add_space_prefix && wants_space) escaped += kSpaceSymbol;
      for (const char c : normalized) {
        if (c == ' ') {
          escaped += kSpaceSymbol;
        } else {
          escaped += c;
        }
      }
      normalized = std::move(escaped);
    }
    // Where the bytes of a part went is not known any more: special tokens that are found in
    // normalized text are found only when all of the fragment may hold them.
    const TextRange all = {0, normalized.size()};
    const std::span<const TextRange> ranges(&all, is_markup ? 1 : 0);
    for (const TextFragment& fragment : pipeline_.added_normalized.split(normalized, ranges)) {
      if (fragment.token >= 0) {
        tokens.push_back(fragment.token);
        continue;
      }
      const bool is_first = fragment.text.data() == normalized.data();
      Pieces pieces;
      pieces.text = fragment.text;
      pieces.list.push_back({0, fragment.text.size(), at_start && is_first});
      pieces.regex_work = regex_work;
      for (const auto& splitter : pipeline_.splitters) splitter->apply(pieces);
      regex_work = pieces.regex_work;
      for (const Piece& piece : pieces.list) encode_piece(pieces.view(piece), scratch, tokens);
    }
  }

  void encode_piece(std::string_view piece, ModelScratch& scratch,
                    std::vector<int32_t>& tokens) const {
    for (; piece.size() > TokenModel::kMaxPieceBytes;
         piece.remove_prefix(TokenModel::kMaxPieceBytes)) {
      pipeline_.model->encode(piece.substr(0, TokenModel::kMaxPieceBytes), scratch, tokens);
    }
    if (!piece.empty()) pipeline_.model->encode(piece, scratch, tokens);
  }

  void append_piece(int32_t token, bool with_special, std::vector<DecodePiece>& pieces) const {
    const TokenTable& table = *pipeline_.table;
    if (!table.contains(token)) return;
    const TokenType type = table.type(token);
    const bool is_special = type == TokenType::kControl || type == TokenType::kUnknown;
    if ((is_special && !with_special) || type == TokenType::kUnused) return;
    const std::string& spelling = table.spelling(token);
    if (!pipeline_.added_are_literal) {
      pieces.push_back({spelling, false});
    } else if (type == TokenType::kByte) {
      pieces.push_back({std::string(1, static_cast<char>(value_of_byte_token(spelling))), true});
    } else {
      pieces.push_back({spelling, is_special || type == TokenType::kUserDefined});
    }
  }

  std::string run_decoders(std::vector<DecodePiece> pieces, bool is_whole) const {
    if (pieces.empty()) return "";
    for (const auto& step : pipeline_.decoders) step->apply(pieces, is_whole);
    std::string text;
    for (const DecodePiece& piece : pieces) text += piece.text;
    return text;
  }

  TokenizerPipeline pipeline_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_pipeline_tokenizer(VocabularyData data,
                                                   TokenizerPipeline pipeline) {
  return std::make_unique<PipelineTokenizer>(std::move(data), std::move(pipeline));
}

}  // namespace nibble
