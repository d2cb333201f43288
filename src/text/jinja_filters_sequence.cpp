// Filters over sequences.
#include <algorithm>
#include <array>
#include <cmath>

#include "text/jinja_filter_tables.h"
#include "text/jinja_library.h"
#include "text/jinja_unicode.h"

namespace nibble::jinja {
namespace {

// "a.b.0" as the steps to take; an attribute may also be a number.
struct Path {
  std::vector<Value> steps;
};

Result<Path> path_of(const Value* attribute) {
  Path path;
  if (attribute == nullptr || attribute->is(Kind::kNone)) return path;
  if (attribute->is_integer()) {
    path.steps.push_back(*attribute);
    return path;
  }
  if (!attribute->is(Kind::kString)) return type_error("an attribute is a name or a number");
  std::string_view rest = attribute->text().bytes();
  for (;;) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string part(rest.substr(0, dot));
    const bool is_number = !part.empty() && part.size() < 18 &&
                           part.find_first_not_of("0123456789") == std::string::npos;
    path.steps.push_back(is_number ? Value::integer(std::stoll(part)) : Value::markup(part));
    if (dot == rest.size()) return path;
    rest.remove_prefix(dot + 1);
  }
}

Result<Value> follow(Machine& machine, const Path& path, Value value,
                     const Value* otherwise = nullptr) {
  for (const Value& step : path.steps) {
    RETURN_IF_ERROR(machine.spend(1));
    ASSIGN_OR_RETURN(value, machine.item(value, step));
    if (otherwise != nullptr && !otherwise->is(Kind::kNone) && value.is(Kind::kUndefined)) {
      value = *otherwise;
    }
  }
  return value;
}

Value without_case(const Value& value) {
  return value.is(Kind::kString) ? Value::string(lower(value.text())) : value;
}

Result<Value> generator(Machine& machine, std::vector<Value> source,
                        std::function<Result<std::optional<Value>>(Machine&, const Value&)> step) {
  auto made = std::make_shared<Generator>();
  for (const Value& value : source) made->holds(value);
  made->source = std::move(source);
  made->step = std::move(step);
  return machine.object(Kind::kGenerator, std::move(made));
}

// Sorts `items` by `keys`, both of one length; a stable order, also when reversed.
Status sort_by(Machine& machine, std::vector<Value>& items, const std::vector<Value>& keys,
               bool reverse) {
  std::vector<size_t> places(items.size());
  uint64_t weight = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    places[i] = i;
    weight += keys[i].weight();
  }
  RETURN_IF_ERROR(machine.spend(
      weight * static_cast<uint64_t>(std::ceil(std::log2(static_cast<double>(items.size()) + 2))) /
      4));
  // Compared before sorting: std::sort may not be given an order that fails half-way.
  for (size_t i = 1; i < keys.size(); ++i) {
    RETURN_IF_ERROR(require_defined(keys[i]));
    const auto sides = order(keys[i - 1], keys[i]);
    if (!sides.ok()) return sides.error();
  }
  std::stable_sort(places.begin(), places.end(), [&](size_t a, size_t b) {
    const auto side = reverse ? order(keys[b], keys[a]) : order(keys[a], keys[b]);
    return side.ok() && *side == -1;
  });
  std::vector<Value> sorted;
  for (const size_t place : places) sorted.push_back(items[place]);
  items = std::move(sorted);
  return {};
}

// The key of an item to sort or compare by: one path, or several ("a,b") as a list.
Result<Value> sort_key(Machine& machine, const std::vector<Path>& paths, const Value& item,
                       bool case_sensitive) {
  std::vector<Value> keys;
  for (const Path& path : paths) {
    ASSIGN_OR_RETURN(Value key, follow(machine, path, item));
    keys.push_back(case_sensitive ? key : without_case(key));
  }
  if (keys.size() == 1) return keys[0];
  return machine.list(std::move(keys));
}

Result<std::vector<Path>> paths_of(const Value* attribute) {
  std::vector<Path> paths;
  if (attribute == nullptr || !attribute->is(Kind::kString)) {
    ASSIGN_OR_RETURN(Path path, path_of(attribute));
    paths.push_back(std::move(path));
    return paths;
  }
  std::string_view rest = attribute->text().bytes();
  for (;;) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const Value part = Value::markup(std::string(rest.substr(0, comma)));
    ASSIGN_OR_RETURN(Path path, path_of(&part));
    paths.push_back(std::move(path));
    if (comma == rest.size()) return paths;
    rest.remove_prefix(comma + 1);
  }
}

