// The terminal: what is one, what may be shown on one, and lines edited on one (libedit).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nibble {

bool stdin_is_terminal();
bool stdout_is_terminal();

// `text` with every control character except newline and tab, and every byte that is no UTF-8,
// written as \xNN: a model can then not move the cursor, set the title or reprogram the keyboard.
std::string terminal_safe(std::string_view text);

// Where lines typed at the prompt are kept: nibble/history below $XDG_STATE_HOME, else below
// ~/.local/state; empty when neither is known. Both arguments may be null; a relative
// $XDG_STATE_HOME does not count (XDG Base Directory Specification 0.8).
std::filesystem::path history_path(const char* xdg_state_home, const char* home);
std::filesystem::path history_path();

// The text of a model on standard output, flushed as it comes: terminal_safe() on a terminal, byte
// for byte elsewhere.
class ModelOutput {
 public:
  ModelOutput() : terminal_(stdout_is_terminal()) {}
  void write(std::string_view text);
  // Ends the line if something stands on it (always = false), or in any case.
  void end_line(bool always);
  bool on_terminal() const { return terminal_; }
  // kFailure once a write did not succeed (full disk, closed pipe). The first failure also asks for
  // an interrupt, since nobody reads what would still be generated.
  Status status() const;

 private:
  void put(std::string_view bytes);

  bool terminal_;
  bool mid_line_ = false;
  int errno_ = 0;
};

enum class ReadOutcome { kLine, kEnd, kInterrupted };

// Where the lines of a conversation come from.
class LineSource {
 public:
  virtual ~LineSource() = default;
  // The next line without its newline. kInterrupted: Ctrl-C; `line` then holds what was typed.
  virtual ReadOutcome read(const std::string& prompt, std::string& line) = 0;
};

// Standard input as a terminal, edited, with the history in `history_file` (created when the first
// line comes; a history that cannot be written is no error). Empty path: no file.
std::unique_ptr<LineSource> edited_lines(const std::filesystem::path& history_file);
// Standard input as a pipe or file; prompts are not shown.
std::unique_ptr<LineSource> piped_lines();

}  // namespace nibble
