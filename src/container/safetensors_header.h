// The JSON part of safetensors.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/safetensors.h"

namespace nibble {

std::optional<SafeDtype> find_dtype(std::string_view name);

// Every entry by itself: dtype known, shape and offsets whole numbers that agree. Offsets are below
// 2^63 and not yet compared with each other or with the file. Linear in the size of the text.
Result<std::vector<SafeTensor>> parse_safetensors_header(std::string_view text,
                                                         std::string_view where);

// "it is a ZIP archive, ..." when the first bytes are those of something else that is offered as
// weights; empty otherwise.
std::string known_signature(std::span<const std::byte> bytes);

}  // namespace nibble
