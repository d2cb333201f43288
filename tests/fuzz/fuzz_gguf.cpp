// Any bytes: an error, or a file whose every accessor answers without touching a byte outside.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "container/gguf.h"
#include "tests/container/gguf_touch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = nibble::GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz");
  if (file.ok()) {
    nibble::test::touch_everything(*file);
  } else if (file.error().message.empty()) {
    std::abort();
  }
  return 0;
}
