// Functions that templates see, attributes of `loop`, and helpers that filters and methods share.
#include "text/jinja_library.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

using GlobalFn = Result<Value> (*)(Machine&, CallArguments&);

Result<Value> range(Machine&, CallArguments& arguments) {
  constexpr int64_t kMaxRange = 100'000;  // Jinja2's sandbox has the same
  if (!arguments.named.empty() || arguments.positional.empty() || arguments.positional.size() > 3) {
    return type_error("range wants one to three numbers");
  }
  std::vector<int64_t> numbers;
  for (const Value& value : arguments.positional) {
    ASSIGN_OR_RETURN(const int64_t number, require_integer(value, "an argument of range"));
    numbers.push_back(number);
  }
  auto made = std::make_shared<Range>();
  made->start = numbers.size() > 1 ? numbers[0] : 0;
  made->stop = numbers.size() > 1 ? numbers[1] : numbers[0];
  made->step = numbers.size() > 2 ? numbers[2] : 1;
  if (made->step == 0) return type_error("range() arg 3 must not be zero");
  if (made->size() > kMaxRange) {
    return type_error(
        fmt::format("a range of {} numbers; at most {} are allowed", made->size(), kMaxRange));
  }
  return Value::object(Kind::kRange, std::move(made));
}

// dict(pairs or mapping, name=value ...), also what namespace() takes.
Status fill(Machine& machine, Dict& dict, CallArguments& arguments) {
  if (arguments.positional.size() > 1) return type_error("dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      RETURN_IF_ERROR(machine.spend(source.weight()));
      for (const auto& [key, value] : source.dict().entries()) dict.set(key, value);
    } else {
      ASSIGN_OR_RETURN(const std::vector<Value> pairs, machine.iterate(source));
      for (const Value& pair : pairs) {
        ASSIGN_OR_RETURN(const std::vector<Value> both, machine.iterate(pair));
        if (both.size() != 2) return type_error("dict() wants pairs of a key and a value");
        RETURN_IF_ERROR(machine.spend(both[0].weight()));
        if (!dict.set(both[0], both[1])) {
          return type_error(fmt::format("unhashable type: '{}'", type_name(both[0])));
        }
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(name, value);
  return {};
}

Result<Value> make_dict(Machine& machine, CallArguments& arguments) {
  auto dict = std::make_shared<Dict>();
  RETURN_IF_ERROR(fill(machine, *dict, arguments));
  return machine.object(Kind::kDict, std::move(dict));
}

Result<Value> make_namespace(Machine& machine, CallArguments& arguments) {
  auto names = std::make_shared<Namespace>();
  RETURN_IF_ERROR(fill(machine, names->attributes, arguments));
  return machine.new_namespace(std::move(names));
}

Result<Value> cycler(Machine& machine, CallArguments& arguments) {
  if (arguments.positional.empty()) return type_error("at least one item has to be provided");
  auto made = std::make_shared<Cycler>();
  for (const Value& value : arguments.positional) made->holds(value);
  made->items = std::move(arguments.positional);
  return machine.object(Kind::kCycler, std::move(made));
}

// Nothing the first time it is called, then the separator.
Result<Value> joiner(Machine&, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "joiner", {"sep"}));
  ASSIGN_OR_RETURN(const Text separator, bound.text(0, Text(", ", Origin::kTemplate)));
  return make_function(
      "joiner", [separator, used = false](Machine&, CallArguments&) mutable -> Result<Value> {
        return Value::string(std::exchange(used, true) ? separator : Text());
      });
}

Result<Value> raise_exception(Machine& machine, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "raise_exception", {"message"}, 1));
  ASSIGN_OR_RETURN(const Text message, machine.to_text(bound[0]));
  return type_error("the template says: " + message.bytes());
}

