// Filters and tests that a template names must exist before it runs.
#include "text/jinja_library.h"
#include "text/jinja_parser.h"

namespace nibble::jinja {

namespace {

class NameChecker {
 public:
  explicit NameChecker(size_t& error_at) : error_at_(error_at) {}

  // `soft`: an unknown name may stand here as long as it is not reached.
  Status visit(const Node& node, bool soft) {
    if (!soft && node.type == NodeType::kFilter && find_filter(node.name) == nullptr) {
      return unknown(node, "filter");
    }
    if (!soft && node.type == NodeType::kTest && find_test(node.name) == nullptr) {
      return unknown(node, "test");
    }
    const bool opens_scope = node.type == NodeType::kFor || node.type == NodeType::kMacro ||
                             node.type == NodeType::kCallBlock || node.type == NodeType::kWith ||
                             node.type == NodeType::kFilterBlock ||
                             node.type == NodeType::kSetBlock || node.type == NodeType::kScope;
    if (node.type == NodeType::kIf || node.type == NodeType::kCondition) soft = true;
    RETURN_IF_ERROR(visit_all(node.operands, soft));
    RETURN_IF_ERROR(visit_all(node.arguments.positional, soft));
    for (const auto& [name, value] : node.arguments.named) RETURN_IF_ERROR(visit(*value, soft));
    if (node.arguments.spread) RETURN_IF_ERROR(visit(*node.arguments.spread, soft));
    if (node.arguments.named_spread) RETURN_IF_ERROR(visit(*node.arguments.named_spread, soft));
    if (opens_scope) soft = false;
    for (const Parameter& param : node.params) {
      if (param.fallback) RETURN_IF_ERROR(visit(*param.fallback, soft));
    }
    RETURN_IF_ERROR(visit_all(node.body, soft));
    return visit_all(node.otherwise, soft);
  }

  Status visit_all(const std::vector<NodePtr>& nodes, bool soft) {
    for (const NodePtr& node : nodes) {
      if (node != nullptr) RETURN_IF_ERROR(visit(*node, soft));
    }
    return {};
  }

 private:
  Error unknown(const Node& node, const char* what) {
    error_at_ = node.offset;
    return make_error(ErrorKind::kInvalid, "there is no {} named '{}'", what, node.name);
  }
  size_t& error_at_;
};

}  // namespace

Status check_names(const Tree& tree, size_t& error_at) {
  return NameChecker(error_at).visit_all(tree.body, false);
}

}  // namespace nibble::jinja
