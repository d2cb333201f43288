// The model and the added tokens of tokenizer.json.
#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <utility>

#include "text/json_fields.h"
#include "text/json_tokenizer.h"
#include "text/vocabulary_kinds.h"

namespace nibble {
namespace {

using nlohmann::json;

Error invalid(std::string_view what) {
  return make_error(ErrorKind::kInvalid, "[tokenizer.json] {}; the file is damaged", what);
}

// Collects spellings by id.
class Spellings {
 public:
  // Ids may leave gaps, but not so many that a few bytes ask for gigabytes.
  explicit Spellings(size_t n_announced) : limit_(4 * n_announced + 65536) {}

  Status put(const std::string& spelling, uint64_t id) {
    if (id >= limit_) {
      return invalid(fmt::format("token \"{}\" has the id {}, which is beyond all of the {} tokens",
                                 plain_name(spelling), id, ids_.size()));
    }
    if (id >= texts_.size()) {
      texts_.resize(id + 1);
      is_set_.resize(id + 1);
    }
    if (is_set_[id]) {
      return invalid(fmt::format("tokens \"{}\" and \"{}\" have the same id {}",
                                 plain_name(texts_[id]), plain_name(spelling), id));
    }
    is_set_[id] = true;
    texts_[id] = spelling;
    ids_.emplace(spelling, static_cast<int32_t>(id));
    return {};
  }

  int32_t find(const std::string& spelling) const {
    const auto found = ids_.find(spelling);
    return found == ids_.end() ? -1 : found->second;
  }

  // Fills the gaps.
  void finish(std::vector<std::string>& spellings, std::vector<TokenType>& types) {
    types.assign(texts_.size(), TokenType::kNormal);
    for (size_t id = 0; id < texts_.size(); ++id) {
      if (is_set_[id]) continue;
      texts_[id] = fmt::format("[PAD{}]", id);
      while (ids_.contains(texts_[id])) texts_[id].insert(0, "[");
      types[id] = TokenType::kUnused;
    }
    spellings = std::move(texts_);
  }

 private:
  size_t limit_;
  std::vector<std::string> texts_;
  std::vector<bool> is_set_;
  std::unordered_map<std::string, int32_t> ids_;
};

Result<JsonModel> model_of(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const std::string type, fields.text("type", ""));
  if (type == "BPE") return JsonModel::kBpe;
  if (type == "Unigram") return JsonModel::kUnigram;
  if (type == "WordPiece") return JsonModel::kWordPiece;
  if (type == "WordLevel") return JsonModel::kWordLevel;
  if (!type.empty()) return fields.unknown_part(type);
  // Files older than the field.
  const json* vocabulary = fields.find("vocab");
  if (vocabulary != nullptr && vocabulary->is_array()) return JsonModel::kUnigram;
  if (fields.find("merges") != nullptr) return JsonModel::kBpe;
  if (fields.find("max_input_chars_per_word") != nullptr) return JsonModel::kWordPiece;
  return JsonModel::kWordLevel;
}

Status read_vocab_object(const JsonFields& fields, Spellings& spellings) {
  const json* vocabulary = fields.find("vocab");
  if (vocabulary == nullptr || !vocabulary->is_object()) return fields.wrong("vocab", "an object");
  for (const auto& [spelling, id] : vocabulary->items()) {
    if (!id.is_number_unsigned()) return fields.wrong("vocab", "an object of spelling and id");
    RETURN_IF_ERROR(spellings.put(spelling, id.get<uint64_t>()));
  }
  return {};
}

Status read_scored_vocab(const JsonFields& fields, Spellings& spellings,
                         std::vector<double>& scores) {
  ASSIGN_OR_RETURN(const json* vocabulary, fields.list("vocab"));
  for (const json& entry : *vocabulary) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      return fields.wrong("vocab", "an array of spelling and score");
    }
    const double score = entry[1].get<double>();
    if (!std::isfinite(score)) return fields.wrong("vocab", "with finite scores");
    RETURN_IF_ERROR(spellings.put(entry[0].get_ref<const std::string&>(), scores.size()));
    scores.push_back(score);
  }
  return {};
}

