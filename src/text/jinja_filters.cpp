// Filters over texts and numbers, and the table of all.
#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "text/jinja_filter_tables.h"
#include "text/jinja_library.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

// A filter that makes a text of a text and takes no arguments; markup stays markup.
template <Text (*change)(const Text&)>
Result<Value> changed(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "the filter", {}));
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  RETURN_IF_ERROR(machine.spend_characters(text.size()));
  return machine.text(change(text), value.escaped());
}

// "it's a (small) world-wide web" -> "It's A (Small) World-Wide Web": words begin behind a space or
// one of -({[<.
Text title(const Text& text) {
  Text out;
  const std::string_view bytes = text.bytes();
  const auto separates = [](const CodePoint& point) {
    return is_space(point.value) ||
           (point.value < 0x80 && std::string_view("-({[<").find(static_cast<char>(point.value)) !=
                                      std::string_view::npos);
  };
  size_t at = 0;
  while (at < bytes.size()) {
    const CodePoint first = decode_utf8(bytes.substr(at));
    size_t end = at + first.length;
    out.append(upper(text.slice(at, end)));
    const size_t rest = end;
    while (end < bytes.size()) {
      const CodePoint point = decode_utf8(bytes.substr(end));
      if (separates(point) != separates(first)) break;
      end += point.length;
    }
    out.append(lower(text.slice(rest, end)));
    at = end;
  }
  return out;
}

Result<Value> trim(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "trim", {"chars"}));
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  const bool spaces = !bound.given(0) || bound[0].is(Kind::kNone);
  ASSIGN_OR_RETURN(const Text characters, spaces ? Result<Text>(Text()) : bound.text(0, Text()));
  return machine.text(strip(text, true, true, spaces ? nullptr : &characters.bytes()),
                      value.escaped());
}

Result<Value> replace_filter(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "replace", {"old", "new", "count"}, 2));
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  ASSIGN_OR_RETURN(const Text from, machine.to_text(bound[0]));
  ASSIGN_OR_RETURN(const Text to, machine.to_text(bound[1]));
  int64_t count = -1;
  if (bound.given(2) && !bound[2].is(Kind::kNone)) {
    ASSIGN_OR_RETURN(count, require_integer(bound[2], "count"));
  }
  return replace(machine, Value::string(text), from, to, count);
}

Result<Value> indent(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "indent", {"width", "first", "blank"}));
  RETURN_IF_ERROR(require_defined(value));
  if (!value.is(Kind::kString)) return type_error("only a string can be indented");
  Text width("    ", Origin::kTemplate);
  if (bound.given(0) && bound[0].is(Kind::kString)) {
    width = bound[0].text();
  } else if (bound.given(0)) {
    ASSIGN_OR_RETURN(const int64_t n, require_integer(bound[0], "width"));
    ASSIGN_OR_RETURN(width, repeat(Text(" ", Origin::kTemplate), n));
  }
  RETURN_IF_ERROR(machine.spend_characters(value.text().size()));
  const Text newline("\n", Origin::kTemplate);
  Text source = value.text();
  source.append(newline);  // so that a line break at the end is one more line
  const std::vector<Text> lines = split_lines(source, false);
  RETURN_IF_ERROR(machine.spend_items(lines.size()));
  const bool blank = bound.truth_of(2, false);
  Text out = bound.truth_of(1, false) ? width : Text();
  for (size_t i = 0; i < lines.size(); ++i) {
    if (out.size() + width.size() + lines[i].size() > kMaxTextBytes) {
      return type_error("a text of more than 16 MiB");
    }
    if (i > 0) {
      out.append(newline);
      if (blank || !lines[i].empty()) out.append(width);
    }
    out.append(lines[i]);
  }
  return machine.text(std::move(out), value.escaped());
}

Result<Value> center(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "center", {"width"}));
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  ASSIGN_OR_RETURN(const int64_t width, bound.integer(0, 80));
  const int64_t missing = width - code_points(Value::string(text));
  if (missing <= 0) return machine.text(text);
  const Text space(" ", Origin::kTemplate);
  // The odd space goes to the left if the width is odd.
  const int64_t left = missing / 2 + (missing & width & 1);
  ASSIGN_OR_RETURN(Text out, repeat(space, left));
  ASSIGN_OR_RETURN(const Text right, repeat(space, missing - left));
  out.append(text);
  out.append(right);
  return machine.text(std::move(out));
}

