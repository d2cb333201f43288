// Methods of strings that change characters, pad, and ask what a text is, as Python has them.
#include "base/utf8.h"
#include "text/jinja_method_tables.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

template <Text (*change)(const Text&)>
Result<Value> changed(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "the method", {}));
  RETURN_IF_ERROR(machine.spend_characters(self.text().size()));
  return machine.text(change(self.text()), self.escaped());
}

template <bool left, bool right>
Result<Value> strip_method(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "strip", {"chars"}));
  RETURN_IF_ERROR(machine.spend_bytes(self.text().size()));
  const bool spaces = !bound.given(0) || bound[0].is(Kind::kNone);
  ASSIGN_OR_RETURN(const Text characters, spaces ? Result<Text>(Text()) : bound.text(0, Text()));
  return machine.text(strip(self.text(), left, right, spaces ? nullptr : &characters.bytes()),
                      self.escaped());
}
// ---------------------------------------------------------------- padding

// side: -1 text to the left (ljust), 1 to the right (rjust), 0 in the middle.
template <int side>
Result<Value> justify(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "ljust", {"width", "fillchar"}, 1));
  ASSIGN_OR_RETURN(const int64_t width, require_integer(bound[0], "width"));
  ASSIGN_OR_RETURN(const Text fill, bound.text(1, Text(" ", Origin::kTemplate)));
  if (character_offsets(fill.bytes()).size() != 2) {
    return type_error("The fill character must be exactly one character long");
  }
  const int64_t n = code_points(self);
  if (width <= n) return self;
  const int64_t missing = width - n;
  const int64_t left = side == -1 ? 0 : side == 1 ? missing : missing / 2 + (missing & width & 1);
  ASSIGN_OR_RETURN(Text out, repeat(fill, left));
  ASSIGN_OR_RETURN(const Text right, repeat(fill, missing - left));
  out.append(self.text());
  out.append(right);
  return machine.text(std::move(out), self.escaped());
}

Result<Value> zfill(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "zfill", {"width"}, 1));
  ASSIGN_OR_RETURN(const int64_t width, require_integer(bound[0], "width"));
  const Text& text = self.text();
  const bool signed_text = !text.empty() && (text.bytes()[0] == '-' || text.bytes()[0] == '+');
  ASSIGN_OR_RETURN(const Text zeros,
                   repeat(Text("0", Origin::kTemplate), width - code_points(self)));
  Text out = text.slice(0, signed_text ? 1 : 0);
  out.append(zeros);
  out.append(text, signed_text ? 1 : 0, text.size());
  return machine.text(std::move(out));
}

Result<Value> expandtabs(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "expandtabs", {"tabsize"}));
  ASSIGN_OR_RETURN(const int64_t size, bound.integer(0, 8));
  const Text& text = self.text();
  RETURN_IF_ERROR(machine.spend_characters(text.size()));
  const std::vector<size_t> offsets = character_offsets(text.bytes());
  Text out;
  int64_t column = 0;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const char c = text.bytes()[offsets[i]];
    if (c != '\t') {
      out.append(text, offsets[i], offsets[i + 1]);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
      continue;
    }
    const int64_t n = size > 0 ? size - column % size : 0;
    column += n;
    ASSIGN_OR_RETURN(const Text spaces, repeat(Text(" ", Origin::kTemplate), n));
    if (out.size() + spaces.size() > kMaxTextBytes) return type_error("a text of more than 16 MiB");
    out.append(spaces);
  }
  return machine.text(std::move(out));
}

Result<Value> format_method(Machine& machine, const Value& self, CallArguments& arguments) {
  return brace_format(machine, self, arguments);
}

// ---------------------------------------------------------------- questions

template <bool (*holds)(uint32_t), bool empty_is>
Result<Value> all_characters(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "the method", {}));
  RETURN_IF_ERROR(machine.spend_characters(self.text().size()));
  std::string_view rest = self.text().bytes();
  if (rest.empty()) return Value::boolean(empty_is);
  while (!rest.empty()) {
    const CodePoint point = decode_utf8(rest);
    if (!holds(point.value)) return Value::boolean(false);
    rest.remove_prefix(point.length);
  }
  return Value::boolean(true);
}

bool is_ascii(uint32_t c) { return c < 0x80; }

template <bool (*wanted)(uint32_t), bool (*unwanted)(uint32_t)>
Result<Value> cased(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "the method", {}));
  RETURN_IF_ERROR(machine.spend_characters(self.text().size()));
  std::string_view rest = self.text().bytes();
  bool any = false;
  while (!rest.empty()) {
    const CodePoint point = decode_utf8(rest);
    if (unwanted(point.value) || is_title(point.value)) return Value::boolean(false);
    any = any || wanted(point.value);
    rest.remove_prefix(point.length);
  }
  return Value::boolean(any);
}

Result<Value> istitle(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "istitle", {}));
  RETURN_IF_ERROR(machine.spend_characters(self.text().size()));
  std::string_view rest = self.text().bytes();
  bool inside = false, any = false;
  while (!rest.empty()) {
    const CodePoint point = decode_utf8(rest);
    const bool begins = is_upper(point.value) || is_title(point.value);
    if (begins ? inside : is_lower(point.value) && !inside) return Value::boolean(false);
    inside = begins || is_lower(point.value);
    any = any || inside;
    rest.remove_prefix(point.length);
  }
  return Value::boolean(any);
}

constexpr NamedMethod kMethods[] = {
    {"capitalize", changed<capitalize>},
    {"casefold", changed<casefold>},
    {"center", justify<0>},
    {"expandtabs", expandtabs},
    {"format", format_method},
    {"isalnum", all_characters<is_alnum, false>},
    {"isalpha", all_characters<is_alpha, false>},
    {"isascii", all_characters<is_ascii, true>},
    {"isdecimal", all_characters<is_decimal, false>},
    {"isdigit", all_characters<is_digit, false>},
    {"islower", cased<is_lower, is_upper>},
    {"isnumeric", all_characters<is_numeric, false>},
    {"isprintable", all_characters<is_printable, true>},
    {"isspace", all_characters<is_space, false>},
    {"istitle", istitle},
    {"isupper", cased<is_upper, is_lower>},
    {"ljust", justify<-1>},
    {"lower", changed<lower>},
    {"lstrip", strip_method<true, false>},
    {"rjust", justify<1>},
    {"rstrip", strip_method<false, true>},
    {"strip", strip_method<true, true>},
    {"swapcase", changed<swapcase>},
    {"title", changed<title_words>},
    {"upper", changed<upper>},
    {"zfill", zfill},
};

}  // namespace

std::span<const NamedMethod> text_methods() { return kMethods; }

}  // namespace nibble::jinja
