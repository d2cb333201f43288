// Text <-> token ids. Built from plain vocabulary data; which file they came from is not our
// business (model/vocabulary.cpp reads them from GGUF metadata).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nibble {

// Numbers as in tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// Everything a tokenizer is made of. The readers (tokenizer_json.h, sentencepiece.h and
// model/vocabulary.h) fill it, Tokenizer::create builds from it, write_vocabulary stores it.
struct VocabularyData {
  // tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama" (SentencePiece BPE: scores and byte
  // tokens), "t5" (SentencePiece Unigram), "bert" (WordPiece)
  std::string model;
  std::string pre;  // tokenizer.ggml.pre: which splitter (text/pretokenize.h); only for "gpt2"
  std::vector<std::string> tokens;
  std::vector<TokenType> types;     // empty: all kNormal
  std::vector<std::string> merges;  // "left right", best first
  std::vector<float> scores;        // per token; empty unless "llama" or "t5"
  int32_t bos = -1, eos = -1, eot = -1, unknown = -1, padding = -1;  // -1: none
  int32_t eom = -1, cls = -1, sep = -1, mask = -1;
  bool add_bos = false, add_eos = false, add_sep = false;
  // "llama" and "t5": a space goes before the text (and behind every special token); runs of spaces
  // become one; the table that rewrites characters first (text/charsmap.h, empty: none).
  bool add_space_prefix = true, remove_extra_whitespaces = false;
  std::string precompiled_charsmap;
  // "bert": as in Hugging Face's BertNormalizer.
  bool lowercase = true, strip_accents = true;
  // "gpt2": Unicode normal form of the text before it is split: "", "NFC", "NFD", "NFKC", "NFKD".
  std::string normalizer;
  // The tokenizer.json itself, where the fields above cannot say all of it. Preferred by
  // Tokenizer::create; the fields above are then what other programs go by.
  std::string huggingface_json;
  // What the reader wants the user to know, a sentence each.
  std::vector<std::string> warnings;
};

struct EncodeOptions {
  bool add_special = true;     // BOS, EOS, CLS, SEP where the model asks for them
  bool parse_special = false;  // control tokens spelled in the text become those tokens
  // The text begins a text; else it goes on one, and nothing that only happens at the beginning is
  // done (the space that SentencePiece puts before the first word).
  bool at_start = true;
};

// A stretch of a text and whether control tokens spelled in it become those tokens.
struct TextPart {
  std::string_view text;
  bool parse_special = false;
};

class Tokenizer {
 public:
  // From huggingface_json if there is one, else from the other fields. kFailure for an unknown
  // model or pre name or a part of the JSON that nibble does not know (the message lists the known
  // ones), kInvalid for contradictory data (special ids out of range, merges naming unknown tokens,
  // duplicate tokens ...). Tolerated: empty spellings (such a token is never found), merges twice
  // (the first counts), spellings that are not UTF-8.
  static Result<std::unique_ptr<Tokenizer>> create(VocabularyData data);
  virtual ~Tokenizer() = default;

  // Any bytes are allowed; never fails. What the vocabulary cannot spell becomes byte tokens, the
  // unknown token, or nothing, as the model's own tokenizer does it; byte-level BPE and byte
  // fallback keep every byte. User-defined tokens are found in the text even without parse_special;
  // control tokens never come out of plain text. Any number of threads.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const;
  // One text given in parts: the tokens of the joined text, except that control tokens are found
  // only inside of parts with parse_special (neighbouring ones count as one part). Words and merges
  // go across parts. options.parse_special has no meaning here.
  virtual std::vector<int32_t> encode_parts(std::span<const TextPart> parts,
                                            const EncodeOptions& options) const = 0;
  // What one token adds in the middle of a text (may be part of a character); control tokens give
  // "" unless with_special. Ids outside the vocabulary give "".
  virtual std::string decode(int32_t token, bool with_special = false) const = 0;
  // The text of all tokens of a text. What a tokenizer does at the ends of a text is undone: the
  // space before the first word is gone.
  virtual std::string decode(std::span<const int32_t> tokens, bool with_special = false) const = 0;

  const VocabularyData& vocabulary() const { return data_; }
  int32_t vocab_size() const { return static_cast<int32_t>(data_.tokens.size()); }
  // The id of a token by its exact spelling in the vocabulary, or -1.
  virtual int32_t find(std::string_view token) const = 0;
  // Whether generation stops here: EOS, EOT, EOM and the usual end-of-turn names.
  bool is_end(int32_t token) const;

 protected:
  explicit Tokenizer(VocabularyData data) : data_(std::move(data)) {}
  VocabularyData data_;
};

// Turns a stream of tokens into text, holding back the beginning of an unfinished UTF-8 character.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  // The text that is complete after this token (may be empty).
  std::string push(int32_t token);
  // What is left, as it is.
  std::string flush();

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace nibble