Result<Value> length(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "length", {}));
  switch (value.kind()) {
    case Kind::kUndefined:
      return Value::integer(0);
    case Kind::kString:
      return Value::integer(code_points(value));
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return Value::integer(static_cast<int64_t>(value.items().size()));
    case Kind::kDict:
      return Value::integer(static_cast<int64_t>(value.dict().size()));
    case Kind::kRange:
      return Value::integer(value.as<Range>().size());
    case Kind::kLoop: {
      ASSIGN_OR_RETURN(const int64_t n, machine.count(value.as<Loop>()));
      return Value::integer(n);
    }
    default:
      return type_error(fmt::format("object of type '{}' has no len()", type_name(value)));
  }
}

Result<Value> to_list(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "list", {}));
  ASSIGN_OR_RETURN(std::vector<Value> items, machine.iterate(value));
  return machine.list(std::move(items));
}

Result<Value> first(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "first", {}));
  const Value none = Value::undefined("No first item, sequence was empty.");
  if (value.is(Kind::kGenerator)) {
    ASSIGN_OR_RETURN(const auto next, machine.next_of(value.as<Generator>()));
    return next ? *next : none;
  }
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  return items.empty() ? none : items.front();
}

Result<Value> last(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "last", {}));
  if (value.is(Kind::kGenerator)) return type_error("'generator' object is not reversible");
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Result<Value> reverse(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "reverse", {}));
  if (value.is(Kind::kString)) {
    return slice(machine, value, Value::none(), Value::none(), Value::integer(-1));
  }
  ASSIGN_OR_RETURN(std::vector<Value> items, machine.iterate(value));
  std::reverse(items.begin(), items.end());
  if (value.is(Kind::kGenerator)) return machine.list(std::move(items));
  return generator(machine, std::move(items), {});
}

Result<Value> join(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "join", {"d", "attribute"}));
  Text separator;
  if (bound.given(0)) {
    ASSIGN_OR_RETURN(separator, machine.to_text(bound[0]));
  }
  ASSIGN_OR_RETURN(const Path path, path_of(bound.get(1)));
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  Text joined;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const Value item, follow(machine, path, items[i]));
    ASSIGN_OR_RETURN(const Text text, machine.to_text(item));
    if (joined.size() + separator.size() + text.size() > kMaxTextBytes) {
      return type_error("a text of more than 16 MiB");
    }
    if (i > 0) joined.append(separator);
    joined.append(text);
  }
  return machine.text(std::move(joined));
}

Result<Value> items_filter(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "items", {}));
  std::vector<Value> pairs;
  if (value.is(Kind::kDict)) {
    RETURN_IF_ERROR(machine.spend(value.dict().size()));
    for (const auto& [key, item] : value.dict().entries()) {
      pairs.push_back(Value::list({key, item}, Kind::kTuple));
    }
  } else if (!value.is(Kind::kUndefined)) {
    return type_error("Can only get item pairs from a mapping.");
  }
  return generator(machine, std::move(pairs), {});
}

Result<Value> sort(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "sort", {"reverse", "case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(std::vector<Value> items, machine.iterate(value));
  ASSIGN_OR_RETURN(const std::vector<Path> paths, paths_of(bound.get(2)));
  std::vector<Value> keys;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value key, sort_key(machine, paths, item, bound.truth_of(1, false)));
    keys.push_back(std::move(key));
  }
  RETURN_IF_ERROR(sort_by(machine, items, keys, bound.truth_of(0, false)));
  return machine.list(std::move(items));
}

Result<Value> dictsort(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "dictsort", {"case_sensitive", "by", "reverse"}));
  RETURN_IF_ERROR(require_defined(value));
  if (!value.is(Kind::kDict)) {
    return type_error(fmt::format("'{}' object has no attribute 'items'", type_name(value)));
  }
  ASSIGN_OR_RETURN(const Text by, bound.text(1, Text("key", Origin::kTemplate)));
  if (by.bytes() != "key" && by.bytes() != "value") {
    return type_error("You can only sort by either \"key\" or \"value\"");
  }
  std::vector<Value> pairs, keys;
  RETURN_IF_ERROR(machine.spend(value.dict().size()));
  for (const auto& [key, item] : value.dict().entries()) {
    pairs.push_back(Value::list({key, item}, Kind::kTuple));
    const Value& by_value = by.bytes() == "key" ? key : item;
    keys.push_back(bound.truth_of(0, false) ? by_value : without_case(by_value));
  }
  RETURN_IF_ERROR(sort_by(machine, pairs, keys, bound.truth_of(2, false)));
  return machine.list(std::move(pairs));
}

