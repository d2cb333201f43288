#include "model/vocabulary.h"

#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "text/pretokenize.h"

namespace nibble {
namespace {

Error wrong_type(std::string_view key, std::string_view allowed) {
  return make_error(ErrorKind::kInvalid,
                    "[vocabulary] the metadata key {} has another type than expected; it must be "
                    "{}; the file is damaged or was made by an unusual converter",
                    key, allowed);
}

Result<std::string> read_string(const GgufMetadata& metadata, std::string_view key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return std::string();
  const auto text = value->as_string();
  if (!text) return wrong_type(key, "a string");
  return std::string(*text);
}

Result<std::vector<std::string>> read_strings(const GgufMetadata& metadata, std::string_view key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return std::vector<std::string>();
  auto strings = value->as_strings();
  if (!strings) return wrong_type(key, "an array of strings");
  return std::move(*strings);
}

Result<int32_t> read_token_id(const GgufMetadata& metadata, std::string_view key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return -1;
  const auto id = value->as_int();
  if (!id) return wrong_type(key, "an integer");
  if (*id < 0 || *id > std::numeric_limits<int32_t>::max()) {
    return make_error(ErrorKind::kInvalid,
                      "[vocabulary] {} is {}; it must be the id of a token; the file is damaged",
                      key, *id);
  }
  return static_cast<int32_t>(*id);
}

Result<bool> read_flag(const GgufMetadata& metadata, std::string_view key, bool otherwise) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return otherwise;
  const auto flag = value->as_bool();
  if (!flag) return wrong_type(key, "a bool");
  return *flag;
}

Error wrong_count(std::string_view key, uint64_t count, size_t n_tokens) {
  return make_error(
      ErrorKind::kInvalid,
      "[vocabulary] {} has {} elements for {} tokens; there must be one each; the file is damaged",
      key, count, n_tokens);
}

Result<std::vector<TokenType>> read_types(const GgufMetadata& metadata, size_t n_tokens) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  std::vector<TokenType> types;
  const GgufValue* value = metadata.find(kKey);
  if (value == nullptr) return types;
  const bool is_type_array =
      value->element_type() == GgufType::kInt32 || value->element_type() == GgufType::kUint32;
  const auto numbers = is_type_array ? value->as_ints() : std::nullopt;
  if (!numbers) return wrong_type(kKey, "an array of int32");
  if (numbers->size() != n_tokens) return wrong_count(kKey, numbers->size(), n_tokens);
  types.reserve(n_tokens);
  for (const int64_t number : *numbers) {
    if (number < static_cast<int64_t>(TokenType::kUndefined) ||
        number > static_cast<int64_t>(TokenType::kByte)) {
      return make_error(ErrorKind::kInvalid,
                        "[vocabulary] token {} has type {}; types are 0 to 6; the file is damaged",
                        types.size(), number);
    }
    types.push_back(static_cast<TokenType>(number));
  }
  return types;
}

// Scores play no part in byte-level BPE, but wrong ones show that the file is damaged.
Status check_scores(const GgufMetadata& metadata, size_t n_tokens) {
  constexpr std::string_view kKey = "tokenizer.ggml.scores";
  const GgufValue* value = metadata.find(kKey);
  if (value == nullptr) return {};
  const bool is_number_array =
      value->type() == GgufType::kArray &&
      (value->element_type() == GgufType::kFloat32 || value->element_type() == GgufType::kInt32);
  if (!is_number_array) return wrong_type(kKey, "an array of float32 or int32");
  if (value->count() != n_tokens) return wrong_count(kKey, value->count(), n_tokens);
  return {};
}

}  // namespace

Result<VocabularyData> read_vocabulary(const GgufMetadata& metadata) {
  VocabularyData data;
  ASSIGN_OR_RETURN(data.model, read_string(metadata, "tokenizer.ggml.model"));
  ASSIGN_OR_RETURN(data.pre, read_string(metadata, "tokenizer.ggml.pre"));
  ASSIGN_OR_RETURN(data.tokens, read_strings(metadata, "tokenizer.ggml.tokens"));
  ASSIGN_OR_RETURN(data.merges, read_strings(metadata, "tokenizer.ggml.merges"));
  if (data.model.empty() || data.tokens.empty()) {
    return make_error(ErrorKind::kInvalid,
                      "[vocabulary] the file has no tokenizer (tokenizer.ggml.model and "
                      "tokenizer.ggml.tokens); it was probably converted without one");
  }
  if (data.model == "gpt2" && metadata.find("tokenizer.ggml.merges") == nullptr) {
    return make_error(ErrorKind::kInvalid,
                      "[vocabulary] the file has no tokenizer.ggml.merges, which the tokenizer "
                      "model \"gpt2\" needs; it was probably converted by an old program");
  }
  ASSIGN_OR_RETURN(data.types, read_types(metadata, data.tokens.size()));
  RETURN_IF_ERROR(check_scores(metadata, data.tokens.size()));
  ASSIGN_OR_RETURN(data.bos, read_token_id(metadata, "tokenizer.ggml.bos_token_id"));
  ASSIGN_OR_RETURN(data.eos, read_token_id(metadata, "tokenizer.ggml.eos_token_id"));
  ASSIGN_OR_RETURN(data.eot, read_token_id(metadata, "tokenizer.ggml.eot_token_id"));
  ASSIGN_OR_RETURN(data.unknown, read_token_id(metadata, "tokenizer.ggml.unknown_token_id"));
  ASSIGN_OR_RETURN(data.padding, read_token_id(metadata, "tokenizer.ggml.padding_token_id"));
  const PreTokenizerSpec* splitter = find_pre_tokenizer(data.pre);
  const bool usual_bos = splitter != nullptr && splitter->adds_bos && data.bos >= 0;
  ASSIGN_OR_RETURN(data.add_bos, read_flag(metadata, "tokenizer.ggml.add_bos_token", usual_bos));
  ASSIGN_OR_RETURN(data.add_eos, read_flag(metadata, "tokenizer.ggml.add_eos_token", false));
  return data;
}

}  // namespace nibble
