// Python's arithmetic, `in` and slices.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "text/jinja_library.h"

namespace nibble::jinja {
namespace {

Error overflow() { return type_error("a whole number beyond 64 bits is not supported"); }
Error zero_division() { return type_error("division by zero"); }

Error unsupported(std::string_view op, const Value& a, const Value& b) {
  return type_error(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", op,
                                type_name(a), type_name(b)));
}

// Quotient rounded down; the remainder has the sign of the divisor.
Result<Value> floor_divide(int64_t a, int64_t b, bool quotient_wanted) {
  if (b == 0) return zero_division();
  if (b == -1) {
    if (!quotient_wanted) return Value::integer(0);
    return negate(Value::integer(a));
  }
  int64_t quotient = a / b, remainder = a % b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    --quotient;
    remainder += b;
  }
  return Value::integer(quotient_wanted ? quotient : remainder);
}

Result<Value> floor_divide(double a, double b, bool quotient_wanted) {
  if (b == 0) return zero_division();
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0) {
    if ((remainder < 0) != (b < 0)) {
      remainder += b;
      quotient -= 1;
    }
  } else {
    remainder = std::copysign(0.0, b);
  }
  if (!quotient_wanted) return Value::floating(remainder);
  if (quotient == 0) return Value::floating(std::copysign(0.0, a / b));
  double floored = std::floor(quotient);
  if (quotient - floored > 0.5) floored += 1;
  return Value::floating(floored);
}

Result<Value> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return zero_division();
    return Value::floating(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value::integer(result);
}

