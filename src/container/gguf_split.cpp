#include "container/gguf_split.h"

#include <charconv>

namespace nibble {
namespace {

constexpr std::string_view kExtension = ".gguf";

// Takes "NNNNN" (five digits or more, as printf's %05d gives) from the end of `text`.
std::optional<size_t> take_number(std::string_view& text) {
  const size_t begin = text.find_last_not_of("0123456789") + 1;
  const std::string_view digits = text.substr(begin);
  size_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.size() < 5 || parsed.ec != std::errc() || fmt::format("{:05}", number) != digits) {
    return std::nullopt;
  }
  text = text.substr(0, begin);
  return number;
}

bool take_ending(std::string_view& text, std::string_view ending) {
  if (!text.ends_with(ending)) return false;
  text.remove_suffix(ending.size());
  return true;
}

}  // namespace

std::optional<ShardName> parse_shard_name(std::string_view file_name) {
  if (!take_ending(file_name, kExtension)) return std::nullopt;
  const auto count = take_number(file_name);
  if (!count || !take_ending(file_name, "-of-")) return std::nullopt;
  const auto number = take_number(file_name);
  if (!number || !take_ending(file_name, "-")) return std::nullopt;
  if (*number < 1 || *number > *count) return std::nullopt;
  return ShardName{std::string(file_name), *number - 1, *count};
}

std::string shard_file_name(std::string_view prefix, size_t number, size_t count) {
  return fmt::format("{}-{:05}-of-{:05}{}", prefix, number + 1, count, kExtension);
}

std::string shard_prefix_of(const std::filesystem::path& output) {
  const std::string name = output.filename().string();
  if (auto shard = parse_shard_name(name)) return shard->prefix;
  std::string_view prefix = name;
  if (prefix != kExtension) take_ending(prefix, kExtension);
  return std::string(prefix);
}

void erase_split_keys(GgufMetadata& metadata) {
  for (const auto key : {kSplitNumberKey, kSplitCountKey, kSplitTensorsKey}) metadata.erase(key);
}

}  // namespace nibble
