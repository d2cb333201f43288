// Any bytes as a template and, behind a NUL, as the JSON of its variables: an error, or a text
// within the limits; never a hang.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

#include "text/jinja.h"

namespace {

constexpr std::string_view kVariables =
    R"({"messages": [{"role": "user", "content": "Hi é"}, {"role": "assistant", "content": null}],
        "tools": [{"name": "f", "n": 1.5, "b": true}], "s": "text", "n": 3, "bos_token": "<s>"})";

void check(const nibble::Error& error) {
  if (error.message.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace jinja = nibble::jinja;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  const auto variables =
      jinja::value_from_json(nul == std::string_view::npos ? kVariables : input.substr(nul + 1));
  const auto parsed = jinja::Template::parse(input.substr(0, nul));
  if (!variables.ok()) check(variables.error());
  if (!parsed.ok()) {
    check(parsed.error());
    return 0;
  }
  if (!variables.ok() || !variables->is(jinja::Kind::kDict)) return 0;
  std::tm day{};
  day.tm_year = 126;
  day.tm_mday = 1;
  const auto text = parsed->render(*variables, day);
  if (!text.ok()) {
    check(text.error());
    return 0;
  }
  if (text->size() > jinja::kMaxTextBytes) std::abort();
  std::string joined;
  for (const auto& piece : text->pieces()) {
    if (piece.text.empty()) std::abort();
    joined += piece.text;
  }
  if (joined != text->bytes()) std::abort();
  return 0;
}
