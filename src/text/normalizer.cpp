#include "text/normalizer.h"

#include <utf8proc.h>

#include <utility>

#include "base/utf8.h"
#include "text/byte_level.h"

namespace nibble {
namespace {

// A step made of one function.
template <typename Function>
class Step final : public Normalizer {
 public:
  explicit Step(Function function) : function_(std::move(function)) {}
  std::string apply(std::string_view text) const override { return function_(text); }

 private:
  Function function_;
};

template <typename Function>
std::unique_ptr<Normalizer> make_step(Function function) {
  return std::make_unique<Step<Function>>(std::move(function));
}

// Calls visit(code point, its bytes, out) for each; invalid bytes are copied.
template <typename Visit>
std::string map_code_points(std::string_view text, Visit&& visit) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (point.valid) {
      visit(point.value, text.substr(0, point.length), out);
    } else {
      out += text[0];
    }
    text.remove_prefix(point.length);
  }
  return out;
}

std::string lower_case(std::string_view text) {
  return map_code_points(
      text, [](uint32_t c, std::string_view, std::string& out) { append_lower_case(c, out); });
}

std::string without(std::string_view text, bool (*is_dropped)(uint32_t)) {
  return map_code_points(text, [&](uint32_t c, std::string_view bytes, std::string& out) {
    if (!is_dropped(c)) out += bytes;
  });
}

bool is_ideograph(uint32_t c) {
  // 0x2b920 where the standard has 0x2b820: as in the library.
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

std::string clean(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (is_unicode_space(point.value) && !is_bert_control(point.value)) {
      out += ' ';
    } else if (point.value != 0 && point.value != 0xfffd && !is_bert_control(point.value)) {
      out += text.substr(0, point.length);
    }
    text.remove_prefix(point.length);
  }
  return out;
}

std::string bert(std::string_view text, const BertOptions& options) {
  std::string result(text);
  if (options.clean_text) result = clean(result);
  if (options.handle_chinese_chars) {
    result = map_code_points(result, [](uint32_t c, std::string_view bytes, std::string& out) {
      if (is_ideograph(c)) {
        out += ' ';
        out += bytes;
        out += ' ';
      } else {
        out += bytes;
      }
    });
  }
  if (options.strip_accents) {
    result = without(normal_form(result, NormalForm::kNfd), is_nonspacing_mark);
  }
  return options.lowercase ? lower_case(result) : result;
}

// Source: google/sentencepiece, the rules "nmt".
std::string nmt(std::string_view text) {
  return map_code_points(text, [](uint32_t c, std::string_view bytes, std::string& out) {
    const bool is_dropped = (c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) ||
                            c == 0x7f || c == 0x8f || c == 0x9f;
    const bool is_space = c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
                          (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 ||
                          c == 0x2581 || c == 0xfeff || c == 0xfffd;
    if (is_dropped) return;
    if (is_space) {
      out += ' ';
    } else {
      out += bytes;
    }
  });
}

std::string replace(std::string_view text, std::string_view literal, std::string_view content) {
  std::string out;
  out.reserve(text.size());
  size_t end = 0;
  for (size_t at = 0; (at = text.find(literal, end)) != std::string_view::npos;) {
    out += text.substr(end, at - end);
    out += content;
    end = at + literal.size();
  }
  out += text.substr(end);
  return out;
}

std::string strip(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (!is_unicode_space(point.value)) break;
    text.remove_prefix(point.length);
  }
  while (right && !text.empty()) {
    size_t at = text.size() - 1;
    while (at > 0 && text.size() - at < 4 &&
           (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) {
      --at;
    }
    const CodePoint point = decode_utf8(text.substr(at));
    if (at + point.length != text.size() || !is_unicode_space(point.value)) break;
    text.remove_suffix(point.length);
  }
  return std::string(text);
}

// Length of the grapheme at the beginning of `text`, valid or not.
size_t grapheme_length(std::string_view text) {
  CodePoint point = decode_utf8(text);
  size_t length = point.length;
  utf8proc_int32_t state = 0;
  while (length < text.size()) {
    const CodePoint next = decode_utf8(text.substr(length));
    if (!point.valid || !next.valid ||
        utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state)) {
      break;
    }
    length += next.length;
    point = next;
  }
  return length;
}

