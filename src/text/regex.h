// Regular expressions of tokenizers: PCRE2 with UTF and UCP, made to mean what Oniguruma (the
// engine of Hugging Face's library, Ruby syntax) means by the same text. Character classes are
// those of PCRE2's Unicode version (10.42: Unicode 14); what was assigned later counts as a symbol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

  // The work that searches in a text of that many bytes may take: linear, several times what the
  // splitters of real models need, and under a second for 1 MiB (one unit is about a nanosecond).
  static uint64_t work_for(size_t n_bytes);

  // All matches from left to right, also empty ones (but none right at the end of the match
  // before). Any bytes are allowed: each byte that is not part of valid UTF-8 is seen as one
  // U+FFFD. What was done is taken from `work`; when that runs out it becomes 0 and the matches
  // found until then are returned. The same on every machine where PCRE2 has its JIT. Any number of
  // threads.
  std::vector<Match> find_all(std::string_view text, uint64_t& work) const;

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

// Oniguruma's Ruby syntax as a PCRE2 expression of the same meaning. kFailure as above.
Result<std::string> translate_expression(std::string_view expression);

}  // namespace nibble
