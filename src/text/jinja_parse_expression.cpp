// Tokens -> tree: expressions, weakest binding first.
#include <algorithm>
#include <array>

#include "text/jinja_parser.h"

namespace nibble::jinja {

Result<NodePtr> Parser::binary(NodeType type, std::string_view op, NodePtr left, NodePtr right) {
  NodePtr made = node(type, left->offset);
  made->name = op;
  made->operands.push_back(std::move(left));
  made->operands.push_back(std::move(right));
  return finish(std::move(made));
}

bool Parser::tuple_ends(const TupleRules& rules) const {
  return current().kind == TokenKind::kVariableEnd || current().kind == TokenKind::kBlockEnd ||
         is_operator(")") || (!rules.until.empty() && is_name(rules.until));
}

Result<NodePtr> Parser::tuple(const TupleRules& rules) {
  NodePtr made = node(NodeType::kTuple, here());
  bool is_tuple = false;
  for (;;) {
    if (!made->operands.empty()) RETURN_IF_ERROR(expect_operator(","));
    if (tuple_ends(rules)) break;
    ASSIGN_OR_RETURN(NodePtr item, rules.simplified ? primary(rules.with_namespace)
                                                    : expression(rules.with_condition));
    made->operands.push_back(std::move(item));
    if (!is_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return finish(std::move(made));
  if (!made->operands.empty()) return std::move(made->operands[0]);
  if (!rules.in_parentheses) {
    return fail(here(), fmt::format("expected an expression, found {}", describe(current())));
  }
  return finish(std::move(made));
}

Result<NodePtr> Parser::expression(bool with_condition) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep(here());
  ASSIGN_OR_RETURN(NodePtr value, or_expression());
  while (with_condition && skip_name("if")) {
    NodePtr made = node(NodeType::kCondition, value->offset);
    ASSIGN_OR_RETURN(NodePtr condition, or_expression());
    NodePtr other;
    if (skip_name("else")) {
      ASSIGN_OR_RETURN(other, expression());
    }
    made->operands.push_back(std::move(value));
    made->operands.push_back(std::move(condition));
    made->operands.push_back(std::move(other));
    ASSIGN_OR_RETURN(value, finish(std::move(made)));
  }
  return value;
}

Result<NodePtr> Parser::or_expression() {
  ASSIGN_OR_RETURN(NodePtr left, and_expression());
  while (skip_name("or")) {
    ASSIGN_OR_RETURN(NodePtr right, and_expression());
    ASSIGN_OR_RETURN(left, binary(NodeType::kOr, "or", std::move(left), std::move(right)));
  }
  return left;
}

Result<NodePtr> Parser::and_expression() {
  ASSIGN_OR_RETURN(NodePtr left, not_expression());
  while (skip_name("and")) {
    ASSIGN_OR_RETURN(NodePtr right, not_expression());
    ASSIGN_OR_RETURN(left, binary(NodeType::kAnd, "and", std::move(left), std::move(right)));
  }
  return left;
}

Result<NodePtr> Parser::not_expression() {
  if (!is_name("not")) return comparison();
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep(here());
  NodePtr made = node(NodeType::kNot, here());
  advance();
  ASSIGN_OR_RETURN(NodePtr operand, not_expression());
  made->operands.push_back(std::move(operand));
  return finish(std::move(made));
}

Result<NodePtr> Parser::comparison() {
  constexpr std::array<std::string_view, 6> kSigns = {"==", "!=", "<", "<=", ">", ">="};
  ASSIGN_OR_RETURN(NodePtr left, sum());
  NodePtr made = node(NodeType::kCompare, left->offset);
  made->operands.push_back(std::move(left));
  for (;;) {
    std::string sign;
    if (current().kind == TokenKind::kOperator &&
        std::find(kSigns.begin(), kSigns.end(), current().text) != kSigns.end()) {
      sign = current().text;
      advance();
    } else if (skip_name("in")) {
      sign = "in";
    } else if (is_name("not") && ahead().kind == TokenKind::kName && ahead().text == "in") {
      sign = "notin";
      advance();
      advance();
    } else {
      break;
    }
    made->comparisons.push_back(std::move(sign));
    ASSIGN_OR_RETURN(NodePtr right, sum());
    made->operands.push_back(std::move(right));
  }
  if (made->comparisons.empty()) return std::move(made->operands[0]);
  return finish(std::move(made));
}

Result<NodePtr> Parser::sum() {
  ASSIGN_OR_RETURN(NodePtr left, concatenation());
  while (is_operator("+") || is_operator("-")) {
    const std::string op = current().text;
    advance();
    ASSIGN_OR_RETURN(NodePtr right, concatenation());
    ASSIGN_OR_RETURN(left, binary(NodeType::kBinary, op, std::move(left), std::move(right)));
  }
  return left;
}

Result<NodePtr> Parser::concatenation() {
  ASSIGN_OR_RETURN(NodePtr left, product());
  if (!is_operator("~")) return left;
  NodePtr made = node(NodeType::kConcat, left->offset);
  made->operands.push_back(std::move(left));
  while (skip_operator("~")) {
    ASSIGN_OR_RETURN(NodePtr right, product());
    made->operands.push_back(std::move(right));
  }
  return finish(std::move(made));
}

Result<NodePtr> Parser::product() {
  ASSIGN_OR_RETURN(NodePtr left, power());
  while (is_operator("*") || is_operator("/") || is_operator("//") || is_operator("%")) {
    const std::string op = current().text;
    advance();
    ASSIGN_OR_RETURN(NodePtr right, power());
    ASSIGN_OR_RETURN(left, binary(NodeType::kBinary, op, std::move(left), std::move(right)));
  }
  return left;
}

// Jinja2's ** binds from the left.
Result<NodePtr> Parser::power() {
  ASSIGN_OR_RETURN(NodePtr left, unary(true));
  while (skip_operator("**")) {
    ASSIGN_OR_RETURN(NodePtr right, unary(true));
    ASSIGN_OR_RETURN(left, binary(NodeType::kBinary, "**", std::move(left), std::move(right)));
  }
  return left;
}

Result<NodePtr> Parser::unary(bool with_filter) {
  NodePtr value;
  if (is_operator("-") || is_operator("+")) {
    const Nesting nesting(*this);
    if (nesting.too_deep()) return too_deep(here());
    NodePtr made = node(is_operator("-") ? NodeType::kNegative : NodeType::kPositive, here());
    advance();
    ASSIGN_OR_RETURN(NodePtr operand, unary(false));
    made->operands.push_back(std::move(operand));
    ASSIGN_OR_RETURN(value, finish(std::move(made)));
  } else {
    ASSIGN_OR_RETURN(value, primary(false));
  }
  ASSIGN_OR_RETURN(value, postfix(std::move(value)));
  if (!with_filter) return value;
  return postfix_filters(std::move(value));
}

Result<NodePtr> Parser::primary(bool with_namespace) {
  const Token& token = current();
  NodePtr made = node(NodeType::kConstant, token.offset);
  switch (token.kind) {
    case TokenKind::kName:
      return name_or_constant(with_namespace);
    case TokenKind::kString: {
      std::string text;
      for (; current().kind == TokenKind::kString; advance()) text += current().text;
      made->value = Value::markup(std::move(text));
      return finish(std::move(made));
    }
    case TokenKind::kInteger:
      made->value = Value::integer(token.integer);
      advance();
      return finish(std::move(made));
    case TokenKind::kFloat:
      made->value = Value::floating(token.number);
      advance();
      return finish(std::move(made));
    default:
      break;
  }
  if (is_operator("[")) return list_literal();
  if (is_operator("{")) return dict_literal();
  if (!skip_operator("(")) {
    return fail(token.offset, fmt::format("unexpected {}", describe(token)));
  }
  ASSIGN_OR_RETURN(NodePtr inner, tuple({.in_parentheses = true}));
  RETURN_IF_ERROR(expect_operator(")"));
  return inner;
}

Result<NodePtr> Parser::name_or_constant(bool with_namespace) {
  const Token& token = current();
  const std::string& name = token.text;
  NodePtr made = node(NodeType::kConstant, token.offset);
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    made->value = Value::boolean(name == "true" || name == "True");
  } else if (name == "none" || name == "None") {
    made->value = Value::none();
  } else {
    made->type = NodeType::kName;
    made->symbol = symbol(name);
    mentions_.caller = mentions_.caller || name == "caller";
    mentions_.varargs = mentions_.varargs || name == "varargs";
    mentions_.kwargs = mentions_.kwargs || name == "kwargs";
  }
  advance();
  if (made->type == NodeType::kName && with_namespace && skip_operator(".")) {
    made->type = NodeType::kNamespaceTarget;
    ASSIGN_OR_RETURN(made->name, expect_name());
  }
  return finish(std::move(made));
}

Result<NodePtr> Parser::list_literal() {
  NodePtr made = node(NodeType::kList, here());
  advance();
  while (!is_operator("]")) {
    if (!made->operands.empty()) RETURN_IF_ERROR(expect_operator(","));
    if (is_operator("]")) break;
    ASSIGN_OR_RETURN(NodePtr item, expression());
    made->operands.push_back(std::move(item));
  }
  advance();
  return finish(std::move(made));
}

Result<NodePtr> Parser::dict_literal() {
  NodePtr made = node(NodeType::kDict, here());
  advance();
  while (!is_operator("}")) {
    if (!made->operands.empty()) RETURN_IF_ERROR(expect_operator(","));
    if (is_operator("}")) break;
    ASSIGN_OR_RETURN(NodePtr key, expression());
    RETURN_IF_ERROR(expect_operator(":"));
    ASSIGN_OR_RETURN(NodePtr value, expression());
    made->operands.push_back(std::move(key));
    made->operands.push_back(std::move(value));
  }
  advance();
  return finish(std::move(made));
}

Result<NodePtr> Parser::postfix(NodePtr left) {
  for (;;) {
    if (is_operator(".") || is_operator("[")) {
      ASSIGN_OR_RETURN(left, subscript(std::move(left)));
    } else if (is_operator("(")) {
      ASSIGN_OR_RETURN(left, call(std::move(left)));
    } else {
      return left;
    }
  }
}

Result<NodePtr> Parser::postfix_filters(NodePtr left) {
  for (;;) {
    if (skip_operator("|")) {
      ASSIGN_OR_RETURN(left, filter(std::move(left)));
    } else if (skip_name("is")) {
      ASSIGN_OR_RETURN(left, test(std::move(left)));
    } else if (is_operator("(")) {
      ASSIGN_OR_RETURN(left, call(std::move(left)));
    } else {
      return left;
    }
  }
}

Result<NodePtr> Parser::subscript(NodePtr left) {
  const size_t begin = here();
  if (skip_operator("[")) {
    ASSIGN_OR_RETURN(NodePtr made, subscribed(std::move(left)));
    RETURN_IF_ERROR(expect_operator("]"));
    return made;
  }
  advance();  // .
  NodePtr made = node(NodeType::kAttribute, begin);
  made->operands.push_back(std::move(left));
  if (current().kind == TokenKind::kName) {
    made->name = current().text;
  } else if (current().kind == TokenKind::kInteger) {
    made->type = NodeType::kItem;
    NodePtr index = node(NodeType::kConstant, here());
    index->value = Value::integer(current().integer);
    made->operands.push_back(std::move(index));
  } else {
    return fail(here(), fmt::format("expected a name or a number, found {}", describe(current())));
  }
  advance();
  return finish(std::move(made));
}

// What stands between [ and ]: an index, a slice, or a tuple of indices.
Result<NodePtr> Parser::subscribed(NodePtr left) {
  const size_t begin = left->offset;
  const auto part_ends = [&] { return is_operator(":") || is_operator("]") || is_operator(","); };
  NodePtr first;
  if (!is_operator(":")) {
    ASSIGN_OR_RETURN(first, expression());
    if (!is_operator(":")) {
      NodePtr index = std::move(first);
      if (is_operator(",")) {
        NodePtr several = node(NodeType::kTuple, index->offset);
        several->operands.push_back(std::move(index));
        while (skip_operator(",") && !is_operator("]")) {
          ASSIGN_OR_RETURN(NodePtr next, expression());
          several->operands.push_back(std::move(next));
        }
        ASSIGN_OR_RETURN(index, finish(std::move(several)));
      }
      return binary(NodeType::kItem, "", std::move(left), std::move(index));
    }
  }
  advance();  // the first colon
  NodePtr stop, step;
  if (!part_ends()) {
    ASSIGN_OR_RETURN(stop, expression());
  }
  if (skip_operator(":") && !part_ends()) {
    ASSIGN_OR_RETURN(step, expression());
  }
  NodePtr made = node(NodeType::kSlice, begin);
  made->operands.push_back(std::move(left));
  made->operands.push_back(std::move(first));
  made->operands.push_back(std::move(stop));
  made->operands.push_back(std::move(step));
  return finish(std::move(made));
}

Result<NodePtr> Parser::call(NodePtr left) {
  NodePtr made = node(NodeType::kCall, here());
  made->operands.push_back(std::move(left));
  RETURN_IF_ERROR(arguments(made->arguments));
  return finish(std::move(made));
}

Result<std::string> Parser::dotted_name() {
  ASSIGN_OR_RETURN(std::string name, expect_name());
  while (skip_operator(".")) {
    ASSIGN_OR_RETURN(const std::string more, expect_name());
    name += "." + more;
  }
  return name;
}

Result<NodePtr> Parser::filter(NodePtr left) {
  NodePtr made = node(NodeType::kFilter, here());
  ASSIGN_OR_RETURN(made->name, dotted_name());
  made->operands.push_back(std::move(left));
  if (is_operator("(")) RETURN_IF_ERROR(arguments(made->arguments));
  return finish(std::move(made));
}

Result<NodePtr> Parser::filters(NodePtr left) {
  while (skip_operator("|")) {
    ASSIGN_OR_RETURN(left, filter(std::move(left)));
  }
  return left;
}

Result<NodePtr> Parser::test(NodePtr left) {
  NodePtr made = node(NodeType::kTest, here());
  const bool negated = skip_name("not");
  ASSIGN_OR_RETURN(made->name, dotted_name());
  made->operands.push_back(std::move(left));
  const TokenKind kind = current().kind;
  if (is_operator("(")) {
    RETURN_IF_ERROR(arguments(made->arguments));
  } else if ((kind == TokenKind::kName && !is_name("else") && !is_name("or") && !is_name("and")) ||
             kind == TokenKind::kString || kind == TokenKind::kInteger ||
             kind == TokenKind::kFloat || is_operator("[") || is_operator("{")) {
    if (is_name("is")) return fail(here(), "tests cannot be chained with 'is'");
    ASSIGN_OR_RETURN(NodePtr argument, primary(false));
    ASSIGN_OR_RETURN(argument, postfix(std::move(argument)));
    made->arguments.positional.push_back(std::move(argument));
  }
  if (!negated) return finish(std::move(made));
  NodePtr negation = node(NodeType::kNot, made->offset);
  ASSIGN_OR_RETURN(NodePtr done, finish(std::move(made)));
  negation->operands.push_back(std::move(done));
  return finish(std::move(negation));
}

Status Parser::arguments(ArgumentNodes& arguments) {
  const size_t begin = here();
  const auto invalid = [&] { return fail(begin, "arguments in an order that no call has"); };
  RETURN_IF_ERROR(expect_operator("("));
  bool is_first = true;
  while (!is_operator(")")) {
    if (!is_first) {
      RETURN_IF_ERROR(expect_operator(","));
      if (is_operator(")")) break;
    }
    is_first = false;
    if (skip_operator("*")) {
      if (arguments.spread != nullptr || arguments.named_spread != nullptr) return invalid();
      ASSIGN_OR_RETURN(arguments.spread, expression());
    } else if (skip_operator("**")) {
      if (arguments.named_spread != nullptr) return invalid();
      ASSIGN_OR_RETURN(arguments.named_spread, expression());
    } else if (current().kind == TokenKind::kName && ahead().kind == TokenKind::kOperator &&
               ahead().text == "=") {
      if (arguments.named_spread != nullptr) return invalid();
      std::string name = current().text;
      for (const auto& [other, value] : arguments.named) {
        if (other == name) return fail(here(), fmt::format("argument '{}' is given twice", name));
      }
      advance();
      advance();
      ASSIGN_OR_RETURN(NodePtr value, expression());
      arguments.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (arguments.spread != nullptr || arguments.named_spread != nullptr ||
          !arguments.named.empty()) {
        return invalid();
      }
      ASSIGN_OR_RETURN(NodePtr value, expression());
      arguments.positional.push_back(std::move(value));
    }
  }
  advance();
  return {};
}

}  // namespace nibble::jinja
