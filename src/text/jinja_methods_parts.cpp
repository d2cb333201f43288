// Methods of strings that split, join, search and replace, as Python has them.
#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/jinja_method_tables.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

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

constexpr NamedMethod kMethods[] = {
    {"count", count_text},
    {"endswith", has_affix<true>},
    {"find", find<false, false>},
    {"index", find<false, true>},
    {"join", join},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace_method},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", has_affix<false>},
};

}  // namespace

std::span<const NamedMethod> text_part_methods() { return kMethods; }

}  // namespace nibble::jinja
