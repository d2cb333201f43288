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

struct VocabularyData {
  std::string model;  // tokenizer.ggml.model: "gpt2" is byte-level BPE, the one that exists so far
  std::string pre;    // tokenizer.ggml.pre: which splitter (text/pretokenize.h)
  std::vector<std::string> tokens;
  std::vector<TokenType> types;                                      // empty: all kNormal
  std::vector<std::string> merges;                                   // "left right", best first
  int32_t bos = -1, eos = -1, eot = -1, unknown = -1, padding = -1;  // -1: none
  bool add_bos = false, add_eos = false;
};

struct EncodeOptions {
  bool add_special = true;     // BOS and EOS where the model asks for them
  bool parse_special = false;  // control tokens spelled in the text become those tokens
};

class Tokenizer {
 public:
  // kFailure for an unknown model or pre name (the message lists the known ones), kInvalid for
  // contradictory data (special ids out of range, merges naming unknown tokens, duplicate tokens
  // ...).
  static Result<std::unique_ptr<Tokenizer>> create(VocabularyData data);
  virtual ~Tokenizer() = default;

  // Any bytes are allowed; never fails. A byte without a token becomes its byte token (<0xHH>) or a
  // real unknown token; where the vocabulary has neither (SmolLM2: 0x04 and 20 others) it is
  // dropped, as the models' own tokenizers do. User-defined tokens are found in the text even
  // without parse_special; control tokens never come out of plain text. Any number of threads.
  virtual std::vector<int32_t> encode(std::string_view text,
                                      const EncodeOptions& options) const = 0;
  // Bytes of one token; control tokens give "" unless with_special. Ids outside the vocabulary give
  // "".
  virtual std::string decode(int32_t token, bool with_special = false) const = 0;
  std::string decode(std::span<const int32_t> tokens, bool with_special = false) const;

  const VocabularyData& vocabulary() const { return data_; }
  int32_t vocab_size() const { return static_cast<int32_t>(data_.tokens.size()); }
  // The id of a token by its exact spelling in the vocabulary, or -1.
  virtual int32_t find(std::string_view token) const = 0;
  // Whether generation stops here: EOS, EOT and the usual end-of-turn names.
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
