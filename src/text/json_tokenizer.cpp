#include "text/json_tokenizer.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "text/json_fields.h"

namespace nibble {
namespace {

using nlohmann::json;

// What the library takes off the lowest score for an unknown character.
constexpr double kUnknownPenalty = 10.0;

Result<int32_t> token_id(const JsonFields& fields, const json& id, int32_t n_tokens) {
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(n_tokens)) {
    return fields.wrong("ids", fmt::format("ids from 0 to {}", n_tokens - 1));
  }
  return id.get<int32_t>();
}

// The pair ["<s>", 0] of BertProcessing and RobertaProcessing.
Result<int32_t> token_of_pair(const JsonFields& fields, std::string_view key, int32_t n_tokens) {
  const json* pair = fields.find(key);
  if (pair == nullptr || !pair->is_array() || pair->size() != 2) {
    return fields.wrong(key, "a token and its id");
  }
  return token_id(fields, (*pair)[1], n_tokens);
}

Status read_template(const JsonFields& fields, int32_t n_tokens, JsonFrame& frame) {
  ASSIGN_OR_RETURN(const json* pieces, fields.list("single"));
  const json* specials = fields.find("special_tokens");
  JsonFrame own;
  bool is_behind = false;
  for (const json& piece : *pieces) {
    if (!piece.is_object() || piece.size() != 1) return fields.wrong("single", "a template");
    const std::string& kind = piece.begin().key();
    const json& body = piece.begin().value();
    const JsonFields piece_fields(body, "the post_processor's template");
    ASSIGN_OR_RETURN(const std::string id, piece_fields.text("id"));
    if (kind == "Sequence") {
      if (id != "A" || is_behind) return fields.wrong("single", "a template with the text once");
      is_behind = true;
      continue;
    }
    if (kind != "SpecialToken") return fields.wrong("single", "a template");
    if (specials == nullptr || !specials->is_object() || !specials->contains(id)) {
      return fields.wrong("special_tokens", "the tokens that the template names");
    }
    const JsonFields special(specials->at(id), "the post_processor's special_tokens");
    ASSIGN_OR_RETURN(const json* ids, special.list("ids"));
    for (const json& one : *ids) {
      ASSIGN_OR_RETURN(const int32_t token, token_id(special, one, n_tokens));
      (is_behind ? own.suffix : own.prefix).push_back(token);
    }
  }
  if (!is_behind) return fields.wrong("single", "a template with the text once");
  frame.prefix.insert(frame.prefix.begin(), own.prefix.begin(), own.prefix.end());
  frame.suffix.insert(frame.suffix.end(), own.suffix.begin(), own.suffix.end());
  return {};
}

// data.add_bos and add_eos have the last word on those two (tokenizer_config.json may change them).
void apply_flags(const VocabularyData& data, JsonFrame& frame) {
  const auto contains = [](const std::vector<int32_t>& ids, int32_t id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  if (data.bos >= 0 && data.add_bos != contains(frame.prefix, data.bos)) {
    if (data.add_bos) {
      frame.prefix.insert(frame.prefix.begin(), data.bos);
    } else {
      std::erase(frame.prefix, data.bos);
    }
  }
  // SEP and EOS are often the same token; add_sep stands for it then.
  const bool wants_eos = data.add_eos || (data.add_sep && data.sep == data.eos);
  if (data.eos >= 0 && wants_eos != contains(frame.suffix, data.eos)) {
    if (wants_eos) {
      frame.suffix.push_back(data.eos);
    } else {
      std::erase(frame.suffix, data.eos);
    }
  }
}

Result<std::unique_ptr<TokenModel>> make_model(const JsonVocabulary& vocabulary,
                                               const TokenTable& table) {
  switch (vocabulary.model) {
    case JsonModel::kBpe:
      return make_bpe_model(table, vocabulary.merges, vocabulary.bpe);
    case JsonModel::kUnigram: {
      // Added tokens beyond the model's are found before it sees the text.
      std::vector<double> scores = vocabulary.scores;
      double lowest = std::numeric_limits<double>::infinity();
      for (const double score : scores) lowest = std::min(lowest, score);
      scores.resize(static_cast<size_t>(table.size()), lowest);
      return make_unigram_model(table, std::move(scores), lowest - kUnknownPenalty,
                                vocabulary.unknown);
    }
    case JsonModel::kWordPiece: {
      WordPieceOptions options;
      options.unknown = vocabulary.unknown.unknown;
      options.max_word_characters = static_cast<size_t>(vocabulary.max_word_characters);
      options.continuing_prefix = vocabulary.continuing_prefix;
      return make_word_piece_model(table, options);
    }
    case JsonModel::kWordLevel:
      break;
  }
  return make_word_level_model(table, vocabulary.unknown.unknown);
}

Status add_tokens(const JsonVocabulary& vocabulary, TokenizerPipeline& pipeline) {
  std::vector<AddedToken> raw, normalized;
  for (const JsonAddedToken& added : vocabulary.added) {
    if (!added.is_normalized) {
      raw.push_back(added.token);
      continue;
    }
    AddedToken token = added.token;
    for (const auto& step : pipeline.normalizers) token.spelling = step->apply(token.spelling);
    if (token.spelling.empty()) continue;
    if (token.spelling.size() > AddedTokens::kMaxBytes) {
      return make_error(ErrorKind::kInvalid,
                        "[tokenizer.json] the added token {} has {} bytes when normalized; at most "
                        "{} are allowed",
                        token.token, token.spelling.size(), AddedTokens::kMaxBytes);
    }
    normalized.push_back(std::move(token));
  }
  pipeline.added = AddedTokens(std::move(raw));
  pipeline.added_normalized = AddedTokens(std::move(normalized));
  return {};
}

}  // namespace

Result<JsonFrame> read_json_post_processor(const json& document, int32_t n_tokens) {
  JsonFrame frame;
  const auto found = document.find("post_processor");
  if (found == document.end()) return frame;
  ASSIGN_OR_RETURN(const auto parts, flat_parts(*found, "the post_processor", "processors"));
  for (const json* part : parts) {
    const JsonFields fields(*part, "the post_processor");
    ASSIGN_OR_RETURN(const std::string type, fields.type());
    if (type == "ByteLevel") continue;  // only about offsets
    if (type == "TemplateProcessing") {
      RETURN_IF_ERROR(read_template(fields, n_tokens, frame));
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      ASSIGN_OR_RETURN(const int32_t cls, token_of_pair(fields, "cls", n_tokens));
      ASSIGN_OR_RETURN(const int32_t sep, token_of_pair(fields, "sep", n_tokens));
      frame.prefix.insert(frame.prefix.begin(), cls);
      frame.suffix.push_back(sep);
    } else {
      return fields.unknown_part(type);
    }
  }
  return frame;
}

Result<std::unique_ptr<Tokenizer>> create_from_json(VocabularyData data) {
  ASSIGN_OR_RETURN(const json document,
                   parse_json_object(data.huggingface_json, "tokenizer.huggingface.json"));
  ASSIGN_OR_RETURN(JsonVocabulary vocabulary, read_json_vocabulary(document));
  if (vocabulary.spellings.size() > data.tokens.size()) {
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] tokenizer.huggingface.json has {} tokens, tokenizer.ggml.tokens "
                      "{}; they must be the same tokenizer",
                      vocabulary.spellings.size(), data.tokens.size());
  }
  // What else is known to be special (tokenizer_config.json, names of ends of turns) is.
  for (JsonAddedToken& added : vocabulary.added) {
    const auto id = static_cast<size_t>(added.token.token);
    if (added.token.is_special || id >= data.types.size()) continue;
    if (data.types[id] != TokenType::kControl) continue;
    added.token.is_special = true;
    vocabulary.types[id] = TokenType::kControl;
  }
  TokenizerPipeline pipeline;
  ASSIGN_OR_RETURN(pipeline.normalizers, read_json_normalizer(document));
  ASSIGN_OR_RETURN(pipeline.splitters, read_json_pre_tokenizer(document));
  ASSIGN_OR_RETURN(pipeline.decoders, read_json_decoder(document));
  ASSIGN_OR_RETURN(
      JsonFrame frame,
      read_json_post_processor(document, static_cast<int32_t>(vocabulary.spellings.size())));
  apply_flags(data, frame);
  pipeline.prefix = std::move(frame.prefix);
  pipeline.suffix = std::move(frame.suffix);
  ASSIGN_OR_RETURN(TokenTable table, TokenTable::create(vocabulary.spellings, vocabulary.types));
  pipeline.table = std::make_unique<TokenTable>(std::move(table));
  ASSIGN_OR_RETURN(pipeline.model, make_model(vocabulary, *pipeline.table));
  RETURN_IF_ERROR(add_tokens(vocabulary, pipeline));
  return make_pipeline_tokenizer(std::move(data), std::move(pipeline));
}

}  // namespace nibble