Result<Value> unique(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "unique", {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  ASSIGN_OR_RETURN(const std::vector<Path> paths, paths_of(bound.get(1)));
  Dict seen;
  std::vector<Value> kept;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value key, sort_key(machine, paths, item, bound.truth_of(0, false)));
    RETURN_IF_ERROR(machine.spend(1 + key.weight()));
    const size_t n_seen = seen.size();
    if (!seen.set(key, Value::none())) {
      return type_error(fmt::format("unhashable type: '{}'", type_name(key)));
    }
    if (seen.size() > n_seen) kept.push_back(item);
  }
  return generator(machine, std::move(kept), {});
}

template <int wanted>
Result<Value> extreme(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "min, max", {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  ASSIGN_OR_RETURN(const Path path, path_of(bound.get(1)));
  size_t best = 0;
  Value best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(Value key, follow(machine, path, items[i]));
    if (!bound.truth_of(0, false)) key = without_case(key);
    if (i > 0) {
      RETURN_IF_ERROR(require_defined(key));
      RETURN_IF_ERROR(require_defined(best_key));
      RETURN_IF_ERROR(machine.spend_on(key));
      ASSIGN_OR_RETURN(const int side, order(key, best_key));
      if (side != wanted) continue;
    }
    best = i;
    best_key = key;
  }
  return items[best];
}

Result<Value> sum(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "sum", {"attribute", "start"}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  ASSIGN_OR_RETURN(const Path path, path_of(bound.get(0)));
  Value total = bound.given(1) ? bound[1] : Value::integer(0);
  if (total.is(Kind::kString)) return type_error("sum() can't sum strings");
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value addend, follow(machine, path, item));
    ASSIGN_OR_RETURN(total, binary(machine, '+', false, total, addend));
  }
  return total;
}

Result<Value> batch(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound,
                   Bound::make(arguments, "batch", {"linecount", "fill_with"}, 1));
  ASSIGN_OR_RETURN(const int64_t n, require_integer(bound[0], "linecount"));
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  std::vector<Value> rows, row;
  const auto flush = [&]() -> Status {
    ASSIGN_OR_RETURN(Value made, machine.list(std::exchange(row, {})));
    rows.push_back(std::move(made));
    return {};
  };
  for (const Value& item : items) {
    if (static_cast<int64_t>(row.size()) == n) RETURN_IF_ERROR(flush());
    row.push_back(item);
  }
  if (!row.empty()) {
    if (bound.given(1) && !bound[1].is(Kind::kNone)) {
      if (n > static_cast<int64_t>(kMaxItems))
        return type_error("a list of more than 10^6 elements");
      while (static_cast<int64_t>(row.size()) < n) row.push_back(bound[1]);
    }
    RETURN_IF_ERROR(flush());
  }
  return generator(machine, std::move(rows), {});
}

Result<Value> slices(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "slice", {"slices", "fill_with"}, 1));
  ASSIGN_OR_RETURN(const int64_t n, require_integer(bound[0], "slices"));
  ASSIGN_OR_RETURN(const std::vector<Value> items, machine.iterate(value));
  if (n == 0) return type_error("division by zero");
  if (n > static_cast<int64_t>(kMaxItems)) return type_error("a list of more than 10^6 elements");
  std::vector<Value> rows;
  const auto total = static_cast<int64_t>(items.size());
  size_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t size = total / n + (i < total % n ? 1 : 0);
    std::vector<Value> row;
    for (int64_t k = 0; k < size; ++k) row.push_back(items[at++]);
    if (bound.given(1) && !bound[1].is(Kind::kNone) && i >= total % n) row.push_back(bound[1]);
    ASSIGN_OR_RETURN(Value made, machine.list(std::move(row)));
    rows.push_back(std::move(made));
  }
  return generator(machine, std::move(rows), {});
}

