// Messages -> prompt, by the template that a model brings along.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja.h"
#include "text/tokenizer.h"

namespace nibble {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// What a model says about its conversations.
struct ChatTemplateSource {
  std::string text;  // tokenizer.chat_template; empty: the model brings none
  // What a template finds under bos_token, eos_token and the like: the spelling of those tokens.
  std::vector<std::pair<std::string, std::string>> special_tokens;
};

// ChatML, for models that bring no template: <|im_start|>role\ncontent<|im_end|>\n for each
// message, then the opening of the assistant's turn.
extern const char* const kChatMlTemplate;

// A text given to a template never becomes markup: the pieces keep apart what the template wrote
// and what came from messages and other variables.
class ChatTemplate {
 public:
  // kInvalid, with line and column, for a template that cannot be read.
  static Result<ChatTemplate> create(ChatTemplateSource source);

  // `variables`: a dict. What it does not name is set as transformers does: the special tokens,
  // add_generation_prompt (here true), tools and documents (none), messages (empty). kInvalid when
  // the template fails or refuses the messages.
  Result<jinja::Text> render(const jinja::Value& variables) const;
  // The usual conversation.
  Result<jinja::Text> render(std::span<const ChatMessage> messages,
                             bool add_generation_prompt = true) const;

 private:
  ChatTemplate(jinja::Template parsed, ChatTemplateSource source)
      : template_(std::move(parsed)), source_(std::move(source)) {}
  jinja::Template template_;
  ChatTemplateSource source_;
};

// Bytes [begin, end) of a rendered text as tokens: special ones only where the template wrote them.
std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, const jinja::Text& text,
                                   size_t begin = 0);

}  // namespace nibble
