// Methods of dicts and lists, as Python has them, and where those of all values are found.
#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "text/jinja_method_tables.h"

namespace nibble::jinja {
namespace {

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

MethodFn search(std::span<const NamedMethod> methods, std::string_view name) {
  const auto found = std::find_if(methods.begin(), methods.end(),
                                  [&](const NamedMethod& method) { return method.name == name; });
  return found == methods.end() ? nullptr : found->function;
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
      function = search(text_methods(), method);
      if (function == nullptr) function = search(text_part_methods(), method);
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
