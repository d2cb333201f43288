// Python's two ways to format a text: "%s" % values and "{}".format(values).
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "text/jinja_format_spec.h"

namespace nibble::jinja {
namespace {

// ---------------------------------------------------------------- %

class PercentFormatter {
 public:
  PercentFormatter(Machine& machine, const Value& format, const Value& arguments)
      : machine_(machine),
        format_(format.text()),
        escaped_(format.escaped()),
        arguments_(arguments),
        is_tuple_(arguments.is(Kind::kTuple)) {}

  Result<Value> run() {
    const std::string_view text = format_.bytes();
    size_t at = 0;
    while (at < text.size()) {
      const size_t percent = std::min(text.find('%', at), text.size());
      out_.append(format_, at, percent);
      at = percent;
      if (at < text.size()) RETURN_IF_ERROR(conversion(at));
      if (out_.size() > kMaxTextBytes) return type_error("a text of more than 16 MiB");
    }
    const bool left_over = is_tuple_
                               ? next_ < arguments_.items().size()
                               : !used_ && !arguments_.is(Kind::kDict) && !arguments_.is_list() &&
                                     !arguments_.is(Kind::kUndefined);
    if (left_over) return type_error("not all arguments converted during string formatting");
    return machine_.text(std::move(out_), escaped_);
  }

 private:
  Result<Value> next() {
    if (is_tuple_) {
      if (next_ < arguments_.items().size()) return arguments_.items()[next_++];
    } else if (!used_) {
      used_ = true;
      return arguments_;
    }
    return type_error("not enough arguments for format string");
  }

  Result<Value> named(std::string_view text, size_t& at) {
    const size_t begin = at;
    int open = 1;
    for (; at < text.size() && open > 0; ++at)
      open += text[at] == '(' ? 1 : text[at] == ')' ? -1 : 0;
    if (open > 0) return type_error("incomplete format key");
    if (!arguments_.is(Kind::kDict)) return type_error("format requires a mapping");
    used_ = true;
    const std::string_view key = text.substr(begin, at - 1 - begin);
    if (const Value* value = arguments_.dict().find(key)) return *value;
    return type_error(fmt::format("KeyError: '{}'", key));
  }

  Status conversion(size_t& at) {
    const std::string_view text = format_.bytes();
    const Origin origin = format_.origin_at(at);
    ++at;
    RETURN_IF_ERROR(machine_.spend(1));
    std::optional<Value> value;
    if (at < text.size() && text[at] == '(') {
      ASSIGN_OR_RETURN(value, named(text, ++at));
    }
    FormatSpec spec;
    bool left = false, zero = false;
    for (; at < text.size() && std::string_view("-+ #0").find(text[at]) != std::string_view::npos;
         ++at) {
      left = left || text[at] == '-';
      zero = zero || text[at] == '0';
      spec.alternate = spec.alternate || text[at] == '#';
      if (text[at] == '+' || (text[at] == ' ' && spec.sign != '+')) spec.sign = text[at];
    }
    if (at < text.size() && text[at] == '*') {
      ++at;
      ASSIGN_OR_RETURN(const Value width, next());
      ASSIGN_OR_RETURN(spec.width, require_integer(width, "*"));
      left = left || spec.width < 0;
      spec.width = std::clamp<int64_t>(spec.width, -int64_t{kMaxTextBytes}, int64_t{kMaxTextBytes});
      spec.width = std::abs(spec.width);
    } else {
      ASSIGN_OR_RETURN(spec.width, read_format_number(text, at));
    }
    if (at < text.size() && text[at] == '.') {
      ++at;
      if (at < text.size() && text[at] == '*') {
        ++at;
        ASSIGN_OR_RETURN(const Value precision, next());
        ASSIGN_OR_RETURN(spec.precision, require_integer(precision, "*"));
        spec.precision = std::max<int64_t>(spec.precision, 0);
      } else {
        ASSIGN_OR_RETURN(spec.precision, read_format_number(text, at));
      }
    }
    while (at < text.size() && std::string_view("hlL").find(text[at]) != std::string_view::npos)
      ++at;
    if (at >= text.size()) return type_error("incomplete format");
    const char type = text[at++];
    if (type == '%') {
      out_.append("%", origin);
      return {};
    }
    if (!value) {
      ASSIGN_OR_RETURN(value, next());
    }
    spec.align = left ? '<' : '>';
    ASSIGN_OR_RETURN(const Text shown, show(*value, type, spec, zero && !left));
    if (out_.size() + shown.size() > kMaxTextBytes) return type_error("a text of more than 16 MiB");
    out_.append(shown);
    return {};
  }

