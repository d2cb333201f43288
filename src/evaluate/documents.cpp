#include "evaluate/documents.h"

#include <algorithm>

namespace nibble {
namespace {

bool is_title(std::string_view line) {
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  return line.size() >= 6 && line.starts_with(" = ") && line.ends_with(" =") &&
         !line.starts_with(" = =");
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  size_t begin = 0;
  const auto close = [&](size_t end) {
    const std::string_view document = text.substr(begin, end - begin);
    if (!is_blank(document)) documents.push_back(document);
    begin = end;
  };
  for (size_t line = 0; line < text.size();) {
    const size_t newline = std::min(text.find('\n', line), text.size());
    if (line > begin && is_title(text.substr(line, newline - line))) close(line);
    line = newline + 1;
  }
  close(text.size());
  return documents;
}

std::vector<Window> make_windows(const Tokenizer& tokenizer, std::string_view text, int64_t length,
                                 int64_t max_tokens) {
  std::vector<Window> windows;
  const VocabularyData& vocabulary = tokenizer.vocabulary();
  const bool with_bos = vocabulary.add_bos && vocabulary.bos >= 0;
  const auto body = static_cast<size_t>(length - (with_bos ? 1 : 0));
  int64_t n_tokens = 0;
  int32_t index = 0;
  for (const std::string_view document : split_documents(text)) {
    const std::vector<int32_t> ids =
        tokenizer.encode(document, {.add_special = false, .parse_special = false});
    for (size_t begin = 0; begin < ids.size(); begin += body) {
      Window window;
      window.document = index;
      if (with_bos) window.tokens.push_back(vocabulary.bos);
      const size_t end = std::min(ids.size(), begin + body);
      window.tokens.insert(window.tokens.end(), ids.begin() + static_cast<ptrdiff_t>(begin),
                           ids.begin() + static_cast<ptrdiff_t>(end));
      const auto n = static_cast<int64_t>(window.tokens.size());
      if (n < std::min(kMinWindow, length)) continue;
      if (max_tokens > 0 && n_tokens + n > max_tokens) return windows;
      n_tokens += n;
      window.first_scored = n / 2;
      windows.push_back(std::move(window));
    }
    ++index;
  }
  return windows;
}

}  // namespace nibble