Result<Value> truncate(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "truncate", {"length", "killwords", "end", "leeway"}));
  RETURN_IF_ERROR(require_defined(value));
  if (!value.is(Kind::kString)) return type_error("only a string can be truncated");
  ASSIGN_OR_RETURN(const int64_t length, bound.integer(0, 255));
  ASSIGN_OR_RETURN(const Text end, bound.text(2, Text("...", Origin::kTemplate)));
  ASSIGN_OR_RETURN(const int64_t leeway, bound.given(3) && bound[3].is(Kind::kNone)
                                             ? Result<int64_t>(5)
                                             : bound.integer(3, 5));
  const int64_t n_end = code_points(Value::string(end));
  if (length < n_end)
    return type_error(fmt::format("expected length >= {}, got {}", n_end, length));
  if (leeway < 0) return type_error("expected leeway >= 0");
  const int64_t n = code_points(value);
  if (n - length <= leeway) return value;
  ASSIGN_OR_RETURN(const Value head, slice(machine, value, Value::none(),
                                           Value::integer(length - n_end), Value::none()));
  Text out = head.text();
  if (!bound.truth_of(1, false)) {
    const size_t space = out.bytes().rfind(' ');
    if (space != std::string::npos) out = out.slice(0, space);
  }
  out.append(end);
  return machine.text(std::move(out));
}

Result<Value> wordcount(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "wordcount", {}));
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  RETURN_IF_ERROR(machine.spend_characters(text.size()));
  std::string_view rest = text.bytes();
  int64_t n = 0;
  bool inside = false;
  while (!rest.empty()) {
    const CodePoint point = decode_utf8(rest);
    const bool is_word = is_alnum(point.value) || point.value == '_';
    if (is_word && !inside) ++n;
    inside = is_word;
    rest.remove_prefix(point.length);
  }
  return Value::integer(n);
}

Result<Value> string_filter(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "string", {}));
  if (value.is(Kind::kString)) return value;
  ASSIGN_OR_RETURN(Text text, machine.to_text(value));
  return machine.text(std::move(text));
}

Result<Value> safe(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "safe", {}));
  ASSIGN_OR_RETURN(Text text, machine.to_text(value));
  return machine.text(std::move(text), true);
}

template <bool always>
Result<Value> escape(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "escape", {}));
  if (value.escaped() && !always) return value;
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  RETURN_IF_ERROR(machine.spend_characters(text.size()));
  return machine.text(escape_html(text), true);
}

Result<Value> urlencode(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "urlencode", {}));
  if (value.is_list() || value.is(Kind::kDict)) {
    return type_error("urlencode of anything but a text is not supported");
  }
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  RETURN_IF_ERROR(machine.spend_characters(text.size()));
  Text out;
  for (const Text::Run& run : text.runs()) {
    std::string written;
    for (const char c : run.bytes) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x80 &&
          (is_alnum(byte) || std::string_view("_.-~/").find(c) != std::string_view::npos)) {
        written += c;
      } else {
        written += fmt::format("%{:02X}", byte);
      }
    }
    out.append(written, run.origin);
  }
  return machine.text(std::move(out));
}

Result<Value> format_filter(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Text format, machine.to_text(value));
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return type_error("can't handle positional and keyword arguments at the same time");
  }
  Value values;
  if (!arguments.named.empty()) {
    auto dict = std::make_shared<Dict>();
    for (const auto& [name, item] : arguments.named) dict->set(name, item);
    ASSIGN_OR_RETURN(values, machine.object(Kind::kDict, std::move(dict)));
  } else {
    ASSIGN_OR_RETURN(values, machine.list(arguments.positional, Kind::kTuple));
  }
  return percent_format(machine, Value::string(format, value.escaped()), values);
}

Result<Value> fallback(Machine&, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "default", {"default_value", "boolean"}));
  const bool replaced = value.is(Kind::kUndefined) || (bound.truth_of(1, false) && !truth(value));
  if (!replaced) return value;
  return bound.given(0) ? bound[0] : Value::markup("");
}

Result<Value> attribute(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "attr", {"name"}, 1));
  ASSIGN_OR_RETURN(const Text name, bound.text(0, Text()));
  if (value.is(Kind::kUndefined) && name.bytes().starts_with("__")) return Value();
  // Unlike value.name it does not look for value["name"].
  if (value.is(Kind::kDict)) {
    ASSIGN_OR_RETURN(const auto method, find_method(machine, value, name.bytes()));
    if (method) return *method;
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name.bytes()));
  }
  return machine.attribute(value, name.bytes());
}

Result<Value> absolute(Machine&, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "abs", {}));
  RETURN_IF_ERROR(require_defined(value));
  if (!value.is_number()) return type_error("abs wants a number");
  if (value.is(Kind::kFloat)) return Value::floating(std::fabs(value.as_double()));
  if (value.as_integer() < 0) return negate(value);
  return Value::integer(value.as_integer());
}

