#include "cli/chat_timeline.h"

#include <algorithm>
#include <utility>

namespace nibble {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

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

ChatTimeline::ChatTimeline(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                           std::string_view system)
    : tokenizer_(tokenizer), template_(chat_template), system_(system) {}

Status ChatTimeline::render(State& state) const {
  std::vector<ChatMessage> messages;
  if (!system_.empty()) messages.push_back({"system", system_});
  messages.insert(messages.end(), state.messages.begin(), state.messages.end());
  ASSIGN_OR_RETURN(const jinja::Text text, template_.render(messages));
  if (!state.text.empty() && text.bytes().starts_with(state.text)) {
    const std::vector<int32_t> more = encode_prompt(tokenizer_, text, state.text.size());
    state.tokens.insert(state.tokens.end(), more.begin(), more.end());
  } else {
    state.tokens = encode_prompt(tokenizer_, text);
  }
  state.text = text.bytes();
  state.prompt_size = state.tokens.size();
  return {};
}

Status ChatTimeline::begin_turn(std::string_view user_text) {
  State next = state_;
  next.messages.push_back({"user", std::string(user_text)});
  RETURN_IF_ERROR(render(next));
  before_turn_ = std::exchange(state_, std::move(next));
  return {};
}

void ChatTimeline::end_answer() {
  // The template closes the answer, whatever ended it (an EOS, an interrupt, -n).
  auto& tokens = state_.tokens;
  if (tokens.size() > state_.prompt_size && tokenizer_.is_end(tokens.back())) tokens.pop_back();
  std::string answer;
  for (size_t i = state_.prompt_size; i < tokens.size(); ++i)
    answer += tokenizer_.decode(tokens[i]);
  state_.text += answer;
  state_.prompt_size = tokens.size();
  state_.messages.push_back({"assistant", std::move(answer)});
  before_turn_.reset();
}

void ChatTimeline::undo_turn() {
  if (before_turn_) state_ = std::move(*before_turn_);
  before_turn_.reset();
}

void ChatTimeline::clear() {
  state_ = {};
  before_turn_.reset();
}

void ChatTimeline::set_system(std::string_view system) {
  system_ = system;
  // Another head: nothing of the tokens stays.
  state_.text.clear();
  state_.tokens.clear();
  before_turn_.reset();
}

std::vector<int32_t> raw_prompt(const Tokenizer& tokenizer, std::string_view text,
                                bool parse_special) {
  std::vector<int32_t> tokens;
  append_bos(tokenizer, tokens);
  const std::vector<int32_t> ids =
      tokenizer.encode(text, {.add_special = false, .parse_special = parse_special});
  tokens.insert(tokens.end(), ids.begin(), ids.end());
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
