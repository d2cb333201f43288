#include "text/detokenize.h"

#include <array>
#include <utility>

#include "text/byte_level.h"
#include "text/normalizer.h"
#include "text/token_table.h"

namespace nibble {
namespace {

// A step made of one function (pieces, is_whole).
template <typename Function>
class Step final : public DecodeStep {
 public:
  explicit Step(Function function) : function_(std::move(function)) {}
  void apply(std::vector<DecodePiece>& pieces, bool is_whole) const override {
    function_(pieces, is_whole);
  }

 private:
  Function function_;
};

template <typename Function>
std::unique_ptr<DecodeStep> make_step(Function function) {
  return std::make_unique<Step<Function>>(std::move(function));
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
}

// What Hugging Face's WordPiece decoder does to a token, English as it is.
void clean_up(std::string& token) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules = {{
      {" .", "."},
      {" ?", "?"},
      {" !", "!"},
      {" ,", ","},
      {" ' ", "'"},
      {" n't", "n't"},
      {" 'm", "'m"},
      {" do not", " don't"},
      {" 's", "'s"},
      {" 've", "'ve"},
      {" 're", "'re"},
  }};
  for (const auto& [what, with] : kRules) replace_all(token, what, with);
}

void fuse(std::vector<DecodePiece>& pieces) {
  DecodePiece whole;
  for (const DecodePiece& piece : pieces) whole.text += piece.text;
  pieces.assign(1, std::move(whole));
}

}  // namespace

std::unique_ptr<DecodeStep> make_byte_level_decoder() {
  return make_step([](std::vector<DecodePiece>& pieces, bool) {
    for (DecodePiece& piece : pieces) {
      if (piece.is_literal) continue;
      if (auto bytes = bytes_of_spelling(piece.text)) piece.text = std::move(*bytes);
    }
    fuse(pieces);
  });
}

std::unique_ptr<DecodeStep> make_byte_fallback_decoder() {
  return make_step([](std::vector<DecodePiece>& pieces, bool) {
    for (DecodePiece& piece : pieces) {
      const int byte = piece.is_literal ? -1 : value_of_byte_token(piece.text);
      if (byte >= 0) piece = {std::string(1, static_cast<char>(byte)), true};
    }
  });
}

std::unique_ptr<DecodeStep> make_metaspace_decoder(std::string replacement, bool drops_first) {
  return make_step([replacement = std::move(replacement), drops_first](
                       std::vector<DecodePiece>& pieces, bool is_whole) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].is_literal) continue;
      const bool is_dropped = i == 0 && is_whole && drops_first;
      replace_all(pieces[i].text, replacement, is_dropped ? "" : " ");
    }
  });
}

std::unique_ptr<DecodeStep> make_word_piece_decoder(std::string continuing_prefix,
                                                    std::string initial_prefix, bool cleanup) {
  return make_step([continuing = std::move(continuing_prefix), initial = std::move(initial_prefix),
                    cleanup](std::vector<DecodePiece>& pieces, bool is_whole) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      std::string& text = pieces[i].text;
      const bool is_first = i == 0 && is_whole;
      if (pieces[i].is_literal) continue;
      if (!initial.empty()) {
        if (text.starts_with(initial)) text.replace(0, initial.size(), is_first ? "" : " ");
      } else if (!is_first) {
        if (text.starts_with(continuing)) {
          text.erase(0, continuing.size());
        } else {
          text.insert(0, " ");
        }
      }
      if (cleanup) clean_up(text);
    }
  });
}

std::unique_ptr<DecodeStep> make_fuse_decoder() {
  return make_step([](std::vector<DecodePiece>& pieces, bool) { fuse(pieces); });
}

std::unique_ptr<DecodeStep> make_replace_decoder(std::string literal, std::string content) {
  return make_step([literal = std::move(literal), content = std::move(content)](
                       std::vector<DecodePiece>& pieces, bool) {
    for (DecodePiece& piece : pieces) {
      if (!piece.is_literal) replace_all(piece.text, literal, content);
    }
  });
}

std::unique_ptr<DecodeStep> make_regex_replace_decoder(Regex regex, std::string content) {
  std::shared_ptr<Normalizer> replace = make_regex_replace(std::move(regex), std::move(content));
  return make_step([replace](std::vector<DecodePiece>& pieces, bool) {
    for (DecodePiece& piece : pieces) {
      if (!piece.is_literal) piece.text = replace->apply(piece.text);
    }
  });
}

std::unique_ptr<DecodeStep> make_strip_decoder(std::string content, size_t start, size_t stop,
                                               bool is_of_text) {
  return make_step([content = std::move(content), start, stop, is_of_text](
                       std::vector<DecodePiece>& pieces, bool is_whole) {
    if (is_of_text && !is_whole) return;
    for (DecodePiece& piece : pieces) {
      std::string& text = piece.text;
      if (piece.is_literal) continue;
      for (size_t i = 0; i < start && text.starts_with(content); ++i) {
        text.erase(0, content.size());
      }
      for (size_t i = 0; i < stop && text.ends_with(content); ++i) {
        text.erase(text.size() - content.size());
      }
    }
  });
}

std::unique_ptr<DecodeStep> make_bpe_decoder(std::string suffix) {
  return make_step([suffix = std::move(suffix)](std::vector<DecodePiece>& pieces, bool is_whole) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (pieces[i].is_literal) continue;
      const bool is_last = is_whole && i + 1 == pieces.size();
      replace_all(pieces[i].text, suffix, is_last ? "" : " ");
    }
  });
}

std::unique_ptr<DecodeStep> make_join_decoder() {
  return make_step([](std::vector<DecodePiece>& pieces, bool is_whole) {
    for (size_t i = is_whole ? 1 : 0; i < pieces.size(); ++i) pieces[i].text.insert(0, " ");
  });
}

}  // namespace nibble
