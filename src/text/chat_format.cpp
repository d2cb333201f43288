#include "text/chat_format.h"

namespace nibble {

// "role\ncontent" is one piece: only the two markers separate tokens in a prompt that is tokenized
// as one string, so the pieces give exactly the tokens of that string, and nothing that people
// wrote can become a marker.
std::vector<PromptPiece> format_chatml(std::span<const ChatMessage> messages) {
  std::vector<PromptPiece> pieces;
  for (const ChatMessage& message : messages) {
    pieces.push_back({"<|im_start|>", true});
    pieces.push_back({message.role + "\n" + message.content, false});
    pieces.push_back({"<|im_end|>", true});
    pieces.push_back({"\n", false});
  }
  pieces.push_back({"<|im_start|>", true});
  pieces.push_back({"assistant\n", false});
  return pieces;
}

}  // namespace nibble
