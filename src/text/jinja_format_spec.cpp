#include "text/jinja_format_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/utf8.h"

namespace nibble::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Result<FormatSpec> read_spec(std::string_view text) {
  FormatSpec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!text.empty()) {
    const size_t n = decode_utf8(text).length;
    if (n < text.size() && is_align(text[n])) {
      spec.fill = text.substr(0, n);
      spec.align = text[n];
      at = n + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      at = 1;
    }
  }
  const auto next_is = [&](std::string_view set) {
    return at < text.size() && set.find(text[at]) != std::string_view::npos;
  };
  if (next_is("+- ")) spec.sign = text[at++];
  if (next_is("#")) {
    spec.alternate = true;
    ++at;
  }
  if (next_is("0")) {
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    ++at;
  }
  ASSIGN_OR_RETURN(spec.width, read_format_number(text, at));
  if (next_is(",_")) spec.grouping = text[at++];
  if (next_is(".")) {
    ++at;
    if (at >= text.size() || !is_digit(text[at]))
      return type_error("Format specifier missing precision");
    ASSIGN_OR_RETURN(spec.precision, read_format_number(text, at));
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) return type_error("Invalid format specifier");
  return spec;
}

std::string grouped(const std::string& digits, char separator, size_t every) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

// Magnitude of a float by one of printf's e f g, with Python's extra: type \0 and %.
Result<std::string> float_digits(double value, const FormatSpec& spec) {
  if (spec.precision > kMaxPrecision) return type_error("precision too big");
  const double magnitude = std::fabs(value);
  char type = spec.type;
  if (type == '\0' && spec.precision < 0) return float_repr(magnitude);
  const bool percent = type == '%', plain = type == '\0';
  if (percent) type = 'f';
  if (plain) type = 'g';
  if (std::isnan(value)) return std::string(type < 'a' ? "NAN" : percent ? "nan%" : "nan");
  if (std::isinf(value)) return std::string(type < 'a' ? "INF" : percent ? "inf%" : "inf");
  const std::string format = fmt::format("%{}.*{}", spec.alternate ? "#" : "", type);
  std::string out(1500, '\0');
  const int n = std::snprintf(out.data(), out.size(), format.c_str(),
                              static_cast<int>(spec.precision < 0 ? 6 : spec.precision),
                              percent ? magnitude * 100 : magnitude);
  if (n < 0 || static_cast<size_t>(n) >= out.size()) return type_error("the number is too long");
  out.resize(static_cast<size_t>(n));
  if (plain && out.find_first_of(".e") == std::string::npos) out += ".0";
  if (percent) out += '%';
  return out;
}

std::string sign_of(bool negative, char sign) {
  if (negative) return "-";
  return sign == '-' ? "" : std::string(1, sign);
}

}  // namespace

Result<int64_t> read_format_number(std::string_view text, size_t& at) {
  int64_t number = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    number = number * 10 + (text[at] - '0');
    if (number > static_cast<int64_t>(kMaxTextBytes)) return type_error("a width beyond 16 MiB");
  }
  return number;
}

Result<Text> padded(const FormatSpec& spec, const std::string& head, const Text& body,
                    char usual_align) {
  const int64_t n = static_cast<int64_t>(head.size()) +
                    static_cast<int64_t>(character_offsets(body.bytes()).size()) - 1;
  const int64_t missing = std::max<int64_t>(spec.width - n, 0);
  const char align = spec.align == '\0' ? usual_align : spec.align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  const Text fill(spec.fill, Origin::kTemplate);
  ASSIGN_OR_RETURN(const Text before, repeat(fill, left));
  ASSIGN_OR_RETURN(const Text after, repeat(fill, missing - left));
  Text out;
  if (align == '=') out.append(head, Origin::kTemplate);
  out.append(before);
  if (align != '=') out.append(head, Origin::kTemplate);
  out.append(body);
  out.append(after);
  return out;
}

Result<Text> format_float(double value, const FormatSpec& spec) {
  if (std::string_view(std::string_view("\0eEfFgGn%", 9)).find(spec.type) ==
      std::string_view::npos) {
    return type_error(
        fmt::format("Unknown format code '{}' for object of type 'float'", spec.type));
  }
  FormatSpec plain = spec;
  if (plain.type == 'n') plain.type = 'g';
  ASSIGN_OR_RETURN(std::string digits, float_digits(value, plain));
  if (spec.grouping != '\0') {
    const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
    digits = grouped(digits.substr(0, whole), spec.grouping, 3) + digits.substr(whole);
  }
  return padded(spec, sign_of(std::signbit(value), spec.sign), Text(digits, Origin::kTemplate),
                '>');
}

Result<Text> format_integer(int64_t value, const FormatSpec& spec) {
  if (spec.type != '\0' && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos) {
    return format_float(static_cast<double>(value), spec);
  }
  if (spec.precision >= 0) {
    return type_error("Precision not allowed in integer format specifier");
  }
  const uint64_t magnitude =
      value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits, prefix;
  switch (spec.type) {
    case '\0':
    case 'd':
    case 'n':
      digits = fmt::format("{}", magnitude);
      break;
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0o";
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      prefix = "0X";
      break;
    case 'c': {
      if (value < 0 || value > 0x10ffff) return type_error("%c arg not in range(0x110000)");
      std::string character;
      append_utf8(static_cast<uint32_t>(value), character);
      return padded(spec, "", Text(character, Origin::kTemplate), '<');
    }
    default:
      return type_error(
          fmt::format("Unknown format code '{}' for object of type 'int'", spec.type));
  }
  if (spec.grouping != '\0') {
    digits = grouped(digits, spec.grouping, prefix.empty() ? 3 : 4);
  }
  return padded(spec, sign_of(value < 0, spec.sign) + (spec.alternate ? prefix : ""),
                Text(digits, Origin::kTemplate), '>');
}

Result<Text> format_text(const Text& text, const FormatSpec& spec) {
  if (spec.type != '\0' && spec.type != 's') {
    return type_error(fmt::format("Unknown format code '{}' for object of type 'str'", spec.type));
  }
  if (spec.align == '=' && spec.fill != "0") {
    return type_error("'=' alignment not allowed in string format specifier");
  }
  Text shown = text;
  if (spec.precision >= 0) {
    const std::vector<size_t> offsets = character_offsets(text.bytes());
    shown =
        text.slice(0, offsets[std::min(static_cast<size_t>(spec.precision), offsets.size() - 1)]);
  }
  FormatSpec left = spec;
  if (left.align == '=') left.align = '<';
  return padded(left, "", shown, '<');
}

Result<Text> format_value(Machine& machine, const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return machine.to_text(value);
  ASSIGN_OR_RETURN(const FormatSpec spec, read_spec(spec_text));
  if (value.is(Kind::kString)) return format_text(value.text(), spec);
  if (value.is_integer()) return format_integer(value.as_integer(), spec);
  if (value.is(Kind::kFloat)) return format_float(value.as_double(), spec);
  return type_error(
      fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
}

}  // namespace nibble::jinja