Result<Value> groupby(Machine& machine, const Value& value, CallArguments& arguments) {
  ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "groupby",
                                                  {"attribute", "default", "case_sensitive"}, 1));
  ASSIGN_OR_RETURN(std::vector<Value> items, machine.iterate(value));
  ASSIGN_OR_RETURN(const Path path, path_of(bound.get(0)));
  const bool exact = bound.truth_of(2, false);
  const auto key_of = [&](const Value& item) -> Result<Value> {
    ASSIGN_OR_RETURN(Value key, follow(machine, path, item, bound.get(1)));
    return exact ? key : without_case(key);
  };
  std::vector<Value> keys;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value key, key_of(item));
    keys.push_back(std::move(key));
  }
  RETURN_IF_ERROR(sort_by(machine, items, keys, false));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < items.size();) {
    ASSIGN_OR_RETURN(const Value key, key_of(items[begin]));
    std::vector<Value> members;
    size_t end = begin;
    for (; end < items.size(); ++end) {
      ASSIGN_OR_RETURN(const Value next, key_of(items[end]));
      if (!equal(next, key)) break;
      members.push_back(items[end]);
    }
    // The group is called as its first member spells it.
    ASSIGN_OR_RETURN(Value name, follow(machine, path, items[begin], bound.get(1)));
    ASSIGN_OR_RETURN(Value list, machine.list(std::move(members)));
    auto group = std::make_shared<List>(std::vector<Value>{std::move(name), std::move(list)});
    group->is_group = true;
    ASSIGN_OR_RETURN(Value made, machine.object(Kind::kTuple, std::move(group)));
    groups.push_back(std::move(made));
    begin = end;
  }
  return machine.list(std::move(groups));
}

// map(attribute=..., default=...), or map("filter", arguments...).
Result<Value> map(Machine& machine, const Value& value, CallArguments& arguments) {
  // Like none, which has no elements otherwise, an empty value is not even looked at.
  if (!truth(value)) return generator(machine, {}, {});
  ASSIGN_OR_RETURN(std::vector<Value> items, machine.iterate(value));
  const bool by_attribute =
      arguments.positional.empty() &&
      std::any_of(arguments.named.begin(), arguments.named.end(),
                  [](const auto& argument) { return argument.first == "attribute"; });
  if (by_attribute) {
    ASSIGN_OR_RETURN(const Bound bound, Bound::make(arguments, "map", {"attribute", "default"}));
    ASSIGN_OR_RETURN(Path path, path_of(bound.get(0)));
    const Value otherwise = bound.given(1) ? bound[1] : Value::none();
    return generator(machine, std::move(items),
                     [path = std::move(path), otherwise](
                         Machine& m, const Value& item) -> Result<std::optional<Value>> {
                       ASSIGN_OR_RETURN(Value found, follow(m, path, item, &otherwise));
                       return std::optional<Value>(std::move(found));
                     });
  }
  if (arguments.positional.empty() || !arguments.positional[0].is(Kind::kString)) {
    return type_error("map requires a filter argument");
  }
  std::string name = arguments.positional[0].text().bytes();
  CallArguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  return generator(machine, std::move(items),
                   [name = std::move(name), rest = std::move(rest)](
                       Machine& m, const Value& item) -> Result<std::optional<Value>> {
                     CallArguments copy = rest;
                     ASSIGN_OR_RETURN(Value made, m.filter(name, item, copy));
                     return std::optional<Value>(std::move(made));
                   });
}

// select("test", arguments...) or selectattr("attribute", "test", arguments...); no test: truth.
template <bool wanted, bool by_attribute>
Result<Value> select(Machine& machine, const Value& value, CallArguments& arguments) {
  if (!truth(value)) return generator(machine, {}, {});  // as in map
  ASSIGN_OR_RETURN(std::vector<Value> items, machine.iterate(value));
  CallArguments rest = arguments;
  Path path;
  if (by_attribute) {
    if (rest.positional.empty()) return type_error("Missing parameter for attribute name");
    ASSIGN_OR_RETURN(path, path_of(&rest.positional[0]));
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  if (!rest.positional.empty()) {
    if (!rest.positional[0].is(Kind::kString)) return type_error("the name of a test is a string");
    test = rest.positional[0].text().bytes();
    rest.positional.erase(rest.positional.begin());
    if (test.empty()) return type_error("there is no test named ''");
  }
  return generator(machine, std::move(items),
                   [path = std::move(path), test = std::move(test), rest = std::move(rest)](
                       Machine& m, const Value& item) -> Result<std::optional<Value>> {
                     ASSIGN_OR_RETURN(const Value looked_at, follow(m, path, item));
                     bool holds = truth(looked_at);
                     if (!test.empty()) {
                       CallArguments copy = rest;
                       ASSIGN_OR_RETURN(holds, m.test(test, looked_at, copy));
                     }
                     return holds == wanted ? std::optional<Value>(item) : std::nullopt;
                   });
}

constexpr NamedFilter kFilters[] = {
    {"batch", batch},
    {"count", length},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items_filter},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", to_list},
    {"map", map},
    {"max", extreme<1>},
    {"min", extreme<-1>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"reverse", reverse},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"slice", slices},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

std::span<const NamedFilter> sequence_filters() { return kFilters; }

}  // namespace nibble::jinja
