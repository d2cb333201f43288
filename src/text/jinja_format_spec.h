// Python's format specifications: one value as a text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/jinja_library.h"

namespace nibble::jinja {

inline constexpr int64_t kMaxPrecision = 1000;

// [[fill]align][sign][#][0][width][,][.precision][type]
struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =; \0: as the kind of value has it
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  char grouping = '\0';
  int64_t precision = -1;
  char type = '\0';
};

// A number of digits; moves `at` behind them.
Result<int64_t> read_format_number(std::string_view text, size_t& at);

// Puts `body` behind sign and prefix, and all of it into the width.
Result<Text> padded(const FormatSpec& spec, const std::string& head, const Text& body,
                    char usual_align);
Result<Text> format_float(double value, const FormatSpec& spec);
Result<Text> format_integer(int64_t value, const FormatSpec& spec);
Result<Text> format_text(const Text& text, const FormatSpec& spec);
// format(value, spec)
Result<Text> format_value(Machine& machine, const Value& value, std::string_view spec_text);

}  // namespace nibble::jinja