  Result<Text> show(const Value& value, char type, FormatSpec spec, bool zero) {
    if (type == 's' || type == 'r' || type == 'a') {
      ASSIGN_OR_RETURN(Text text, machine_.to_text(value));
      if (type != 's') text = repr(value);
      if (escaped_ && !value.escaped()) text = escape_html(text);
      return format_text(text, spec);
    }
    if (type == 'c') {
      if (value.is(Kind::kString) && code_points(value) == 1)
        return format_text(value.text(), spec);
      ASSIGN_OR_RETURN(const int64_t code, require_integer(value, "%c"));
      spec.type = 'c';
      spec.precision = -1;
      return format_integer(code, spec);
    }
    if (std::string_view("diouxXeEfFgG").find(type) == std::string_view::npos) {
      return type_error(fmt::format("unsupported format character '{}'", type));
    }
    RETURN_IF_ERROR(require_defined(value));
    if (!value.is_number()) {
      return type_error(
          fmt::format("%{} format: a real number is required, not {}", type, type_name(value)));
    }
    if (zero) {
      spec.fill = "0";
      spec.align = '=';
    }
    spec.type = type;
    if (std::string_view("eEfFgG").find(type) != std::string_view::npos) {
      return format_float(value.as_double(), spec);
    }
    if (value.is(Kind::kFloat) && type != 'd' && type != 'i' && type != 'u') {
      return type_error(fmt::format("%{} format: an integer is required, not float", type));
    }
    if (value.is(Kind::kFloat) && !(std::fabs(value.as_double()) < 9.2e18)) {
      return type_error("a whole number beyond 64 bits");
    }
    const int64_t number =
        value.is(Kind::kFloat) ? static_cast<int64_t>(value.as_double()) : value.as_integer();
    if (type == 'i' || type == 'u') spec.type = 'd';
    return with_precision(number, spec);
  }

  // "%.5d": at least so many digits.
  static Result<Text> with_precision(int64_t number, FormatSpec spec) {
    if (spec.precision < 0) return format_integer(number, spec);
    if (spec.precision > kMaxPrecision) return type_error("precision too big");
    FormatSpec digits = spec;
    digits.align = '=';
    digits.fill = "0";
    digits.width =
        spec.precision + (number < 0 || spec.sign != '-' ? 1 : 0) + (spec.alternate ? 2 : 0);
    digits.precision = -1;
    ASSIGN_OR_RETURN(const Text shown, format_integer(number, digits));
    spec.type = 's';
    spec.precision = -1;
    if (spec.align == '=') spec.align = '>';
    return padded(spec, "", shown, '>');
  }

  Machine& machine_;
  const Text& format_;
  const bool escaped_;
  const Value& arguments_;
  const bool is_tuple_;
  bool used_ = false;
  size_t next_ = 0;
  Text out_;
};

// ---------------------------------------------------------------- {}

class BraceFormatter {
 public:
  BraceFormatter(Machine& machine, const CallArguments& arguments)
      : machine_(machine), arguments_(arguments) {}

  // `depth`: a specification may hold fields, but those no further ones.
  Result<Text> run(const Text& format, int depth) {
    if (depth > 1) return type_error("Max string recursion exceeded");
    const std::string_view text = format.bytes();
    Text out;
    size_t at = 0;
    while (at < text.size()) {
      const size_t brace = std::min(text.find_first_of("{}", at), text.size());
      out.append(format, at, brace);
      at = brace;
      if (at == text.size()) break;
      if (at + 1 < text.size() && text[at + 1] == text[at]) {
        out.append(format, at, at + 1);
        at += 2;
        continue;
      }
      if (text[at] == '}') return type_error("Single '}' encountered in format string");
      ASSIGN_OR_RETURN(const Text shown, field(format, at, depth));
      if (out.size() + shown.size() > kMaxTextBytes)
        return type_error("a text of more than 16 MiB");
      out.append(shown);
    }
    return out;
  }

