// Runs a template: the scopes, the budgets, and what filters, tests and methods may ask for.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja_ast.h"

namespace nibble::jinja {

struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<int, Value>> variables;  // symbol, value
  bool captured = false;                         // a macro looks into it
};

// The `loop` of a for statement. Elements come one by one: a condition may depend on what the body
// did before.
struct Loop : Object {
  std::vector<Value> source;
  size_t next = 0;
  int64_t index0 = -1, depth0 = 0;
  bool counted = false;  // whether `source` is what comes, without a condition to ask
  std::optional<Value> previous, current, ahead;
  std::optional<std::vector<Value>> last_changed;
  const Node* node = nullptr;
  Scope* scope = nullptr;  // where the for statement stands
};

enum class Flow { kNormal, kBreak, kContinue };

class Machine {
 public:
  // `variables`: a dict. `now`: what strftime_now tells.
  Machine(const Tree& tree, const Value& variables, const std::tm& now);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Result<Text> run();
  size_t error_offset() const { return error_at_.value_or(0); }
  const std::tm& now() const { return now_; }

  // Budgets. kInvalid when they are used up.
  Status spend(uint64_t steps);
  Status spend_bytes(size_t n) { return spend(1 + n / 64); }
  // For what looks at a text character by character.
  Status spend_characters(size_t n) { return spend(1 + n / 8); }
  Status spend_items(size_t n) { return spend(1 + n / 4); }
  Status spend_on(const Value& value) { return spend(1 + value.weight() / 4); }

  // New values within the limits.
  Result<Value> text(Text text, bool escaped = false);
  Result<Value> list(std::vector<Value> items, Kind kind = Kind::kList);
  Result<Value> object(Kind kind, std::shared_ptr<Object> object);
  Value new_namespace(std::shared_ptr<Namespace> made);
  Result<Text> to_text(const Value& value);  // str(value)

  // What `for` would see; of a generator what is left. kInvalid for values without elements.
  Result<std::vector<Value>> iterate(const Value& value);
  Result<std::optional<Value>> next_of(Generator& generator);
  Result<Value> attribute(const Value& object, const std::string& name);  // object.name
  Result<Value> item(const Value& object, const Value& key);              // object[key]
  Result<Value> call(const Value& callee, CallArguments& arguments);
  Result<Value> filter(const std::string& name, const Value& input, CallArguments& arguments);
  Result<bool> test(const std::string& name, const Value& input, CallArguments& arguments);

  // Of the `loop` object.
  Result<bool> peek(Loop& loop);
  Result<int64_t> count(Loop& loop);

 private:
  class Entered;
  class Capture;

  Result<Value> evaluate(const Node& node);
  Result<Value> evaluate_kind(const Node& node);
  Result<Value> load(const Node& node);
  Result<Value> logical(const Node& node);
  Result<Value> conditional(const Node& node);
  Result<Value> compare(const Node& node);
  Result<Value> concatenate(const Node& node);
  Result<Value> list_literal(const Node& node);
  Result<Value> dict_literal(const Node& node);
  Result<Value> slice(const Node& node);
  Result<Value> unary(const Node& node);
  Result<Value> binary_operation(const Node& node);
  Result<Value> subscript(const Node& node);
  Result<Value> call_node(const Node& node);
  Result<Value> filter_node(const Node& node);
  Result<Value> filter_on(const Node& node, Value input);
  Result<Value> test_node(const Node& node);
  Status arguments(const ArgumentNodes& nodes, CallArguments& arguments);

  Result<Flow> execute(const Node& node);
  Result<Flow> execute_kind(const Node& node);
  Result<Flow> execute_all(const std::vector<NodePtr>& body);
  Status print(const Node& node);
  Status write(const Value& value);
  Status assign(const Node& target, Value value);
  void set(int symbol, Value value);
  Result<Flow> set_block(const Node& node);
  Result<Flow> for_statement(const Node& node);
  Status run_loop(const Node& node, const Value& iterable, Scope* outer, int64_t depth0);
  Status run_iterations(const Node& node, Loop& loop, const Value& loop_value);
  Result<bool> wanted(Loop& loop, const Value& candidate);
  Result<Value> call_loop(const Value& loop, CallArguments& arguments);
  Value make_macro(const Node& node);
  Result<Value> call_macro(const Node& node, Scope* definition, CallArguments& arguments);
  Status bind_macro(const Node& node, CallArguments& arguments);
  Result<Flow> call_block(const Node& node);
  Result<Flow> filter_block(const Node& node);
  Result<Flow> with_statement(const Node& node);
  Result<Value> capture(const std::vector<NodePtr>& body);

  const Tree& tree_;
  const Value& variables_;
  const std::tm now_;
  uint64_t steps_ = 0;
  int call_depth_ = 0, eval_depth_ = 0;
  std::optional<size_t> error_at_;
  Text output_;
  Text* out_ = &output_;
  Scope root_;
  Scope* scope_ = &root_;
  std::vector<std::unique_ptr<Scope>> kept_;
  // Whatever can be made to hold itself: emptied at the end.
  std::vector<std::shared_ptr<Object>> mutables_;
};

}  // namespace nibble::jinja
