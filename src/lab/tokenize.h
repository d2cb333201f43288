// Many texts through a tokenizer at once: what the tests compare with other tokenizers.
#pragma once

#include <cstdio>
#include <filesystem>

#include "base/result.h"

namespace nibble::lab {

struct TokenizeOptions {
  bool add_special = false;
  bool parse_special = false;
};

// `path`: a GGUF file, a tokenizer.json or a SentencePiece tokenizer.model (by the ending); the
// last two go through GGUF metadata in memory, as convert stores them. Every line of `in` is a JSON
// string; every line of `out` becomes {"ids": [...], "text": the ids decoded, invalid UTF-8 as
// U+FFFD}. Errors: of reading the file and of a line that is no JSON string (kInvalid).
Status tokenize_lines(const std::filesystem::path& path, const TokenizeOptions& options,
                      std::FILE* in, std::FILE* out);

}  // namespace nibble::lab