Result<Value> strftime_now(Machine& machine, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "strftime_now", {"format"}, 1));
  ASSIGN_OR_RETURN(const Text format, bound.text(0, Text()));
  if (format.size() > 1000) return type_error("the format of a time is too long");
  if (format.empty()) return Value::markup("");
  // Behind a character of its own, so that an empty result can be told from too small a buffer.
  std::string written(16 * format.size() + 256, '\0');
  const size_t n =
      std::strftime(written.data(), written.size(), (" " + format.bytes()).c_str(), &machine.now());
  if (n == 0) return type_error("the format of a time is too long");
  written.resize(n);
  return Value::string(
      Text(written.substr(1), format.has_data() ? Origin::kData : Origin::kTemplate));
}

struct NamedGlobal {
  std::string_view name;
  GlobalFn function;
};
constexpr NamedGlobal kGlobals[] = {{"cycler", cycler},
                                    {"dict", make_dict},
                                    {"joiner", joiner},
                                    {"namespace", make_namespace},
                                    {"raise_exception", raise_exception},
                                    {"range", range},
                                    {"strftime_now", strftime_now}};

Result<Value> loop_cycle(const Loop& loop, const CallArguments& arguments) {
  if (arguments.positional.empty()) return type_error("no items for cycling given");
  const auto n = static_cast<int64_t>(arguments.positional.size());
  return arguments.positional[static_cast<size_t>(std::max<int64_t>(loop.index0, 0) % n)];
}

bool equal_all(const std::vector<Value>& a, const std::vector<Value>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

}  // namespace

Value find_global(std::string_view name) {
  for (const NamedGlobal& global : kGlobals) {
    if (global.name != name) continue;
    auto function = std::make_shared<Function>();
    function->name = name;
    function->call = global.function;
    return Value::object(Kind::kFunction, std::move(function));
  }
  return {};
}

Result<Value> make_function(std::string name,
                            std::function<Result<Value>(Machine&, CallArguments&)> call) {
  auto function = std::make_shared<Function>();
  function->name = std::move(name);
  function->call = std::move(call);
  return Value::object(Kind::kFunction, std::move(function));
}

Result<Value> loop_attribute(Machine& machine, const Value& value, const std::string& name) {
  Loop& loop = value.as<Loop>();
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "depth") return Value::integer(loop.depth0 + 1);
  if (name == "depth0") return Value::integer(loop.depth0);
  if (name == "previtem") {
    return loop.previous ? *loop.previous : Value::undefined("there is no previous item");
  }
  if (name == "last" || name == "nextitem") {
    ASSIGN_OR_RETURN(const bool more, machine.peek(loop));
    if (name == "last") return Value::boolean(!more);
    return more ? *loop.ahead : Value::undefined("there is no next item");
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    ASSIGN_OR_RETURN(const int64_t n, machine.count(loop));
    return Value::integer(name == "length" ? n : n - loop.index0 - (name == "revindex0" ? 1 : 0));
  }
  if (name == "cycle") {
    return make_function("cycle", [value](Machine&, CallArguments& arguments) {
      return loop_cycle(value.as<Loop>(), arguments);
    });
  }
  if (name == "changed") {
    return make_function("changed", [value](Machine& m, CallArguments& arguments) -> Result<Value> {
      auto& last = value.as<Loop>().last_changed;
      for (const Value& argument : arguments.positional) {
        RETURN_IF_ERROR(m.spend_on(argument));
        if (argument.depth() >= kMaxDepth) return type_error("values are nested too deep");
      }
      const bool changed = !last || !equal_all(*last, arguments.positional);
      last = arguments.positional;
      return Value::boolean(changed);
    });
  }
  return Value::undefined(fmt::format("'loop' has no attribute '{}'", name));
}

