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
Result<std::vector<float>> read_scores(const GgufMetadata& metadata, size_t n_tokens) {
  constexpr std::string_view kKey = "tokenizer.ggml.scores";
  std::vector<float> scores;
  const GgufValue* value = metadata.find(kKey);
  if (value == nullptr) return scores;
  const bool is_array = value->type() == GgufType::kArray;
  const bool is_float = is_array && value->element_type() == GgufType::kFloat32;
  if (!is_float && !(is_array && value->element_type() == GgufType::kInt32)) {
    return wrong_type(kKey, "an array of float32 or int32");
  }
  if (value->count() != n_tokens) return wrong_count(kKey, value->count(), n_tokens);
  if (is_float) return value->as_floats().value_or(scores);
  for (const int64_t score : value->as_ints().value_or(std::vector<int64_t>())) {
    scores.push_back(static_cast<float>(score));
  }
  return scores;
}

// An array of single bytes, as a string.
Result<std::string> read_bytes(const GgufMetadata& metadata, std::string_view key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return std::string();
  const bool is_bytes =
      value->type() == GgufType::kArray &&
      (value->element_type() == GgufType::kInt8 || value->element_type() == GgufType::kUint8);
  if (!is_bytes) return wrong_type(key, "an array of bytes");
  return value->bytes();
}

struct IdKey {
  const char* key;
  int32_t VocabularyData::*id;
};
// llama.cpp's spelling of "separator" is part of the format.
constexpr IdKey kIdKeys[] = {
    {"tokenizer.ggml.bos_token_id", &VocabularyData::bos},
    {"tokenizer.ggml.eos_token_id", &VocabularyData::eos},
    {"tokenizer.ggml.eot_token_id", &VocabularyData::eot},
    {"tokenizer.ggml.eom_token_id", &VocabularyData::eom},
    {"tokenizer.ggml.unknown_token_id", &VocabularyData::unknown},
    {"tokenizer.ggml.seperator_token_id", &VocabularyData::sep},
    {"tokenizer.ggml.padding_token_id", &VocabularyData::padding},
    {"tokenizer.ggml.cls_token_id", &VocabularyData::cls},
    {"tokenizer.ggml.mask_token_id", &VocabularyData::mask},
};
constexpr const char* kNormalizerKey = "nibble.tokenizer.normalizer";
constexpr const char* kJsonKey = "tokenizer.huggingface.json";

// The ids that a file of this kind means when it names none, as llama.cpp takes them.
void set_usual_ids(VocabularyData& data) {
  const auto usual = [&](int32_t VocabularyData::*id, int32_t value) {
    if (data.*id < 0 && value < static_cast<int64_t>(data.tokens.size())) data.*id = value;
  };
  if (data.model == "llama") {
    usual(&VocabularyData::bos, 1);
    usual(&VocabularyData::eos, 2);
    usual(&VocabularyData::unknown, 0);
  } else if (data.model == "bert") {
    if (data.bos < 0) data.bos = data.cls;
    usual(&VocabularyData::bos, 101);
    usual(&VocabularyData::unknown, 100);
    usual(&VocabularyData::sep, 102);
    usual(&VocabularyData::padding, 0);
    usual(&VocabularyData::mask, 103);
  } else if (data.model == "t5") {
    usual(&VocabularyData::eos, 1);
    usual(&VocabularyData::unknown, 2);
    usual(&VocabularyData::padding, 0);
  }
}

