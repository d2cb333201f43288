// Tokens -> tree: statements. Expressions are in jinja_parse_expression.cpp.
#include "text/jinja_parser.h"

#include <algorithm>
#include <array>

namespace nibble::jinja {

Error Parser::fail(size_t offset, std::string message) {
  error_at_ = offset;
  return {ErrorKind::kInvalid, std::move(message)};
}

std::string Parser::describe(const Token& token) const {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kVariableEnd:
      return "'}}'";
    case TokenKind::kBlockEnd:
      return "'%}'";
    case TokenKind::kVariableBegin:
      return "'{{'";
    case TokenKind::kBlockBegin:
      return "'{%'";
    case TokenKind::kString:
      return "a string";
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return "a number";
    default:
      return fmt::format("'{}'", token.text);
  }
}

bool Parser::skip_operator(std::string_view op) {
  if (!is_operator(op)) return false;
  advance();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  advance();
  return true;
}

Status Parser::expect_operator(std::string_view op) {
  if (skip_operator(op)) return {};
  return fail(here(), fmt::format("expected '{}', found {}", op, describe(current())));
}

Result<std::string> Parser::expect_name() {
  if (current().kind != TokenKind::kName) {
    return fail(here(), fmt::format("expected a name, found {}", describe(current())));
  }
  std::string name = current().text;
  advance();
  return name;
}

Status Parser::expect_block_end() {
  if (current().kind != TokenKind::kBlockEnd) {
    return fail(here(), fmt::format("expected '%}}', found {}", describe(current())));
  }
  advance();
  return {};
}

NodePtr Parser::node(NodeType type, size_t offset) const {
  auto made = std::make_unique<Node>();
  made->type = type;
  made->offset = static_cast<uint32_t>(offset);
  return made;
}

Result<NodePtr> Parser::finish(NodePtr made) {
  int height = 0;
  const auto see = [&](const NodePtr& child) {
    if (child != nullptr) height = std::max(height, child->height);
  };
  const auto see_all = [&](const std::vector<NodePtr>& children) {
    std::for_each(children.begin(), children.end(), see);
  };
  see_all(made->operands);
  see_all(made->body);
  see_all(made->otherwise);
  see_all(made->arguments.positional);
  for (const auto& [name, child] : made->arguments.named) see(child);
  see(made->arguments.spread);
  see(made->arguments.named_spread);
  for (const Parameter& param : made->params) see(param.fallback);
  made->height = height + 1;
  if (made->height > kMaxDepth) return too_deep(made->offset);
  return made;
}

Error Parser::too_deep(size_t offset) {
  return fail(offset, fmt::format("nested deeper than {}", kMaxDepth));
}

int Parser::symbol(std::string_view name) {
  const auto [found, is_new] =
      symbols_.emplace(std::string(name), static_cast<int>(tree_.names.size()));
  if (is_new) tree_.names.emplace_back(name);
  return found->second;
}

Status Parser::run() {
  tree_.symbol_loop = symbol("loop");
  tree_.symbol_caller = symbol("caller");
  tree_.symbol_varargs = symbol("varargs");
  tree_.symbol_kwargs = symbol("kwargs");
  RETURN_IF_ERROR(statements({}, tree_.body));
  return {};
}

