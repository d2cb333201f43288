#include "text/jinja_unicode.h"

#include <algorithm>
#include <array>

#include <utf8proc.h>

#include "base/utf8.h"

namespace nibble::jinja {
namespace {

// Unicode's SpecialCasing.txt: what becomes several characters. No title case given: it is one.
struct LongCase {
  uint32_t c;
  const char* upper;
  const char* title;
};
constexpr LongCase kLongCases[] = {
    {0x00df, "SS", "Ss"}, {0x0149, "ʼN", "ʼN"},   {0x01f0, "J̌", "J̌"},     {0x0390, "Ϊ́", "Ϊ́"},
    {0x03b0, "Ϋ́", "Ϋ́"},   {0x0587, "ԵՒ", "Եւ"},   {0x1e96, "H̱", "H̱"},     {0x1e97, "T̈", "T̈"},
    {0x1e98, "W̊", "W̊"},   {0x1e99, "Y̊", "Y̊"},     {0x1e9a, "Aʾ", "Aʾ"},   {0x1f50, "Υ̓", "Υ̓"},
    {0x1f52, "Υ̓̀", "Υ̓̀"},   {0x1f54, "Υ̓́", "Υ̓́"},     {0x1f56, "Υ̓͂", "Υ̓͂"},     {0x1f80, "ἈΙ", ""},
    {0x1f81, "ἉΙ", ""},   {0x1f82, "ἊΙ", ""},     {0x1f83, "ἋΙ", ""},     {0x1f84, "ἌΙ", ""},
    {0x1f85, "ἍΙ", ""},   {0x1f86, "ἎΙ", ""},     {0x1f87, "ἏΙ", ""},     {0x1f88, "ἈΙ", ""},
    {0x1f89, "ἉΙ", ""},   {0x1f8a, "ἊΙ", ""},     {0x1f8b, "ἋΙ", ""},     {0x1f8c, "ἌΙ", ""},
    {0x1f8d, "ἍΙ", ""},   {0x1f8e, "ἎΙ", ""},     {0x1f8f, "ἏΙ", ""},     {0x1f90, "ἨΙ", ""},
    {0x1f91, "ἩΙ", ""},   {0x1f92, "ἪΙ", ""},     {0x1f93, "ἫΙ", ""},     {0x1f94, "ἬΙ", ""},
    {0x1f95, "ἭΙ", ""},   {0x1f96, "ἮΙ", ""},     {0x1f97, "ἯΙ", ""},     {0x1f98, "ἨΙ", ""},
    {0x1f99, "ἩΙ", ""},   {0x1f9a, "ἪΙ", ""},     {0x1f9b, "ἫΙ", ""},     {0x1f9c, "ἬΙ", ""},
    {0x1f9d, "ἭΙ", ""},   {0x1f9e, "ἮΙ", ""},     {0x1f9f, "ἯΙ", ""},     {0x1fa0, "ὨΙ", ""},
    {0x1fa1, "ὩΙ", ""},   {0x1fa2, "ὪΙ", ""},     {0x1fa3, "ὫΙ", ""},     {0x1fa4, "ὬΙ", ""},
    {0x1fa5, "ὭΙ", ""},   {0x1fa6, "ὮΙ", ""},     {0x1fa7, "ὯΙ", ""},     {0x1fa8, "ὨΙ", ""},
    {0x1fa9, "ὩΙ", ""},   {0x1faa, "ὪΙ", ""},     {0x1fab, "ὫΙ", ""},     {0x1fac, "ὬΙ", ""},
    {0x1fad, "ὭΙ", ""},   {0x1fae, "ὮΙ", ""},     {0x1faf, "ὯΙ", ""},     {0x1fb2, "ᾺΙ", "Ὰͅ"},
    {0x1fb3, "ΑΙ", ""},   {0x1fb4, "ΆΙ", "Άͅ"},    {0x1fb6, "Α͂", "Α͂"},     {0x1fb7, "Α͂Ι", "ᾼ͂"},
    {0x1fbc, "ΑΙ", ""},   {0x1fc2, "ῊΙ", "Ὴͅ"},    {0x1fc3, "ΗΙ", ""},     {0x1fc4, "ΉΙ", "Ήͅ"},
    {0x1fc6, "Η͂", "Η͂"},   {0x1fc7, "Η͂Ι", "ῌ͂"},    {0x1fcc, "ΗΙ", ""},     {0x1fd2, "Ϊ̀", "Ϊ̀"},
    {0x1fd3, "Ϊ́", "Ϊ́"},   {0x1fd6, "Ι͂", "Ι͂"},     {0x1fd7, "Ϊ͂", "Ϊ͂"},     {0x1fe2, "Ϋ̀", "Ϋ̀"},
    {0x1fe3, "Ϋ́", "Ϋ́"},   {0x1fe4, "Ρ̓", "Ρ̓"},     {0x1fe6, "Υ͂", "Υ͂"},     {0x1fe7, "Ϋ͂", "Ϋ͂"},
    {0x1ff2, "ῺΙ", "Ὼͅ"},  {0x1ff3, "ΩΙ", ""},     {0x1ff4, "ΏΙ", "Ώͅ"},    {0x1ff6, "Ω͂", "Ω͂"},
    {0x1ff7, "Ω͂Ι", "ῼ͂"},  {0x1ffc, "ΩΙ", ""},     {0xfb00, "FF", "Ff"},   {0xfb01, "FI", "Fi"},
    {0xfb02, "FL", "Fl"}, {0xfb03, "FFI", "Ffi"}, {0xfb04, "FFL", "Ffl"}, {0xfb05, "ST", "St"},
    {0xfb06, "ST", "St"}, {0xfb13, "ՄՆ", "Մն"},   {0xfb14, "ՄԵ", "Մե"},   {0xfb15, "ՄԻ", "Մի"},
    {0xfb16, "ՎՆ", "Վն"}, {0xfb17, "ՄԽ", "Մխ"},
};

const LongCase* long_case(uint32_t c) {
  const auto* found =
      std::lower_bound(std::begin(kLongCases), std::end(kLongCases), c,
                       [](const LongCase& row, uint32_t value) { return row.c < value; });
  return found != std::end(kLongCases) && found->c == c ? found : nullptr;
}

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_cased(uint32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }

// Calls fn(code point, out) for every character; invalid bytes stay as they are.
template <typename Fn>
Text map_characters(const Text& text, Fn fn) {
  Text out;
  for (const Text::Run& run : text.runs()) {
    std::string mapped;
    std::string_view rest = run.bytes;
    while (!rest.empty()) {
      const CodePoint point = decode_utf8(rest);
      if (point.valid) {
        fn(point.value, static_cast<size_t>(rest.data() - text.bytes().data()), mapped);
      } else {
        mapped += rest.substr(0, point.length);
      }
      rest.remove_prefix(point.length);
    }
    out.append(mapped, run.origin);
  }
  return out;
}

constexpr uint32_t kSigma = 0x3a3, kFinalSigma = 0x3c2;

bool has_letter_before(std::string_view text, size_t at) {
  // Marks between letter and sigma do not count; they are rare enough to be left out here.
  while (at > 0) {
    size_t begin = at - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    const uint32_t c = decode_utf8(text.substr(begin)).value;
    if (c == '\'' || c == '.' || c == 0xad || c == 0x2019) {
      at = begin;
      continue;
    }
    return is_cased(c);
  }
  return false;
}

bool has_letter_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text.substr(at));
    const uint32_t c = point.value;
    if (c != '\'' && c != '.' && c != 0xad && c != 0x2019) return is_cased(c);
    at += point.length;
  }
  return false;
}

