#include "text/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "text/json_fields.h"
#include "text/vocabulary_kinds.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr size_t kMaxBeyond = size_t{1} << 20;

Error wrong(std::string_view key, std::string_view allowed) {
  return make_error(
      ErrorKind::kInvalid,
      "[tokenizer_config.json] \"{}\" is of another type than expected; it must be {}; "
      "the file is damaged or for another program",
      plain_name(key), allowed);
}

int32_t find_token(const VocabularyData& data, std::string_view spelling) {
  const auto found = std::find(data.tokens.begin(), data.tokens.end(), spelling);
  return found == data.tokens.end() ? -1 : static_cast<int32_t>(found - data.tokens.begin());
}

// "<s>", or {"content": "<s>", ...}.
Status set_special(const json& config, const char* key, int32_t& id, VocabularyData& data) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  const json* text = &*found;
  if (text->is_object()) {
    const auto content = text->find("content");
    text = content == text->end() ? text : &*content;
  }
  if (!text->is_string()) return wrong(key, "a token");
  const std::string& spelling = text->get_ref<const std::string&>();
  const int32_t token = find_token(data, spelling);
  if (token < 0) {
    data.warnings.push_back(
        fmt::format("{} of tokenizer_config.json is \"{}\", which the vocabulary "
                    "does not have; it is left out",
                    key, plain_name(spelling)));
    return {};
  }
  id = token;
  return {};
}

Status set_flag(const json& config, const char* key, int32_t id, bool& flag) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  if (!found->is_boolean()) return wrong(key, "true or false");
  flag = found->get<bool>() && id >= 0;
  return {};
}

Status apply_added_tokens(const json& config, VocabularyData& data) {
  const auto list = config.find("added_tokens_decoder");
  if (list == config.end() || list->is_null()) return {};
  if (!list->is_object()) return wrong("added_tokens_decoder", "an object of ids and tokens");
  const size_t limit = data.tokens.size() + kMaxBeyond;
  std::unordered_set<std::string_view> known(data.tokens.begin(), data.tokens.end());
  for (const auto& [key, entry] : list->items()) {
    size_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id >= limit) {
      return wrong("added_tokens_decoder", "an object whose keys are ids of the vocabulary");
    }
    const JsonFields fields(entry, "an added token of tokenizer_config.json");
    ASSIGN_OR_RETURN(const std::string content, fields.text("content"));
    ASSIGN_OR_RETURN(const bool is_special, fields.flag("special", false));
    // The tokenizer's own files say what a token is; this one adds what they leave out.
    if (id < data.tokens.size() && data.tokens[id] != content &&
        (data.types.empty() || data.types[id] != TokenType::kUnused)) {
      continue;
    }
    if (content.empty() ||
        (known.contains(content) && find_token(data, content) != static_cast<int32_t>(id))) {
      continue;
    }
    if (id >= data.tokens.size()) {
      known.clear();  // its views do not outlive what follows
      pad_vocabulary(data, id + 1);
    }
    if (data.types.empty()) data.types.assign(data.tokens.size(), TokenType::kNormal);
    data.tokens[id] = content;
    if (data.types[id] != TokenType::kUnknown && data.types[id] != TokenType::kByte) {
      data.types[id] = is_special ? TokenType::kControl : TokenType::kUserDefined;
    }
    if (known.empty()) known.insert(data.tokens.begin(), data.tokens.end());
  }
  return {};
}

}  // namespace

Status apply_tokenizer_config(std::string_view text, VocabularyData& data) {
  ASSIGN_OR_RETURN(const json config, parse_json_object(text, "tokenizer_config.json"));
  RETURN_IF_ERROR(apply_added_tokens(config, data));
  RETURN_IF_ERROR(set_special(config, "bos_token", data.bos, data));
  RETURN_IF_ERROR(set_special(config, "eos_token", data.eos, data));
  RETURN_IF_ERROR(set_special(config, "unk_token", data.unknown, data));
  RETURN_IF_ERROR(set_special(config, "pad_token", data.padding, data));
  RETURN_IF_ERROR(set_special(config, "cls_token", data.cls, data));
  RETURN_IF_ERROR(set_special(config, "sep_token", data.sep, data));
  RETURN_IF_ERROR(set_special(config, "mask_token", data.mask, data));
  // Of byte-level BPE only the files' own parts count; the key is kept for other programs.
  if (data.model == "gpt2") {
    RETURN_IF_ERROR(set_flag(config, "add_prefix_space", 0, data.add_space_prefix));
  }
  RETURN_IF_ERROR(set_flag(config, "add_bos_token", data.bos, data.add_bos));
  return set_flag(config, "add_eos_token", data.eos, data.add_eos);
}

void pad_vocabulary(VocabularyData& data, size_t size) {
  if (data.tokens.size() >= size) return;
  const std::unordered_set<std::string> known(data.tokens.begin(), data.tokens.end());
  data.types.resize(data.tokens.size(), TokenType::kNormal);
  for (size_t id = data.tokens.size(); id < size; ++id) {
    std::string spelling = fmt::format("[PAD{}]", id);
    while (known.contains(spelling)) spelling.insert(0, "[");
    data.tokens.push_back(std::move(spelling));
    data.types.push_back(TokenType::kUnused);
    if (!data.scores.empty()) data.scores.push_back(-1e4f);
  }
}

}  // namespace nibble
