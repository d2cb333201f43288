#include "cli/chat_timeline.h"

#include <algorithm>
#include <utility>

#include "text/chat_format.h"

namespace nibble {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

void append(const Tokenizer& tokenizer, const PromptPiece& piece, std::vector<int32_t>& tokens) {
  const std::vector<int32_t> ids =
      tokenizer.encode(piece.text, {.add_special = false, .parse_special = piece.is_markup});
  tokens.insert(tokens.end(), ids.begin(), ids.end());
}

void append_bos(const Tokenizer& tokenizer, std::vector<int32_t>& tokens) {
  const VocabularyData& vocabulary = tokenizer.vocabulary();
  if (vocabulary.add_bos && vocabulary.bos >= 0) tokens.push_back(vocabulary.bos);
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

ChatTimeline::ChatTimeline(const Tokenizer& tokenizer, std::string_view system)
    : tokenizer_(tokenizer) {
  set_system(system);
  turn_begin_ = head_size_;
}

std::vector<int32_t> ChatTimeline::encode_head(std::string_view system) const {
  std::vector<int32_t> head;
  // Where <|im_start|> is the BOS, the first message brings it.
  if (tokenizer_.vocabulary().bos != tokenizer_.find("<|im_start|>")) append_bos(tokenizer_, head);
  if (system.empty()) return head;
  const std::vector<ChatMessage> messages = {{"system", std::string(system)}};
  std::vector<PromptPiece> pieces = format_chatml(messages);
  pieces.resize(pieces.size() - format_chatml({}).size());  // without the assistant's opening
  for (const PromptPiece& piece : pieces) append(tokenizer_, piece, head);
  return head;
}

void ChatTimeline::begin_turn(std::string_view user_text) {
  turn_begin_ = tokens_.size();
  const std::vector<ChatMessage> messages = {{"user", std::string(user_text)}};
  for (const PromptPiece& piece : format_chatml(messages)) append(tokenizer_, piece, tokens_);
}

void ChatTimeline::end_answer() {
  // Another token may have ended it (an EOS), or none (interrupted, -n); the next turn expects the
  // usual one.
  const int32_t im_end = tokenizer_.find("<|im_end|>");
  if (!tokens_.empty() && tokens_.back() != im_end && tokenizer_.is_end(tokens_.back())) {
    tokens_.pop_back();
  }
  if (im_end < 0 || tokens_.empty() || tokens_.back() != im_end) {
    append(tokenizer_, {"<|im_end|>", true}, tokens_);
  }
  append(tokenizer_, {"\n", false}, tokens_);
}

void ChatTimeline::clear() {
  tokens_.resize(head_size_);
  turn_begin_ = head_size_;
}

void ChatTimeline::set_system(std::string_view system) {
  std::vector<int32_t> head = encode_head(system);
  const size_t old_size = std::exchange(head_size_, head.size());
  head.insert(head.end(), tokens_.begin() + static_cast<ptrdiff_t>(old_size), tokens_.end());
  tokens_ = std::move(head);
  turn_begin_ = tokens_.size();
}

std::vector<int32_t> raw_prompt(const Tokenizer& tokenizer, std::string_view text,
                                bool parse_special) {
  std::vector<int32_t> tokens;
  append_bos(tokenizer, tokens);
  append(tokenizer, {std::string(text), parse_special}, tokens);
  return tokens;
}

std::optional<ChatInput> MessageReader::push(std::string_view line) {
  if (!open_) {
    if (!line.starts_with(kQuotes)) return ChatInput{std::string(line), false};
    open_ = true;
    line.remove_prefix(kQuotes.size());
    if (line.empty()) return std::nullopt;
  }
  const std::string_view content = line.substr(0, line.find_last_not_of(" \t\r") + 1);
  if (!content.ends_with(kQuotes)) {
    text_.append(line) += '\n';
    return std::nullopt;
  }
  text_ += content.substr(0, content.size() - kQuotes.size());
  return close();
}

ChatInput MessageReader::close() {
  open_ = false;
  ChatInput input{std::exchange(text_, {}), true};
  if (input.text.ends_with('\n')) input.text.pop_back();  // """ on a line of its own
  return input;
}

ChatCommand parse_chat_command(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with('/')) return {};
  const std::string_view word =
      line.substr(1, std::min(line.find_first_of(" \t"), line.size()) - 1);
  if (word.find('/') != std::string_view::npos) return {};
  // A slash alone asks for help.
  return {word.empty() ? "help" : std::string(word),
          std::string(trimmed(line.substr(1 + word.size())))};
}

}  // namespace nibble