// Until one of `ends` stands behind a {%, which is then the current token. Without `ends`: all.
Status Parser::statements(std::initializer_list<std::string_view> ends,
                          std::vector<NodePtr>& body) {
  const Nesting nesting(*this);
  if (nesting.too_deep()) return too_deep(here());
  const size_t opened = here();
  NodePtr output;
  const auto print = [&](NodePtr expression) -> Status {
    if (output == nullptr) output = node(NodeType::kOutput, expression->offset);
    output->operands.push_back(std::move(expression));
    return {};
  };
  const auto flush = [&]() -> Status {
    if (output == nullptr) return {};
    ASSIGN_OR_RETURN(NodePtr done, finish(std::move(output)));
    body.push_back(std::move(done));
    output = nullptr;
    return {};
  };
  for (;;) {
    const Token& token = current();
    if (token.kind == TokenKind::kEnd) {
      if (ends.size() != 0) {
        return fail(opened, fmt::format("the template ends without {{% {} %}}", *(ends.end() - 1)));
      }
      return flush();
    }
    if (token.kind == TokenKind::kData) {
      NodePtr data = node(NodeType::kConstant, token.offset);
      data->value = Value::markup(token.text);
      advance();
      RETURN_IF_ERROR(print(std::move(data)));
    } else if (token.kind == TokenKind::kVariableBegin) {
      advance();
      ASSIGN_OR_RETURN(NodePtr expression, tuple({}));
      RETURN_IF_ERROR(print(std::move(expression)));
      if (current().kind != TokenKind::kVariableEnd) {
        return fail(here(), fmt::format("expected '}}}}', found {}", describe(current())));
      }
      advance();
    } else {
      RETURN_IF_ERROR(flush());
      advance();  // {%
      if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return is_name(end); })) return {};
      ASSIGN_OR_RETURN(NodePtr statement_node, statement());
      if (statement_node != nullptr) body.push_back(std::move(statement_node));
      RETURN_IF_ERROR(expect_block_end());
    }
  }
}

// The body of a block tag: a colon may stand before its %}, as in Python.
Status Parser::block(std::initializer_list<std::string_view> ends, std::vector<NodePtr>& body) {
  skip_operator(":");
  RETURN_IF_ERROR(expect_block_end());
  return statements(ends, body);
}

Result<NodePtr> Parser::statement() {
  const size_t begin = here();
  if (current().kind != TokenKind::kName) return fail(begin, "expected the name of a tag");
  const std::string tag = current().text;
  advance();
  if (tag == "if") return if_statement(begin);
  if (tag == "for") return for_statement(begin);
  if (tag == "set") return set_statement(begin);
  if (tag == "macro") return macro_statement(begin);
  if (tag == "call") return call_block(begin);
  if (tag == "filter") return filter_block(begin);
  if (tag == "with") return with_statement(begin);
  if (tag == "print") return print_statement(begin);
  if (tag == "break" || tag == "continue") {
    if (n_loops_ == 0) return fail(begin, fmt::format("{} outside of a loop", tag));
    return finish(node(tag == "break" ? NodeType::kBreak : NodeType::kContinue, begin));
  }
  if (tag == "generation") {  // what transformers marks the assistant's words with
    NodePtr scope = node(NodeType::kScope, begin);
    const LoopHidden hidden(*this);
    RETURN_IF_ERROR(block({"endgeneration"}, scope->body));
    advance();
    return finish(std::move(scope));
  }
  constexpr std::array<std::string_view, 6> kOtherFiles = {"include", "import", "from",
                                                           "extends", "block",  "autoescape"};
  if (std::find(kOtherFiles.begin(), kOtherFiles.end(), tag) != kOtherFiles.end()) {
    return fail(begin,
                fmt::format("the tag '{}' is not supported: a chat template is one file", tag));
  }
  return fail(begin, fmt::format("unknown tag '{}'", tag));
}

Result<NodePtr> Parser::if_statement(size_t begin) {
  NodePtr made = node(NodeType::kIf, begin);
  ASSIGN_OR_RETURN(NodePtr condition, tuple({.with_condition = false}));
  made->operands.push_back(std::move(condition));
  RETURN_IF_ERROR(block({"elif", "else", "endif"}, made->body));
  const size_t next = here();
  if (skip_name("elif")) {
    const Nesting nesting(*this);
    if (nesting.too_deep()) return too_deep(next);
    ASSIGN_OR_RETURN(NodePtr other, if_statement(next));
    made->otherwise.push_back(std::move(other));
  } else if (skip_name("else")) {
    RETURN_IF_ERROR(block({"endif"}, made->otherwise));
    advance();
  } else {
    advance();
  }
  return finish(std::move(made));
}

