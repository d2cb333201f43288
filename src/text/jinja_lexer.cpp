#include "text/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/utf8.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

// Longer ones first: the first that fits is taken.
constexpr std::array<std::string_view, 25> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return is_digit_char(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

size_t skip_spaces(std::string_view source, size_t at) {
  while (at < source.size()) {
    const CodePoint point = decode_utf8(source.substr(at));
    if (!is_space(point.value)) break;
    at += point.length;
  }
  return at;
}

bool has(std::string_view source, size_t at, std::string_view what) {
  return source.substr(std::min(at, source.size())).starts_with(what);
}

std::string_view without_spaces_behind(std::string_view text) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    if (!is_space(decode_utf8(text.substr(begin)).value)) break;
    text = text.substr(0, begin);
  }
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, size_t& error_at) : source_(source), error_at_(error_at) {}

  Status run();
  std::vector<Token> take() { return std::move(tokens_); }

 private:
  Error fail(size_t at, std::string message) {
    error_at_ = at;
    return {ErrorKind::kInvalid, std::move(message)};
  }
  void push(TokenKind kind, size_t offset, std::string_view text = {}) {
    tokens_.push_back({kind, offset, std::string(text), 0, 0});
  }
  void push_data(size_t begin, size_t end, char sign, bool is_variable);
  std::optional<size_t> raw_begin(size_t tag) const;
  Status raw_block(size_t tag, size_t begin);
  Status comment(size_t tag, size_t begin);
  Status inside(bool is_variable);
  bool tag_end(bool is_variable);
  Status token();
  Status number();
  bool float_literal();
  Status string();
  Status escape(size_t& at, std::string& out);
  Status operator_token();

  std::string_view source_;
  size_t& error_at_;
  size_t at_ = 0;
  bool line_starting_ = true;  // whether the last token ended with a newline
  std::vector<Token> tokens_;
  std::string open_;  // brackets that wait for their other half
};