Result<Value> to_integer(Machine&, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "int", {"default", "base"}));
  RETURN_IF_ERROR(require_defined(value));
  const Value otherwise = bound.given(0) ? bound[0] : Value::integer(0);
  ASSIGN_OR_RETURN(const int64_t base, bound.integer(1, 10));
  if (value.is_integer()) return Value::integer(value.as_integer());
  double number = 0;
  if (value.is(Kind::kString)) {
    const auto whole = parse_integer(value.text().bytes(), base);
    if (whole.ok()) return Value::integer(*whole);
    const auto parsed = parse_float(value.text().bytes());
    if (!parsed.ok()) return otherwise;
    number = *parsed;
  } else if (value.is(Kind::kFloat)) {
    number = value.as_double();
    // int(inf) raises what the filter does not catch.
    if (std::isinf(number)) return type_error("cannot convert float infinity to integer");
  } else {
    return otherwise;
  }
  if (!std::isfinite(number)) return otherwise;
  if (std::fabs(number) >= 9.2e18) return type_error("a whole number beyond 64 bits");
  return Value::integer(static_cast<int64_t>(number));
}

Result<Value> to_float(Machine&, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "float", {"default"}));
  RETURN_IF_ERROR(require_defined(value));
  if (value.is_number()) return Value::floating(value.as_double());
  if (value.is(Kind::kString)) {
    const auto parsed = parse_float(value.text().bytes());
    if (parsed.ok()) return Value::floating(*parsed);
  }
  return bound.given(0) ? bound[0] : Value::floating(0);
}

Result<Value> round(Machine&, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "round", {"precision", "method"}));
  RETURN_IF_ERROR(require_defined(value));
  if (!value.is_number()) return type_error("round wants a number");
  ASSIGN_OR_RETURN(const int64_t precision, bound.integer(0, 0));
  ASSIGN_OR_RETURN(const Text method, bound.text(1, Text("common", Origin::kTemplate)));
  if (method.bytes() == "common") {
    if (value.is(Kind::kFloat)) return Value::floating(round_to(value.as_double(), precision));
    if (precision >= 0) return Value::integer(value.as_integer());
    return Value::integer(
        static_cast<int64_t>(round_to(static_cast<double>(value.as_integer()), precision)));
  }
  if (method.bytes() != "ceil" && method.bytes() != "floor") {
    return type_error("method must be common, ceil or floor");
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = value.as_double() * scale;
  return Value::floating((method.bytes() == "ceil" ? std::ceil(scaled) : std::floor(scaled)) /
                         scale);
}

Result<Value> tojson(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(
      const Bound bound,
      Bound::make(arguments, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonLayout layout;
  layout.ascii = bound.truth_of(0, false);
  layout.sort_keys = bound.truth_of(3, false);
  if (bound.given(1) && !bound[1].is(Kind::kNone)) {
    if (bound[1].is(Kind::kString)) {
      layout.indent = bound[1].text().bytes();
    } else {
      ASSIGN_OR_RETURN(const int64_t width, require_integer(bound[1], "indent"));
      ASSIGN_OR_RETURN(const Text spaces, repeat(Text(" ", Origin::kTemplate), width));
      layout.indent = spaces.bytes();
    }
    layout.item_separator = ",";
  }
  if (bound.given(2) && !bound[2].is(Kind::kNone)) {
    if (!bound[2].is_sequence() || bound[2].items().size() != 2 ||
        !bound[2].items()[0].is(Kind::kString) || !bound[2].items()[1].is(Kind::kString)) {
      return type_error("separators are two strings");
    }
    layout.item_separator = bound[2].items()[0].text().bytes();
    layout.key_separator = bound[2].items()[1].text().bytes();
  }
  RETURN_IF_ERROR(machine.spend(value.weight()));
  ASSIGN_OR_RETURN(Text text, to_json(value, layout));
  return machine.text(std::move(text));
}

constexpr NamedFilter kFilters[] = {
    {"abs", absolute},
    {"attr", attribute},
    {"capitalize", changed<capitalize>},
    {"center", center},
    {"d", fallback},
    {"default", fallback},
    {"e", escape<false>},
    {"escape", escape<false>},
    {"float", to_float},
    {"forceescape", escape<true>},
    {"format", format_filter},
    {"indent", indent},
    {"int", to_integer},
    {"lower", changed<lower>},
    {"replace", replace_filter},
    {"round", round},
    {"safe", safe},
    {"string", string_filter},
    {"title", changed<title>},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", changed<upper>},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
};

}  // namespace

FilterFn find_filter(std::string_view name) {
  for (const std::span<const NamedFilter> table :
       {std::span<const NamedFilter>(kFilters), sequence_filters()}) {
    for (const NamedFilter& filter : table) {
      if (filter.name == name) return filter.function;
    }
  }
  return nullptr;
}

}  // namespace nibble::jinja
