// The parser's inside, shared by its two files.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace nibble::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, Tree& tree, size_t& error_at)
      : tokens_(std::move(tokens)), tree_(tree), error_at_(error_at) {}
  Status run();

 private:
  // Counts how deep the parser stands in itself.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    bool too_deep() const { return parser_.depth_ > kMaxDepth; }

   private:
    Parser& parser_;
  };
  // break and continue do not reach out of a macro.
  class LoopHidden {
   public:
    explicit LoopHidden(Parser& parser) : parser_(parser), n_(std::exchange(parser.n_loops_, 0)) {}
    ~LoopHidden() { parser_.n_loops_ = n_; }
    LoopHidden(const LoopHidden&) = delete;
    LoopHidden& operator=(const LoopHidden&) = delete;

   private:
    Parser& parser_;
    int n_;
  };
  struct Mentions {
    bool caller = false, varargs = false, kwargs = false;
  };
  // How "a, b, c" is read.
  struct TupleRules {
    bool with_condition = true;   // a if b else c may stand in it
    bool in_parentheses = false;  // () is a tuple
    bool with_namespace = false;  // ns.x is a target
    bool simplified = false;      // names and literals only: a target
    std::string_view until = {};  // a name that ends it
  };

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  size_t here() const { return current().offset; }
  void advance() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool is_operator(std::string_view op) const {
    return current().kind == TokenKind::kOperator && current().text == op;
  }
  bool is_name(std::string_view name) const {
    return current().kind == TokenKind::kName && current().text == name;
  }
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  Status expect_operator(std::string_view op);
  Status expect_block_end();
  Result<std::string> expect_name();
  Error fail(size_t offset, std::string message);
  Error too_deep(size_t offset);
  std::string describe(const Token& token) const;
  int symbol(std::string_view name);

  NodePtr node(NodeType type, size_t offset) const;
  Result<NodePtr> finish(NodePtr made);  // sets the height, which has a limit
  Result<NodePtr> binary(NodeType type, std::string_view op, NodePtr left, NodePtr right);

  Status statements(std::initializer_list<std::string_view> ends, std::vector<NodePtr>& body);
  Status block(std::initializer_list<std::string_view> ends, std::vector<NodePtr>& body);
  Result<NodePtr> statement();
  Result<NodePtr> if_statement(size_t begin);
  Result<NodePtr> for_statement(size_t begin);
  Result<NodePtr> set_statement(size_t begin);
  Result<NodePtr> macro_statement(size_t begin);
  Result<NodePtr> call_block(size_t begin);
  Result<NodePtr> filter_block(size_t begin);
  Result<NodePtr> with_statement(size_t begin);
  Result<NodePtr> print_statement(size_t begin);
  Status signature(Node& made);
  Status macro_body(Node& made, std::string_view end);
  Status check_target_name(size_t offset, std::string_view name);
  Status check_target(const Node& target);
  Result<NodePtr> assign_target(const TupleRules& rules);

  Result<NodePtr> tuple(const TupleRules& rules);
  bool tuple_ends(const TupleRules& rules) const;
  Result<NodePtr> expression(bool with_condition = true);
  Result<NodePtr> or_expression();
  Result<NodePtr> and_expression();
  Result<NodePtr> not_expression();
  Result<NodePtr> comparison();
  Result<NodePtr> sum();
  Result<NodePtr> concatenation();
  Result<NodePtr> product();
  Result<NodePtr> power();
  Result<NodePtr> unary(bool with_filter);
  Result<NodePtr> primary(bool with_namespace);
  Result<NodePtr> name_or_constant(bool with_namespace);
  Result<NodePtr> list_literal();
  Result<NodePtr> dict_literal();
  Result<NodePtr> postfix(NodePtr left);
  Result<NodePtr> postfix_filters(NodePtr left);
  Result<NodePtr> subscript(NodePtr left);
  Result<NodePtr> subscribed(NodePtr left);
  Result<NodePtr> call(NodePtr left);
  Result<NodePtr> filter(NodePtr left);   // name and arguments, behind the |
  Result<NodePtr> filters(NodePtr left);  // | name | name ...; `left` may be null
  Result<NodePtr> test(NodePtr left);
  Result<std::string> dotted_name();
  Status arguments(ArgumentNodes& arguments);

  std::vector<Token> tokens_;
  Tree& tree_;
  size_t& error_at_;
  size_t at_ = 0;
  int depth_ = 0, n_loops_ = 0;
  Mentions mentions_;
  std::unordered_map<std::string, int> symbols_;
};

// Finds filters and tests that do not exist. Inside of an {% if %} or a conditional expression they
// are an error only when they are reached, as in Jinja2.
Status check_names(const Tree& tree, size_t& error_at);

}  // namespace nibble::jinja
