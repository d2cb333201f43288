// A conversation as tokens, which only grow where the model's template lets them, so that a session
// computes each turn once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace nibble {

// Every turn the template writes the whole conversation anew, since some change what lies behind
// (they leave out the thoughts of earlier answers). Where its text begins with the text so far, the
// tokens so far stay: an answer tokenized again need not give the tokens that were generated.
class ChatTimeline {
 public:
  // Tokenizer and template must outlive this. `system` may be empty: no system message.
  ChatTimeline(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
               std::string_view system);

  // What Session::sync() takes and generate() appends to.
  std::vector<int32_t>& tokens() { return state_.tokens; }

  // The user's message and the opening of the answer. An error of the template (some refuse system
  // messages) changes nothing.
  Status begin_turn(std::string_view user_text);
  // What generate() appended is the answer, with or without the token that ended it.
  void end_answer();
  // Forgets the turn that begin_turn() began, with whatever of its answer there is.
  void undo_turn();

  // Forgets all turns; the system message stays.
  void clear();
  // Replaces the system message; the turns stay.
  void set_system(std::string_view system);

 private:
  struct State {
    std::vector<ChatMessage> messages;  // without the system message
    std::vector<int32_t> tokens;
    std::string text;        // of `tokens`, as the template wrote it
    size_t prompt_size = 0;  // tokens before the answer
  };
  Status render(State& state) const;

  const Tokenizer& tokenizer_;
  const ChatTemplate& template_;
  std::string system_;
  State state_;
  std::optional<State> before_turn_;
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