Result<Value> cycler_attribute(const Value& value, const std::string& name) {
  const auto current = [](const Cycler& cycler) { return cycler.items[cycler.position]; };
  if (name == "current") return current(value.as<Cycler>());
  if (name == "next") {
    return make_function("next", [value, current](Machine&, CallArguments&) -> Result<Value> {
      Cycler& cycler = value.as<Cycler>();
      const Value item = current(cycler);
      cycler.position = (cycler.position + 1) % cycler.items.size();
      return item;
    });
  }
  if (name == "reset") {
    return make_function("reset", [value](Machine&, CallArguments&) -> Result<Value> {
      value.as<Cycler>().position = 0;
      return Value::none();
    });
  }
  return Value::undefined(fmt::format("'cycler' has no attribute '{}'", name));
}

// ---------------------------------------------------------------- arguments

Result<Bound> Bound::make(CallArguments& arguments, std::string_view what,
                          std::initializer_list<std::string_view> names, size_t n_required) {
  Bound bound;
  bound.values_.assign(names.size(), nullptr);
  if (arguments.positional.size() > names.size()) {
    return type_error(fmt::format("{} takes at most {} argument(s), {} given", what, names.size(),
                                  arguments.positional.size()));
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bound.values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto* found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return type_error(fmt::format("{} has no argument '{}'", what, name));
    }
    const Value*& place = bound.values_[static_cast<size_t>(found - names.begin())];
    if (place != nullptr) {
      return type_error(fmt::format("{} got multiple values for argument '{}'", what, name));
    }
    place = &value;
  }
  for (size_t i = 0; i < n_required; ++i) {
    if (bound.values_[i] == nullptr) {
      return type_error(fmt::format("{} misses its argument '{}'", what, *(names.begin() + i)));
    }
  }
  return bound;
}

Result<int64_t> Bound::integer(size_t i, int64_t otherwise) const {
  if (!given(i)) return otherwise;
  return require_integer(*values_[i], "the argument");
}

Result<Text> Bound::text(size_t i, const Text& otherwise) const {
  if (!given(i)) return otherwise;
  RETURN_IF_ERROR(require_defined(*values_[i]));
  if (!values_[i]->is(Kind::kString)) {
    return type_error(
        fmt::format("the argument must be a string, not '{}'", type_name(*values_[i])));
  }
  return values_[i]->text();
}

// ---------------------------------------------------------------- texts and numbers

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  std::vector<Text> lines;
  const std::string_view bytes = text.bytes();
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint point = decode_utf8(bytes.substr(at));
    size_t end = at + point.length;
    if (is_line_break(point.value)) {
      if (point.value == '\r' && end < bytes.size() && bytes[end] == '\n') ++end;
      lines.push_back(text.slice(begin, keep_ends ? end : at));
      begin = end;
    }
    at = end;
  }
  if (begin < bytes.size()) lines.push_back(text.slice(begin, bytes.size()));
  return lines;
}

Text strip(const Text& text, bool left, bool right, const std::string* characters) {
  std::vector<uint32_t> set;
  for (std::string_view rest = characters ? *characters : std::string_view(); !rest.empty();) {
    const CodePoint point = decode_utf8(rest);
    set.push_back(point.value);
    rest.remove_prefix(point.length);
  }
  std::sort(set.begin(), set.end());
  const auto goes = [&](uint32_t c) {
    return characters == nullptr ? is_space(c) : std::binary_search(set.begin(), set.end(), c);
  };
  const std::string_view bytes = text.bytes();
  size_t begin = 0, end = bytes.size();
  while (left && begin < end) {
    const CodePoint point = decode_utf8(bytes.substr(begin));
    if (!goes(point.value)) break;
    begin += point.length;
  }
  while (right && end > begin) {
    size_t at = end - 1;
    while (at > begin && (static_cast<unsigned char>(bytes[at]) & 0xc0) == 0x80) --at;
    if (!goes(decode_utf8(bytes.substr(at)).value)) break;
    end = at;
  }
  return text.slice(begin, end);
}

