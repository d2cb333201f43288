// Reading tokenizer.json field by field without exceptions: a missing or null field is the default,
// one of another type an error that names it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nibble {

// A JSON object, at most 100 levels deep. kInvalid, with `where` in front, for anything else.
Result<nlohmann::json> parse_json_object(std::string_view text, std::string_view where);

// An object inside tokenizer.json and what to call it in messages.
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string what)
      : object_(object), what_(std::move(what)) {}

  // Null when missing or null.
  const nlohmann::json* find(std::string_view key) const;
  Result<std::string> text(std::string_view key, std::optional<std::string> otherwise = {}) const;
  Result<bool> flag(std::string_view key, std::optional<bool> otherwise = {}) const;
  // 0 to 2^31-1.
  Result<int64_t> count(std::string_view key, std::optional<int64_t> otherwise = {}) const;
  // The array of that name.
  Result<const nlohmann::json*> list(std::string_view key) const;
  // The part's "type".
  Result<std::string> type() const { return text("type"); }

  Error wrong(std::string_view key, std::string_view allowed) const;
  // The kFailure for a part whose type nobody here knows.
  Error unknown_part(std::string_view type) const;
  const std::string& what() const { return what_; }

 private:
  const nlohmann::json& object_;
  std::string what_;
};

// "Replace" and "Split" have {"String": text} or {"Regex": expression}.
struct JsonPattern {
  std::string text;
  bool is_regex = false;
};
Result<JsonPattern> read_pattern(const JsonFields& fields, std::string_view key);

}  // namespace nibble
