#include "model/front_matter.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = 1 << 20;

struct Line {
  size_t indent = 0;
  std::string_view text;  // without indent, and without blanks at the end
};

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

std::vector<Line> head_lines(std::string_view text) {
  std::vector<Line> lines;
  text = text.substr(0, kMaxBytes);
  for (bool is_first = true; !text.empty(); is_first = false) {
    const size_t length = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, length), content = trimmed(line);
    text.remove_prefix(std::min(length + 1, text.size()));
    const bool is_fence = content == "---" && line.front() == '-';
    if (is_first != is_fence) break;  // no head, or its end
    if (!is_fence) lines.push_back({line.find_first_not_of(" \t"), content});
  }
  return lines;
}

// "key: value" -> both.
std::optional<std::pair<std::string, std::string_view>> split_key(std::string_view text) {
  size_t n = 0;
  const auto is_of_key = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  while (n < text.size() && is_of_key(text[n])) ++n;
  if (n == 0 || n == text.size() || text[n] != ':') return std::nullopt;
  if (n + 1 < text.size() && text[n + 1] != ' ' && text[n + 1] != '\t') return std::nullopt;
  return std::pair(std::string(text.substr(0, n)), trimmed(text.substr(n + 1)));
}

json json_or_null(std::string_view text) {
  auto value = parse_json(text, "front matter");
  return value.ok() ? value.take() : json();
}

json scalar(std::string_view text);

// [a, "b"] that is no JSON.
json plain_list(std::string_view text) {
  json list = json::array();
  if (text.back() != ']') return json();
  text = text.substr(1, text.size() - 2);
  while (!trimmed(text).empty()) {
    const size_t length = std::min(text.find(','), text.size());
    const std::string_view item = trimmed(text.substr(0, length));
    if (!item.empty() && item.front() != '[') list.push_back(scalar(item));
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return list;
}

json scalar(std::string_view text) {
  if (text.empty() || text == "~" || text == "null") return json();
  switch (text.front()) {
    case '"': {
      size_t end = 1;
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      return json_or_null(text.substr(0, end + 1));
    }
    case '\'': {
      std::string value;
      for (size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '\'' && (i + 1 == text.size() || text[++i] != '\'')) return value;
        value += text[i];
      }
      return json();
    }
    case '{':
      return json_or_null(text);
    case '[': {
      json list = json_or_null(text);
      return list.is_null() ? plain_list(text) : list;
    }
    case '&':
    case '*':
    case '!':
    case '%':
    case '@':
    case '`':
    case '|':
    case '>':
      return json();
    default:
      return std::string(trimmed(text.substr(0, text.find(" #"))));
  }
}

class Head {
 public:
  explicit Head(std::vector<Line> lines) : lines_(std::move(lines)) {}

  json read() {
    json head = json::object();
    while (at_ < lines_.size()) {
      const Line& line = lines_[at_++];
      const auto entry = line.indent == 0 ? split_key(line.text) : std::nullopt;
      if (!entry) continue;
      const auto& [key, value] = *entry;
      if (!value.empty() && (value[0] == '|' || value[0] == '>')) {
        head[key] = block(value[0] == '|' ? '\n' : ' ');
      } else {
        head[key] = value.empty() || value[0] == '#' ? list() : scalar(value);
      }
    }
    return head;
  }

 private:
  // The lines that are indented more than the key.
  std::string block(char between) {
    std::string text;
    for (; at_ < lines_.size() && (lines_[at_].indent > 0); ++at_) {
      const bool is_blank = lines_[at_].text.empty();
      if (!text.empty() && !is_blank) text += between;
      text += lines_[at_].text;
    }
    return text;
  }

  // "- item" lines, or null.
  json list() {
    json items;
    while (at_ < lines_.size()) {
      const Line line = lines_[at_];
      const bool is_item = line.text.starts_with("- ") || line.text == "-";
      if (!is_item && line.indent == 0 && !line.text.empty() && line.text[0] != '#') break;
      ++at_;
      if (!is_item) continue;  // what belongs to something that is not read
      const std::string_view value = trimmed(line.text.substr(1));
      const auto entry = split_key(value);
      items.push_back(entry ? object(line.indent, *entry) : scalar(value));
    }
    return items;
  }

  // The lines of an item that are indented more than its dash.
  json object(size_t indent, const std::pair<std::string, std::string_view>& first) {
    json value = {{first.first, scalar(first.second)}};
    for (; at_ < lines_.size() && lines_[at_].indent > indent; ++at_) {
      if (lines_[at_].indent == std::string_view::npos) continue;  // blank
      if (const auto entry = split_key(lines_[at_].text))
        value[entry->first] = scalar(entry->second);
    }
    return value;
  }

  std::vector<Line> lines_;
  size_t at_ = 0;
};

}  // namespace

json read_front_matter(std::string_view text) { return Head(head_lines(text)).read(); }

}  // namespace nibble
