#include "lab/tokenize.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/file.h"
#include "engine/engine.h"
#include "model/vocabulary.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_json.h"

namespace nibble::lab {
namespace {

Result<std::unique_ptr<Tokenizer>> open_tokenizer(const std::filesystem::path& path) {
  if (path.extension() != ".json" && path.extension() != ".model") return load_tokenizer(path);
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  ASSIGN_OR_RETURN(const VocabularyData data, path.extension() == ".json"
                                                  ? read_tokenizer_json(text, path.string())
                                                  : read_sentencepiece(text, path.string()));
  GgufMetadata metadata;
  write_vocabulary(data, metadata);
  ASSIGN_OR_RETURN(VocabularyData stored, read_vocabulary(metadata));
  return Tokenizer::create(std::move(stored));
}

// The next line without its end; false at the end of the file.
bool read_line(std::FILE* in, std::string& line) {
  line.clear();
  for (int c; (c = std::fgetc(in)) != EOF;) {
    if (c == '\n') return true;
    line.push_back(static_cast<char>(c));
  }
  return !line.empty();
}

}  // namespace

Status tokenize_lines(const std::filesystem::path& path, const TokenizeOptions& options,
                      std::FILE* in, std::FILE* out) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, open_tokenizer(path));
  const EncodeOptions encode{.add_special = options.add_special,
                             .parse_special = options.parse_special};
  std::string line;
  for (size_t number = 1; read_line(in, line); ++number) {
    const auto text = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!text.is_string()) {
      return make_error(ErrorKind::kInvalid, "[standard input] line {} is no JSON string", number);
    }
    const std::vector<int32_t> ids = tokenizer->encode(text.get_ref<const std::string&>(), encode);
    const nlohmann::json result = {{"ids", ids}, {"text", tokenizer->decode(ids)}};
    const std::string dumped =
        result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (std::fwrite(dumped.data(), 1, dumped.size(), out) != dumped.size()) {
      return make_error(ErrorKind::kFailure, "[standard output] cannot be written");
    }
  }
  return {};
}

}  // namespace nibble::lab
