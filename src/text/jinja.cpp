#include "text/jinja.h"

#include "base/utf8.h"
#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"
#include "text/jinja_machine.h"

namespace nibble::jinja {

Template::Template(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Result<Template> Template::parse(std::string_view source) {
  if (!is_valid_utf8(source)) {
    return make_error(ErrorKind::kInvalid, "[template] is no UTF-8 text; the file is damaged");
  }
  ASSIGN_OR_RETURN(Tree tree, parse_template(source));
  return Template(std::make_unique<Tree>(std::move(tree)));
}

Result<Text> Template::render(const Value& variables, const std::tm& now) const {
  CHECK(variables.is(Kind::kDict));
  Machine machine(*tree_, variables, now);
  Result<Text> text = machine.run();
  if (text.ok()) return text;
  return make_error(text.error().kind, "[template, {}] {}",
                    position_text(tree_->source, machine.error_offset()), text.error().message);
}

}  // namespace nibble::jinja
