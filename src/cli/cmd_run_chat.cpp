// nibble run without a prompt: the conversation.
#include <cstdio>

#include "base/memory.h"
#include "cli/chat_timeline.h"
#include "cli/interrupt.h"
#include "cli/run_options.h"
#include "cli/terminal.h"
#include "container/printable.h"

namespace nibble {
namespace {

constexpr std::string_view kHelp =
    R"(  /set system TEXT   what the model should know before everything else (no TEXT: nothing)
  /clear             forget the conversation
  /stats             figures of the last answer
  /bye               leave (Ctrl-D does too)
  """                begins and ends a message of several lines
  Ctrl-C             stops an answer
)";

// Everything that is not the model's text goes to standard error, which a pipe does not see.
template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, format, std::forward<Args>(args)...);
}

class Chat {
 public:
  Chat(const RunOptions& options, const Engine& engine, const ChatTemplate& chat_template,
       Session& session, Sampler& sampler)
      : options_(options),
        engine_(engine),
        session_(session),
        sampler_(sampler),
        interactive_(stdin_is_terminal()),
        timeline_(engine.tokenizer(), chat_template, options.system) {}

  Status run();

 private:
  // Each of these says whether the conversation goes on, or why it ended.
  Result<bool> on_interrupt(const std::string& typed);
  Result<bool> on_input(const ChatInput& input);
  Result<bool> on_command(const ChatCommand& command);
  Result<bool> answer(const std::string& message);
  void say_context_is_full() const;

  const RunOptions& options_;
  const Engine& engine_;
  Session& session_;
  Sampler& sampler_;
  const bool interactive_;
  ChatTimeline timeline_;
  MessageReader reader_;
  ModelOutput output_;
  GenerateStats last_;
};

Status Chat::run() {
  const auto lines = interactive_ ? edited_lines(history_path()) : piped_lines();
  if (interactive_) {
    say("{}, context of {} tokens; /help lists the commands, Ctrl-D leaves\n",
        printable(engine_.info().name), session_.n_ctx());
  }
  for (;;) {
    // A pipe keeps an early Ctrl-C; at a prompt the next one is a first one again.
    if (interactive_) clear_interrupt();
    std::string line;
    const ReadOutcome outcome = lines->read(reader_.open() ? "... " : ">>> ", line);
    Result<bool> goes_on = true;
    if (outcome == ReadOutcome::kInterrupted) {
      goes_on = on_interrupt(line);
    } else if (outcome == ReadOutcome::kLine) {
      if (const auto input = reader_.push(line)) goes_on = on_input(*input);
    } else {
      if (interactive_) say("\n");
      goes_on = false;
      // A """ that the end of a pipe closes.
      if (!interactive_ && reader_.open()) {
        const auto last = on_input(reader_.close());
        if (!last.ok()) return last.error();
      }
    }
    if (!goes_on.ok()) return goes_on.error();
    if (!*goes_on) return {};
  }
}

Result<bool> Chat::on_interrupt(const std::string& typed) {
  if (!interactive_ || termination_requested()) {
    return make_error(ErrorKind::kInterrupted, "[run] interrupted");
  }
  say("\n");
  const bool was_empty = typed.empty() && !reader_.open();
  reader_.close();
  if (was_empty) say("Ctrl-D or /bye leaves\n");
  return true;
}

Result<bool> Chat::on_input(const ChatInput& input) {
  const ChatCommand command = input.quoted ? ChatCommand{} : parse_chat_command(input.text);
  if (!command.word.empty()) return on_command(command);
  if (input.text.find_first_not_of(" \t\r\n") == std::string::npos) return true;
  return answer(input.text);
}

Result<bool> Chat::on_command(const ChatCommand& command) {
  if (command.word == "bye") return false;
  if (command.word == "help") {
    say("{}", kHelp);
  } else if (command.word == "clear") {
    timeline_.clear();
    say("The conversation is forgotten.\n");
  } else if (command.word == "stats") {
    say("{}", format_statistics(last_, engine_.info().load_ms, process_memory().peak_resident,
                                options_.sampler.seed));
  } else if (command.word == "set" && (command.rest + " ").starts_with("system ")) {
    const size_t text = command.rest.find_first_not_of(" \t", 6);
    timeline_.set_system(text == std::string::npos ? "" : command.rest.substr(text));
    say("The system message is {}.\n", text == std::string::npos ? "empty" : "set");
  } else {
    say("/{} {} is no command; /help lists them\n", terminal_safe(command.word),
        terminal_safe(command.rest));
  }
  return true;
}

void Chat::say_context_is_full() const {
  say("The context of {} tokens is full; /clear forgets the conversation, -c gives more room.\n",
      session_.n_ctx());
}

Result<bool> Chat::answer(const std::string& message) {
  const Status begun = timeline_.begin_turn(message);
  if (!begun.ok()) {
    if (!interactive_) return begun.error();
    say("{}\n", begun.error().message);
    return true;
  }
  if (static_cast<int64_t>(timeline_.tokens().size()) > session_.n_ctx()) {
    timeline_.undo_turn();
    say_context_is_full();
    return true;
  }
  const auto stats = generate(
      engine_, session_, timeline_.tokens(), sampler_, options_.generate,
      [this](std::string_view text) { output_.write(text); }, &interrupted());
  // A pipe gets a line per answer; Ctrl-C left its ^C on the line.
  output_.end_line(!interactive_ || interrupted());
  RETURN_IF_ERROR(output_.status());
  if (!stats.ok()) return stats.error();
  last_ = *stats;
  if (last_.generated_tokens > 0) {
    timeline_.end_answer();
  } else {
    timeline_.undo_turn();  // stopped before the first word: as if never asked
  }
  if (last_.reason == StopReason::kContextFull) say_context_is_full();
  if (last_.reason == StopReason::kInterrupted && (!interactive_ || termination_requested())) {
    return make_error(ErrorKind::kInterrupted, "[run] interrupted");
  }
  return true;
}

}  // namespace

Status run_chat(const RunOptions& options, const Engine& engine, const ChatTemplate& chat_template,
                Session& session, Sampler& sampler) {
  return Chat(options, engine, chat_template, session, sampler).run();
}

}  // namespace nibble
