// Jinja, the template language of chat templates: the language of Python's Jinja2 as transformers
// sets it up (apply_chat_template): trim_blocks, lstrip_blocks, break and continue, an immutable
// sandbox, `tojson` without HTML escapes, `strftime_now`, `raise_exception`, {% generation %}.
//
// Texts remember who wrote them: of what is printed, only the parts written by the template itself
// may become special tokens. Numbers have no author. There is no way from a value to the program
// around it, data is never read as a template, and every rendering has a budget (kMaxSteps,
// kMaxTextBytes, kMaxItems, kMaxDepth in jinja_value.h).
//
// Not supported, with an error that says so: templates of several files (include, import, extends,
// block), autoescape, whole numbers beyond 64 bits, \N{...}, and the filters filesizeformat,
// pprint, random, striptags, urlize, wordwrap, xmlattr.
#pragma once

#include <ctime>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja_text.h"
#include "text/jinja_value.h"

namespace nibble::jinja {

struct Tree;

class Template {
 public:
  // `source`: UTF-8, at most 1 MiB. kInvalid with line and column for what Jinja2 does not compile.
  static Result<Template> parse(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `variables`: a dict. `now`: what strftime_now() tells. kInvalid with line and column when the
  // template fails, refuses (raise_exception) or exceeds its budget. Any number of threads.
  Result<Text> render(const Value& variables, const std::tm& now) const;

 private:
  explicit Template(std::unique_ptr<Tree> tree);
  std::unique_ptr<Tree> tree_;
};

}  // namespace nibble::jinja
