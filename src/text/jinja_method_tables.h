// The methods of values, in three files.
#pragma once

#include <span>
#include <string_view>

#include "text/jinja_library.h"

namespace nibble::jinja {

using MethodFn = Result<Value> (*)(Machine&, const Value& self, CallArguments& arguments);

struct NamedMethod {
  std::string_view name;
  MethodFn function;
};

// Of strings: those that split, join, search and replace, and all others.
std::span<const NamedMethod> text_part_methods();
std::span<const NamedMethod> text_methods();

}  // namespace nibble::jinja
