// The head of a model card: lines of YAML between two lines "---" at the top of README.md.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

namespace nibble {

// Of YAML what such heads use: keys of one level with texts (plain, quoted, or blocks behind | and
// >), lists of texts, and lists of objects with texts; JSON values. All plain scalars are texts:
// `no` is Norwegian, `1.0` a version. What is written otherwise is left out; text without a head is
// an empty object. Never fails: a card is for people first.
nlohmann::json read_front_matter(std::string_view text);

}  // namespace nibble
