// Expressions.
#include <algorithm>

#include "text/jinja_library.h"
#include "text/jinja_machine.h"

namespace nibble::jinja {
namespace {

constexpr int kMaxEvaluations = 1500;  // as for statements

}  // namespace

Result<Value> Machine::evaluate(const Node& node) {
  if (node.type == NodeType::kConstant) {
    RETURN_IF_ERROR(spend(1));
    return node.value;
  }
  Result<Value> value = Value();
  ++eval_depth_;
  if (const Status status = spend(1); !status.ok()) {
    value = status.error();
  } else if (eval_depth_ > kMaxEvaluations) {
    value = make_error(ErrorKind::kInvalid, "calls are nested too deep");
  } else {
    value = evaluate_kind(node);
  }
  --eval_depth_;
  if (!value.ok() && !error_at_) error_at_ = node.offset;
  return value;
}

Result<Value> Machine::evaluate_kind(const Node& node) {
  switch (node.type) {
    case NodeType::kName:
      return load(node);
    case NodeType::kAttribute: {
      ASSIGN_OR_RETURN(const Value object, evaluate(*node.operands[0]));
      return attribute(object, node.name);
    }
    case NodeType::kItem:
      return subscript(node);
    case NodeType::kSlice:
      return slice(node);
    case NodeType::kList:
    case NodeType::kTuple:
      return list_literal(node);
    case NodeType::kDict:
      return dict_literal(node);
    case NodeType::kCall:
      return call_node(node);
    case NodeType::kFilter:
      return filter_node(node);
    case NodeType::kTest:
      return test_node(node);
    case NodeType::kCondition:
      return conditional(node);
    case NodeType::kAnd:
    case NodeType::kOr:
      return logical(node);
    case NodeType::kNot:
    case NodeType::kNegative:
    case NodeType::kPositive:
      return unary(node);
    case NodeType::kBinary:
      return binary_operation(node);
    case NodeType::kConcat:
      return concatenate(node);
    case NodeType::kCompare:
      return compare(node);
    default:
      CHECK(false);
  }
}

Result<Value> Machine::load(const Node& node) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [symbol, value] : scope->variables) {
      if (symbol == node.symbol) return value;
    }
    RETURN_IF_ERROR(spend(scope->variables.size() / 16));
  }
  const std::string& name = tree_.names[static_cast<size_t>(node.symbol)];
  if (const Value* value = variables_.dict().find(name)) return *value;
  Value global = find_global(name);
  if (!global.is(Kind::kUndefined)) return global;
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

Result<Value> Machine::logical(const Node& node) {
  ASSIGN_OR_RETURN(Value left, evaluate(*node.operands[0]));
  if (truth(left) == (node.type == NodeType::kOr)) return left;
  return evaluate(*node.operands[1]);
}

Result<Value> Machine::conditional(const Node& node) {
  ASSIGN_OR_RETURN(const Value condition, evaluate(*node.operands[1]));
  if (truth(condition)) return evaluate(*node.operands[0]);
  if (node.operands[2] != nullptr) return evaluate(*node.operands[2]);
  return Value::undefined(
      "the inline if-expression evaluated to false and no else section was defined");
}

Result<Value> Machine::unary(const Node& node) {
  ASSIGN_OR_RETURN(const Value value, evaluate(*node.operands[0]));
  if (node.type == NodeType::kNot) return Value::boolean(!truth(value));
  RETURN_IF_ERROR(require_defined(value));
  if (!value.is_number()) {
    return type_error(fmt::format("bad operand type for unary {}: '{}'",
                                  node.type == NodeType::kNegative ? '-' : '+', type_name(value)));
  }
  if (node.type == NodeType::kNegative) return negate(value);
  return value.is(Kind::kBool) ? Value::integer(value.as_integer()) : value;
}

Result<Value> Machine::binary_operation(const Node& node) {
  ASSIGN_OR_RETURN(const Value left, evaluate(*node.operands[0]));
  ASSIGN_OR_RETURN(const Value right, evaluate(*node.operands[1]));
  return binary(*this, node.name[0], node.name.size() == 2, left, right);
}

Result<Value> Machine::concatenate(const Node& node) {
  Text joined;
  for (const NodePtr& part : node.operands) {
    ASSIGN_OR_RETURN(const Value value, evaluate(*part));
    ASSIGN_OR_RETURN(const Text one, to_text(value));
    if (joined.size() + one.size() > kMaxTextBytes) return type_error("a text of more than 16 MiB");
    joined.append(one);
  }
  return text(std::move(joined));
}