Status Lexer::run() {
  while (at_ < source_.size()) {
    const size_t begin = at_;
    size_t tag = begin;
    do {
      tag = source_.find('{', tag);
    } while (tag != std::string_view::npos && !has(source_, tag, "{%") &&
             !has(source_, tag, "{{") && !has(source_, tag, "{#") && ++tag);
    if (tag == std::string_view::npos) {
      push(TokenKind::kData, begin, source_.substr(begin));
      break;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    push_data(begin, tag, sign, kind == '{');
    at_ = tag + 2 + (sign == '-' || sign == '+' ? 1 : 0);
    if (kind == '#') {
      RETURN_IF_ERROR(comment(tag, at_));
    } else if (const auto raw = kind == '%' ? raw_begin(at_) : std::nullopt) {
      RETURN_IF_ERROR(raw_block(tag, *raw));
    } else {
      push(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, tag);
      RETURN_IF_ERROR(inside(kind == '{'));
    }
    line_starting_ = source_[at_ - 1] == '\n';
  }
  push(TokenKind::kEnd, source_.size());
  return {};
}

// Template text in front of a tag: {%- takes all spaces before it away, {%+ none; else those that
// stand alone between the beginning of the line and a block or comment.
void Lexer::push_data(size_t begin, size_t end, char sign, bool is_variable) {
  std::string_view text = source_.substr(begin, end - begin);
  if (sign == '-') {
    text = without_spaces_behind(text);
  } else if (sign != '+' && !is_variable) {
    const size_t newline = text.rfind('\n');
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if ((line > 0 || line_starting_) && skip_spaces(text, line) == text.size()) {
      text = text.substr(0, line);
    }
  }
  if (!text.empty()) push(TokenKind::kData, begin, text);
}

// Where the content of {% raw %} begins, if that is what stands here.
std::optional<size_t> Lexer::raw_begin(size_t at) const {
  at = skip_spaces(source_, at);
  if (!has(source_, at, "raw")) return std::nullopt;
  at = skip_spaces(source_, at + 3);
  if (has(source_, at, "-%}")) return skip_spaces(source_, at + 3);
  if (has(source_, at, "%}")) return at + 2;
  return std::nullopt;
}

Status Lexer::raw_block(size_t tag, size_t begin) {
  for (size_t end = source_.find("{%", begin); end != std::string_view::npos;
       end = source_.find("{%", end + 1)) {
    const char sign = end + 2 < source_.size() ? source_[end + 2] : '\0';
    size_t at = skip_spaces(source_, end + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    if (!has(source_, at, "endraw")) continue;
    at = skip_spaces(source_, at + 6);
    if (has(source_, at, "-%}")) {
      at_ = skip_spaces(source_, at + 3);
    } else if (has(source_, at, "+%}")) {
      at_ = at + 3;
    } else if (has(source_, at, "%}")) {
      at_ = at + 2 + (has(source_, at + 2, "\n") ? 1 : 0);
    } else {
      continue;
    }
    line_starting_ = source_[begin - 1] == '\n';
    push_data(begin, end, sign, false);
    return {};
  }
  return fail(tag, "{% raw %} without {% endraw %}");
}

Status Lexer::comment(size_t tag, size_t begin) {
  const size_t end = source_.find("#}", begin);
  if (end == std::string_view::npos) return fail(tag, "{# without #}");
  at_ = end + 2;
  if (end > begin && source_[end - 1] == '-') {
    at_ = skip_spaces(source_, at_);
  } else if (!(end > begin && source_[end - 1] == '+') && has(source_, at_, "\n")) {
    ++at_;
  }
  return {};
}

Status Lexer::inside(bool is_variable) {
  open_.clear();
  while (at_ < source_.size()) {
    if (open_.empty() && tag_end(is_variable)) return {};
    RETURN_IF_ERROR(token());
  }
  return fail(source_.size(), is_variable ? "{{ without }}" : "{% without %}");
}

bool Lexer::tag_end(bool is_variable) {
  const std::string_view end = is_variable ? "}}" : "%}";
  const size_t begin = at_;
  if (has(source_, at_, end)) {
    at_ += 2;
    if (!is_variable && has(source_, at_, "\n")) ++at_;
  } else if (has(source_, at_, "-") && has(source_, at_ + 1, end)) {
    at_ = skip_spaces(source_, at_ + 3);
  } else if (!is_variable && has(source_, at_, "+%}")) {
    at_ += 3;
  } else {
    return false;
  }
  push(is_variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, begin);
  return true;
}

Status Lexer::token() {
  const size_t behind_spaces = skip_spaces(source_, at_);
  if (behind_spaces != at_) {
    at_ = behind_spaces;
    return {};
  }
  const char c = source_[at_];
  if (is_digit_char(c)) return number();
  if (c == '\'' || c == '"') return string();
  if (!is_name_char(c)) return operator_token();
  const size_t begin = at_;
  while (at_ < source_.size() && is_name_char(source_[at_])) ++at_;
  push(TokenKind::kName, begin, source_.substr(begin, at_ - begin));
  return {};
}

// digits [. digits] e [+-] digits, or digits . digits; no float behind a dot ("x.0.1").
bool Lexer::float_literal() {
  if (at_ > 0 && source_[at_ - 1] == '.') return false;
  const auto digits = [&](size_t at) {
    if (at >= source_.size() || !is_digit_char(source_[at])) return at;
    while (at < source_.size() &&
           (is_digit_char(source_[at]) ||
            (source_[at] == '_' && at + 1 < source_.size() && is_digit_char(source_[at + 1])))) {
      ++at;
    }
    return at;
  };
  size_t end = digits(at_);
  bool is_float = false;
  if (has(source_, end, ".") && digits(end + 1) > end + 1) {
    end = digits(end + 1);
    is_float = true;
  }
  if (has(source_, end, "e") || has(source_, end, "E")) {
    const size_t sign =
        end + 1 + (has(source_, end + 1, "+") || has(source_, end + 1, "-") ? 1 : 0);
    if (digits(sign) > sign) {
      end = digits(sign);
      is_float = true;
    }
  }
  if (!is_float) return false;
  std::string spelling(source_.substr(at_, end - at_));
  std::erase(spelling, '_');
  push(TokenKind::kFloat, at_);
  double value = 0;
  const auto [rest, code] =
      std::from_chars(spelling.data(), spelling.data() + spelling.size(), value);
  // Out of range: too small is 0, too large infinite.
  if (code == std::errc::result_out_of_range) value = std::strtod(spelling.c_str(), nullptr);
  tokens_.back().number = value;
  at_ = end;
  return true;
}

Status Lexer::number() {
  if (float_literal()) return {};
  const size_t begin = at_;
  int base = 10;
  if (source_[at_] == '0' && at_ + 1 < source_.size()) {
    const char mark = static_cast<char>(source_[at_ + 1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
  }
  const auto is_digit_of_base = [&](char c) {
    const char low = static_cast<char>(c | 0x20);
    if (base == 16 && low >= 'a' && low <= 'f') return true;
    return c >= '0' && c < '0' + std::min(base, 10);
  };
  if (base != 10) at_ += 2;
  std::string digits;
  while (at_ < source_.size()) {
    if (is_digit_of_base(source_[at_])) {
      digits += source_[at_++];
    } else if (source_[at_] == '_' && at_ + 1 < source_.size() &&
               is_digit_of_base(source_[at_ + 1])) {
      ++at_;
    } else {
      break;
    }
  }
  if (base == 10 && digits.size() > 1 && digits[0] == '0') {
    const size_t zeros = std::min(digits.find_first_not_of('0'), digits.size());
    if (zeros < digits.size()) return fail(begin, "a number does not begin with 0");
  }
  push(TokenKind::kInteger, begin);
  const auto [end, code] =
      std::from_chars(digits.data(), digits.data() + digits.size(), tokens_.back().integer, base);
  if (code != std::errc() || digits.empty()) {
    return fail(begin, "the number has more than 64 bits");
  }
  return {};
}

Status Lexer::string() {
  const size_t begin = at_;
  const char quote = source_[at_];
  std::string value;
  for (size_t at = at_ + 1; at < source_.size();) {
    if (source_[at] == quote) {
      at_ = at + 1;
      push(TokenKind::kString, begin, value);
      return {};
    }
    if (source_[at] == '\\' && at + 1 < source_.size()) {
      RETURN_IF_ERROR(escape(at, value));
    } else {
      value += source_[at++];
    }
  }
  return fail(begin, "the string has no end");
}

// Python's escapes; an unknown one stays as it is.
Status Lexer::escape(size_t& at, std::string& out) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"", kValues = "\a\b\f\n\r\t\v\\'\"";
  const char letter = source_[at + 1];
  if (const size_t i = kLetters.find(letter); i != std::string_view::npos) {
    out += kValues[i];
    at += 2;
    return {};
  }
  if (letter == '\n') {
    at += 2;
    return {};
  }
  if (letter >= '0' && letter <= '7') {
    uint32_t value = 0;
    size_t end = at + 1;
    while (end < source_.size() && end < at + 4 && source_[end] >= '0' && source_[end] <= '7') {
      value = value * 8 + static_cast<uint32_t>(source_[end++] - '0');
    }
    append_utf8(value, out);
    at = end;
    return {};
  }
  if (letter == 'N') return fail(at, "\\N{...} in a string is not supported; write the character");
  const size_t n_digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
  if (n_digits == 0) {
    out += '\\';
    ++at;
    return {};
  }
  uint32_t value = 0;
  const char* first = source_.data() + at + 2;
  const char* last = first + std::min(n_digits, source_.size() - at - 2);
  const auto [end, code] = std::from_chars(first, last, value, 16);
  if (code != std::errc() || end != first + n_digits || value > 0x10ffff) {
    return fail(at,
                fmt::format("\\{} wants {} hexadecimal digits of a character", letter, n_digits));
  }
  if (value >= 0xd800 && value < 0xe000) return fail(at, "half of a surrogate pair in a string");
  append_utf8(value, out);
  at += 2 + n_digits;
  return {};
}

Status Lexer::operator_token() {
  const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                  [&](std::string_view op) { return has(source_, at_, op); });
  if (found == kOperators.end()) {
    return fail(at_, fmt::format("unexpected character '{}'", source_[at_]));
  }
  const char c = (*found)[0];
  if (c == '(' || c == '[' || c == '{') {
    open_ += c == '(' ? ')' : c == '[' ? ']' : '}';
  } else if (c == ')' || c == ']' || c == '}') {
    if (open_.empty()) return fail(at_, fmt::format("unexpected '{}'", c));
    if (open_.back() != c) {
      return fail(at_, fmt::format("unexpected '{}', expected '{}'", c, open_.back()));
    }
    open_.pop_back();
  }
  push(TokenKind::kOperator, at_, *found);
  at_ += found->size();
  return {};
}

}  // namespace

std::string normalize_source(std::string_view source) {
  std::string normalized;
  normalized.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      normalized += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      normalized += source[i];
    }
  }
  if (normalized.ends_with('\n')) normalized.pop_back();
  return normalized;
}

Result<std::vector<Token>> tokenize(std::string_view source, size_t& error_at) {
  Lexer lexer(source, error_at);
  RETURN_IF_ERROR(lexer.run());
  return lexer.take();
}

std::string position_text(std::string_view source, size_t offset) {
  const std::string_view before = source.substr(0, std::min(offset, source.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t newline = before.rfind('\n');
  std::string_view rest = newline == std::string_view::npos ? before : before.substr(newline + 1);
  size_t column = 1;
  for (; !rest.empty(); ++column) rest.remove_prefix(decode_utf8(rest).length);
  return fmt::format("line {}, column {}", line, column);
}

}  // namespace nibble::jinja
