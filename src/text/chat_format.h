// Messages -> prompt. ChatML for now; the template engine is a later step and keeps this interface.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace nibble {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// One piece of a prompt. `is_markup` pieces may become special tokens; the others (what people
// wrote) never do.
struct PromptPiece {
  std::string text;
  bool is_markup;
};

// <|im_start|>role\ncontent<|im_end|>\n for each message, then the opening of the assistant's turn.
std::vector<PromptPiece> format_chatml(std::span<const ChatMessage> messages);

}  // namespace nibble
