#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/log.h"
#include "base/utf8.h"
#include "text/json_tokenizer.h"
#include "text/vocabulary_kinds.h"

namespace nibble {
namespace {

// The longest token of real vocabularies has about 1 kB (runs of spaces, rulers of dashes).
constexpr size_t kMaxTokenBytes = 64 * 1024;

// Control tokens at which an answer is over, whichever of them the file calls EOS.
constexpr std::array<std::string_view, 16> kEndNames = {"<|im_end|>",
                                                        "<|endoftext|>",
                                                        "<|eot_id|>",
                                                        "<|eom_id|>",
                                                        "<|end|>",
                                                        "<|return|>",
                                                        "<|call|>",
                                                        "<|end_of_text|>",
                                                        "<end_of_turn>",
                                                        "<turn|>",
                                                        "<eos>",
                                                        "<EOT>",
                                                        "[EOT]",
                                                        "</s>",
                                                        "<end_of_utterance>",
                                                        "<｜end▁of▁sentence｜>"};

bool is_end_name(std::string_view spelling) {
  return std::find(kEndNames.begin(), kEndNames.end(), spelling) != kEndNames.end();
}

Status check_special_id(std::string_view what, int32_t id, size_t n_tokens) {
  if (id >= -1 && id < static_cast<int64_t>(n_tokens)) return {};
  return make_error(
      ErrorKind::kInvalid,
      "[tokenizer] the {} token is {}; the vocabulary has ids 0 to {}; the vocabulary "
      "was cut or is damaged",
      what, id, static_cast<int64_t>(n_tokens) - 1);
}

Status check_vocabulary(const VocabularyData& data) {
  const size_t n = data.tokens.size();
  if (n == 0) return make_error(ErrorKind::kInvalid, "[tokenizer] the vocabulary has no tokens");
  constexpr size_t kMaxTokens = std::numeric_limits<int32_t>::max();
  if (n > kMaxTokens || data.merges.size() > kMaxTokens) {
    return make_error(ErrorKind::kInvalid, "[tokenizer] {} tokens and {} merges; at most {} each",
                      n, data.merges.size(), kMaxTokens);
  }
  if (!data.types.empty() && data.types.size() != n) {
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] {} token types for {} tokens; the counts must agree",
                      data.types.size(), n);
  }
  for (size_t id = 0; id < n; ++id) {
    if (data.tokens[id].size() <= kMaxTokenBytes) continue;
    return make_error(
        ErrorKind::kInvalid,
        "[tokenizer] token {} has {} bytes; at most {} are allowed; the vocabulary is "
        "damaged",
        id, data.tokens[id].size(), kMaxTokenBytes);
  }
  RETURN_IF_ERROR(check_special_id("BOS", data.bos, n));
  RETURN_IF_ERROR(check_special_id("EOS", data.eos, n));
  RETURN_IF_ERROR(check_special_id("EOT", data.eot, n));
  RETURN_IF_ERROR(check_special_id("unknown", data.unknown, n));
  RETURN_IF_ERROR(check_special_id("padding", data.padding, n));
  RETURN_IF_ERROR(check_special_id("EOM", data.eom, n));
  RETURN_IF_ERROR(check_special_id("CLS", data.cls, n));
  RETURN_IF_ERROR(check_special_id("SEP", data.sep, n));
  RETURN_IF_ERROR(check_special_id("mask", data.mask, n));
  if (data.add_sep && data.sep < 0) {
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] the vocabulary asks for a SEP token at the end of a text but "
                      "names none; its special token ids are incomplete");
  }
  if ((data.add_bos && data.bos < 0) || (data.add_eos && data.eos < 0)) {
    return make_error(
        ErrorKind::kInvalid,
        "[tokenizer] the vocabulary asks for a {} token at the {} of a text but names "
        "none; its special token ids are incomplete",
        data.add_bos && data.bos < 0 ? "BOS" : "EOS",
        data.add_bos && data.bos < 0 ? "beginning" : "end");
  }
  return {};
}

// Some converted files type <|im_end|> and its like as plain or user-defined text. As such they
// would come out of what people write and would not end an answer.
void retype_end_tokens(VocabularyData& data) {
  for (size_t id = 0; id < data.types.size(); ++id) {
    if (data.types[id] == TokenType::kControl || !data.tokens[id].starts_with("<|") ||
        !is_end_name(data.tokens[id])) {
      continue;
    }
    warn("[tokenizer] token {} \"{}\" is not marked as a control token; taking it as one", id,
         data.tokens[id]);
    data.types[id] = TokenType::kControl;
  }
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(VocabularyData data) {
  RETURN_IF_ERROR(check_vocabulary(data));
  retype_end_tokens(data);
  if (!data.huggingface_json.empty()) return create_from_json(std::move(data));
  return create_from_fields(std::move(data));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TextPart part = {text, options.parse_special};
  return encode_parts(std::span(&part, 1), options);
}

bool Tokenizer::is_end(int32_t token) const {
  if (token < 0 || token >= vocab_size()) return false;
  if (token == data_.eos || token == data_.eot || token == data_.eom) return true;
  const auto id = static_cast<size_t>(token);
  if (data_.types.empty() || data_.types[id] != TokenType::kControl) return false;
  // Where answers have several parts, <|end|> closes a part and <|return|> the answer.
  if (data_.tokens[id] == "<|end|>" && find("<|return|>") >= 0) return false;
  return is_end_name(data_.tokens[id]);
}

std::string StreamDecoder::push(int32_t token) {
  pending_ += tokenizer_.decode(token);
  const size_t n_complete = pending_.size() - incomplete_utf8_tail(pending_);
  std::string complete = pending_.substr(0, n_complete);
  pending_.erase(0, n_complete);
  return complete;
}

std::string StreamDecoder::flush() { return std::exchange(pending_, {}); }

}  // namespace nibble
