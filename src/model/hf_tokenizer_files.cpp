#include "model/hf_tokenizer_files.h"

#include <cstring>
#include <string_view>

#include <nlohmann/json.hpp>

#include "model/hf_card.h"
#include "model/vocabulary.h"
#include "text/pretokenize.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPhantomSpace = "\u2581";

// As kept here and in files: names that are no UTF-8 do not pass Tokenizer::create.
std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

TokenType type_of(const VocabularyData& data, size_t id) {
  return id < data.types.size() ? data.types[id] : TokenType::kNormal;
}

bool is_special(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

Json added_tokens(const VocabularyData& data) {
  Json list = Json::array();
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    const TokenType type = type_of(data, id);
    if (!is_special(type) && type != TokenType::kUserDefined) continue;
    list.push_back({{"id", id},
                    {"content", data.tokens[id]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", is_special(type)}});
  }
  return list;
}

bool is_bracketed(std::string_view text) { return text.starts_with('[') && text.ends_with(']'); }

// The vocabulary as one text: an object of ordered_json would be searched from the front for every
// token.
std::string vocab_text(const VocabularyData& data, bool is_word_piece) {
  std::string text = "{";
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    std::string spelling = data.tokens[id];
    const TokenType type = type_of(data, id);
    if (type == TokenType::kUnused && spelling == fmt::format("[PAD{}]", id)) continue;
    if (is_word_piece && (type == TokenType::kNormal || type == TokenType::kUnused) &&
        !is_bracketed(spelling)) {
      // "_word" begins a word in GGUF, "##word" goes on with one in the folder; "[unused1]" stays
      spelling = spelling.starts_with(kPhantomSpace) ? spelling.substr(kPhantomSpace.size())
                                                     : "##" + spelling;
    }
    text += fmt::format("{}{}:{}", text.size() > 1 ? "," : "",
                        Json(spelling).dump(-1, ' ', false, Json::error_handler_t::replace), id);
  }
  return text + "}";
}

// The frame around the vocabulary; "VOCAB" stands where it goes.
std::string with_vocab(const Json& frame, const std::string& vocab) {
  std::string text = text_of(frame);
  const std::string_view mark = "\"vocab\": \"VOCAB\"";
  const size_t at = text.find(mark);
  CHECK(at != std::string::npos);
  return text.replace(at, mark.size(), "\"vocab\": " + vocab);
}

Json frame_of(const VocabularyData& data) {
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(data)}};
}

Result<std::string> byte_level_json(const VocabularyData& data) {
  const PreTokenizerSpec* spec = find_pre_tokenizer(data.pre);
  if (spec == nullptr || !spec->is_byte_level || spec->drops_spaces) {
    return make_error(ErrorKind::kFailure,
                      "[vocabulary] the splitter '{}' has no form in tokenizer.json that nibble "
                      "writes",
                      data.pre);
  }
  Json json = frame_of(data);
  json["normalizer"] = data.normalizer.empty() ? Json() : Json{{"type", data.normalizer}};
  Json steps = Json::array();
  for (const std::string_view pattern : spec->patterns) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  steps.push_back(byte_level);
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  json["post_processor"] = nullptr;
  if (data.add_bos && data.bos >= 0) {
    const std::string& bos = data.tokens[static_cast<size_t>(data.bos)];
    const Json special = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
    const Json first = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const Json second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
    const Json tokens = {{bos, {{"id", bos}, {"ids", {data.bos}}, {"tokens", {bos}}}}};
    json["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", Json::array({special, first})},
                              {"pair", Json::array({special, first, special, second})},
                              {"special_tokens", tokens}};
  }
  json["decoder"] = byte_level;
  json["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", spec->whole_words_first},
                   {"vocab", "VOCAB"},
                   {"merges", data.merges}};
  return with_vocab(json, vocab_text(data, false));
}

std::string word_piece_json(const VocabularyData& data) {
  const auto name = [&](int32_t id, const char* usual) {
    return id >= 0 ? data.tokens[static_cast<size_t>(id)] : std::string(usual);
  };
  Json json = frame_of(data);
  json["normalizer"] = {{"type", "BertNormalizer"},
                        {"clean_text", true},
                        {"handle_chinese_chars", true},
                        {"strip_accents", data.strip_accents},
                        {"lowercase", data.lowercase}};
  json["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  json["post_processor"] = {{"type", "BertProcessing"},
                            {"sep", Json::array({name(data.sep, "[SEP]"), std::max(data.sep, 0)})},
                            {"cls", Json::array({name(data.cls, "[CLS]"), std::max(data.cls, 0)})}};
  json["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  json["model"] = {{"type", "WordPiece"},
                   {"unk_token", name(data.unknown, "[UNK]")},
                   {"continuing_subword_prefix", "##"},
                   {"max_input_chars_per_word", 100},
                   {"vocab", "VOCAB"}};
  return with_vocab(json, vocab_text(data, true));
}

