// Test text -> documents -> windows of tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace nibble {

// Documents begin at lines " = Title = " (deeper headings, " = = Part = = ", do not split); text
// before the first title is a document of its own. Documents of white space only are left out.
std::vector<std::string_view> split_documents(std::string_view text);

struct Window {
  int32_t document;             // index, for clustered errors
  std::vector<int32_t> tokens;  // BOS first where the model adds it
  int64_t first_scored;         // logits at positions [first_scored, tokens.size() - 1) are scored
};

// Every document cut into windows of `length` tokens, the second half of each scored. A document's
// last window may be shorter; under kMinWindow tokens it is dropped. max_tokens (0: all) bounds the
// tokens of all windows together.
inline constexpr int64_t kMinWindow = 64;
std::vector<Window> make_windows(const Tokenizer& tokenizer, std::string_view text, int64_t length,
                                 int64_t max_tokens);

}  // namespace nibble
