// Methods of strings, lists and dicts, as Python has them.
#include <algorithm>
#include <array>
#include <limits>

#include "base/utf8.h"
#include "text/jinja_library.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

using MethodFn = Result<Value> (*)(Machine&, const Value& self, CallArguments& arguments);
struct NamedMethod {
  std::string_view name;
  MethodFn function;
};

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

// ---------------------------------------------------------------- splitting and joining

struct Part {
  size_t begin, end;
};

size_t spaces_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text.substr(at));
    if (!is_space(point.value)) break;
    at += point.length;
  }
  return at;
}

// The words of a text: begin and end of each.
std::vector<Part> words(std::string_view text) {
  std::vector<Part> found;
  for (size_t at = spaces_end(text, 0); at < text.size(); at = spaces_end(text, at)) {
    const size_t begin = at;
    while (at < text.size()) {
      const CodePoint point = decode_utf8(text.substr(at));
      if (is_space(point.value)) break;
      at += point.length;
    }
    found.push_back({begin, at});
  }
  return found;
}

std::vector<Part> split_at(std::string_view text, std::string_view separator) {
  std::vector<Part> parts;
  size_t begin = 0;
  for (size_t at = text.find(separator); at != std::string_view::npos;
       at = text.find(separator, begin)) {
    parts.push_back({begin, at});
    begin = at + separator.size();
  }
  parts.push_back({begin, text.size()});
  return parts;
}

// Separators may overlap ("aaa" by "aa"): from the right they are other ones.
std::vector<Part> split_at_from_right(std::string_view text, std::string_view separator) {
  std::vector<Part> parts;
  size_t end = text.size();
  while (end >= separator.size()) {
    const size_t at = text.rfind(separator, end - separator.size());
    if (at == std::string_view::npos) break;
    parts.push_back({at + separator.size(), end});
    end = at;
  }
  parts.push_back({0, end});
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool from_right>
Result<Value> split(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "split", {"sep", "maxsplit"}));
  ASSIGN_OR_RETURN(const int64_t limit, bound.integer(1, -1));
  const Text& text = self.text();
  RETURN_IF_ERROR(machine.spend_bytes(text.size()));
  const bool at_spaces = !bound.given(0) || bound[0].is(Kind::kNone);
  std::vector<Part> parts;
  if (at_spaces) {
    RETURN_IF_ERROR(machine.spend_characters(text.size()));
    parts = words(text.bytes());
  } else {
    ASSIGN_OR_RETURN(const Text separator, bound.text(0, Text()));
    if (separator.empty()) return type_error("empty separator");
    RETURN_IF_ERROR(machine.spend_characters(text.size() / separator.size()));
    parts = from_right ? split_at_from_right(text.bytes(), separator.bytes())
                       : split_at(text.bytes(), separator.bytes());
  }
  RETURN_IF_ERROR(machine.spend(parts.size()));
  // More than `limit` splits: what is left over stays one part.
  const size_t n_kept = limit < 0 ? parts.size() : static_cast<size_t>(limit) + 1;
  if (parts.size() > n_kept) {
    if (from_right) {
      const size_t n_joined = parts.size() - n_kept + 1;
      parts[n_joined - 1].begin = 0;
      parts.erase(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(n_joined - 1));
    } else {
      parts.resize(n_kept);
      parts.back().end = text.size();
    }
  }
  std::vector<Value> items;
  for (const Part& part : parts) {
    items.push_back(Value::string(text.slice(part.begin, part.end), self.escaped()));
  }
  return machine.list(std::move(items));
}

Result<Value> splitlines(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "splitlines", {"keepends"}));
  RETURN_IF_ERROR(machine.spend_characters(self.text().size()));
  std::vector<Value> items;
  for (Text& line : split_lines(self.text(), bound.truth_of(0, false))) {
    RETURN_IF_ERROR(machine.spend(1));
    items.push_back(Value::string(std::move(line), self.escaped()));
  }
  return machine.list(std::move(items));
}

template <bool from_right>
Result<Value> partition(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "partition", {"sep"}, 1));
  ASSIGN_OR_RETURN(const Text separator, bound.text(0, Text()));
  if (separator.empty()) return type_error("empty separator");
  const Text& text = self.text();
  RETURN_IF_ERROR(machine.spend_bytes(text.size()));
  const size_t at =
      from_right ? text.bytes().rfind(separator.bytes()) : text.bytes().find(separator.bytes());
  std::vector<Value> parts;
  if (at == std::string::npos) {
    parts = {self, Value::markup(""), Value::markup("")};
    if (from_right) std::swap(parts[0], parts[2]);
  } else {
    const size_t end = at + separator.size();
    parts = {Value::string(text.slice(0, at)), Value::string(text.slice(at, end)),
             Value::string(text.slice(end, text.size()))};
  }
  return machine.list(std::move(parts), Kind::kTuple);
}

