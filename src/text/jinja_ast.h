// The template as a tree.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace nibble::jinja {

enum class NodeType : uint8_t {
  // Statements. `body` and `otherwise` are lists of statements.
  kOutput,       // operands: what is printed, one after the other
  kSet,          // operands: target, value
  kSetBlock,     // operands: target [, filter over a missing operand]; body
  kIf,           // operands: condition; body; otherwise (elif: an If alone in otherwise)
  kFor,          // operands: target, iterable [, condition]; body; otherwise; flag: recursive
  kMacro,        // name; params; body
  kCallBlock,    // operands: the call; params; body
  kFilterBlock,  // operands: filter over a missing operand; body
  kWith,         // operands: target, value, target, value ...; body
  kScope,        // body, in a scope of its own: {% generation %}
  kBreak,
  kContinue,
  // Expressions
  kConstant,   // value
  kName,       // symbol
  kAttribute,  // operands: object; name
  kItem,       // operands: object, index
  kSlice,      // operands: object, start, stop, step (each may be null)
  kList,       // operands
  kTuple,      // operands; as a target too
  kDict,       // operands: key, value, key, value ...
  kCall,       // operands: callee; arguments
  kFilter,     // operands: what it is applied to (null in kSetBlock, kFilterBlock); name; arguments
  kTest,       // operands: what is tested; name; arguments
  kCondition,  // operands: value, condition, other value (may be null)
  kAnd,
  kOr,
  kNot,
  kNegative,
  kPositive,
  kBinary,          // name: + - * / // % **; operands: left, right
  kConcat,          // operands: two or more
  kCompare,         // operands: n + 1; comparisons: n of == != < <= > >= in notin
  kNamespaceTarget  // symbol, name: ns.name as a target
};

struct Node;
using NodePtr = std::unique_ptr<Node>;

// What stands in the parentheses of a call, filter or test.
struct ArgumentNodes {
  std::vector<NodePtr> positional;
  std::vector<std::pair<std::string, NodePtr>> named;
  NodePtr spread, named_spread;  // *args, **kwargs
};

struct Parameter {
  int symbol = 0;
  std::string name;
  NodePtr fallback;  // null: none
};

struct Node {
  NodeType type;
  uint32_t offset = 0;  // in the source
  int height = 1;       // of the tree below
  bool flag = false;
  bool takes_caller = false, takes_varargs = false, takes_kwargs = false;  // kMacro, kCallBlock
  int symbol = 0;
  std::string name;
  Value value;
  std::vector<NodePtr> operands;
  std::vector<std::string> comparisons;
  ArgumentNodes arguments;
  std::vector<Parameter> params;
  std::vector<NodePtr> body, otherwise;
};

// A parsed template. Names of variables are numbers: the index into `names`.
struct Tree {
  std::string source;  // normalized; offsets of nodes point into it
  std::vector<std::string> names;
  std::vector<NodePtr> body;
  int symbol_loop = 0, symbol_caller = 0, symbol_varargs = 0, symbol_kwargs = 0;
};

// kInvalid with line and column for anything that Jinja2 does not compile, unknown filters and
// tests included, and for nesting deeper than kMaxDepth.
Result<Tree> parse_template(std::string_view source);

}  // namespace nibble::jinja
