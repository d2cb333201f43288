#include "cli/terminal.h"

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <limits>

#include "cli/interrupt.h"
#include "container/printable.h"

namespace nibble {
namespace {

constexpr int kHistoryLines = 1000;

// libedit decodes what is typed by the locale; without one, anything beyond ASCII would be lost.
void use_utf8_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

// read(2) of standard input (iostreams go on after a signal): -1 also when an interrupt was asked
// for. The wait is cut in slices: a signal that falls between the look at the flag and the wait, or
// that another thread took, does not end poll().
ssize_t read_input(char* bytes, size_t n_bytes) {
  constexpr int kSliceMs = 100;
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  while (!interrupted()) {
    const int ready = poll(&input, 1, kSliceMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    if (ready < 0) break;
    const ssize_t n = ::read(STDIN_FILENO, bytes, n_bytes);
    if (n >= 0 || (errno != EINTR && errno != EAGAIN)) return n;
  }
  return -1;
}

class EditedLines final : public LineSource {
 public:
  explicit EditedLines(std::filesystem::path file) : file_(std::move(file)) {
    use_utf8_locale();
    edit_ = el_init("nibble", stdin, stdout_is_terminal() ? stdout : stderr, stderr);
    CHECK(edit_ != nullptr);
    history_ = history_init();
    CHECK(history_ != nullptr);
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);  // a line given twice in a row is kept once
    if (!file_.empty()) history(history_, &event, H_LOAD, file_.c_str());
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(edit_, EL_GETCFN, &EditedLines::read_character);
    el_set(edit_, EL_PROMPT, &EditedLines::prompt);
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(edit_, nullptr);  // the user's ~/.editrc
  }

  ~EditedLines() override {
    history_end(history_);
    el_end(edit_);
  }

  ReadOutcome read(const std::string& text, std::string& line) override {
    prompt_ = text;
    el_resize(edit_);  // the window may have changed while the model wrote
    int count = 0;
    errno = 0;
    const char* typed = el_gets(edit_, &count);
    if (typed == nullptr || count <= 0) {
      if (!interrupted()) return ReadOutcome::kEnd;
      line = begun_;
      return ReadOutcome::kInterrupted;
    }
    line.assign(typed, static_cast<size_t>(count));
    remember(line);
    if (line.ends_with('\n')) line.pop_back();
    return ReadOutcome::kLine;
  }

 private:
  static EditedLines* self(EditLine* edit) {
    void* data = nullptr;
    el_get(edit, EL_CLIENTDATA, &data);
    return static_cast<EditedLines*>(data);
  }
  static char* prompt(EditLine* edit) { return self(edit)->prompt_.data(); }

  // In place of libedit's own, which goes on reading after a signal.
  static int read_character(EditLine* edit, wchar_t* character) {
    std::mbstate_t state = {};
    for (;;) {
      char byte = 0;
      const ssize_t n = read_input(&byte, 1);
      if (n <= 0) {
        const LineInfo* line = el_line(edit);  // el_gets() forgets it on the way out
        self(edit)->begun_.assign(line->buffer, line->lastchar);
        return static_cast<int>(n);
      }
      const size_t length = std::mbrtowc(character, &byte, 1, &state);
      if (length <= 1) return 1;
      if (length == static_cast<size_t>(-1)) state = {};  // no text: taken as not typed
    }
  }

  // Saved line by line, so that it survives a window that is closed.
  void remember(const std::string& line) {
    if (line.find_first_not_of(" \t\n") == std::string::npos) return;
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
    if (file_.empty()) return;
    std::error_code ignored;
    std::filesystem::create_directories(file_.parent_path(), ignored);
    history(history_, &event, H_SAVE, file_.c_str());
  }

  std::filesystem::path file_;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_, begun_;
};

class PipedLines final : public LineSource {
 public:
  ReadOutcome read(const std::string&, std::string& line) override {
    for (;;) {
      if (const size_t newline = buffer_.find('\n', searched_); newline != std::string::npos) {
        line.assign(buffer_, 0, newline);
        buffer_.erase(0, newline + 1);
        searched_ = 0;
        return ReadOutcome::kLine;
      }
      searched_ = buffer_.size();
      char bytes[4096];
      const ssize_t n = read_input(bytes, sizeof(bytes));
      if (interrupted()) return ReadOutcome::kInterrupted;
      if (n <= 0) break;
      buffer_.append(bytes, static_cast<size_t>(n));
    }
    if (buffer_.empty()) return ReadOutcome::kEnd;
    line = std::exchange(buffer_, {});  // the last line may lack its newline
    searched_ = 0;
    return ReadOutcome::kLine;
  }

 private:
  std::string buffer_;
  size_t searched_ = 0;  // bytes of it without a newline
};

}  // namespace

bool stdin_is_terminal() { return isatty(STDIN_FILENO) != 0; }
bool stdout_is_terminal() { return isatty(STDOUT_FILENO) != 0; }

std::string terminal_safe(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t run = std::min(text.find_first_of("\n\t"), text.size());
    out += printable(text.substr(0, run), std::numeric_limits<size_t>::max());
    text.remove_prefix(run);
    if (text.empty()) break;
    out.push_back(text.front());
    text.remove_prefix(1);
  }
  return out;
}

std::filesystem::path history_path(const char* xdg_state_home, const char* home) {
  if (xdg_state_home != nullptr && xdg_state_home[0] == '/') {
    return std::filesystem::path(xdg_state_home) / "nibble" / "history";
  }
  if (home == nullptr || home[0] == '\0') return {};
  return std::filesystem::path(home) / ".local" / "state" / "nibble" / "history";
}

std::filesystem::path history_path() {
  return history_path(std::getenv("XDG_STATE_HOME"), std::getenv("HOME"));
}

void ModelOutput::write(std::string_view text) {
  if (text.empty()) return;
  mid_line_ = text.back() != '\n';
  if (terminal_) {
    put(terminal_safe(text));
  } else {
    put(text);
  }
}

void ModelOutput::end_line(bool always) {
  if (mid_line_ || always) put("\n");
  mid_line_ = false;
}

void ModelOutput::put(std::string_view bytes) {
  if (errno_ != 0) return;
  errno = 0;
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() &&
      std::fflush(stdout) == 0) {
    return;
  }
  errno_ = errno != 0 ? errno : EIO;
  request_interrupt();
}

Status ModelOutput::status() const {
  if (errno_ == 0) return {};
  return make_error(errno_ == ENOSPC ? ErrorKind::kResource : ErrorKind::kFailure,
                    "[standard output] cannot be written: {}", std::strerror(errno_));
}

std::unique_ptr<LineSource> edited_lines(const std::filesystem::path& history_file) {
  return std::make_unique<EditedLines>(history_file);
}

std::unique_ptr<LineSource> piped_lines() { return std::make_unique<PipedLines>(); }

}  // namespace nibble