Result<Value> Machine::compare(const Node& node) {
  ASSIGN_OR_RETURN(Value left, evaluate(*node.operands[0]));
  for (size_t i = 0; i < node.comparisons.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, evaluate(*node.operands[i + 1]));
    const std::string& sign = node.comparisons[i];
    bool holds = false;
    RETURN_IF_ERROR(spend(std::min(left.weight(), right.weight()) / 4));
    if (sign == "==" || sign == "!=") {
      holds = equal(left, right) == (sign == "==");
    } else if (sign == "in" || sign == "notin") {
      ASSIGN_OR_RETURN(const bool found, contains(*this, right, left));
      holds = found == (sign == "in");
    } else {
      RETURN_IF_ERROR(require_defined(left));
      RETURN_IF_ERROR(require_defined(right));
      const auto sides = order(left, right);
      if (!sides.ok()) {
        return type_error(fmt::format("'{}' not supported between instances of '{}' and '{}'", sign,
                                      type_name(left), type_name(right)));
      }
      const int side = *sides;
      holds = sign == "<"    ? side == -1
              : sign == ">"  ? side == 1
              : sign == "<=" ? side <= 0
                             : side == 0 || side == 1;
    }
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<Value> Machine::list_literal(const Node& node) {
  std::vector<Value> items;
  for (const NodePtr& part : node.operands) {
    ASSIGN_OR_RETURN(Value item, evaluate(*part));
    items.push_back(std::move(item));
  }
  return list(std::move(items), node.type == NodeType::kTuple ? Kind::kTuple : Kind::kList);
}

Result<Value> Machine::dict_literal(const Node& node) {
  auto dict = std::make_shared<Dict>();
  for (size_t i = 0; i < node.operands.size(); i += 2) {
    ASSIGN_OR_RETURN(const Value key, evaluate(*node.operands[i]));
    ASSIGN_OR_RETURN(Value value, evaluate(*node.operands[i + 1]));
    RETURN_IF_ERROR(spend(key.weight()));
    if (!dict->set(key, std::move(value))) {
      return type_error(fmt::format("unhashable type: '{}'", type_name(key)));
    }
  }
  return object(Kind::kDict, std::move(dict));
}

Result<Value> Machine::subscript(const Node& node) {
  ASSIGN_OR_RETURN(const Value container, evaluate(*node.operands[0]));
  ASSIGN_OR_RETURN(const Value key, evaluate(*node.operands[1]));
  return item(container, key);
}

Result<Value> Machine::slice(const Node& node) {
  ASSIGN_OR_RETURN(const Value container, evaluate(*node.operands[0]));
  Value parts[3] = {Value::none(), Value::none(), Value::none()};
  for (size_t i = 0; i < 3; ++i) {
    if (node.operands[i + 1] == nullptr) continue;
    ASSIGN_OR_RETURN(parts[i], evaluate(*node.operands[i + 1]));
  }
  return jinja::slice(*this, container, parts[0], parts[1], parts[2]);
}

Status Machine::arguments(const ArgumentNodes& nodes, CallArguments& arguments) {
  for (const NodePtr& node : nodes.positional) {
    ASSIGN_OR_RETURN(Value value, evaluate(*node));
    arguments.positional.push_back(std::move(value));
  }
  if (nodes.spread != nullptr) {
    ASSIGN_OR_RETURN(const Value values, evaluate(*nodes.spread));
    ASSIGN_OR_RETURN(const std::vector<Value> items, iterate(values));
    arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
  }
  for (const auto& [name, node] : nodes.named) {
    ASSIGN_OR_RETURN(Value value, evaluate(*node));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (nodes.named_spread != nullptr) {
    ASSIGN_OR_RETURN(const Value values, evaluate(*nodes.named_spread));
    if (!values.is(Kind::kDict)) return type_error("the argument after ** must be a mapping");
    RETURN_IF_ERROR(spend_items(values.dict().size() * (1 + arguments.named.size())));
    for (const auto& [key, value] : values.dict().entries()) {
      if (!key.is(Kind::kString)) return type_error("keywords must be strings");
      for (size_t i = 0; i < nodes.named.size(); ++i) {
        if (arguments.named[i].first == key.text().bytes()) {
          return type_error(
              fmt::format("got multiple values for keyword argument '{}'", key.text().bytes()));
        }
      }
      arguments.named.emplace_back(key.text().bytes(), value);
    }
  }
  return {};
}

Result<Value> Machine::call_node(const Node& node) {
  ASSIGN_OR_RETURN(const Value callee, evaluate(*node.operands[0]));
  CallArguments values;
  RETURN_IF_ERROR(arguments(node.arguments, values));
  return call(callee, values);
}

Result<Value> Machine::filter_node(const Node& node) {
  ASSIGN_OR_RETURN(Value input, evaluate(*node.operands[0]));
  CallArguments values;
  RETURN_IF_ERROR(arguments(node.arguments, values));
  return filter(node.name, input, values);
}

// {% set x | upper | trim %}: the innermost filter of the chain has nothing to stand on but
// `input`.
Result<Value> Machine::filter_on(const Node& node, Value input) {
  if (node.operands[0] != nullptr) {
    ASSIGN_OR_RETURN(input, filter_on(*node.operands[0], std::move(input)));
  }
  CallArguments values;
  RETURN_IF_ERROR(arguments(node.arguments, values));
  return filter(node.name, input, values);
}

Result<Value> Machine::test_node(const Node& node) {
  ASSIGN_OR_RETURN(const Value input, evaluate(*node.operands[0]));
  CallArguments values;
  RETURN_IF_ERROR(arguments(node.arguments, values));
  ASSIGN_OR_RETURN(const bool holds, test(node.name, input, values));
  return Value::boolean(holds);
}

Result<Value> Machine::filter(const std::string& name, const Value& input,
                              CallArguments& arguments) {
  const FilterFn function = find_filter(name);
  if (function == nullptr) return type_error(fmt::format("there is no filter named '{}'", name));
  return function(*this, input, arguments);
}

Result<bool> Machine::test(const std::string& name, const Value& input, CallArguments& arguments) {
  const TestFn function = find_test(name);
  if (function == nullptr) return type_error(fmt::format("there is no test named '{}'", name));
  return function(*this, input, arguments);
}

// ---------------------------------------------------------------- into values

Result<std::optional<Value>> Machine::next_of(Generator& generator) {
  while (generator.next < generator.source.size()) {
    RETURN_IF_ERROR(spend(1));
    const Value candidate = generator.source[generator.next++];
    if (!generator.step) return std::optional<Value>(candidate);
    ASSIGN_OR_RETURN(std::optional<Value> value, generator.step(*this, candidate));
    if (value) return value;
  }
  return std::optional<Value>();
}

Result<std::vector<Value>> Machine::iterate(const Value& value) {
  std::vector<Value> items;
  switch (value.kind()) {
    case Kind::kUndefined:
      return items;
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      RETURN_IF_ERROR(spend_items(value.items().size()));
      return value.items();
    case Kind::kDict:
      RETURN_IF_ERROR(spend_items(value.dict().size()));
      for (const auto& entry : value.dict().entries()) items.push_back(entry.first);
      return items;
    case Kind::kString: {
      const Text& text = value.text();
      RETURN_IF_ERROR(spend(text.size()));
      const std::vector<size_t> offsets = character_offsets(text.bytes());
      for (size_t i = 0; i + 1 < offsets.size(); ++i) {
        items.push_back(Value::string(text.slice(offsets[i], offsets[i + 1])));
      }
      return items;
    }
    case Kind::kRange: {
      const Range& range = value.as<Range>();
      const int64_t n = range.size();
      RETURN_IF_ERROR(spend_items(static_cast<size_t>(n)));
      for (int64_t i = 0; i < n; ++i) items.push_back(Value::integer(range.at(i)));
      return items;
    }
    case Kind::kGenerator: {
      Generator& generator = value.as<Generator>();
      for (;;) {
        ASSIGN_OR_RETURN(std::optional<Value> next, next_of(generator));
        if (!next) return items;
        items.push_back(std::move(*next));
      }
    }
    default:
      return type_error(fmt::format("'{}' object is not iterable", type_name(value)));
  }
}

Result<Value> Machine::attribute(const Value& object, const std::string& name) {
  RETURN_IF_ERROR(require_defined(object));
  switch (object.kind()) {
    case Kind::kNamespace:
      if (const Value* value = object.as<Namespace>().attributes.find(name)) return *value;
      break;
    case Kind::kLoop:
      return loop_attribute(*this, object, name);
    case Kind::kCycler:
      return cycler_attribute(object, name);
    case Kind::kFunction:
      if (name == "name") return Value::markup(object.as<Function>().name);
      break;
    default: {
      ASSIGN_OR_RETURN(const std::optional<Value> method, find_method(*this, object, name));
      if (method) return *method;
      if (!object.is(Kind::kDict)) break;
      if (const Value* value = object.dict().find(name)) return *value;
    }
  }
  return Value::undefined(
      fmt::format("'{} object' has no attribute '{}'", type_name(object), name));
}

Result<Value> Machine::item(const Value& object, const Value& key) {
  RETURN_IF_ERROR(require_defined(object));
  if (object.is(Kind::kDict)) {
    RETURN_IF_ERROR(spend(key.weight()));
    if (const Value* value = object.dict().find(key)) return *value;
  } else if (key.is_integer()) {
    const int64_t n = object.is(Kind::kString)  ? code_points(object)
                      : object.is(Kind::kRange) ? object.as<Range>().size()
                      : object.is_sequence()    ? static_cast<int64_t>(object.items().size())
                                                : 0;
    int64_t index = key.as_integer();
    if (index < 0) index += n;
    if (index >= 0 && index < n) {
      if (object.is(Kind::kRange)) return Value::integer(object.as<Range>().at(index));
      if (object.is_sequence()) return object.items()[static_cast<size_t>(index)];
      const Value next = Value::integer(index + 1);
      return jinja::slice(*this, object, Value::integer(index), next, Value::none());
    }
  }
  if (key.is(Kind::kString)) {
    // object["name"] falls back to object.name.
    if (!object.is(Kind::kDict)) return attribute(object, key.text().bytes());
    ASSIGN_OR_RETURN(const std::optional<Value> method,
                     find_method(*this, object, key.text().bytes()));
    if (method) return *method;
  }
  ASSIGN_OR_RETURN(const Text shown, to_text(key));
  return Value::undefined(fmt::format("'{} object' has no element '{}'", type_name(object),
                                      shown.bytes().substr(0, 100)));
}

}  // namespace nibble::jinja