Result<Value> join(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "join", {"iterable"}, 1));
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(bound[0]));
  Text joined;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is(Kind::kString)) {
      return type_error(
          fmt::format("sequence item {}: expected str instance, {} found", i, type_name(items[i])));
    }
    if (joined.size() + self.text().size() + items[i].text().size() > kMaxTextBytes) {
      return type_error("a text of more than 16 MiB");
    }
    if (i > 0) joined.append(self.text());
    joined.append(items[i].text());
  }
  return machine.text(std::move(joined), self.escaped());
}

Result<Value> replace_method(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "replace", {"old", "new", "count"}, 2));
  ASSIGN_OR_RETURN(const Text from, bound.text(0, Text()));
  ASSIGN_OR_RETURN(const Text to, bound.text(1, Text()));
  ASSIGN_OR_RETURN(const int64_t count, bound.integer(2, -1));
  return replace(machine, self, from, to, count);
}

template <bool at_end>
Result<Value> remove_affix(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "removeprefix", {"affix"}, 1));
  ASSIGN_OR_RETURN(const Text affix, bound.text(0, Text()));
  const Text& text = self.text();
  const bool has =
      at_end ? text.bytes().ends_with(affix.bytes()) : text.bytes().starts_with(affix.bytes());
  if (!has) return self;
  return machine.text(
      at_end ? text.slice(0, text.size() - affix.size()) : text.slice(affix.size(), text.size()),
      self.escaped());
}

// ---------------------------------------------------------------- searching

// self[start:end], what the search methods look at, and where it begins in characters.
struct Window {
  Value text;
  int64_t begin = 0;
  bool possible = true;  // false: start lies behind the end, where not even "" is found
};
Result<Window> window(Machine& machine, const Value& self, const Bound& bound) {
  Window result{self, 0, true};
  RETURN_IF_ERROR(machine.spend_bytes(self.text().size()));
  if (!bound.given(1) && !bound.given(2)) return result;
  const Value start = bound.given(1) ? bound[1] : Value::none();
  const Value end = bound.given(2) ? bound[2] : Value::none();
  ASSIGN_OR_RETURN(result.text, slice(machine, self, start, end, Value::none()));
  const int64_t n = code_points(self);
  if (start.is_integer()) {
    const int64_t given = start.as_integer();
    result.begin = given < 0 ? std::max<int64_t>(given < -n ? 0 : given + n, 0) : given;
    result.possible = result.begin <= n;
  }
  return result;
}

template <bool from_right, bool must_exist>
Result<Value> find(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "find", {"sub", "start", "end"}, 1));
  ASSIGN_OR_RETURN(const Text wanted, bound.text(0, Text()));
  ASSIGN_OR_RETURN(const Window where, window(machine, self, bound));
  const std::string& bytes = where.text.text().bytes();
  const size_t at = !where.possible ? std::string::npos
                    : from_right    ? bytes.rfind(wanted.bytes())
                                    : bytes.find(wanted.bytes());
  if (at == std::string::npos) {
    if (must_exist) return type_error("substring not found");
    return Value::integer(-1);
  }
  return Value::integer(where.begin + code_points(Value::markup(bytes.substr(0, at))));
}

Result<Value> count_text(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "count", {"sub", "start", "end"}, 1));
  ASSIGN_OR_RETURN(const Text wanted, bound.text(0, Text()));
  ASSIGN_OR_RETURN(const Window where, window(machine, self, bound));
  if (!where.possible) return Value::integer(0);
  if (wanted.empty()) return Value::integer(code_points(where.text) + 1);
  RETURN_IF_ERROR(machine.spend_characters(where.text.text().size()));
  return Value::integer(
      static_cast<int64_t>(split_at(where.text.text().bytes(), wanted.bytes()).size()) - 1);
}

template <bool at_end>
Result<Value> has_affix(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "startswith", {"affix", "start", "end"}, 1));
  ASSIGN_OR_RETURN(const Window where, window(machine, self, bound));
  std::vector<Value> affixes = {bound[0]};
  if (bound[0].is(Kind::kTuple)) affixes = bound[0].items();
  for (const Value& affix : affixes) {
    if (!affix.is(Kind::kString)) {
      return type_error(fmt::format("startswith and endswith want a str or a tuple of str, not {}",
                                    type_name(affix)));
    }
    const std::string &text = where.text.text().bytes(), &part = affix.text().bytes();
    if (where.possible && (at_end ? text.ends_with(part) : text.starts_with(part))) {
      return Value::boolean(true);
    }
  }
  return Value::boolean(false);
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

constexpr NamedMethod kTextMethods[] = {
    {"capitalize", changed<capitalize>},
    {"casefold", changed<casefold>},
    {"center", justify<0>},
    {"count", count_text},
    {"endswith", has_affix<true>},
    {"expandtabs", expandtabs},
    {"find", find<false, false>},
    {"format", format_method},
    {"index", find<false, true>},
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
    {"join", join},
    {"ljust", justify<-1>},
    {"lower", changed<lower>},
    {"lstrip", strip_method<true, false>},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace_method},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rjust", justify<1>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip_method<false, true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", has_affix<false>},
    {"strip", strip_method<true, true>},
    {"swapcase", changed<swapcase>},
    {"title", changed<title_words>},
    {"upper", changed<upper>},
    {"zfill", zfill},
};

