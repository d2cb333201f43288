// The step that turns a piece of text into tokens (the "model" of tokenizer.json).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/token_table.h"

namespace nibble {

// Working memory that is used again from piece to piece.
struct ModelScratch {
  // A link of the chain that pair merging works on; -1: none.
  struct Symbol {
    int32_t token = -1;
    int32_t previous = -1, next = -1;
    uint32_t begin = 0, length = 0;  // of its text in the piece
    uint32_t rank = UINT32_MAX;      // of the merge with the next symbol; UINT32_MAX: there is none
    int32_t merged = -1;             // the token that merge makes
  };
  // The best way to cut the text up to a place (Viterbi).
  struct Path {
    double score = 0;
    int32_t begin = -1;  // of the last token; -1: no way leads here
    int32_t token = -1;
  };
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;
  std::vector<Path> paths;
};

class TokenModel {
 public:
  // Longer pieces are cut, so that positions fit 31 bits.
  static constexpr size_t kMaxPieceBytes = size_t{1} << 30;

  virtual ~TokenModel() = default;
  // Appends the tokens of `piece` (not empty, at most kMaxPieceBytes, any bytes). O(n log n). Never
  // a control token. Any number of threads, each with its scratch.
  virtual void encode(std::string_view piece, ModelScratch& scratch,
                      std::vector<int32_t>& tokens) const = 0;
};

// What all models do with characters that are not in the vocabulary.
struct UnknownOptions {
  int32_t unknown = -1;        // the token for them; -1: they are dropped
  bool fuse = false;           // one token for neighbouring ones
  bool byte_fallback = false;  // byte tokens, where all bytes of the character have one
};

struct BpeOptions {
  UnknownOptions unknown;
  bool whole_words_first = false;  // a piece that is a token is that token, whatever the merges say
  std::string continuing_prefix;   // of all characters of a piece but the first
  std::string end_suffix;          // of the last character
  // Pieces are spelled in the byte alphabet (byte_level.h): a character without a token falls back
  // to the byte token of the byte that it stands for.
  bool is_byte_level = false;
};

struct MergePair {
  std::string left, right;
};
// Byte-pair encoding by a list of merges, best first (Sennrich et al. 2016). kInvalid: a merge that
// is no pair of tokens forming a token. The table must outlive every model.
Result<std::unique_ptr<TokenModel>> make_bpe_model(const TokenTable& table,
                                                   const std::vector<MergePair>& merges,
                                                   const BpeOptions& options);

// SentencePiece's BPE: two neighbours merge when together they are a token, the one with the
// highest score first. `scores`: one per token, no NaN.
std::unique_ptr<TokenModel> make_score_model(const TokenTable& table, std::vector<float> scores,
                                             const UnknownOptions& unknown);

// Unigram language model (Kudo 2018): the cut with the highest sum of scores. Neighbouring unknown
// characters are always one; `unknown_score` is what each costs. kInvalid: a vocabulary with tokens
// so long that no real one has them.
Result<std::unique_ptr<TokenModel>> make_unigram_model(const TokenTable& table,
                                                       std::vector<double> scores,
                                                       double unknown_score,
                                                       const UnknownOptions& unknown);

struct WordPieceOptions {
  int32_t unknown = -1;  // required
  size_t max_word_characters = 100;
  // How a token says whether it begins a word: those of BERT's vocabulary begin with "##" when they
  // do not, those of llama.cpp's form with U+2581 when they do.
  std::string continuing_prefix = "##";
  std::string initial_prefix;
};
// Longest match first; a word that cannot be covered is one unknown token (Schuster, Nakajima
// 2012).
std::unique_ptr<TokenModel> make_word_piece_model(const TokenTable& table,
                                                  const WordPieceOptions& options);

// A piece is a token or unknown.
std::unique_ptr<TokenModel> make_word_level_model(const TokenTable& table, int32_t unknown);

}  // namespace nibble
