#include "model/source.h"

#include <string>
#include <system_error>

#include "container/gguf.h"
#include "model/hf_import.h"

namespace nibble {

Result<std::unique_ptr<ModelSource>> open_source(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_folder(path);
  for (const std::string_view ending : {".safetensors", ".safetensors.index.json"}) {
    if (!path.string().ends_with(ending) || !std::filesystem::exists(path, ignored)) continue;
    return make_error(ErrorKind::kUsage,
                      "[{}] is a file of weights; give the folder it is in, with config.json and "
                      "the tokenizer's files",
                      path.string());
  }
  ASSIGN_OR_RETURN(GgufFile file, GgufFile::open(path));
  return std::unique_ptr<ModelSource>(std::make_unique<GgufFile>(std::move(file)));
}

}  // namespace nibble
