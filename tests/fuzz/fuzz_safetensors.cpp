// Any bytes as a safetensors file: an error, or a file whose every tensor lies inside. The same
// bytes as JSON and as the name of a file in an index.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "base/json.h"
#include "container/hf_repo.h"
#include "container/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto file = nibble::SafetensorsFile::parse(bytes, "fuzz");
  if (file.ok()) {
    uint64_t total = 0;
    for (const nibble::SafeTensor& tensor : file->tensors()) {
      if (file->find(tensor.name) != &tensor) std::abort();
      total += file->data(tensor).size();
    }
    if (total > size) std::abort();
  } else if (file.error().message.empty()) {
    std::abort();
  }
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = nibble::parse_json(text, "fuzz");
  if (!json.ok() && json.error().message.empty()) std::abort();
  if (nibble::is_plain_name(text) && text.find('/') != std::string_view::npos) std::abort();
  return 0;
}
