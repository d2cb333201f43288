// What somebody says beside the name of a recipe: types for tensors by regular expression, and
// other values for metadata.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "container/gguf.h"
#include "formats/format.h"

struct pcre2_real_code_8;  // of PCRE2

namespace nibble {

// --tensor-type REGEX=TYPE: tensors in whose name the expression (PCRE2) matches anywhere, in any
// case, get the type.
class TensorTypeRule {
 public:
  // kUsage: no "=", an expression that does not compile, a type that is unknown or not written.
  static Result<TensorTypeRule> parse(std::string_view text);

  bool matches(std::string_view tensor_name) const;
  const Format& format() const { return *format_; }
  const std::string& text() const { return text_; }  // as it was given

 private:
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const;
  };

  std::string text_;
  const Format* format_ = nullptr;
  std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
};

// The format of a flag's value, by name in any case. kUsage (the message begins with `where`):
// unknown, or one that is read but not written.
Result<const Format*> parse_written_format(std::string_view where, std::string_view name);

// --override-kv KEY=TYPE:VALUE with the types int (stored as u32, or i32 when negative), float
// (f32), bool (true, false) and str. kUsage: any other form, a value out of range.
Status apply_override(std::string_view text, GgufMetadata& metadata);

}  // namespace nibble
