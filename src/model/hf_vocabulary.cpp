#include "model/hf_vocabulary.h"

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "model/vocabulary.h"
#include "text/plain_vocabulary.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"

namespace nibble {
namespace {

using nlohmann::json;

// Folders from before tokenizer.json.
Result<VocabularyData> read_plain_files(const HfRepo& repo) {
  const auto where = [&](std::string_view name) { return (repo.folder() / name).string(); };
  ASSIGN_OR_RETURN(const auto config, repo.text_file("tokenizer_config.json"));
  ASSIGN_OR_RETURN(const auto words, repo.text_file("vocab.txt"));
  if (words) return read_word_list(*words, config.value_or(""), where("vocab.txt"));
  ASSIGN_OR_RETURN(const auto vocab, repo.text_file("vocab.json"));
  ASSIGN_OR_RETURN(const auto merges, repo.text_file("merges.txt"));
  if (vocab && merges) {
    ASSIGN_OR_RETURN(const auto added, repo.text_file("added_tokens.json"));
    const auto type = repo.config().find("model_type");
    const std::string model_type =
        type != repo.config().end() && type->is_string() ? type->get<std::string>() : "";
    return read_vocabulary_and_merges({*vocab, *merges, added ? std::string_view(*added) : "",
                                       config ? std::string_view(*config) : ""},
                                      model_type, where("vocab.json"));
  }
  if (vocab || merges) {
    return make_error(ErrorKind::kNotFound,
                      "[{}] is missing; {} alone is half a tokenizer; fetch the other file, or "
                      "tokenizer.json, into the folder",
                      where(vocab ? "merges.txt" : "vocab.json"),
                      vocab ? "vocab.json" : "merges.txt");
  }
  return make_error(ErrorKind::kNotFound,
                    "[{}] has no tokenizer: neither tokenizer.json nor tokenizer.model, vocab.txt "
                    "or vocab.json with merges.txt; a model without its tokenizer cannot be used; "
                    "fetch one of them into the folder",
                    repo.folder().string());
}

Result<VocabularyData> read_tokens(const HfRepo& repo) {
  ASSIGN_OR_RETURN(const auto tokenizer, repo.text_file("tokenizer.json"));
  ASSIGN_OR_RETURN(const auto pieces, repo.text_file("tokenizer.model"));
  const auto where = [&](std::string_view name) { return (repo.folder() / name).string(); };
  if (tokenizer) {
    auto data = read_tokenizer_json(*tokenizer, where("tokenizer.json"));
    const bool can_be_said = data.ok() && data->huggingface_json.empty();
    if (can_be_said || !pieces) return data;
    // The same tokenizer in a form that other programs read from a GGUF, too.
    auto other = read_sentencepiece(*pieces, where("tokenizer.model"));
    return other.ok() ? std::move(other) : std::move(data);
  }
  if (pieces) return read_sentencepiece(*pieces, where("tokenizer.model"));
  return read_plain_files(repo);
}

// The ids that a key gives: a number, or several. Numbers that are no tokens are left out.
std::vector<int32_t> token_ids(const json& object, const char* key, size_t n_tokens) {
  std::vector<int32_t> ids;
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) return ids;
  const auto add = [&](const json& value) {
    if (!value.is_number_unsigned()) return;
    if (const auto id = value.get<uint64_t>(); id < n_tokens)
      ids.push_back(static_cast<int32_t>(id));
  };
  if (found->is_array()) {
    for (const json& value : *found) add(value);
  } else {
    add(*found);
  }
  return ids;
}

// Where tokenizer_config.json names no special tokens, the configurations of the model do by id.
Status apply_ids(const HfRepo& repo, VocabularyData& data) {
  ASSIGN_OR_RETURN(const auto generation, repo.json_file("generation_config.json"));
  const json nothing;
  const std::pair<const char*, int32_t*> kinds[] = {
      {"bos_token_id", &data.bos}, {"eos_token_id", &data.eos}, {"pad_token_id", &data.padding}};
  for (const json* object : {generation ? &*generation : &nothing, &repo.config()}) {
    for (const auto& [key, id] : kinds) {
      const auto ids = token_ids(*object, key, data.tokens.size());
      if (*id < 0 && !ids.empty()) *id = ids.front();
      if (id != &data.eos || data.eot >= 0) continue;
      for (const int32_t other : ids) {
        if (other != data.eos && data.eot < 0) data.eot = other;
      }
    }
  }
  return {};
}

// tokenizer_config.json holds the template as a text, or several with names.
Result<std::string> template_of(const json& config, const std::string& where) {
  const auto found = config.is_object() ? config.find("chat_template") : config.end();
  if (!config.is_object() || found == config.end() || found->is_null()) return std::string();
  if (found->is_string()) return found->get<std::string>();
  const auto text_at = [](const json& entry, const char* key) {
    const auto value = entry.is_object() ? entry.find(key) : entry.end();
    return entry.is_object() && value != entry.end() && value->is_string()
               ? value->get<std::string>()
               : std::string();
  };
  if (found->is_array()) {
    for (const json& entry : *found) {
      if (text_at(entry, "name") == "default") return text_at(entry, "template");
    }
  }
  return make_error(ErrorKind::kInvalid,
                    "[{}] has a \"chat_template\" that is neither a text nor a list of named ones "
                    "with a \"default\"",
                    where);
}

// Added tokens behind the last row of the embedding cannot be computed with: some published models
// have one or two, of inputs that their text form does not take. More than that is another model's
// tokenizer.
Status cut_to_rows(const HfRepo& repo, size_t n_rows, VocabularyData& data) {
  const size_t n = data.tokens.size();
  if (n <= n_rows) return {};
  bool can_go = data.huggingface_json.empty() && data.types.size() == n;
  for (size_t id = n_rows; can_go && id < n; ++id) {
    can_go = data.types[id] == TokenType::kControl || data.types[id] == TokenType::kUserDefined;
  }
  if (!can_go) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tokenizer has {} tokens, the embedding {} rows; the tokenizer is "
                      "another model's, or files are of different versions",
                      repo.folder().string(), n, n_rows);
  }
  data.warnings.push_back(
      fmt::format("{} tokens behind the {} rows of the embedding are left out, the first is '{}'",
                  n - n_rows, n_rows, data.tokens[n_rows]));
  data.tokens.resize(n_rows);
  data.types.resize(n_rows);
  if (!data.scores.empty()) data.scores.resize(n_rows);
  for (int32_t* id : {&data.bos, &data.eos, &data.eot, &data.unknown, &data.padding, &data.eom,
                      &data.cls, &data.sep, &data.mask}) {
    if (*id >= 0 && static_cast<size_t>(*id) >= n_rows) *id = -1;
  }
  return {};
}

}  // namespace