void append_lower(std::string_view text, size_t at, uint32_t c, std::string& out) {
  if (c == kSigma && has_letter_before(text, at) && !has_letter_after(text, at + 2)) {
    return append_utf8(kFinalSigma, out);
  }
  append_cased(c, Case::kLower, out);
}

}  // namespace

bool is_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool is_line_break(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_printable(uint32_t c) {
  if (c < 0x7f) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(uint32_t c) {
  const utf8proc_category_t which = category(c);
  return which >= UTF8PROC_CATEGORY_LU && which <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

bool is_digit(uint32_t c) {
  return is_decimal(c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468);
}

bool is_numeric(uint32_t c) {
  const utf8proc_category_t which = category(c);
  return which >= UTF8PROC_CATEGORY_ND && which <= UTF8PROC_CATEGORY_NO;
}

bool is_lower(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL || c == 0xaa || c == 0xba ||
         (c >= 0x2170 && c <= 0x217f) || (c >= 0x24d0 && c <= 0x24e9);
}

bool is_upper(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU || (c >= 0x2160 && c <= 0x216f) ||
         (c >= 0x24b6 && c <= 0x24cf);
}

bool is_title(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }

void append_cased(uint32_t c, Case which, std::string& out) {
  if (c < 0x80) {  // nearly all of them
    const bool to_lower = which == Case::kLower || which == Case::kFold;
    const uint32_t first = to_lower ? 'A' : 'a';
    out += static_cast<char>(c - first < 26 ? c ^ 0x20 : c);
    return;
  }
  const auto point = static_cast<utf8proc_int32_t>(c);
  if (which == Case::kFold) {
    std::array<utf8proc_int32_t, 8> folded{};
    int boundary = 0;
    const auto n =
        utf8proc_decompose_char(point, folded.data(), folded.size(), UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < n; ++i) {
      append_utf8(static_cast<uint32_t>(folded[static_cast<size_t>(i)]), out);
    }
    return;
  }
  if (which == Case::kLower) {
    if (c == 0x130) {  // the one whose lower case is two characters
      out += "i\xcc\x87";
    } else {
      append_utf8(static_cast<uint32_t>(utf8proc_tolower(point)), out);
    }
    return;
  }
  const LongCase* row = long_case(c);
  if (row != nullptr && (which == Case::kUpper || row->title[0] != '\0')) {
    out += which == Case::kUpper ? row->upper : row->title;
    return;
  }
  append_utf8(static_cast<uint32_t>(which == Case::kUpper ? utf8proc_toupper(point)
                                                          : utf8proc_totitle(point)),
              out);
}

Text upper(const Text& text) {
  return map_characters(
      text, [](uint32_t c, size_t, std::string& out) { append_cased(c, Case::kUpper, out); });
}

Text lower(const Text& text) {
  return map_characters(text, [&](uint32_t c, size_t at, std::string& out) {
    append_lower(text.bytes(), at, c, out);
  });
}

Text casefold(const Text& text) {
  return map_characters(
      text, [](uint32_t c, size_t, std::string& out) { append_cased(c, Case::kFold, out); });
}

Text swapcase(const Text& text) {
  return map_characters(text, [&](uint32_t c, size_t at, std::string& out) {
    if (is_upper(c)) return append_lower(text.bytes(), at, c, out);
    append_cased(c, is_lower(c) ? Case::kUpper : Case::kLower, out);
  });
}

Text capitalize(const Text& text) {
  return map_characters(text, [&](uint32_t c, size_t at, std::string& out) {
    if (at == 0) return append_cased(c, Case::kTitle, out);
    append_lower(text.bytes(), at, c, out);
  });
}

Text title_words(const Text& text) {
  bool inside = false;
  return map_characters(text, [&](uint32_t c, size_t at, std::string& out) {
    if (inside) {
      append_lower(text.bytes(), at, c, out);
    } else {
      append_cased(c, Case::kTitle, out);
    }
    inside = is_cased(c);
  });
}

}  // namespace nibble::jinja
