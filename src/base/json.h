// JSON from files of others, strictly: no key twice in an object (parsers that keep the last, or
// the first, disagree about such a file), no nesting beyond a limit, nothing behind the value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace nibble {

inline constexpr int kMaxJsonDepth = 64;

// The value that `text` is. `where` names the file in messages. kInvalid, with the byte offset.
Result<nlohmann::json> parse_json(std::string_view text, std::string_view where,
                                  int max_depth = kMaxJsonDepth);
// Of a file of at most max_bytes. Errors: those of read_text_file() and of parse_json().
Result<nlohmann::json> read_json_file(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace nibble
