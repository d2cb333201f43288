// What differs between Oniguruma's Ruby syntax and PCRE2, translated.
#include <array>
#include <cctype>

#include "text/regex.h"

namespace nibble {
namespace {

// The property White_Space; PCRE2's own \s also has U+180E. And its complement.
constexpr std::string_view kSpace =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x00-\x08\x0e-\x1f\x21-\x84\x86-\x9f\xa1-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
// Letters, marks, decimal digits and connectors; PCRE2's \w has no marks but all numbers.
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kHexDigit = "0-9a-fA-F";
constexpr size_t kMaxClassDepth = 20;
constexpr size_t kMaxRepeats = 1000;

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  Result<std::string> run() {
    while (at_ < in_.size()) RETURN_IF_ERROR(step());
    return std::move(out_);
  }

 private:
  Error unknown(std::string_view what) const {
    return make_error(
        ErrorKind::kFailure,
        "[tokenizer] the regular expression \"{}\" uses {} (at byte {}), which nibble "
        "does not translate; a newer version may",
        in_.substr(0, 200), what, at_);
  }

  char peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }

  Status step() {
    const char c = in_[at_];
    if (c == '\\') return escape();
    if (c == '[') {
      atom_ = out_.size();
      ASSIGN_OR_RETURN(const std::string text, character_class(0));
      out_ += text;
      return {};
    }
    if (c == '(') return open_group();
    if (c == ')') {
      if (!groups_.empty()) {
        atom_ = groups_.back();
        groups_.pop_back();
      }
    } else if (c == '{') {
      return counted_repeat();
    } else if (c != '*' && c != '+' && c != '?' && (static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      atom_ = out_.size();
    }
    out_ += c;
    ++at_;
    return {};
  }

  // "(?m:" is Ruby's name for "dot matches newlines", which is PCRE2's s.
  Status open_group() {
    groups_.push_back(out_.size());
    out_ += '(';
    ++at_;
    if (peek() != '?') return {};
    if (peek(1) == '~') return unknown("an absence operator");
    if (peek(1) == 'P') return unknown("a group in Python's spelling");
    const size_t flags_end = in_.find_first_not_of("imx-", at_ + 1);
    if (flags_end == std::string_view::npos || (in_[flags_end] != ':' && in_[flags_end] != ')') ||
        flags_end == at_ + 1) {
      return {};
    }
    out_ += '?';
    for (++at_; at_ < flags_end; ++at_) out_ += in_[at_] == 'm' ? 's' : in_[at_];
    return {};
  }

  // In Ruby's syntax "{1,3}+" repeats the repeat; in PCRE2 it is possessive.
  Status counted_repeat() {
    const size_t end = in_.find_first_not_of("0123456789,", at_ + 1);
    const bool is_repeat = end != std::string_view::npos && in_[end] == '}' && end > at_ + 1;
    if (!is_repeat) {
      atom_ = out_.size();
      out_ += "\\{";
      ++at_;
      return {};
    }
    std::string repeat(in_.substr(at_, end + 1 - at_));
    // Real ones have 512 at most; long ones would escape the limit on work (regex.cpp).
    for (size_t i = 1, n = 0; i + 1 < repeat.size(); ++i) {
      n = repeat[i] == ',' ? 0 : n * 10 + static_cast<size_t>(repeat[i] - '0');
      if (n > kMaxRepeats) return unknown("a count over 1000");
    }
    if (repeat.starts_with("{,")) repeat.insert(1, "0");
    at_ = end + 1;
    out_ += repeat;
    if (peek() == '+') {
      out_.insert(atom_, "(?:");
      out_ += ')';
    }
    return {};
  }

  Status escape() {
    if (at_ + 1 >= in_.size()) return unknown("a backslash at its end");
    const char c = in_[at_ + 1];
    atom_ = out_.size();
    const auto in_brackets = [&](std::string_view set, bool negated) {
      out_ += negated ? "[^" : "[";
      out_ += set;
      out_ += ']';
    };
    switch (c) {
      case 's':
      case 'S':
        in_brackets(kSpace, c == 'S');
        break;
      case 'w':
      case 'W':
        in_brackets(kWord, c == 'W');
        break;
      case 'h':
      case 'H':
        in_brackets(kHexDigit, c == 'H');
        break;
      case 'b':
      case 'B': {
        const std::string w = "[" + std::string(kWord) + "]";
        out_ += c == 'b' ? "(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))"
                         : "(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))";
        break;
      }
      case 'K':
      case 'N':
      case 'O':
      case 'y':
      case 'Y':
      case 'g':
      case 'C':
      case 'Q':
      case 'E':
        return unknown(fmt::format("\\{}", c));
      case 'u':
        return code_point();
      case 'k':
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
      case '7':
      case '8':
      case '9':
        return unknown("a back reference");
      default:
        return other_escape(out_);
    }
    at_ += 2;
    return {};
  }

  // "\\u3040": four hexadecimal digits.
  Status code_point() {
    std::string digits(in_.substr(at_ + 2, 4));
    if (digits.size() != 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos) {
      return unknown("\\u without four hexadecimal digits");
    }
    out_ += "\\x{" + digits + "}";
    at_ += 6;
    return {};
  }

  // The same in both: properties with their braces, \n, \d, escaped punctuation ...
  Status other_escape(std::string& out) {
    const char c = in_[at_ + 1];
    out += '\\';
    out += c;
    at_ += 2;
    if ((c == 'p' || c == 'P' || c == 'x') && peek() == '{') {
      const size_t end = in_.find('}', at_);
      if (end == std::string_view::npos) return unknown("an open brace");
      out += in_.substr(at_, end + 1 - at_);
      at_ = end + 1;
    }
    return {};
  }

  // Parses a class from its "[" on; nested ones are dissolved, and [A&&[^B]] becomes "not B, but
  // A".
  Result<std::string> character_class(size_t depth) {
    if (depth > kMaxClassDepth) return unknown("classes in classes");
    ++at_;
    std::string set = "[";
    const bool negated = peek() == '^';
    if (negated) {
      set += '^';
      ++at_;
    }
    std::string excluded;
    bool first = true;
    for (;; first = false) {
      if (at_ >= in_.size()) return unknown("a class without its end");
      const char c = in_[at_];
      if (c == ']' && !first) break;
      if (c == '[' && peek(1) == ':') {
        const size_t end = in_.find(":]", at_);
        if (end == std::string_view::npos) return unknown("a class without its end");
        set += in_.substr(at_, end + 2 - at_);
        at_ = end + 2;
      } else if (c == '[') {
        if (peek(1) == '^') return unknown("a negated class in a class");
        ASSIGN_OR_RETURN(const std::string inner, character_class(depth + 1));
        if (inner[0] != '[') return unknown("an intersection in a class");
        set += inner.substr(1, inner.size() - 2);
      } else if (c == '&' && peek(1) == '&') {
        at_ += 2;
        if (negated || peek() != '[' || peek(1) != '^') return unknown("an intersection");
        ASSIGN_OR_RETURN(excluded, character_class(depth + 1));
        if (!excluded.starts_with("[^") || peek() != ']') return unknown("an intersection");
        excluded.erase(1, 1);
        break;
      } else if (c == '\\') {
        RETURN_IF_ERROR(escape_in_class(set));
      } else {
        set += c;
        ++at_;
      }
    }
    ++at_;  // "]"
    set += ']';
    return excluded.empty() ? set : "(?:(?!" + excluded + ")" + set + ")";
  }

  Status escape_in_class(std::string& set) {
    switch (peek(1)) {
      case '\0':
        return unknown("a backslash at its end");
      case 's':
        set += kSpace;
        break;
      case 'S':
        set += kNotSpace;
        break;
      case 'w':
        set += kWord;
        break;
      case 'h':
        set += kHexDigit;
        break;
      case 'u': {
        const size_t n = out_.size();
        RETURN_IF_ERROR(code_point());
        set += out_.substr(n);
        out_.resize(n);
        return {};
      }
      case 'W':
      case 'H':
      case 'R':
      case 'X':
        return unknown(fmt::format("\\{} in a class", peek(1)));
      default:
        return other_escape(set);
    }
    at_ += 2;
    return {};
  }

  std::string_view in_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where in out_ the thing begins that a repeat would apply to
  std::vector<size_t> groups_;  // where in out_ the open groups begin
};

}  // namespace

Result<std::string> translate_expression(std::string_view expression) {
  return Translator(expression).run();
}

}  // namespace nibble