Result<Value> integers(char op, bool doubled, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case '+':
      if (__builtin_add_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case '-':
      if (__builtin_sub_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case '*':
      if (doubled) return integer_power(a, b);
      if (__builtin_mul_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case '/':
      if (doubled) return floor_divide(a, b, true);
      if (b == 0) return zero_division();
      return Value::floating(static_cast<double>(static_cast<long double>(a) / b));
    default:
      return floor_divide(a, b, false);
  }
}

Result<Value> floats(char op, bool doubled, double a, double b) {
  switch (op) {
    case '+':
      return Value::floating(a + b);
    case '-':
      return Value::floating(a - b);
    case '*':
      if (!doubled) return Value::floating(a * b);
      if (a == 0 && b < 0) return zero_division();
      if (a < 0 && std::isfinite(b) && b != std::floor(b)) {
        return type_error("a fractional power of a negative number is not supported");
      }
      if (const double power = std::pow(a, b);
          std::isfinite(power) || !std::isfinite(a) || !std::isfinite(b)) {
        return Value::floating(power);
      }
      return type_error("the result is too large");
    case '/':
      if (doubled) return floor_divide(a, b, true);
      if (b == 0) return zero_division();
      return Value::floating(a / b);
    default:
      return floor_divide(a, b, false);
  }
}

// Markup on one side makes the other safe for HTML.
Result<Value> add_texts(Machine& machine, const Value& a, const Value& b) {
  const bool escaped = a.escaped() || b.escaped();
  if (a.text().size() + b.text().size() > kMaxTextBytes) {
    return type_error("a text of more than 16 MiB");
  }
  RETURN_IF_ERROR(machine.spend_bytes(a.text().size() + b.text().size()));
  Text joined = escaped && !a.escaped() ? escape_html(a.text()) : a.text();
  joined.append(escaped && !b.escaped() ? escape_html(b.text()) : b.text());
  return machine.text(std::move(joined), escaped);
}

Result<Value> repeat_items(Machine& machine, const Value& list, int64_t count) {
  const size_t n = list.items().size();
  if (count > 0 && n > 0 && static_cast<uint64_t>(count) > kMaxItems / n) {
    return type_error("a list of more than 10^6 elements");
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(machine.spend_items(n));
    items.insert(items.end(), list.items().begin(), list.items().end());
    if (n == 0) break;
  }
  return machine.list(std::move(items), list.kind());
}

// Python's slice.indices(): where to begin and how many elements there are.
struct Window {
  int64_t start = 0, step = 1, n = 0;
};
Result<Window> window(const Value& start, const Value& stop, const Value& step, int64_t size) {
  const auto part = [](const Value& value, int64_t otherwise) -> Result<int64_t> {
    if (value.is(Kind::kNone)) return otherwise;
    RETURN_IF_ERROR(require_defined(value));
    if (value.is_integer()) return value.as_integer();
    return type_error("slice indices must be integers or None");
  };
  Window result;
  ASSIGN_OR_RETURN(result.step, part(step, 1));
  if (result.step == 0) return type_error("slice step cannot be zero");
  const bool forward = result.step > 0;
  const int64_t lowest = forward ? 0 : -1, highest = forward ? size : size - 1;
  const auto clamp = [&](int64_t index) {
    if (index < 0) index = index < -size ? lowest : index + size;
    return std::clamp(index, lowest, highest);
  };
  ASSIGN_OR_RETURN(const int64_t from,
                   part(start, forward ? 0 : std::numeric_limits<int64_t>::max()));
  ASSIGN_OR_RETURN(const int64_t to, part(stop, forward ? std::numeric_limits<int64_t>::max()
                                                        : std::numeric_limits<int64_t>::min()));
  result.start = clamp(from);
  const int64_t end = clamp(to);
  const int64_t distance = forward ? end - result.start : result.start - end;
  // -step overflows for the smallest number only, where one element is all there can be.
  const int64_t stride = forward ? result.step
                         : result.step == std::numeric_limits<int64_t>::min()
                             ? std::numeric_limits<int64_t>::max()
                             : -result.step;
  result.n = distance > 0 ? (distance - 1) / stride + 1 : 0;
  return result;
}

// `at`: the byte where a character begins.
template <typename Offset>
Result<Value> slice_text(Machine& machine, const Value& value, const Window& part, Offset at) {
  const Text& text = value.text();
  if (part.step == 1) {
    return machine.text(text.slice(at(part.start), at(part.start + part.n)), value.escaped());
  }
  RETURN_IF_ERROR(machine.spend_characters(static_cast<size_t>(part.n)));
  Text picked;
  for (int64_t i = 0; i < part.n; ++i) {
    const int64_t index = part.start + i * part.step;
    picked.append(text, at(index), at(index + 1));
  }
  return machine.text(std::move(picked), value.escaped());
}

}  // namespace

Status require_defined(const Value& value) {
  if (!value.is(Kind::kUndefined)) return {};
  return type_error(value.undefined_message());
}

Result<int64_t> require_integer(const Value& value, const char* what) {
  RETURN_IF_ERROR(require_defined(value));
  if (value.is_integer()) return value.as_integer();
  return type_error(fmt::format("{} must be a whole number, not '{}'", what, type_name(value)));
}

Result<Value> negate(const Value& value) {
  if (value.is(Kind::kFloat)) return Value::floating(-value.as_double());
  if (value.as_integer() == std::numeric_limits<int64_t>::min()) return overflow();
  return Value::integer(-value.as_integer());
}

Result<Text> repeat(const Text& text, int64_t count) {
  if (count > 0 && !text.empty() && static_cast<uint64_t>(count) > kMaxTextBytes / text.size()) {
    return type_error("a text of more than 16 MiB");
  }
  if (count <= 0 || text.empty()) return Text();
  const size_t n = static_cast<size_t>(count) * text.size();
  Text repeated = text;
  while (repeated.size() < n) {  // twice as much each time
    const Text so_far = repeated;
    repeated.append(so_far, 0, std::min(so_far.size(), n - repeated.size()));
  }
  return repeated;
}

Result<Value> binary(Machine& machine, char op, bool doubled, const Value& a, const Value& b) {
  if (op == '%' && a.is(Kind::kString)) return percent_format(machine, a, b);
  RETURN_IF_ERROR(require_defined(a));
  RETURN_IF_ERROR(require_defined(b));
  if (a.is_number() && b.is_number()) {
    if (a.is_integer() && b.is_integer()) {
      return integers(op, doubled, a.as_integer(), b.as_integer());
    }
    return floats(op, doubled, a.as_double(), b.as_double());
  }
  if (op == '+' && a.is(Kind::kString) && b.is(Kind::kString)) return add_texts(machine, a, b);
  if (op == '+' && a.is_sequence() && a.kind() == b.kind()) {
    std::vector<Value> items = a.items();
    items.insert(items.end(), b.items().begin(), b.items().end());
    return machine.list(std::move(items), a.kind());
  }
  if (op == '*' && !doubled) {
    const Value& count = a.is_integer() ? a : b;
    const Value& what = a.is_integer() ? b : a;
    if (count.is_integer() && what.is_sequence()) {
      return repeat_items(machine, what, count.as_integer());
    }
    if (count.is_integer() && what.is(Kind::kString)) {
      ASSIGN_OR_RETURN(Text repeated, repeat(what.text(), count.as_integer()));
      return machine.text(std::move(repeated), what.escaped());
    }
  }
  return unsupported(doubled ? std::string(2, op) : std::string(1, op), a, b);
}

Result<bool> contains(Machine& machine, const Value& container, const Value& value) {
  RETURN_IF_ERROR(machine.spend_on(container));
  switch (container.kind()) {
    case Kind::kString:
      if (!value.is(Kind::kString)) {
        RETURN_IF_ERROR(require_defined(value));
        return type_error(
            fmt::format("'in <string>' requires string as left operand, not {}", type_name(value)));
      }
      // Searching for one long text in another may look at each byte more than once.
      RETURN_IF_ERROR(machine.spend_bytes(container.text().size() + value.text().size()));
      return container.text().bytes().find(value.text().bytes()) != std::string::npos;
    case Kind::kDict: {
      std::string spelling;
      if (value.is(Kind::kList) || value.is(Kind::kDict)) {
        return type_error(fmt::format("unhashable type: '{}'", type_name(value)));
      }
      return container.dict().find(value) != nullptr;
    }
    case Kind::kRange:
      return value.is_integer() && container.as<Range>().index_of(value.as_integer()).has_value();
    default: {
      ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(container));
      return std::any_of(items.begin(), items.end(),
                         [&](const Value& item) { return equal(item, value); });
    }
  }
}

