#include "text/unicode_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace nibble {
namespace {

struct CodePointRange {
  uint32_t first, last;
};

#include "text/unicode_exceptions.inc"

bool contains(std::span<const CodePointRange> ranges, uint32_t code_point) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), code_point,
                       [](uint32_t value, const CodePointRange& r) { return value < r.first; });
  return after != ranges.begin() && code_point <= std::prev(after)->last;
}

utf8proc_category_t category(uint32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

int options_of(NormalForm form) {
  constexpr int kCommon = UTF8PROC_STABLE;
  switch (form) {
    case NormalForm::kNfc:
      return kCommon | UTF8PROC_COMPOSE;
    case NormalForm::kNfd:
      return kCommon | UTF8PROC_DECOMPOSE;
    case NormalForm::kNfkc:
      return kCommon | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case NormalForm::kNfkd:
      return kCommon | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return kCommon;
}

struct Free {
  void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
};

// utf8proc orders marks by swapping neighbours, which is quadratic in the length of a run. Runs
// longer than this are put in their canonical order first, which changes no normal form.
constexpr size_t kLongRunOfMarks = 32;

std::string with_ordered_marks(std::string_view text) {
  std::string out;
  std::vector<std::pair<int, std::string_view>> run;  // combining class, code point
  const auto flush = [&] {
    if (run.size() > kLongRunOfMarks) {
      std::stable_sort(run.begin(), run.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    for (const auto& [combining_class, bytes] : run) out += bytes;
    run.clear();
  };
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    const int combining_class =
        utf8proc_get_property(static_cast<utf8proc_int32_t>(point.value))->combining_class;
    if (combining_class == 0) {
      flush();
      out += text.substr(0, point.length);
    } else {
      run.emplace_back(combining_class, text.substr(0, point.length));
    }
    text.remove_prefix(point.length);
  }
  flush();
  return out;
}

// `text` is valid UTF-8.
void append_normal_form(std::string_view text, NormalForm form, std::string& out) {
  if (text.empty()) return;
  std::string ordered;
  if (text.size() > kLongRunOfMarks) text = ordered = with_ordered_marks(text);
  utf8proc_uint8_t* bytes = nullptr;
  const utf8proc_ssize_t n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                          static_cast<utf8proc_ssize_t>(text.size()), &bytes,
                                          static_cast<utf8proc_option_t>(options_of(form)));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(bytes);
  if (n < 0) {  // no memory: better the text as it is than none
    out.append(text);
    return;
  }
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

bool is_unicode_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool is_unicode_number(uint32_t c) {
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_ND || kind == UTF8PROC_CATEGORY_NL ||
         kind == UTF8PROC_CATEGORY_NO;
}

bool is_unicode_mark(uint32_t c) {
  const utf8proc_category_t kind = category(c);
  return (kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_MC ||
          kind == UTF8PROC_CATEGORY_ME) &&
         !contains(kNewMarks, c);
}

bool is_nonspacing_mark(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_MN ? !contains(kNewNonspacingMarks, c)
                                             : contains(kFormerNonspacingMarks, c);
}

bool is_punctuation(uint32_t c) {
  if (c < 0x80) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return c > 0x20 && c < 0x7f && !is_letter && !(c >= '0' && c <= '9');
  }
  const utf8proc_category_t kind = category(c);
  const bool is_in_category = kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
  return is_in_category ? !contains(kNewPunctuation, c) : contains(kFormerPunctuation, c);
}

bool is_bert_control(uint32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const utf8proc_category_t kind = category(c);
  return kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CO ||
         (kind == UTF8PROC_CATEGORY_CF && !contains(kNewFormat, c));
}

bool is_word_character(uint32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:  // joiners, and the symbols that count as alphabetic
      return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
             (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
             (c >= 0x1f170 && c <= 0x1f189);
  }
}

void append_lower_case(uint32_t c, std::string& out) {
  if (c == 0x130) {  // the only letter whose lower-case form has two code points
    out += "i\u0307";
    return;
  }
  append_utf8(static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
}

std::string normal_form(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  std::string out;
  out.reserve(text.size());
  size_t run = 0, at = 0;
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text.substr(at));
    // To an older Unicode what came later has no decomposition and starts anew.
    if (!point.valid || contains(kNewInNormalForms, point.value)) {
      append_normal_form(text.substr(run, at - run), form, out);
      out.append(text.substr(at, point.length));
      run = at + point.length;
    }
    at += point.length;
  }
  append_normal_form(text.substr(run), form, out);
  return out;
}

}  // namespace nibble
