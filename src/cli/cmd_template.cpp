// nibble template: what a model would see of a conversation.
#include <memory>

#include "base/file.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "container/printable.h"
#include "engine/engine.h"
#include "text/chat_template.h"

namespace nibble {
namespace {

struct Options {
  std::string model, template_file, messages_file;
};

constexpr std::string_view kDefaultMessages = R"([
  {"role": "user", "content": "Hello"},
  {"role": "assistant", "content": "Hi there"},
  {"role": "user", "content": "How are you?"}
])";

// A message about a place in the template, with the file that the template came from.
Error in_file(const std::string& file, const Error& error) {
  return make_error(error.kind, "[{}] {}", printable(file), error.message);
}

Result<ChatTemplateSource> read_source(const Options& options) {
  ChatTemplateSource source;
  if (!options.model.empty()) {
    ASSIGN_OR_RETURN(source, load_chat_template(options.model));
  }
  if (!options.template_file.empty()) {
    ASSIGN_OR_RETURN(source.text, read_text_file(options.template_file));
    if (source.text.empty()) {
      return make_error(ErrorKind::kInvalid, "[{}] is empty; a template is a text in Jinja",
                        printable(options.template_file));
    }
  }
  return source;
}

// An array of messages, or an object with `messages` and other variables.
Result<jinja::Value> read_variables(const Options& options) {
  std::string text(kDefaultMessages);
  if (!options.messages_file.empty()) {
    ASSIGN_OR_RETURN(text, read_text_file(options.messages_file));
  }
  auto read = jinja::value_from_json(text);
  if (!read.ok()) return in_file(options.messages_file, read.error());
  jinja::Value value = read.take();
  if (value.is(jinja::Kind::kDict)) {
    const jinja::Value* messages = value.dict().find("messages");
    if (messages != nullptr && messages->is(jinja::Kind::kList)) return value;
    return make_error(ErrorKind::kInvalid,
                      "[{}] is an object without an array \"messages\"; they are what the template "
                      "is about",
                      printable(options.messages_file));
  }
  if (!value.is(jinja::Kind::kList)) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] holds neither an array of messages nor an object with \"messages\"",
                      printable(options.messages_file));
  }
  auto variables = std::make_shared<jinja::Dict>();
  variables->set("messages", std::move(value));
  return jinja::Value::object(jinja::Kind::kDict, std::move(variables));
}

Status run_template(const Options& options) {
  ASSIGN_OR_RETURN(ChatTemplateSource source, read_source(options));
  ASSIGN_OR_RETURN(const jinja::Value variables, read_variables(options));
  if (source.text.empty()) {
    warn("[{}] has no chat template; ChatML is used in its place", printable(options.model));
  }
  const std::string& where = options.template_file.empty() ? options.model : options.template_file;
  const auto parsed = ChatTemplate::create(std::move(source));
  if (!parsed.ok()) return in_file(where, parsed.error());
  const auto text = parsed->render(variables);
  if (!text.ok()) return in_file(where, text.error());
  ModelOutput output;
  output.write(text->bytes());
  if (output.on_terminal()) output.end_line(false);
  return output.status();
}

}  // namespace

void add_template(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("template", "Show a conversation as the model would see it");
  verb->add_option("MODEL", options->model,
                   "The model whose template and special tokens are used (not needed with "
                   "--template-file)");
  verb->add_option("--template-file", options->template_file,
                   "Use this Jinja template instead of the model's");
  verb->add_option("--messages", options->messages_file,
                   "JSON file: an array of messages, or an object with \"messages\" and other "
                   "variables of the template (default: a short conversation)");
  verb->callback([options, &command] {
    if (options->model.empty() && options->template_file.empty()) {
      throw CLI::RequiredError("MODEL or --template-file");
    }
    command.run = [options] { return run_template(*options); };
  });
}

}  // namespace nibble