// ---------------------------------------------------------------- dicts and lists

Result<Value> dict_get(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "get", {"key", "default"}, 1));
  RETURN_IF_ERROR(machine.spend(bound[0].weight()));
  if (bound[0].is(Kind::kList) || bound[0].is(Kind::kDict)) {
    return type_error(fmt::format("unhashable type: '{}'", type_name(bound[0])));
  }
  if (const Value* value = self.dict().find(bound[0])) return *value;
  return bound.given(1) ? bound[1] : Value::none();
}

Result<Value> view(Machine& machine, std::vector<Value> items, std::string_view name) {
  RETURN_IF_ERROR(machine.spend_items(items.size()));
  auto list = std::make_shared<List>(std::move(items));
  list->view_name = name;
  return machine.object(Kind::kView, std::move(list));
}

Result<Value> dict_keys(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "keys", {}));
  std::vector<Value> items;
  for (const auto& entry : self.dict().entries()) items.push_back(entry.first);
  return view(machine, std::move(items), "dict_keys");
}

Result<Value> dict_values(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "values", {}));
  std::vector<Value> items;
  for (const auto& entry : self.dict().entries()) items.push_back(entry.second);
  return view(machine, std::move(items), "dict_values");
}

Result<Value> dict_items(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "items", {}));
  RETURN_IF_ERROR(machine.spend(self.dict().size()));
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries()) {
    items.push_back(Value::list({key, value}, Kind::kTuple));
  }
  return view(machine, std::move(items), "dict_items");
}

Result<Value> copy(Machine&, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "copy", {}));
  return self;
}

Result<Value> list_index(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "index", {"value"}, 1));
  RETURN_IF_ERROR(machine.spend_on(self));
  const auto& items = self.items();
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const Value& item) { return equal(item, bound[0]); });
  if (found == items.end()) return type_error("the value is not in the list");
  return Value::integer(found - items.begin());
}

Result<Value> list_count(Machine& machine, const Value& self, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "count", {"value"}, 1));
  RETURN_IF_ERROR(machine.spend_on(self));
  const auto& items = self.items();
  return Value::integer(std::count_if(items.begin(), items.end(),
                                      [&](const Value& item) { return equal(item, bound[0]); }));
}

constexpr NamedMethod kDictMethods[] = {{"copy", copy},
                                        {"get", dict_get},
                                        {"items", dict_items},
                                        {"keys", dict_keys},
                                        {"values", dict_values}};
constexpr NamedMethod kListMethods[] = {
    {"copy", copy}, {"count", list_count}, {"index", list_index}};
constexpr NamedMethod kTupleMethods[] = {{"count", list_count}, {"index", list_index}};

// What the sandbox of transformers keeps templates from.
constexpr std::array<std::string_view, 5> kDictChanges = {"clear", "pop", "popitem", "setdefault",
                                                          "update"};
constexpr std::array<std::string_view, 8> kListChanges = {"append", "clear",  "extend",  "insert",
                                                          "pop",    "remove", "reverse", "sort"};

template <size_t n>
MethodFn search(const NamedMethod (&methods)[n], std::string_view name) {
  const auto* found = std::find_if(std::begin(methods), std::end(methods),
                                   [&](const NamedMethod& method) { return method.name == name; });
  return found == std::end(methods) ? nullptr : found->function;
}

template <size_t n>
bool listed(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Result<std::optional<Value>> find_method(Machine& machine, const Value& self,
                                         std::string_view method) {
  MethodFn function = nullptr;
  bool is_change = false;
  switch (self.kind()) {
    case Kind::kString:
      function = search(kTextMethods, method);
      break;
    case Kind::kDict:
      function = search(kDictMethods, method);
      is_change = listed(kDictChanges, method);
      break;
    case Kind::kList:
      function = search(kListMethods, method);
      is_change = listed(kListChanges, method);
      break;
    case Kind::kTuple:
      function = search(kTupleMethods, method);
      if (self.as<List>().is_group && method == "grouper") return std::optional(self.items()[0]);
      if (self.as<List>().is_group && method == "list") return std::optional(self.items()[1]);
      break;
    default:
      break;
  }
  if (is_change) {
    return std::optional(Value::undefined(fmt::format(
        "'{}' of a {} is not allowed: templates may not change values", method, type_name(self))));
  }
  if (function == nullptr) return std::optional<Value>();
  auto bound = std::make_shared<Function>();
  bound->name = method;
  bound->holds(self);
  bound->call = [function, self](Machine& m, CallArguments& arguments) {
    return function(m, self, arguments);
  };
  ASSIGN_OR_RETURN(Value value, machine.object(Kind::kFunction, std::move(bound)));
  return std::optional(std::move(value));
}

}  // namespace nibble::jinja