// ---- SentencePiece -----------------------------------------------------------------------------
// A protocol buffer: fields of (number << 3 | kind), kind 0 a varint, 2 bytes with their length, 5
// four bytes.

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}
void put_number(std::string& out, int field, uint64_t value) {
  put_varint(out, static_cast<uint64_t>(field) << 3);
  put_varint(out, value);
}
void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out.append(bytes);
}
void put_float(std::string& out, int field, float value) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 5);
  char bytes[4];
  std::memcpy(bytes, &value, 4);
  out.append(bytes, 4);
}

// ModelProto { 1: pieces { 1: piece, 2: score, 3: type }, 2: trainer_spec { 3: model_type, 35:
// byte_fallback, 40..43: ids }, 3: normalizer_spec { 2: charsmap, 3: add_dummy_prefix, 4:
// remove_extra_whitespaces } }. Piece types have GGUF's numbers.
std::string sentencepiece_model(const VocabularyData& data) {
  std::string out;
  bool has_bytes = false;
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    std::string piece;
    put_bytes(piece, 1, data.tokens[id]);
    put_float(piece, 2, id < data.scores.size() ? data.scores[id] : 0.0f);
    const TokenType type = type_of(data, id);
    has_bytes |= type == TokenType::kByte;
    put_number(piece, 3, type == TokenType::kUndefined ? 1 : static_cast<uint64_t>(type));
    put_bytes(out, 1, piece);
  }
  std::string trainer;
  put_number(trainer, 3, data.model == "t5" ? 1 : 2);
  put_number(trainer, 35, has_bytes ? 1 : 0);
  const std::pair<int, int32_t> ids[] = {
      {40, data.unknown}, {41, data.bos}, {42, data.eos}, {43, data.padding}};
  for (const auto& [field, id] : ids) {  // -1 is ten bytes of a 64-bit varint
    put_number(trainer, field, static_cast<uint64_t>(static_cast<int64_t>(id)));
  }
  put_bytes(out, 2, trainer);
  std::string normalizer;
  if (!data.precompiled_charsmap.empty()) put_bytes(normalizer, 2, data.precompiled_charsmap);
  put_number(normalizer, 3, data.add_space_prefix ? 1 : 0);
  put_number(normalizer, 4, data.remove_extra_whitespaces ? 1 : 0);
  put_bytes(out, 3, normalizer);
  return out;
}

std::string config_json(const VocabularyData& data, const GgufMetadata& metadata) {
  Json json = Json::object();
  json["add_bos_token"] = data.add_bos;
  json["add_eos_token"] = data.add_eos;
  // Byte-level tokenizers say it though it has no effect on them; of others the model itself does.
  if (data.model == "gpt2" && !data.add_space_prefix) json["add_prefix_space"] = false;
  const std::pair<const char*, int32_t> names[] = {
      {"bos_token", data.bos},     {"eos_token", data.eos}, {"unk_token", data.unknown},
      {"pad_token", data.padding}, {"cls_token", data.cls}, {"sep_token", data.sep},
      {"mask_token", data.mask}};
  for (const auto& [key, id] : names) {
    if (id >= 0 && static_cast<size_t>(id) < data.tokens.size()) {
      json[key] = data.tokens[static_cast<size_t>(id)];
    }
  }
  const GgufValue* text = metadata.find("tokenizer.chat_template");
  if (text != nullptr && text->as_string()) json["chat_template"] = *text->as_string();
  json["tokenizer_class"] = data.model == "bert"    ? "BertTokenizer"
                            : data.model == "llama" ? "LlamaTokenizer"
                            : data.model == "t5"    ? "T5Tokenizer"
                                                    : "PreTrainedTokenizerFast";
  return text_of(json);
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> tokenizer_files(
    const GgufMetadata& metadata, std::vector<std::string>& warnings) {
  std::vector<std::pair<std::string, std::string>> files;
  ASSIGN_OR_RETURN(const VocabularyData data, read_vocabulary(metadata));
  files.emplace_back("tokenizer_config.json", config_json(data, metadata));
  Json generation = Json::object();
  if (data.eot >= 0 && data.eot != data.eos) {  // a second token that ends an answer
    generation["eos_token_id"] = Json::array({data.eos, data.eot});
    if (data.bos >= 0) generation["bos_token_id"] = data.bos;
  }
  write_sampling(metadata, generation);
  if (!generation.empty()) files.emplace_back("generation_config.json", text_of(generation));
  if (!data.huggingface_json.empty()) {
    files.emplace_back("tokenizer.json", data.huggingface_json);
  } else if (data.model == "gpt2") {
    ASSIGN_OR_RETURN(std::string json, byte_level_json(data));
    files.emplace_back("tokenizer.json", std::move(json));
  } else if (data.model == "bert") {
    files.emplace_back("tokenizer.json", word_piece_json(data));
  } else if (data.model == "llama" || data.model == "t5") {
    files.emplace_back("tokenizer.model", sentencepiece_model(data));
  } else {
    warnings.push_back(
        fmt::format("[vocabulary] a tokenizer of the kind '{}' is not written; the folder has none",
                    data.model));
  }
  return files;
}

}  // namespace nibble