Result<NodePtr> Parser::for_statement(size_t begin) {
  NodePtr made = node(NodeType::kFor, begin);
  ASSIGN_OR_RETURN(NodePtr target, assign_target({.until = "in"}));
  if (!skip_name("in")) {
    return fail(here(), fmt::format("expected 'in', found {}", describe(current())));
  }
  ASSIGN_OR_RETURN(NodePtr iterable, tuple({.with_condition = false, .until = "recursive"}));
  made->operands.push_back(std::move(target));
  made->operands.push_back(std::move(iterable));
  if (skip_name("if")) {
    ASSIGN_OR_RETURN(NodePtr condition, expression());
    made->operands.push_back(std::move(condition));
  }
  made->flag = skip_name("recursive");
  ++n_loops_;
  const Status body = block({"endfor", "else"}, made->body);
  --n_loops_;
  RETURN_IF_ERROR(body);
  if (skip_name("else")) {
    RETURN_IF_ERROR(block({"endfor"}, made->otherwise));
  }
  advance();
  return finish(std::move(made));
}

Result<NodePtr> Parser::set_statement(size_t begin) {
  ASSIGN_OR_RETURN(NodePtr target, assign_target({.with_namespace = true}));
  if (skip_operator("=")) {
    NodePtr made = node(NodeType::kSet, begin);
    ASSIGN_OR_RETURN(NodePtr value, tuple({}));
    made->operands.push_back(std::move(target));
    made->operands.push_back(std::move(value));
    return finish(std::move(made));
  }
  NodePtr made = node(NodeType::kSetBlock, begin);
  made->operands.push_back(std::move(target));
  ASSIGN_OR_RETURN(NodePtr filter, filters(nullptr));
  if (filter != nullptr) made->operands.push_back(std::move(filter));
  RETURN_IF_ERROR(block({"endset"}, made->body));
  advance();
  return finish(std::move(made));
}

Status Parser::signature(Node& made) {
  RETURN_IF_ERROR(expect_operator("("));
  while (!is_operator(")")) {
    if (!made.params.empty()) RETURN_IF_ERROR(expect_operator(","));
    Parameter param;
    const size_t begin = here();
    ASSIGN_OR_RETURN(param.name, expect_name());
    RETURN_IF_ERROR(check_target_name(begin, param.name));
    param.symbol = symbol(param.name);
    if (skip_operator("=")) {
      ASSIGN_OR_RETURN(param.fallback, expression());
    } else if (!made.params.empty() && made.params.back().fallback != nullptr) {
      return fail(begin, "a parameter without default follows one with a default");
    }
    for (const Parameter& other : made.params) {
      if (other.symbol == param.symbol) return fail(begin, "two parameters of one name");
    }
    made.params.push_back(std::move(param));
  }
  advance();
  return {};
}

// The body of a macro or call block, and which of caller, varargs and kwargs it asks for.
Status Parser::macro_body(Node& made, std::string_view end) {
  const LoopHidden hidden(*this);
  const Mentions outer = mentions_;
  mentions_ = {};
  const Status status = block({end}, made.body);
  made.takes_caller = mentions_.caller;
  made.takes_varargs = mentions_.varargs;
  made.takes_kwargs = mentions_.kwargs;
  mentions_ = {outer.caller || mentions_.caller, outer.varargs || mentions_.varargs,
               outer.kwargs || mentions_.kwargs};
  RETURN_IF_ERROR(status);
  advance();
  return {};
}

Result<NodePtr> Parser::macro_statement(size_t begin) {
  NodePtr made = node(NodeType::kMacro, begin);
  const size_t name_at = here();
  ASSIGN_OR_RETURN(made->name, expect_name());
  RETURN_IF_ERROR(check_target_name(name_at, made->name));
  made->symbol = symbol(made->name);
  RETURN_IF_ERROR(signature(*made));
  RETURN_IF_ERROR(macro_body(*made, "endmacro"));
  return finish(std::move(made));
}

