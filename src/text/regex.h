// Regular expressions of tokenizers: PCRE2 with UTF and UCP, made to mean what Oniguruma (the
// engine of Hugging Face's library, Ruby syntax) means by the same text. Character classes are
// those of PCRE2's Unicode version (10.42: Unicode 14); what was assigned later counts as a symbol.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nibble {

class Regex {
 public:
  struct Match {
    size_t begin, end;
  };

  // kFailure when the expression does not compile or has a part whose meaning differs between the
  // engines and that is not translated (it came from a file); the message quotes it.
  static Result<Regex> compile(std::string_view expression);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // All matches from left to right, also empty ones (but none right at the end of the match
  // before). Any bytes are allowed: each byte that is not part of valid UTF-8 is seen as one
  // U+FFFD. nullopt when the work exceeds its limit, which is linear in the text. Any number of
  // threads.
  std::optional<std::vector<Match>> find_all(std::string_view text) const;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

// Oniguruma's Ruby syntax as a PCRE2 expression of the same meaning. kFailure as above.
Result<std::string> translate_expression(std::string_view expression);

}  // namespace nibble