std::string precompiled(std::string_view text, const Charsmap& charsmap) {
  // Longer graphemes are looked up character by character.
  constexpr size_t kMaxGrapheme = 5;
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = grapheme_length(text);
    std::string_view grapheme = text.substr(0, length);
    text.remove_prefix(length);
    if (length <= kMaxGrapheme) {
      if (const auto replacement = charsmap.shortest(grapheme)) {
        out += *replacement;
        continue;
      }
    }
    while (!grapheme.empty()) {
      const std::string_view character = grapheme.substr(0, decode_utf8(grapheme).length);
      out += charsmap.shortest(character).value_or(character);
      grapheme.remove_prefix(character.size());
    }
  }
  return out;
}

std::string rewrite(std::string_view text, const Charsmap& charsmap) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Charsmap::Match match = charsmap.longest(text);
    if (match.length > 0) {
      out += match.replacement;
      text.remove_prefix(match.length);
      continue;
    }
    const CodePoint point = decode_utf8(text);
    append_utf8(point.value, out);  // U+FFFD for an invalid byte
    text.remove_prefix(point.length);
  }
  return out;
}

std::string squeeze_spaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c;
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace

std::unique_ptr<Normalizer> make_form_normalizer(NormalForm form) {
  return make_step([form](std::string_view text) { return normal_form(text, form); });
}
std::unique_ptr<Normalizer> make_lowercase() { return make_step(lower_case); }
std::unique_ptr<Normalizer> make_strip(bool left, bool right) {
  return make_step([left, right](std::string_view text) { return strip(text, left, right); });
}
std::unique_ptr<Normalizer> make_strip_accents() {
  return make_step([](std::string_view text) { return without(text, is_unicode_mark); });
}
std::unique_ptr<Normalizer> make_prepend(std::string prefix) {
  return make_step([prefix = std::move(prefix)](std::string_view text) {
    return text.empty() ? std::string() : prefix + std::string(text);
  });
}
std::unique_ptr<Normalizer> make_replace(std::string literal, std::string content) {
  return make_step([literal = std::move(literal), content = std::move(content)](
                       std::string_view text) { return replace(text, literal, content); });
}
std::unique_ptr<Normalizer> make_regex_replace(Regex regex, std::string content) {
  return make_step([regex = std::move(regex), content = std::move(content)](std::string_view text) {
    uint64_t work = Regex::work_for(text.size());
    std::string out;
    size_t end = 0;
    for (const Regex::Match& match : regex.find_all(text, work)) {
      out += text.substr(end, match.begin - end);
      out += content;
      end = match.end;
    }
    out += text.substr(end);
    return out;
  });
}
std::unique_ptr<Normalizer> make_nmt() { return make_step(nmt); }
std::unique_ptr<Normalizer> make_byte_level_normalizer() { return make_step(byte_level_spelling); }
std::unique_ptr<Normalizer> make_bert(const BertOptions& options) {
  return make_step([options](std::string_view text) { return bert(text, options); });
}
std::unique_ptr<Normalizer> make_precompiled(Charsmap charsmap) {
  return make_step([charsmap = std::move(charsmap)](std::string_view text) {
    return precompiled(text, charsmap);
  });
}
std::unique_ptr<Normalizer> make_charsmap(Charsmap charsmap) {
  return make_step(
      [charsmap = std::move(charsmap)](std::string_view text) { return rewrite(text, charsmap); });
}
std::unique_ptr<Normalizer> make_squeeze_spaces() { return make_step(squeeze_spaces); }

}  // namespace nibble