Result<NodePtr> Parser::call_block(size_t begin) {
  NodePtr made = node(NodeType::kCallBlock, begin);
  made->name = "caller";
  if (is_operator("(")) RETURN_IF_ERROR(signature(*made));
  ASSIGN_OR_RETURN(NodePtr call, expression());
  if (call->type != NodeType::kCall) return fail(begin, "{% call %} wants the call of a macro");
  made->operands.push_back(std::move(call));
  RETURN_IF_ERROR(macro_body(*made, "endcall"));
  return finish(std::move(made));
}

Result<NodePtr> Parser::filter_block(size_t begin) {
  NodePtr made = node(NodeType::kFilterBlock, begin);
  ASSIGN_OR_RETURN(NodePtr first, filter(nullptr));
  ASSIGN_OR_RETURN(NodePtr all, filters(std::move(first)));
  made->operands.push_back(std::move(all));
  RETURN_IF_ERROR(block({"endfilter"}, made->body));
  advance();
  return finish(std::move(made));
}

Result<NodePtr> Parser::with_statement(size_t begin) {
  NodePtr made = node(NodeType::kWith, begin);
  while (current().kind != TokenKind::kBlockEnd) {
    if (!made->operands.empty()) RETURN_IF_ERROR(expect_operator(","));
    ASSIGN_OR_RETURN(NodePtr target, assign_target({}));
    RETURN_IF_ERROR(expect_operator("="));
    ASSIGN_OR_RETURN(NodePtr value, expression());
    made->operands.push_back(std::move(target));
    made->operands.push_back(std::move(value));
  }
  RETURN_IF_ERROR(block({"endwith"}, made->body));
  advance();
  return finish(std::move(made));
}

Result<NodePtr> Parser::print_statement(size_t begin) {
  NodePtr made = node(NodeType::kOutput, begin);
  while (current().kind != TokenKind::kBlockEnd) {
    if (!made->operands.empty()) RETURN_IF_ERROR(expect_operator(","));
    ASSIGN_OR_RETURN(NodePtr value, expression());
    made->operands.push_back(std::move(value));
  }
  return finish(std::move(made));
}

Status Parser::check_target_name(size_t offset, std::string_view name) {
  constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none",
                                                          "True", "False", "None"};
  if (std::find(kConstants.begin(), kConstants.end(), name) == kConstants.end()) return {};
  return fail(offset, fmt::format("can't assign to '{}'", name));
}

Status Parser::check_target(const Node& target) {
  switch (target.type) {
    case NodeType::kName:
      return check_target_name(target.offset, tree_.names[static_cast<size_t>(target.symbol)]);
    case NodeType::kNamespaceTarget:
      return {};
    case NodeType::kTuple:
      for (const NodePtr& item : target.operands) RETURN_IF_ERROR(check_target(*item));
      return {};
    default:
      return fail(target.offset, "can't assign to this");
  }
}

Result<NodePtr> Parser::assign_target(const TupleRules& rules) {
  TupleRules simple = rules;
  simple.simplified = true;
  ASSIGN_OR_RETURN(NodePtr target, tuple(simple));
  RETURN_IF_ERROR(check_target(*target));
  return target;
}

Result<Tree> parse_template(std::string_view source) {
  constexpr size_t kMaxSourceBytes = size_t{1} << 20;
  if (source.size() > kMaxSourceBytes) {
    return make_error(ErrorKind::kInvalid, "[template] has {} bytes; at most {} are allowed",
                      source.size(), kMaxSourceBytes);
  }
  Tree tree;
  tree.source = normalize_source(source);
  size_t error_at = 0;
  const auto status = [&]() -> Status {
    ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(tree.source, error_at));
    RETURN_IF_ERROR(Parser(std::move(tokens), tree, error_at).run());
    return check_names(tree, error_at);
  }();
  if (!status.ok()) {
    return make_error(ErrorKind::kInvalid, "[template, {}] {}",
                      position_text(tree.source, error_at), status.error().message);
  }
  return tree;
}

}  // namespace nibble::jinja
