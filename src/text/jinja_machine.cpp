// Statements, scopes and budgets.
#include "text/jinja_machine.h"

#include <algorithm>

#include "text/jinja_library.h"

namespace nibble::jinja {
namespace {

// Evaluations inside of each other, over all calls: what the C++ stack has to carry.
constexpr int kMaxEvaluations = 1500;

Error out_of(const char* what, const std::string& limit) {
  return make_error(ErrorKind::kInvalid, "the template needs more than {} {}; it may never end",
                    limit, what);
}

}  // namespace

// A scope inside the present one, as long as this object lives.
class Machine::Entered {
 public:
  Entered(Machine& machine, Scope* parent)
      : machine_(machine), outer_(machine.scope_), scope_(std::make_unique<Scope>()) {
    scope_->parent = parent;
    machine_.scope_ = scope_.get();
  }
  ~Entered() {
    machine_.scope_ = outer_;
    keep_if_captured();
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  // Begins it anew: each iteration of a loop has its own variables.
  void renew() {
    if (scope_->captured) {
      Scope* parent = scope_->parent;
      keep_if_captured();
      scope_ = std::make_unique<Scope>();
      scope_->parent = parent;
      machine_.scope_ = scope_.get();
    }
    scope_->variables.clear();
  }

 private:
  void keep_if_captured() {
    if (scope_->captured) machine_.kept_.push_back(std::move(scope_));
  }
  Machine& machine_;
  Scope* outer_;
  std::unique_ptr<Scope> scope_;
};

// What is printed goes to a text of its own, as long as this object lives.
class Machine::Capture {
 public:
  explicit Capture(Machine& machine) : machine_(machine), outer_(machine.out_) {
    machine_.out_ = &text;
  }
  ~Capture() { machine_.out_ = outer_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  Text text;

 private:
  Machine& machine_;
  Text* outer_;
};

Machine::Machine(const Tree& tree, const Value& variables, const std::tm& now)
    : tree_(tree), variables_(variables), now_(now) {}

Machine::~Machine() {
  for (const auto& object : mutables_) {
    if (auto* names = dynamic_cast<Namespace*>(object.get())) {
      names->attributes = {};
    } else if (auto* loop = dynamic_cast<Loop*>(object.get())) {
      loop->last_changed.reset();
    }
  }
}

Result<Text> Machine::run() {
  ASSIGN_OR_RETURN(const Flow flow, execute_all(tree_.body));
  static_cast<void>(flow);
  return std::move(output_);
}

Status Machine::spend(uint64_t steps) {
  steps_ += steps;
  if (steps_ > kMaxSteps) return out_of("steps", "10^6");
  return {};
}

Result<Value> Machine::text(Text text, bool escaped) {
  if (text.size() > kMaxTextBytes) return out_of("for one text", "16 MiB");
  RETURN_IF_ERROR(spend_bytes(text.size()));
  return Value::string(std::move(text), escaped);
}

Result<Value> Machine::list(std::vector<Value> items, Kind kind) {
  if (items.size() > kMaxItems) return out_of("elements in a list", "10^6");
  RETURN_IF_ERROR(spend_items(items.size()));
  return object(kind, std::make_shared<List>(std::move(items)));
}

Result<Value> Machine::object(Kind kind, std::shared_ptr<Object> made) {
  if (made->depth > kMaxDepth) {
    return make_error(ErrorKind::kInvalid, "values are nested deeper than {}", kMaxDepth);
  }
  return Value::object(kind, std::move(made));
}

Value Machine::new_namespace(std::shared_ptr<Namespace> made) {
  mutables_.push_back(made);
  return Value::object(Kind::kNamespace, std::move(made));
}

Result<Text> Machine::to_text(const Value& value) {
  if (value.is(Kind::kString)) return value.text();
  uint64_t weight = value.weight();
  if (value.is(Kind::kNamespace)) weight = value.as<Namespace>().attributes.weight;
  RETURN_IF_ERROR(spend(weight));
  return jinja::to_text(value);
}

Result<Flow> Machine::execute_all(const std::vector<NodePtr>& body) {
  for (const NodePtr& node : body) {
    ASSIGN_OR_RETURN(const Flow flow, execute(*node));
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Flow> Machine::execute(const Node& node) {
  Result<Flow> flow = Flow::kNormal;
  ++eval_depth_;
  if (const Status status = spend(1); !status.ok()) {
    flow = status.error();
  } else if (eval_depth_ > kMaxEvaluations) {
    flow = make_error(ErrorKind::kInvalid, "calls are nested too deep");
  } else {
    flow = execute_kind(node);
  }
  --eval_depth_;
  if (!flow.ok() && !error_at_) error_at_ = node.offset;
  return flow;
}

Result<Flow> Machine::execute_kind(const Node& node) {
  switch (node.type) {
    case NodeType::kOutput:
      RETURN_IF_ERROR(print(node));
      return Flow::kNormal;
    case NodeType::kSet: {
      ASSIGN_OR_RETURN(Value value, evaluate(*node.operands[1]));
      RETURN_IF_ERROR(assign(*node.operands[0], std::move(value)));
      return Flow::kNormal;
    }
    case NodeType::kSetBlock:
      return set_block(node);
    case NodeType::kIf: {
      ASSIGN_OR_RETURN(const Value condition, evaluate(*node.operands[0]));
      return execute_all(truth(condition) ? node.body : node.otherwise);
    }
    case NodeType::kFor:
      return for_statement(node);
    case NodeType::kMacro:
      set(node.symbol, make_macro(node));
      return Flow::kNormal;
    case NodeType::kCallBlock:
      return call_block(node);
    case NodeType::kFilterBlock:
      return filter_block(node);
    case NodeType::kWith:
      return with_statement(node);
    case NodeType::kScope: {
      const Entered entered(*this, scope_);
      return execute_all(node.body);
    }
    case NodeType::kBreak:
      return Flow::kBreak;
    case NodeType::kContinue:
      return Flow::kContinue;
    default:
      CHECK(false);
  }
}

Status Machine::print(const Node& node) {
  for (const NodePtr& part : node.operands) {
    ASSIGN_OR_RETURN(const Value value, evaluate(*part));
    RETURN_IF_ERROR(write(value));
  }
  return {};
}

Status Machine::write(const Value& value) {
  Text made;
  const Text* text = &made;
  if (value.is(Kind::kString)) {
    text = &value.text();
  } else {
    ASSIGN_OR_RETURN(made, to_text(value));
  }
  if (out_->size() + text->size() > kMaxTextBytes) return out_of("of output", "16 MiB");
  RETURN_IF_ERROR(spend_bytes(text->size()));
  out_->append(*text);
  return {};
}

void Machine::set(int symbol, Value value) {
  auto& variables = scope_->variables;
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const auto& variable) { return variable.first == symbol; });
  if (found != variables.end()) {
    found->second = std::move(value);
  } else {
    variables.emplace_back(symbol, std::move(value));
  }
}

Status Machine::assign(const Node& target, Value value) {
  // A scope is searched from one end to the other.
  RETURN_IF_ERROR(spend(1 + scope_->variables.size() / 16));
  if (target.type == NodeType::kName) {
    set(target.symbol, std::move(value));
    return {};
  }
  if (target.type == NodeType::kNamespaceTarget) {
    ASSIGN_OR_RETURN(const Value names, load(target));
    if (!names.is(Kind::kNamespace)) {
      return type_error("only attributes of a namespace() can be assigned");
    }
    names.as<Namespace>().attributes.set(target.name, std::move(value));
    return {};
  }
  ASSIGN_OR_RETURN(std::vector<Value> items, iterate(value));
  if (items.size() != target.operands.size()) {
    return type_error(fmt::format("{} names for {} values", target.operands.size(), items.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    RETURN_IF_ERROR(assign(*target.operands[i], std::move(items[i])));
  }
  return {};
}

Result<Value> Machine::capture(const std::vector<NodePtr>& body) {
  Capture captured(*this);
  ASSIGN_OR_RETURN(const Flow flow, execute_all(body));
  static_cast<void>(flow);
  return text(std::move(captured.text));
}

Result<Flow> Machine::set_block(const Node& node) {
  Value value;
  {
    const Entered entered(*this, scope_);
    ASSIGN_OR_RETURN(value, capture(node.body));
    if (node.operands.size() > 1) {
      ASSIGN_OR_RETURN(value, filter_on(*node.operands[1], std::move(value)));
    }
  }
  RETURN_IF_ERROR(assign(*node.operands[0], std::move(value)));
  return Flow::kNormal;
}

Result<Flow> Machine::filter_block(const Node& node) {
  const Entered entered(*this, scope_);
  ASSIGN_OR_RETURN(Value value, capture(node.body));
  ASSIGN_OR_RETURN(value, filter_on(*node.operands[0], std::move(value)));
  RETURN_IF_ERROR(write(value));
  return Flow::kNormal;
}

Result<Flow> Machine::with_statement(const Node& node) {
  // The values see the outer scope, all of them.
  std::vector<Value> values;
  for (size_t i = 1; i < node.operands.size(); i += 2) {
    ASSIGN_OR_RETURN(Value value, evaluate(*node.operands[i]));
    values.push_back(std::move(value));
  }
  const Entered entered(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) {
    RETURN_IF_ERROR(assign(*node.operands[2 * i], std::move(values[i])));
  }
  return execute_all(node.body);
}

// ---------------------------------------------------------------- loops

Result<Flow> Machine::for_statement(const Node& node) {
  ASSIGN_OR_RETURN(const Value iterable, evaluate(*node.operands[1]));
  RETURN_IF_ERROR(run_loop(node, iterable, scope_, 0));
  return Flow::kNormal;
}

Status Machine::run_loop(const Node& node, const Value& iterable, Scope* outer, int64_t depth0) {
  auto loop = std::make_shared<Loop>();
  ASSIGN_OR_RETURN(loop->source, iterate(iterable));
  loop->node = &node;
  loop->scope = outer;
  loop->depth0 = depth0;
  loop->counted = node.operands.size() == 2;
  mutables_.push_back(loop);
  const Status status = run_iterations(node, *loop, Value::object(Kind::kLoop, loop));
  loop->source.clear();
  loop->previous.reset();
  loop->current.reset();
  loop->ahead.reset();
  return status;
}

Status Machine::run_iterations(const Node& node, Loop& loop, const Value& loop_value) {
  // Unlike Python's, Jinja2's `else` is also for loops of which no round came to its end.
  bool completed = false;
  {
    Entered entered(*this, loop.scope);
    for (;;) {
      entered.renew();
      ASSIGN_OR_RETURN(const bool more, peek(loop));
      if (!more) break;
      loop.previous = std::move(loop.current);
      loop.current = std::move(loop.ahead);
      loop.ahead.reset();
      ++loop.index0;
      RETURN_IF_ERROR(assign(*node.operands[0], *loop.current));
      set(tree_.symbol_loop, loop_value);
      ASSIGN_OR_RETURN(const Flow flow, execute_all(node.body));
      if (flow == Flow::kBreak) break;
      completed = completed || flow == Flow::kNormal;
    }
  }
  if (completed) return {};
  const Entered entered(*this, loop.scope);
  ASSIGN_OR_RETURN(const Flow flow, execute_all(node.otherwise));
  static_cast<void>(flow);
  return {};
}

// Whether another element comes; it is then in loop.ahead.
Result<bool> Machine::peek(Loop& loop) {
  while (!loop.ahead && loop.next < loop.source.size()) {
    RETURN_IF_ERROR(spend(1));
    Value& candidate = loop.source[loop.next++];
    ASSIGN_OR_RETURN(const bool is_wanted, wanted(loop, candidate));
    if (is_wanted) loop.ahead = candidate;
  }
  return loop.ahead.has_value();
}

Result<bool> Machine::wanted(Loop& loop, const Value& candidate) {
  if (loop.counted) return true;
  const Entered entered(*this, loop.scope);
  RETURN_IF_ERROR(assign(*loop.node->operands[0], candidate));
  ASSIGN_OR_RETURN(const Value condition, evaluate(*loop.node->operands[2]));
  return truth(condition);
}

// How many elements the loop has in all: with a condition, all of them must be asked now.
Result<int64_t> Machine::count(Loop& loop) {
  if (!loop.counted) {
    std::vector<Value> rest;
    for (size_t i = loop.next; i < loop.source.size(); ++i) {
      RETURN_IF_ERROR(spend(1));
      ASSIGN_OR_RETURN(const bool is_wanted, wanted(loop, loop.source[i]));
      if (is_wanted) rest.push_back(loop.source[i]);
    }
    loop.source = std::move(rest);
    loop.next = 0;
    loop.counted = true;
  }
  // Taken so far, one that waits, and those behind.
  return loop.index0 + 1 + (loop.ahead ? 1 : 0) +
         static_cast<int64_t>(loop.source.size() - loop.next);
}

Result<Value> Machine::call_loop(const Value& value, CallArguments& arguments) {
  const Loop& loop = value.as<Loop>();
  if (!loop.node->flag) {
    return type_error("the loop is not recursive: write {% for ... recursive %}");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    return type_error("loop() wants one argument");
  }
  Capture captured(*this);
  RETURN_IF_ERROR(run_loop(*loop.node, arguments.positional[0], loop.scope, loop.depth0 + 1));
  return text(std::move(captured.text));
}

// ---------------------------------------------------------------- macros

Value Machine::make_macro(const Node& node) {
  for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent) {
    scope->captured = true;
  }
  auto macro = std::make_shared<Function>();
  macro->name = node.name;
  macro->is_macro = true;
  macro->call = [&node, definition = scope_](Machine& machine, CallArguments& arguments) {
    return machine.call_macro(node, definition, arguments);
  };
  return Value::object(Kind::kFunction, std::move(macro));
}

Result<Value> Machine::call_macro(const Node& node, Scope* definition, CallArguments& arguments) {
  const Entered entered(*this, definition);
  RETURN_IF_ERROR(bind_macro(node, arguments));
  return capture(node.body);
}

Status Machine::bind_macro(const Node& node, CallArguments& arguments) {
  auto& named = arguments.named;
  const auto take = [&](const std::string& name) -> std::optional<Value> {
    const auto found =
        std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.first == name; });
    if (found == named.end()) return std::nullopt;
    Value value = std::move(found->second);
    named.erase(found);
    return value;
  };
  const size_t n_params = node.params.size();
  RETURN_IF_ERROR(spend_items(n_params * (1 + named.size())));
  std::vector<const Parameter*> missing;
  for (size_t i = 0; i < n_params; ++i) {
    const Parameter& param = node.params[i];
    std::optional<Value> value;
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else {
      value = take(param.name);
    }
    if (!value) missing.push_back(&param);
    set(param.symbol,
        value ? *value
              : Value::undefined(fmt::format("parameter '{}' was not provided", param.name)));
  }
  if (node.takes_caller) {
    const auto caller = take("caller");
    set(tree_.symbol_caller, caller ? *caller : Value::undefined("No caller defined"));
  }
  if (node.takes_kwargs) {
    auto kwargs = std::make_shared<Dict>();
    for (auto& [name, value] : named) kwargs->set(name, value);
    ASSIGN_OR_RETURN(Value value, object(Kind::kDict, std::move(kwargs)));
    set(tree_.symbol_kwargs, std::move(value));
  } else if (!named.empty()) {
    return type_error(
        fmt::format("macro '{}' takes no keyword argument '{}'", node.name, named[0].first));
  }
  std::vector<Value> more;
  for (size_t i = n_params; i < arguments.positional.size(); ++i) {
    more.push_back(arguments.positional[i]);
  }
  if (node.takes_varargs) {
    ASSIGN_OR_RETURN(Value value, list(std::move(more), Kind::kTuple));
    set(tree_.symbol_varargs, std::move(value));
  } else if (!more.empty()) {
    return type_error(
        fmt::format("macro '{}' takes not more than {} argument(s)", node.name, n_params));
  }
  for (const Parameter* param : missing) {
    if (param->fallback == nullptr) continue;
    ASSIGN_OR_RETURN(Value value, evaluate(*param->fallback));
    set(param->symbol, std::move(value));
  }
  return {};
}

Result<Flow> Machine::call_block(const Node& node) {
  const Node& call = *node.operands[0];
  ASSIGN_OR_RETURN(const Value callee, evaluate(*call.operands[0]));
  CallArguments call_arguments;
  RETURN_IF_ERROR(arguments(call.arguments, call_arguments));
  call_arguments.named.emplace_back("caller", make_macro(node));
  ASSIGN_OR_RETURN(const Value printed, this->call(callee, call_arguments));
  RETURN_IF_ERROR(write(printed));
  return Flow::kNormal;
}

Result<Value> Machine::call(const Value& callee, CallArguments& arguments) {
  RETURN_IF_ERROR(require_defined(callee));
  if (!callee.is(Kind::kFunction) && !callee.is(Kind::kLoop)) {
    return type_error(fmt::format("'{}' object is not callable", type_name(callee)));
  }
  if (call_depth_ >= kMaxDepth) {
    return make_error(ErrorKind::kInvalid, "calls are nested deeper than {}", kMaxDepth);
  }
  ++call_depth_;
  Result<Value> result = callee.is(Kind::kLoop) ? call_loop(callee, arguments)
                                                : callee.as<Function>().call(*this, arguments);
  --call_depth_;
  return result;
}

}  // namespace nibble::jinja