// What goes around a text when the file does not say.
void set_usual_flags(VocabularyData& data) {
  const PreTokenizerSpec* splitter = find_pre_tokenizer(data.pre);
  data.add_bos = data.model == "llama" || data.model == "bert" ||
                 (data.model == "gpt2" && splitter != nullptr && splitter->adds_bos);
  data.add_bos = data.add_bos && data.bos >= 0;
  data.add_eos = data.model == "t5" && data.eos >= 0;
  data.add_sep = data.model == "bert" && data.sep >= 0;
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
  ASSIGN_OR_RETURN(data.scores, read_scores(metadata, data.tokens.size()));
  for (const IdKey& row : kIdKeys) {
    ASSIGN_OR_RETURN(data.*row.id, read_token_id(metadata, row.key));
  }
  set_usual_ids(data);
  set_usual_flags(data);
  ASSIGN_OR_RETURN(data.add_bos, read_flag(metadata, "tokenizer.ggml.add_bos_token", data.add_bos));
  ASSIGN_OR_RETURN(data.add_eos, read_flag(metadata, "tokenizer.ggml.add_eos_token", data.add_eos));
  ASSIGN_OR_RETURN(data.add_sep, read_flag(metadata, "tokenizer.ggml.add_sep_token", data.add_sep));
  ASSIGN_OR_RETURN(data.add_space_prefix,
                   read_flag(metadata, "tokenizer.ggml.add_space_prefix", true));
  ASSIGN_OR_RETURN(data.remove_extra_whitespaces,
                   read_flag(metadata, "tokenizer.ggml.remove_extra_whitespaces", false));
  ASSIGN_OR_RETURN(data.precompiled_charsmap,
                   read_bytes(metadata, "tokenizer.ggml.precompiled_charsmap"));
  ASSIGN_OR_RETURN(data.lowercase,
                   read_flag(metadata, "tokenizer.ggml.normalizer.lowercase", true));
  ASSIGN_OR_RETURN(data.strip_accents,
                   read_flag(metadata, "tokenizer.ggml.normalizer.strip_accents", data.lowercase));
  ASSIGN_OR_RETURN(data.normalizer, read_string(metadata, kNormalizerKey));
  ASSIGN_OR_RETURN(data.huggingface_json, read_string(metadata, kJsonKey));
  return data;
}

void write_vocabulary(const VocabularyData& data, GgufMetadata& metadata) {
  const auto set = [&](const char* key, GgufValue value) { metadata.set(key, std::move(value)); };
  set("tokenizer.ggml.model", GgufValue::of_string(data.model));
  // For kinds without a splitter llama.cpp's converter writes "default".
  set("tokenizer.ggml.pre", GgufValue::of_string(data.pre.empty() ? "default" : data.pre));
  set("tokenizer.ggml.tokens", GgufValue::of_strings(data.tokens));
  if (!data.scores.empty()) set("tokenizer.ggml.scores", GgufValue::of_float32s(data.scores));
  if (!data.types.empty()) {
    std::vector<int32_t> types;
    for (const TokenType type : data.types) types.push_back(static_cast<int32_t>(type));
    set("tokenizer.ggml.token_type", GgufValue::of_int32s(types));
  }
  if (data.model == "gpt2") set("tokenizer.ggml.merges", GgufValue::of_strings(data.merges));
  for (const IdKey& row : kIdKeys) {
    if (data.*row.id < 0) continue;
    set(row.key, GgufValue::of_uint32(static_cast<uint32_t>(data.*row.id)));
  }
  set("tokenizer.ggml.add_bos_token", GgufValue::of_bool(data.add_bos));
  set("tokenizer.ggml.add_eos_token", GgufValue::of_bool(data.add_eos));
  if (data.add_sep) set("tokenizer.ggml.add_sep_token", GgufValue::of_bool(true));
  const bool is_sentencepiece = data.model == "llama" || data.model == "t5";
  if (is_sentencepiece || !data.add_space_prefix) {
    set("tokenizer.ggml.add_space_prefix", GgufValue::of_bool(data.add_space_prefix));
  }
  if (is_sentencepiece) {
    set("tokenizer.ggml.remove_extra_whitespaces",
        GgufValue::of_bool(data.remove_extra_whitespaces));
  }
  if (!data.precompiled_charsmap.empty()) {
    set("tokenizer.ggml.precompiled_charsmap",
        GgufValue::of_raw(GgufType::kArray, GgufType::kUint8, data.precompiled_charsmap.size(),
                          data.precompiled_charsmap));
  }
  if (data.model == "bert") {
    set("tokenizer.ggml.normalizer.lowercase", GgufValue::of_bool(data.lowercase));
    set("tokenizer.ggml.normalizer.strip_accents", GgufValue::of_bool(data.strip_accents));
  }
  if (!data.normalizer.empty()) set(kNormalizerKey, GgufValue::of_string(data.normalizer));
  if (!data.huggingface_json.empty()) set(kJsonKey, GgufValue::of_string(data.huggingface_json));
}

}  // namespace nibble
