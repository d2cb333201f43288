// Types of cached keys and values, as users spell them.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "formats/format.h"

namespace nibble {

inline FormatId cache_type(const std::string& name) {
  return name == "f32" ? FormatId::F32 : name == "q8_0" ? FormatId::Q8_0 : FormatId::F16;
}
inline const char* cache_type_name(FormatId type) {
  return type == FormatId::F32 ? "f32" : type == FormatId::Q8_0 ? "q8_0" : "f16";
}

inline CLI::Validator is_cache_type() {
  return CLI::IsMember({"f32", "f16", "q8_0"}, CLI::ignore_case);
}

}  // namespace nibble