Result<Value> slice(Machine& machine, const Value& container, const Value& start, const Value& stop,
                    const Value& step) {
  RETURN_IF_ERROR(require_defined(container));
  if (container.is(Kind::kString)) {
    RETURN_IF_ERROR(machine.spend_bytes(container.text().size()));
    const int64_t n = code_points(container);
    ASSIGN_OR_RETURN(const Window part, window(start, stop, step, n));
    // Where every character is one byte, no table is needed.
    if (static_cast<size_t>(n) == container.text().size()) {
      return slice_text(machine, container, part, [](int64_t i) { return static_cast<size_t>(i); });
    }
    RETURN_IF_ERROR(machine.spend_characters(container.text().size()));
    const std::vector<size_t> offsets = character_offsets(container.text().bytes());
    return slice_text(machine, container, part,
                      [&](int64_t i) { return offsets[static_cast<size_t>(i)]; });
  }
  if (container.is_sequence()) {
    const auto& items = container.items();
    ASSIGN_OR_RETURN(const Window part,
                     window(start, stop, step, static_cast<int64_t>(items.size())));
    std::vector<Value> picked;
    for (int64_t i = 0; i < part.n; ++i) {
      picked.push_back(items[static_cast<size_t>(part.start + i * part.step)]);
    }
    return machine.list(std::move(picked), container.kind());
  }
  if (container.is(Kind::kRange)) {
    const Range& range = container.as<Range>();
    ASSIGN_OR_RETURN(const Window part, window(start, stop, step, range.size()));
    auto picked = std::make_shared<Range>();
    picked->start = range.at(part.start);
    picked->step = part.n > 1 ? range.step * part.step : 1;
    picked->stop = picked->start + part.n * picked->step;
    return Value::object(Kind::kRange, std::move(picked));
  }
  return type_error(fmt::format("'{}' object cannot be sliced", type_name(container)));
}

std::vector<size_t> character_offsets(std::string_view text) {
  std::vector<size_t> offsets;
  offsets.reserve(text.size() + 1);
  size_t at = 0;
  while (at < text.size()) {
    offsets.push_back(at);
    at += static_cast<unsigned char>(text[at]) < 0x80 ? 1 : decode_utf8(text.substr(at)).length;
  }
  offsets.push_back(at);
  return offsets;
}

Text escape_html(const Text& text) {
  Text escaped;
  for (const Text::Run& run : text.runs()) {
    std::string written;
    for (const char c : run.bytes) {
      switch (c) {
        case '&':
          written += "&amp;";
          break;
        case '<':
          written += "&lt;";
          break;
        case '>':
          written += "&gt;";
          break;
        case '"':
          written += "&#34;";
          break;
        case '\'':
          written += "&#39;";
          break;
        default:
          written += c;
      }
    }
    escaped.append(written, run.origin);
  }
  return escaped;
}

}  // namespace nibble::jinja
