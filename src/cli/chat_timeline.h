// A conversation as tokens that only grow, so that a session computes each turn once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace nibble {

// The layout of the tokens (ChatML, text/chat_format.h):
//
//   head                     [BOS] [<|im_start|>system\n...<|im_end|>\n]
//   per turn, begin_turn()   <|im_start|>user\n...<|im_end|>\n<|im_start|>assistant\n
//             the generator  the answer, as it was generated, with the token that ended it
//             end_answer()   <|im_end|>\n, or what of it the generator left out
//
// Answers keep their generated tokens: their text, tokenized again, need not give the same ones.
class ChatTimeline {
 public:
  // The tokenizer must outlive this. `system` may be empty: no system message.
  ChatTimeline(const Tokenizer& tokenizer, std::string_view system);

  // What Session::sync() takes and generate() appends to.
  std::vector<int32_t>& tokens() { return tokens_; }

  void begin_turn(std::string_view user_text);
  void end_answer();
  // Forgets the turn that begin_turn() began, with whatever of its answer there is.
  void undo_turn() { tokens_.resize(turn_begin_); }

  // Forgets all turns; the system message stays.
  void clear();
  // Replaces the system message; the turns stay.
  void set_system(std::string_view system);

 private:
  std::vector<int32_t> encode_head(std::string_view system) const;

  const Tokenizer& tokenizer_;
  std::vector<int32_t> tokens_;
  size_t head_size_ = 0, turn_begin_ = 0;
};

// A prompt that is continued as it is: BOS where the model asks for it, then the text; special
// tokens spelled in it stay plain text unless parse_special. No EOS: nothing ends here.
std::vector<int32_t> raw_prompt(const Tokenizer& tokenizer, std::string_view text,
                                bool parse_special);

// Lines -> messages: a line is a message, unless it begins with """; then everything up to a line
// that ends with """ is one.
struct ChatInput {
  std::string text;
  bool quoted = false;  // came in """, so it is no command whatever it begins with
};
class MessageReader {
 public:
  // The message that `line` completed, if it did.
  std::optional<ChatInput> push(std::string_view line);
  // Whether a """ is open.
  bool open() const { return open_; }
  // Closes it and returns what it holds.
  ChatInput close();

 private:
  bool open_ = false;
  std::string text_;
};

// A line "/word rest". Empty word: no command. A path ("/usr/bin/env ...") is none.
struct ChatCommand {
  std::string word, rest;
};
ChatCommand parse_chat_command(std::string_view line);

}  // namespace nibble
