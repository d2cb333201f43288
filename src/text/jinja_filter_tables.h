// The filters, in two files.
#pragma once

#include <span>
#include <string_view>

#include "text/jinja_library.h"

namespace nibble::jinja {

struct NamedFilter {
  std::string_view name;
  FilterFn function;
};

std::span<const NamedFilter> sequence_filters();

}  // namespace nibble::jinja