// "left right", or [left, right] in newer files.
Status read_merges(const JsonFields& fields, std::vector<MergePair>& merges) {
  const json* list = fields.find("merges");
  if (list == nullptr || !list->is_array()) {
    return make_error(
        ErrorKind::kInvalid,
        "[tokenizer.json] the BPE model has no merges; without them no text can be cut "
        "into its tokens; the file is incomplete");
  }
  merges.reserve(list->size());
  for (const json& entry : *list) {
    if (entry.is_string()) {
      const std::string& text = entry.get_ref<const std::string&>();
      const size_t space = text.find(' ', 1);
      if (space == std::string::npos) return fields.wrong("merges", "pairs");
      merges.push_back({text.substr(0, space), text.substr(space + 1)});
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.push_back({entry[0].get<std::string>(), entry[1].get<std::string>()});
    } else {
      return fields.wrong("merges", "pairs of tokens");
    }
  }
  return {};
}

Status read_unknown(const JsonFields& fields, const Spellings& spellings, bool is_required,
                    JsonVocabulary& vocabulary) {
  ASSIGN_OR_RETURN(const std::string name, fields.text("unk_token", ""));
  vocabulary.unknown.unknown = name.empty() ? -1 : spellings.find(name);
  if (vocabulary.unknown.unknown < 0 && (is_required || !name.empty())) {
    return invalid(
        fmt::format("the unknown token \"{}\" is not in the vocabulary", plain_name(name)));
  }
  return {};
}

Status read_bpe(const JsonFields& fields, const Spellings& spellings, JsonVocabulary& vocabulary) {
  const json* dropout = fields.find("dropout");
  if (dropout != nullptr && (!dropout->is_number() || dropout->get<double>() != 0.0)) {
    return make_error(
        ErrorKind::kFailure,
        "[tokenizer.json] the model has a dropout, which cuts the same text differently "
        "each time; nibble does not do that");
  }
  RETURN_IF_ERROR(read_merges(fields, vocabulary.merges));
  RETURN_IF_ERROR(read_unknown(fields, spellings, false, vocabulary));
  BpeOptions& bpe = vocabulary.bpe;
  ASSIGN_OR_RETURN(vocabulary.unknown.fuse, fields.flag("fuse_unk", false));
  ASSIGN_OR_RETURN(vocabulary.unknown.byte_fallback, fields.flag("byte_fallback", false));
  ASSIGN_OR_RETURN(bpe.whole_words_first, fields.flag("ignore_merges", false));
  ASSIGN_OR_RETURN(bpe.continuing_prefix, fields.text("continuing_subword_prefix", ""));
  ASSIGN_OR_RETURN(bpe.end_suffix, fields.text("end_of_word_suffix", ""));
  bpe.unknown = vocabulary.unknown;
  return {};
}

Status read_unigram(const JsonFields& fields, JsonVocabulary& vocabulary) {
  ASSIGN_OR_RETURN(const int64_t unknown, fields.count("unk_id", -1));
  if (unknown >= static_cast<int64_t>(vocabulary.scores.size())) {
    return fields.wrong("unk_id", "an id of the vocabulary");
  }
  vocabulary.unknown.unknown = static_cast<int32_t>(unknown);
  vocabulary.unknown.fuse = true;
  ASSIGN_OR_RETURN(vocabulary.unknown.byte_fallback, fields.flag("byte_fallback", false));
  return {};
}

Status read_added(const json& list, Spellings& spellings, JsonVocabulary& vocabulary) {
  for (const json& entry : list) {
    const JsonFields fields(entry, "an added token");
    JsonAddedToken added;
    ASSIGN_OR_RETURN(added.token.spelling, fields.text("content"));
    if (added.token.spelling.empty()) continue;  // as the library does
    if (added.token.spelling.size() > AddedTokens::kMaxBytes) {
      return fields.wrong("content", fmt::format("at most {} bytes", AddedTokens::kMaxBytes));
    }
    ASSIGN_OR_RETURN(const int64_t id, fields.count("id"));
    added.token.token = spellings.find(added.token.spelling);
    if (added.token.token < 0) {
      RETURN_IF_ERROR(spellings.put(added.token.spelling, static_cast<uint64_t>(id)));
      added.token.token = static_cast<int32_t>(id);
    }
    ASSIGN_OR_RETURN(added.token.is_special, fields.flag("special", false));
    ASSIGN_OR_RETURN(added.token.single_word, fields.flag("single_word", false));
    ASSIGN_OR_RETURN(added.token.lstrip, fields.flag("lstrip", false));
    ASSIGN_OR_RETURN(added.token.rstrip, fields.flag("rstrip", false));
    ASSIGN_OR_RETURN(added.is_normalized, fields.flag("normalized", !added.token.is_special));
    vocabulary.added.push_back(std::move(added));
  }
  return {};
}

