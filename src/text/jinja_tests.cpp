// What may follow `is`.
#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"
#include "text/jinja_library.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

Status no_arguments(const CallArguments& arguments) {
  if (arguments.positional.empty() && arguments.named.empty()) return {};
  return type_error("the test takes no arguments");
}

Result<Value> one_argument(CallArguments& arguments) {
  if (arguments.positional.size() == 1 && arguments.named.empty()) return arguments.positional[0];
  return type_error("the test wants one argument");
}

// A test that only looks at the value.
template <bool (*predicate)(const Value&)>
Result<bool> plain(Machine&, const Value& value, CallArguments& arguments) {
  RETURN_IF_ERROR(no_arguments(arguments));
  return predicate(value);
}

bool is_defined(const Value& value) { return !value.is(Kind::kUndefined); }
bool is_undefined(const Value& value) { return value.is(Kind::kUndefined); }
bool is_none(const Value& value) { return value.is(Kind::kNone); }
bool is_boolean(const Value& value) { return value.is(Kind::kBool); }
bool is_true(const Value& value) { return value.is(Kind::kBool) && value.as_bool(); }
bool is_false(const Value& value) { return value.is(Kind::kBool) && !value.as_bool(); }
bool is_integer(const Value& value) { return value.is(Kind::kInt); }
bool is_float(const Value& value) { return value.is(Kind::kFloat); }
bool is_number(const Value& value) { return value.is_number(); }
bool is_string(const Value& value) { return value.is(Kind::kString); }
bool is_mapping(const Value& value) { return value.is(Kind::kDict); }
bool is_escaped(const Value& value) { return value.escaped(); }
bool is_callable(const Value& value) {
  return value.is(Kind::kFunction) || value.is(Kind::kLoop) || value.is(Kind::kUndefined);
}
// An undefined value has all that Python looks for: elements (none) and an index operator.
bool is_iterable(const Value& value) {
  return value.is(Kind::kUndefined) || value.is(Kind::kString) || value.is_list() ||
         value.is(Kind::kDict) || value.is(Kind::kRange) || value.is(Kind::kGenerator) ||
         value.is(Kind::kLoop);
}
bool is_a_sequence(const Value& value) {
  return value.is(Kind::kUndefined) || value.is(Kind::kString) || value.is_sequence() ||
         value.is(Kind::kDict) || value.is(Kind::kRange);
}

template <bool odd>
Result<bool> parity(Machine&, const Value& value, CallArguments& arguments) {
  RETURN_IF_ERROR(no_arguments(arguments));
  ASSIGN_OR_RETURN(const int64_t number, require_integer(value, "the number"));
  return (number % 2 != 0) == odd;
}

Result<bool> divisible(Machine&, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Value other, one_argument(arguments));
  ASSIGN_OR_RETURN(const int64_t number, require_integer(value, "the number"));
  ASSIGN_OR_RETURN(const int64_t divisor, require_integer(other, "the divisor"));
  if (divisor == 0) return type_error("division by zero");
  return divisor == -1 || number % divisor == 0;
}

template <bool (*is_case)(uint32_t), bool (*is_other)(uint32_t)>
Result<bool> all_cased(Machine& machine, const Value& value, CallArguments& arguments) {
  RETURN_IF_ERROR(no_arguments(arguments));
  ASSIGN_OR_RETURN(const Text text, machine.to_text(value));
  std::string_view rest = text.bytes();
  bool any = false;
  while (!rest.empty()) {
    const CodePoint point = decode_utf8(rest);
    if (is_other(point.value) || is_title(point.value)) return false;
    any = any || is_case(point.value);
    rest.remove_prefix(point.length);
  }
  return any;
}

template <bool wanted>
Result<bool> equality(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Value other, one_argument(arguments));
  RETURN_IF_ERROR(machine.spend(std::min(value.weight(), other.weight()) / 4));
  return equal(value, other) == wanted;
}

// low, high: the range of order() for which it holds.
template <int low, int high>
Result<bool> ordered(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Value other, one_argument(arguments));
  RETURN_IF_ERROR(require_defined(value));
  RETURN_IF_ERROR(require_defined(other));
  RETURN_IF_ERROR(machine.spend(std::min(value.weight(), other.weight()) / 4));
  ASSIGN_OR_RETURN(const int side, order(value, other));
  return side >= low && side <= high;
}

Result<bool> is_in(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Value container, one_argument(arguments));
  return contains(machine, container, value);
}

Result<bool> same_as(Machine&, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Value other, one_argument(arguments));
  if (value.kind() != other.kind()) return false;
  if (value.identity() != nullptr && !value.is(Kind::kString)) {
    return value.identity() == other.identity();
  }
  return equal(value, other);
}

Result<bool> is_filter(Machine&, const Value& value, CallArguments& arguments) {
  RETURN_IF_ERROR(no_arguments(arguments));
  return value.is(Kind::kString) && find_filter(value.text().bytes()) != nullptr;
}

Result<bool> is_test(Machine&, const Value& value, CallArguments& arguments) {
  RETURN_IF_ERROR(no_arguments(arguments));
  return value.is(Kind::kString) && find_test(value.text().bytes()) != nullptr;
}

constexpr std::array<std::pair<std::string_view, TestFn>, 39> kTests = {{
    {"!=", equality<false>},
    {"<", ordered<-1, -1>},
    {"<=", ordered<-1, 0>},
    {"==", equality<true>},
    {">", ordered<1, 1>},
    {">=", ordered<0, 1>},
    {"boolean", plain<is_boolean>},
    {"callable", plain<is_callable>},
    {"defined", plain<is_defined>},
    {"divisibleby", divisible},
    {"eq", equality<true>},
    {"equalto", equality<true>},
    {"escaped", plain<is_escaped>},
    {"even", parity<false>},
    {"false", plain<is_false>},
    {"filter", is_filter},
    {"float", plain<is_float>},
    {"ge", ordered<0, 1>},
    {"greaterthan", ordered<1, 1>},
    {"gt", ordered<1, 1>},
    {"in", is_in},
    {"integer", plain<is_integer>},
    {"iterable", plain<is_iterable>},
    {"le", ordered<-1, 0>},
    {"lessthan", ordered<-1, -1>},
    {"lower", all_cased<is_lower, is_upper>},
    {"lt", ordered<-1, -1>},
    {"mapping", plain<is_mapping>},
    {"ne", equality<false>},
    {"none", plain<is_none>},
    {"number", plain<is_number>},
    {"odd", parity<true>},
    {"sameas", same_as},
    {"sequence", plain<is_a_sequence>},
    {"string", plain<is_string>},
    {"test", is_test},
    {"true", plain<is_true>},
    {"undefined", plain<is_undefined>},
    {"upper", all_cased<is_upper, is_lower>},
}};

}  // namespace

TestFn find_test(std::string_view name) {
  const auto* found = std::find_if(kTests.begin(), kTests.end(),
                                   [&](const auto& test) { return test.first == name; });
  return found == kTests.end() ? nullptr : found->second;
}

}  // namespace nibble::jinja