Status add_folder_vocabulary(const HfRepo& repo, int64_t vocab_size, GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(VocabularyData data, read_tokens(repo));
  ASSIGN_OR_RETURN(const auto config_text, repo.text_file("tokenizer_config.json"));
  if (config_text) {
    const Status status = apply_tokenizer_config(*config_text, data);
    if (!status.ok()) {
      return make_error(status.error().kind, "[{}] {}",
                        (repo.folder() / "tokenizer_config.json").string(), status.error().message);
    }
  }
  RETURN_IF_ERROR(apply_ids(repo, data));
  RETURN_IF_ERROR(cut_to_rows(repo, static_cast<size_t>(vocab_size), data));
  pad_vocabulary(data, static_cast<size_t>(vocab_size));
  for (const std::string& warning : data.warnings) log_warning(warning);
  write_vocabulary(data, metadata);

  ASSIGN_OR_RETURN(const auto own_file, repo.text_file("chat_template.jinja"));
  std::string chat_template = own_file.value_or("");
  if (!own_file && config_text) {
    ASSIGN_OR_RETURN(const auto config, repo.json_file("tokenizer_config.json"));
    ASSIGN_OR_RETURN(chat_template,
                     template_of(*config, (repo.folder() / "tokenizer_config.json").string()));
  }
  if (!chat_template.empty()) {
    metadata.set("tokenizer.chat_template", GgufValue::of_string(chat_template));
  }
  return {};
}

}  // namespace nibble
