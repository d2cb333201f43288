#include "text/plain_vocabulary.h"

#include <algorithm>
#include <string>
#include <utility>

#include "text/json_fields.h"
#include "text/pretokenize.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary_kinds.h"

namespace nibble {
namespace {

using nlohmann::json;

// Calls take(line) for every line; the last may lack its end.
template <typename Take>
void for_each_line(std::string_view text, Take&& take) {
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, length);
    if (line.ends_with('\r')) line.remove_suffix(1);
    take(line);
    text.remove_prefix(std::min(length + 1, text.size()));
  }
}

Result<json> config_of(std::string_view text) {
  if (text.empty()) return json::object();
  return parse_json_object(text, "tokenizer_config.json");
}

// "tokenizer_class", without what tells the two implementations apart; empty where there is none.
Result<std::string> class_of(const json& config) {
  ASSIGN_OR_RETURN(std::string name,
                   JsonFields(config, "tokenizer_config.json").text("tokenizer_class", ""));
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

Error unknown_class(std::string_view name, std::string_view files, std::string_view known,
                    std::string_view where) {
  return make_error(ErrorKind::kFailure,
                    "[{}] is of the tokenizer '{}' (tokenizer_class in tokenizer_config.json); "
                    "without tokenizer.json nibble reads {} of {}; fetch tokenizer.json into the "
                    "folder",
                    where, plain_name(name), files, known);
}

json special_token(const std::string& spelling, const json& id) {
  return {{"id", id},        {"content", spelling}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

// "[CLS]", or {"content": "[CLS]", ...}.
std::string name_of(const json& config, const char* key, const char* usual) {
  const auto found = config.find(key);
  if (found == config.end()) return usual;
  const json* text = &*found;
  if (text->is_object() && text->contains("content")) text = &text->at("content");
  return text->is_string() ? text->get<std::string>() : usual;
}

}  // namespace

Result<VocabularyData> read_word_list(std::string_view text, std::string_view config_text,
                                      std::string_view where) {
  ASSIGN_OR_RETURN(const json config, config_of(config_text));
  ASSIGN_OR_RETURN(const std::string name, class_of(config));
  if (!name.empty() && name != "BertTokenizer" && name != "DistilBertTokenizer") {
    return unknown_class(name, "vocab.txt", "BertTokenizer", where);
  }
  json vocab = json::object();
  size_t n_tokens = 0;
  for_each_line(text, [&](std::string_view line) { vocab[std::string(line)] = n_tokens++; });

  json added = json::array(), tokens;
  const std::pair<const char*, const char*> specials[] = {{"unk_token", "[UNK]"},
                                                          {"sep_token", "[SEP]"},
                                                          {"cls_token", "[CLS]"},
                                                          {"pad_token", "[PAD]"},
                                                          {"mask_token", "[MASK]"}};
  for (const auto& [key, usual] : specials) {
    const std::string spelling = name_of(config, key, usual);
    const auto found = vocab.find(spelling);
    const bool is_needed = key != std::string_view("mask_token");
    if (found == vocab.end() && !is_needed) continue;
    if (found == vocab.end()) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] does not list the {} \"{}\"; the file is damaged or of another kind "
                        "of tokenizer",
                        where, key, plain_name(spelling));
    }
    added.push_back(special_token(spelling, *found));
    tokens[key] = {spelling, *found};
  }
  const JsonFields fields(config, "tokenizer_config.json");
  ASSIGN_OR_RETURN(const bool lowercase, fields.flag("do_lower_case", true));
  ASSIGN_OR_RETURN(const bool strip_accents, fields.flag("strip_accents", lowercase));
  ASSIGN_OR_RETURN(const bool cuts_chinese, fields.flag("tokenize_chinese_chars", true));
  const json document = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer",
       {{"type", "BertNormalizer"},
        {"clean_text", true},
        {"handle_chinese_chars", cuts_chinese},
        {"strip_accents", strip_accents},
        {"lowercase", lowercase}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor",
       {{"type", "BertProcessing"}, {"sep", tokens["sep_token"]}, {"cls", tokens["cls_token"]}}},
      {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", tokens["unk_token"][0]},
        {"continuing_subword_prefix", "##"},
        {"max_input_chars_per_word", 100},
        {"vocab", std::move(vocab)}}}};
  return read_tokenizer_json(document.dump(-1, ' ', false, json::error_handler_t::replace), where);
}

Result<VocabularyData> read_vocabulary_and_merges(const MergeFiles& files,
                                                  std::string_view model_type,
                                                  std::string_view where) {
  ASSIGN_OR_RETURN(const json config, config_of(files.config));
  ASSIGN_OR_RETURN(std::string name, class_of(config));
  if (name.empty() && model_type.starts_with("gpt2")) name = "GPT2Tokenizer";
  if (name.empty() && model_type.starts_with("qwen")) name = "Qwen2Tokenizer";
  const bool is_qwen = name == "Qwen2Tokenizer";
  if (!is_qwen && name != "GPT2Tokenizer") {
    return unknown_class(name, "vocab.json and merges.txt", "GPT2Tokenizer and Qwen2Tokenizer",
                         where);
  }
  ASSIGN_OR_RETURN(json vocab, parse_json_object(files.vocab, where));
  json added = json::array();
  const char* const end_of_text = "<|endoftext|>";
  if (const auto found = vocab.find(end_of_text); found != vocab.end()) {
    added.push_back(special_token(end_of_text, *found));
  }
  if (!files.added.empty()) {
    ASSIGN_OR_RETURN(const json more, parse_json_object(files.added, "added_tokens.json"));
    for (const auto& [spelling, id] : more.items()) {
      if (spelling != end_of_text || added.empty()) added.push_back(special_token(spelling, id));
    }
    std::sort(added.begin(), added.end(),
              [](const json& a, const json& b) { return a["id"] < b["id"]; });
  }
  json merges = json::array();
  for_each_line(files.merges, [&](std::string_view line) {
    const size_t space = line.find(' ');
    if (line.empty() || line.starts_with("#version")) return;
    json pair = json::array({std::string(line.substr(0, space))});
    if (space != std::string_view::npos) pair.push_back(std::string(line.substr(space + 1)));
    merges.push_back(std::move(pair));
  });
  ASSIGN_OR_RETURN(const bool adds_space,
                   JsonFields(config, "tokenizer_config.json").flag("add_prefix_space", false));
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", adds_space},
                           {"trim_offsets", true},
                           {"use_regex", !is_qwen}};
  json splitter = byte_level;
  if (is_qwen) {
    const json words = {{"type", "Split"},
                        {"pattern", {{"Regex", find_pre_tokenizer("qwen2")->patterns.front()}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
    splitter = {{"type", "Sequence"}, {"pretokenizers", json::array({words, byte_level})}};
  }
  const json document = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", is_qwen ? json{{"type", "NFC"}} : json()},
      {"pre_tokenizer", splitter},
      {"decoder", byte_level},
      {"model", {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", std::move(merges)}}}};
  return read_tokenizer_json(document.dump(-1, ' ', false, json::error_handler_t::replace), where);
}

}  // namespace nibble