Result<Value> replace(Machine& machine, const Value& value, const Text& from, const Text& to,
                      int64_t count) {
  const Text& text = value.text();
  RETURN_IF_ERROR(machine.spend_bytes(text.size()));
  Text out;
  size_t at = 0;
  int64_t n = 0;
  // A replacement may come with each character.
  if (from.empty()) RETURN_IF_ERROR(machine.spend_characters(8 * text.size()));
  const auto too_long = [&] { return out.size() + to.size() + text.size() - at > kMaxTextBytes; };
  if (from.empty()) {  // before each character and at the end
    const std::vector<size_t> offsets = character_offsets(text.bytes());
    for (size_t i = 0; i < offsets.size() && n != count; ++i, ++n) {
      out.append(text, at, offsets[i]);
      at = offsets[i];
      if (too_long()) return type_error("a text of more than 16 MiB");
      out.append(to);
    }
  } else {
    for (; n != count; ++n) {
      const size_t found = text.bytes().find(from.bytes(), at);
      if (found == std::string::npos) break;
      out.append(text, at, found);
      at = found + from.size();
      RETURN_IF_ERROR(machine.spend(1));
      if (too_long()) return type_error("a text of more than 16 MiB");
      out.append(to);
    }
  }
  out.append(text, at, text.size());
  return machine.text(std::move(out), value.escaped());
}

namespace {

// Without spaces around, and without the _ between digits.
std::optional<std::string> bare_number(std::string_view text) {
  const Text stripped = strip(Text(std::string(text), Origin::kTemplate), true, true, nullptr);
  const std::string& bytes = stripped.bytes();
  std::string bare;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '_') {
      bare += bytes[i];
      continue;
    }
    const auto is_digit_at = [&](size_t k) {
      return k < bytes.size() && std::isxdigit(static_cast<unsigned char>(bytes[k]));
    };
    if (i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1)) return std::nullopt;
  }
  return bare;
}

}  // namespace

Result<double> parse_float(std::string_view text) {
  const Error malformed = type_error("could not convert string to float");
  const auto bare = bare_number(text);
  if (!bare || bare->empty()) return malformed;
  std::string lower;
  for (const char c : *bare) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  const size_t sign = lower[0] == '+' || lower[0] == '-' ? 1 : 0;
  const std::string digits = lower.substr(sign);
  const double factor = lower[0] == '-' ? -1 : 1;
  if (digits == "inf" || digits == "infinity") return factor * INFINITY;
  if (digits == "nan") return static_cast<double>(NAN);
  if (digits.empty() || digits.find_first_not_of("0123456789.e+-") != std::string::npos) {
    return malformed;
  }
  double value = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size() || digits[0] == '-' ||
      code == std::errc::invalid_argument)
    return malformed;
  if (code == std::errc::result_out_of_range) value = std::strtod(digits.c_str(), nullptr);
  return factor * value;
}

Result<int64_t> parse_integer(std::string_view text, int64_t base) {
  const Error malformed = type_error("invalid literal for int()");
  if (base != 0 && (base < 2 || base > 36)) return malformed;
  const auto bare = bare_number(text);
  if (!bare || bare->empty()) return malformed;
  std::string digits = *bare;
  const bool negative = digits[0] == '-';
  if (digits[0] == '-' || digits[0] == '+') digits.erase(0, 1);
  if (digits.size() > 2 && digits[0] == '0') {
    const char mark = static_cast<char>(digits[1] | 0x20);
    const int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == 0 || base == marked)) {
      base = marked;
      digits.erase(0, 2);
    }
  }
  if (base == 0) base = 10;
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return malformed;
  if (negative) digits.insert(digits.begin(), '-');
  int64_t value = 0;
  const auto [end, code] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (end != digits.data() + digits.size() || code != std::errc()) return malformed;
  return value;
}

double round_to(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits < 0) {
    if (digits < -300) return std::copysign(0.0, value);
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / scale) * scale;
  }
  // printf rounds the exact value of the double, half to even, as Python does.
  std::array<char, 700> written{};
  std::snprintf(written.data(), written.size(), "%.*f", static_cast<int>(digits), value);
  return std::strtod(written.data(), nullptr);
}

}  // namespace nibble::jinja