 private:
  Result<Text> field(const Text& format, size_t& at, int depth) {
    RETURN_IF_ERROR(machine_.spend(1));
    const std::string_view text = format.bytes();
    const size_t begin = ++at;
    int open = 1;
    for (; at < text.size() && open > 0; ++at)
      open += text[at] == '{' ? 1 : text[at] == '}' ? -1 : 0;
    if (open > 0) return type_error("expected '}' before end of string");
    const std::string_view inner = text.substr(begin, at - 1 - begin);
    // Brackets may hold ! and :.
    size_t end = 0;
    for (bool in_brackets = false;
         end < inner.size() && (in_brackets || (inner[end] != '!' && inner[end] != ':')); ++end) {
      in_brackets = inner[end] == '[' || (in_brackets && inner[end] != ']');
    }
    ASSIGN_OR_RETURN(Value value, look_up(inner.substr(0, end)));
    if (end < inner.size() && inner[end] == '!') {
      const char conversion = end + 1 < inner.size() ? inner[end + 1] : '\0';
      if (conversion != 'r' && conversion != 's' && conversion != 'a') {
        return type_error("Unknown conversion specifier");
      }
      ASSIGN_OR_RETURN(Text converted, machine_.to_text(value));
      if (conversion != 's') converted = repr(value);
      value = Value::string(std::move(converted));
      end += 2;
    }
    if (end >= inner.size()) return format_value(machine_, value, "");
    if (inner[end] != ':') return type_error("expected ':' after conversion specifier");
    ASSIGN_OR_RETURN(const Text spec, run(format.slice(begin + end + 1, at - 1), depth + 1));
    return format_value(machine_, value, spec.bytes());
  }

  // "0.name[key]"
  Result<Value> look_up(std::string_view path) {
    const size_t end = std::min(path.find_first_of(".["), path.size());
    ASSIGN_OR_RETURN(Value value, argument(path.substr(0, end)));
    for (size_t at = end; at < path.size();) {
      if (path[at] == '.') {
        const size_t stop = std::min(path.find_first_of(".[", at + 1), path.size());
        if (stop == at + 1) return type_error("Empty attribute in format string");
        ASSIGN_OR_RETURN(
            value, machine_.attribute(value, std::string(path.substr(at + 1, stop - at - 1))));
        at = stop;
      } else if (path[at] == '[') {
        const size_t stop = path.find(']', at);
        if (stop == std::string_view::npos) return type_error("Missing ']' in format string");
        const std::string key(path.substr(at + 1, stop - at - 1));
        if (key.empty()) return type_error("Empty attribute in format string");
        const bool is_number =
            key.size() < 18 && key.find_first_not_of("0123456789") == std::string::npos;
        ASSIGN_OR_RETURN(value, machine_.item(value, is_number ? Value::integer(std::stoll(key))
                                                               : Value::markup(key)));
        at = stop + 1;
      } else {
        return type_error("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  Result<Value> argument(std::string_view name) {
    size_t index = 0;
    if (name.empty()) {
      if (next_ < 0) return type_error("cannot switch from manual to automatic field numbering");
      index = static_cast<size_t>(next_++);
    } else if (name.find_first_not_of("0123456789") == std::string_view::npos) {
      if (next_ > 0) return type_error("cannot switch from automatic to manual field numbering");
      next_ = -1;
      if (name.size() > 9) return type_error("Too many decimal digits in format string");
      index = static_cast<size_t>(std::stoll(std::string(name)));
    } else {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      return type_error(fmt::format("KeyError: '{}'", name));
    }
    if (index < arguments_.positional.size()) return arguments_.positional[index];
    return type_error("Replacement index out of range for positional args tuple");
  }

  Machine& machine_;
  const CallArguments& arguments_;
  int64_t next_ = 0;  // -1: fields are numbered by hand
};

}  // namespace

Result<Value> percent_format(Machine& machine, const Value& format, const Value& arguments) {
  RETURN_IF_ERROR(machine.spend_bytes(format.text().size()));
  return PercentFormatter(machine, format, arguments).run();
}

Result<Value> brace_format(Machine& machine, const Value& format, const CallArguments& arguments) {
  RETURN_IF_ERROR(machine.spend_bytes(format.text().size()));
  ASSIGN_OR_RETURN(Text text, BraceFormatter(machine, arguments).run(format.text(), 0));
  return machine.text(std::move(text), format.escaped());
}

}  // namespace nibble::jinja
