#include "text/json_fields.h"

#include <limits>

#include "text/vocabulary_kinds.h"

namespace nibble {
namespace {

constexpr size_t kMaxDepth = 100;

// How deep brackets are nested outside of strings.
size_t nesting(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<nlohmann::json> parse_json_object(std::string_view text, std::string_view where) {
  if (nesting(text) > kMaxDepth) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the JSON is nested more than {} deep; no tokenizer is", where,
                      kMaxDepth);
  }
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] is no JSON object in UTF-8; the file is damaged or something else",
                      where);
  }
  return json;
}

const nlohmann::json* JsonFields::find(std::string_view key) const {
  const auto found = object_.is_object() ? object_.find(key) : object_.end();
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

Error JsonFields::wrong(std::string_view key, std::string_view allowed) const {
  return make_error(ErrorKind::kInvalid,
                    "[tokenizer.json] \"{}\" of {} is missing or wrong; it must be {}; the file is "
                    "damaged or for another program",
                    plain_name(key), what_, allowed);
}

Error JsonFields::unknown_part(std::string_view type) const {
  return make_error(ErrorKind::kFailure,
                    "[tokenizer.json] {} has the type \"{}\", which nibble does not know; a newer "
                    "version may",
                    what_, plain_name(type));
}

Result<std::string> JsonFields::text(std::string_view key,
                                     std::optional<std::string> otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr && otherwise) return std::move(*otherwise);
  if (value == nullptr || !value->is_string()) return wrong(key, "a string");
  return value->get_ref<const std::string&>();
}

Result<bool> JsonFields::flag(std::string_view key, std::optional<bool> otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr && otherwise) return *otherwise;
  if (value == nullptr || !value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<int64_t> JsonFields::count(std::string_view key, std::optional<int64_t> otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr && otherwise) return *otherwise;
  if (value == nullptr || !value->is_number_unsigned() ||
      value->get<uint64_t>() > std::numeric_limits<int32_t>::max()) {
    return wrong(key, "a number from 0 to 2147483647");
  }
  return value->get<int64_t>();
}

Result<const nlohmann::json*> JsonFields::list(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr || !value->is_array()) return wrong(key, "an array");
  return value;
}

Result<JsonPattern> read_pattern(const JsonFields& fields, std::string_view key) {
  const nlohmann::json* value = fields.find(key);
  JsonPattern pattern;
  if (value == nullptr || !value->is_object() || value->size() != 1) {
    return fields.wrong(key, "an object with \"String\" or \"Regex\"");
  }
  const std::string& kind = value->begin().key();
  const nlohmann::json& text = value->begin().value();
  pattern.is_regex = kind == "Regex";
  if ((!pattern.is_regex && kind != "String") || !text.is_string()) {
    return fields.wrong(key, "an object with \"String\" or \"Regex\"");
  }
  pattern.text = text.get_ref<const std::string&>();
  if (pattern.text.empty()) return fields.wrong(key, "not empty");
  return pattern;
}

}  // namespace nibble
