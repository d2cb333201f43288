// Any bytes as tokenizer.json, then as tokenizer.model: an error, or a tokenizer that encodes and
// decodes. A text for it stands behind the first NUL byte, if there is one.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text/sentencepiece.h"
#include "text/tokenizer_json.h"

namespace {

void use(const nibble::Result<nibble::VocabularyData>& data, std::string_view text) {
  if (!data.ok()) {
    if (data.error().message.empty()) std::abort();
    return;
  }
  const auto tokenizer = nibble::Tokenizer::create(*data);
  if (!tokenizer.ok()) std::abort();  // the readers have made one of it before
  for (const bool special : {false, true}) {
    const auto ids = (*tokenizer)->encode(text, {.add_special = special, .parse_special = special});
    for (const int32_t id : ids) {
      if (id < 0 || id >= (*tokenizer)->vocab_size()) std::abort();
      (void)(*tokenizer)->decode(id, special);
    }
    (void)(*tokenizer)->decode(ids, special);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  const std::string_view text =
      nul == std::string_view::npos ? "Hello <s>w\u00f6rld</s>  \xff 123\n" : input.substr(nul + 1);
  use(nibble::read_tokenizer_json(input.substr(0, nul), "fuzz"), text);
  use(nibble::read_sentencepiece(input, "fuzz"), text);
  return 0;
}
