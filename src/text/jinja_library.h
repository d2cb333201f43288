// What templates find ready: filters, tests, functions, methods, operators.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_machine.h"

namespace nibble::jinja {

using FilterFn = Result<Value> (*)(Machine&, const Value& input, CallArguments& arguments);
using TestFn = Result<bool> (*)(Machine&, const Value& input, CallArguments& arguments);

// Null: there is none of that name.
FilterFn find_filter(std::string_view name);
TestFn find_test(std::string_view name);
// Functions every template sees: range, dict, namespace, cycler, joiner, raise_exception,
// strftime_now. Undefined: there is none of that name.
Value find_global(std::string_view name);
// `method` of a string, list or dict, bound to `self`; nothing when there is none. Those that would
// change `self` are undefined, and say why when they are called.
Result<std::optional<Value>> find_method(Machine& machine, const Value& self,
                                         std::string_view method);
// Attributes of a `loop`.
Result<Value> loop_attribute(Machine& machine, const Value& loop, const std::string& name);
Result<Value> cycler_attribute(const Value& cycler, const std::string& name);

// op: + - * / // % **
Result<Value> binary(Machine& machine, char op, bool doubled, const Value& a, const Value& b);
Result<Value> negate(const Value& value);
Result<bool> contains(Machine& machine, const Value& container, const Value& value);
// container[start:stop:step]; undefined parts were not written.
Result<Value> slice(Machine& machine, const Value& container, const Value& start, const Value& stop,
                    const Value& step);
// "%s and %d" % arguments.
Result<Value> percent_format(Machine& machine, const Value& format, const Value& arguments);
// "{} and {name:>8}".format(...).
Result<Value> brace_format(Machine& machine, const Value& format, const CallArguments& arguments);

// Error with the value's own message if it is undefined.
Status require_defined(const Value& value);
Result<int64_t> require_integer(const Value& value, const char* what);
Result<Value> make_function(std::string name,
                            std::function<Result<Value>(Machine&, CallArguments&)> call);
// Python's round-half-even of a float to digits behind the point (or, negative, before it).
double round_to(double value, int64_t digits);
// & < > " ' as HTML entities.
Text escape_html(const Text& text);
// Byte offset of every code point of the text, and its size at the end.
std::vector<size_t> character_offsets(std::string_view text);
// Splits at line breaks, as str.splitlines().
std::vector<Text> split_lines(const Text& text, bool keep_ends);
Text strip(const Text& text, bool left, bool right, const std::string* characters);
// `count` < 0: all of them.
Result<Value> replace(Machine& machine, const Value& text, const Text& from, const Text& to,
                      int64_t count);
Result<Text> repeat(const Text& text, int64_t count);
Result<double> parse_float(std::string_view text);
Result<int64_t> parse_integer(std::string_view text, int64_t base);

// The arguments of a call, matched with the names of parameters. Those not given are null.
class Bound {
 public:
  static Result<Bound> make(CallArguments& arguments, std::string_view what,
                            std::initializer_list<std::string_view> names, size_t n_required = 0);
  const Value* get(size_t i) const { return values_[i]; }
  const Value& operator[](size_t i) const { return *values_[i]; }
  bool given(size_t i) const { return values_[i] != nullptr; }
  bool truth_of(size_t i, bool otherwise) const {
    return given(i) ? truth(*values_[i]) : otherwise;
  }
  Result<int64_t> integer(size_t i, int64_t otherwise) const;
  // Anything but a string is an error.
  Result<Text> text(size_t i, const Text& otherwise) const;

 private:
  std::vector<const Value*> values_;
};

}  // namespace nibble::jinja
