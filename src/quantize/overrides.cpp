#define PCRE2_CODE_UNIT_WIDTH 8
#include "quantize/overrides.h"

#include <pcre2.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace nibble {
namespace {

// Steps a match may take: names have at most 63 bytes.
constexpr uint32_t kMatchLimit = 1'000'000;

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string written_formats() {
  std::string names;
  for (const Format& format : all_formats()) {
    if (!format.is_weight || format.encode == nullptr) continue;
    names += names.empty() ? "" : ", ";
    names += format.name;
  }
  return names;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<GgufValue> parse_int(std::string_view text) {
  const auto value = parse_number<int64_t>(text);
  if (!value || *value > std::numeric_limits<uint32_t>::max() ||
      *value < std::numeric_limits<int32_t>::min()) {
    return std::nullopt;
  }
  if (*value >= 0) return GgufValue::of_uint32(static_cast<uint32_t>(*value));
  return GgufValue::of_int32(static_cast<int32_t>(*value));
}

std::optional<GgufValue> parse_value(std::string_view type, std::string_view text) {
  if (type == "str") return GgufValue::of_string(text);
  if (type == "int") return parse_int(text);
  if (type == "bool" && text == "true") return GgufValue::of_bool(true);
  if (type == "bool" && text == "false") return GgufValue::of_bool(false);
  if (type != "float") return std::nullopt;
  const auto value = parse_number<float>(text);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return GgufValue::of_float32(*value);
}

}  // namespace

void TensorTypeRule::FreeCode::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

Result<TensorTypeRule> TensorTypeRule::parse(std::string_view text) {
  const size_t equals = text.rfind('=');  // an expression may hold "=", a type cannot
  if (equals == std::string_view::npos || equals == 0) {
    return make_error(ErrorKind::kUsage,
                      "[--tensor-type] '{}' is not REGEX=TYPE, as in ffn_down=Q6_K or "
                      "'blk\\.[0-3]\\.attn_v=Q8_0'",
                      text);
  }
  TensorTypeRule rule;
  rule.text_ = text;
  ASSIGN_OR_RETURN(rule.format_, parse_written_format(fmt::format("--tensor-type {}", text),
                                                      text.substr(equals + 1)));
  int error = 0;
  PCRE2_SIZE at = 0;
  rule.code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), equals, PCRE2_CASELESS,
                                 &error, &at, nullptr));
  if (rule.code_ == nullptr) {
    unsigned char message[256] = "";
    pcre2_get_error_message(error, message, sizeof message);
    return make_error(ErrorKind::kUsage,
                      "[--tensor-type {}] the regular expression is not valid at character {}: {}",
                      text, at + 1, reinterpret_cast<const char*>(message));
  }
  return rule;
}

bool TensorTypeRule::matches(std::string_view tensor_name) const {
  const std::unique_ptr<pcre2_match_data, FreeMatch> data(
      pcre2_match_data_create_from_pattern(code_.get(), nullptr));
  const std::unique_ptr<pcre2_match_context, FreeContext> context(
      pcre2_match_context_create(nullptr));
  CHECK(data != nullptr && context != nullptr);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(tensor_name.data()),
                     tensor_name.size(), 0, 0, data.get(), context.get()) >= 0;
}

Result<const Format*> parse_written_format(std::string_view where, std::string_view name) {
  const Format* format = find_format(name);
  if (format != nullptr && format->is_weight && format->encode != nullptr) return format;
  return make_error(ErrorKind::kUsage, "[{}] {} {}; types that can be written are {}", where,
                    format != nullptr ? format->name : fmt::format("'{}'", name),
                    format != nullptr ? "is read but not written" : "is no type of a tensor",
                    written_formats());
}

Status apply_override(std::string_view text, GgufMetadata& metadata) {
  const size_t equals = text.find('=');
  const size_t colon = equals == std::string_view::npos ? equals : text.find(':', equals);
  if (equals == 0 || colon == std::string_view::npos) {
    return make_error(ErrorKind::kUsage,
                      "[--override-kv] '{}' is not KEY=TYPE:VALUE with a type of int, float, bool "
                      "or str, as in llama.expert_used_count=int:3",
                      text);
  }
  const std::string_view type = text.substr(equals + 1, colon - equals - 1);
  auto value = parse_value(type, text.substr(colon + 1));
  if (!value) {
    return make_error(ErrorKind::kUsage,
                      "[--override-kv {}] '{}' is no {}; allowed are int:-2147483648 to "
                      "int:4294967295, float:NUMBER, bool:true, bool:false and str:TEXT",
                      text, text.substr(colon + 1), type.empty() ? "value" : type);
  }
  const std::string_view key = text.substr(0, equals);
  if (key.starts_with("split.") || key == "general.alignment") {
    return make_error(ErrorKind::kUsage,
                      "[--override-kv {}] {} says how the file lies on the disk, which its writer "
                      "decides; --split-max-size and --keep-split split files",
                      text, key);
  }
  metadata.set(key, *std::move(value));
  return {};
}

}  // namespace nibble
