#include "text/chat_template.h"

#include <time.h>

#include <algorithm>

namespace nibble {

const char* const kChatMlTemplate =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

namespace {

std::tm local_time() {
  const time_t now = ::time(nullptr);
  std::tm broken_down{};
  ::localtime_r(&now, &broken_down);
  return broken_down;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::create(ChatTemplateSource source) {
  ASSIGN_OR_RETURN(jinja::Template parsed,
                   jinja::Template::parse(source.text.empty() ? kChatMlTemplate : source.text));
  return ChatTemplate(std::move(parsed), std::move(source));
}

Result<jinja::Text> ChatTemplate::render(const jinja::Value& variables) const {
  using jinja::Value;
  auto all = std::make_shared<jinja::Dict>();
  for (const auto& [key, value] : variables.dict().entries()) all->set(key, value);
  const auto set_default = [&](std::string_view name, Value value) {
    if (all->find(name) == nullptr) all->set(name, std::move(value));
  };
  for (const auto& [name, spelling] : source_.special_tokens) {
    set_default(name, Value::markup(spelling));
  }
  set_default("messages", Value::list({}));
  set_default("add_generation_prompt", Value::boolean(true));
  set_default("tools", Value::none());
  set_default("documents", Value::none());
  return template_.render(Value::object(jinja::Kind::kDict, std::move(all)), local_time());
}

Result<jinja::Text> ChatTemplate::render(std::span<const ChatMessage> messages,
                                         bool add_generation_prompt) const {
  using jinja::Value;
  std::vector<Value> list;
  for (const ChatMessage& message : messages) {
    auto dict = std::make_shared<jinja::Dict>();
    dict->set("role", Value::data(message.role));
    dict->set("content", Value::data(message.content));
    list.push_back(Value::object(jinja::Kind::kDict, std::move(dict)));
  }
  auto variables = std::make_shared<jinja::Dict>();
  variables->set("messages", Value::list(std::move(list)));
  variables->set("add_generation_prompt", Value::boolean(add_generation_prompt));
  return render(Value::object(jinja::Kind::kDict, std::move(variables)));
}

std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, const jinja::Text& text,
                                   size_t begin) {
  std::vector<TextPart> parts;
  const jinja::Text rest = text.slice(begin, text.size());
  for (const jinja::Text::Run& run : rest.runs()) {
    parts.push_back({run.bytes, run.origin == jinja::Origin::kTemplate});
  }
  std::vector<int32_t> tokens =
      tokenizer.encode_parts(parts, {.add_special = false, .at_start = begin == 0});
  // A BOS goes first where the model asks for one; most templates write it themselves.
  const VocabularyData& vocabulary = tokenizer.vocabulary();
  if (begin == 0 && vocabulary.add_bos && vocabulary.bos >= 0 &&
      (tokens.empty() || tokens[0] != vocabulary.bos)) {
    tokens.insert(tokens.begin(), vocabulary.bos);
  }
  return tokens;
}

}  // namespace nibble