void set_types(JsonVocabulary& vocabulary) {
  const auto type = [&](int32_t id) -> TokenType& {
    return vocabulary.types[static_cast<size_t>(id)];
  };
  if (vocabulary.unknown.byte_fallback) {
    for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.spellings.size()); ++id) {
      if (value_of_byte_token(vocabulary.spellings[static_cast<size_t>(id)]) >= 0) {
        type(id) = TokenType::kByte;
      }
    }
  }
  for (const JsonAddedToken& added : vocabulary.added) {
    const int32_t id = added.token.token;
    if (!added.token.is_special) {
      type(id) = TokenType::kUserDefined;
    } else {
      type(id) = id == vocabulary.unknown.unknown ? TokenType::kUnknown : TokenType::kControl;
    }
  }
}

// Merges that were left out show as tokens that nothing can make.
Status check_merges(const JsonVocabulary& vocabulary) {
  if (vocabulary.model != JsonModel::kBpe || !vocabulary.merges.empty()) return {};
  for (size_t id = 0; id < vocabulary.spellings.size(); ++id) {
    std::string_view text = vocabulary.spellings[id];
    if (vocabulary.types[id] != TokenType::kNormal || vocabulary.bpe.whole_words_first) continue;
    text.remove_prefix(std::min(text.size(), vocabulary.bpe.continuing_prefix.size()));
    if (text.ends_with(vocabulary.bpe.end_suffix)) {
      text.remove_suffix(vocabulary.bpe.end_suffix.size());
    }
    if (std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }) > 1) {
      return invalid("the BPE model has no merges, but tokens that only merges can make");
    }
  }
  return {};
}

}  // namespace

Result<JsonVocabulary> read_json_vocabulary(const json& document) {
  const JsonFields root(document, "the file");
  const json* model = root.find("model");
  if (model == nullptr || !model->is_object()) return root.wrong("model", "an object");
  const JsonFields fields(*model, "the model");
  const json* entries = fields.find("vocab");
  const json* added = root.find("added_tokens");
  if (added != nullptr && !added->is_array()) return root.wrong("added_tokens", "an array");
  const size_t n_announced =
      (entries == nullptr ? 0 : entries->size()) + (added == nullptr ? 0 : added->size());

  JsonVocabulary vocabulary;
  Spellings spellings(n_announced);
  ASSIGN_OR_RETURN(vocabulary.model, model_of(fields));
  if (vocabulary.model == JsonModel::kUnigram) {
    RETURN_IF_ERROR(read_scored_vocab(fields, spellings, vocabulary.scores));
    RETURN_IF_ERROR(read_unigram(fields, vocabulary));
  } else {
    RETURN_IF_ERROR(read_vocab_object(fields, spellings));
    if (vocabulary.model == JsonModel::kBpe) {
      RETURN_IF_ERROR(read_bpe(fields, spellings, vocabulary));
    } else {
      RETURN_IF_ERROR(read_unknown(fields, spellings, true, vocabulary));
    }
  }
  if (vocabulary.model == JsonModel::kWordPiece) {
    ASSIGN_OR_RETURN(vocabulary.max_word_characters, fields.count("max_input_chars_per_word", 100));
    ASSIGN_OR_RETURN(vocabulary.continuing_prefix, fields.text("continuing_subword_prefix", "##"));
  }
  if (added != nullptr) RETURN_IF_ERROR(read_added(*added, spellings, vocabulary));
  spellings.finish(vocabulary.spellings, vocabulary.types);
  if (vocabulary.spellings.empty()) return invalid("the vocabulary has no tokens");
  set_types(vocabulary);
  RETURN_IF_ERROR(check_merges(vocabulary));
  return vocabulary;
}

}  // namespace nibble
