#include "text/tokenizer_json.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/utf8.h"
#include "text/json_fields.h"
#include "text/json_tokenizer.h"
#include "text/pretokenize.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr std::string_view kSpaceSymbol = "\u2581";

// tokenizer.json next to the fields that are to say the same.
struct Import {
  const json& document;
  const JsonVocabulary& vocabulary;
  VocabularyData& data;
  std::string difference;  // why the fields cannot say it; empty: they can
};

const json& part_of(const json& document, const char* key) {
  static const json kNone;
  const auto found = document.find(key);
  return found == document.end() ? kNone : *found;
}

std::string type_of(const json& part) {
  const auto found = part.is_object() ? part.find("type") : part.end();
  return found != part.end() && found->is_string() ? found->get<std::string>() : "";
}

bool flag_of(const json& part, const char* key, bool otherwise) {
  return JsonFields(part, "").flag(key, otherwise).value();
}

bool has_text(const json& part, const char* key, std::string_view text) {
  const auto found = part.find(key);
  return found != part.end() && found->is_string() && found->get_ref<const std::string&>() == text;
}

bool is_pattern(const json& part, const char* kind, std::string_view text) {
  const auto found = part.find("pattern");
  return found != part.end() && found->is_object() && found->contains(kind) &&
         has_text(*found, kind, text);
}

// Parts were validated when the pipeline was built from them.
std::vector<const json*> parts_of(const json& document, const char* key, const char* list_key) {
  return flat_parts(part_of(document, key), key, list_key).value();
}

// The expressions of a byte-level pre-tokenizer, if it is one that a row of the table could be.
std::optional<std::vector<std::string>> byte_level_patterns(const json& document) {
  std::vector<std::string> patterns;
  const auto parts = parts_of(document, "pre_tokenizer", "pretokenizers");
  for (size_t i = 0; i < parts.size(); ++i) {
    const json& part = *parts[i];
    const std::string type = type_of(part);
    const bool is_last = i + 1 == parts.size();
    if (type == "ByteLevel") {
      if (!is_last || flag_of(part, "add_prefix_space", true)) return std::nullopt;
      if (flag_of(part, "use_regex", true)) patterns.emplace_back(gpt2_pattern());
      return patterns;
    }
    if (type == "Digits") {
      patterns.emplace_back(flag_of(part, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Split") {
      const auto pattern = read_pattern(JsonFields(part, ""), "pattern");
      // "Removed, inverted" keeps the matches, and these expressions match everything.
      const bool is_cut = has_text(part, "behavior", "Isolated") && !flag_of(part, "invert", false);
      const bool is_kept = has_text(part, "behavior", "Removed") && flag_of(part, "invert", false);
      if (!pattern.ok() || !pattern->is_regex || (!is_cut && !is_kept)) return std::nullopt;
      patterns.push_back(pattern->text);
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;  // not byte-level
}

// Spellings, types and merges as they are.
void copy_tokens(Import& import) {
  VocabularyData& data = import.data;
  data.tokens = import.vocabulary.spellings;
  data.types = import.vocabulary.types;
  data.unknown = import.vocabulary.unknown.unknown;
  for (const JsonAddedToken& added : import.vocabulary.added) {
    if (added.token.lstrip || added.token.rstrip || added.token.single_word) {
      import.difference = "added tokens that take the spaces around them";
    }
  }
}

void import_byte_level(Import& import) {
  VocabularyData& data = import.data;
  data.model = "gpt2";
  data.pre = "default";
  for (const MergePair& merge : import.vocabulary.merges) {
    data.merges.push_back(merge.left + " " + merge.right);
    if (merge.left.find(' ', 1) != std::string::npos) {
      import.difference = "merges of tokens with spaces";
    }
  }
  const auto normalizers = parts_of(import.document, "normalizer", "normalizers");
  if (normalizers.size() == 1 && type_of(*normalizers[0]).starts_with("NF")) {
    data.normalizer = type_of(*normalizers[0]);
    data.warnings.push_back(
        fmt::format("the text is brought to the normal form {} first, which llama.cpp does not do: "
                    "decomposed characters give other tokens there",
                    data.normalizer));
  } else if (!normalizers.empty()) {
    import.difference = "its normalizer";
  }
  const BpeOptions& bpe = import.vocabulary.bpe;
  if (!bpe.continuing_prefix.empty() || !bpe.end_suffix.empty() || bpe.unknown.byte_fallback ||
      bpe.unknown.unknown >= 0) {
    import.difference = "options of its BPE model";
  }
  const auto patterns = byte_level_patterns(import.document);
  const PreTokenizerSpec* row =
      patterns ? match_pre_tokenizer(*patterns, bpe.whole_words_first) : nullptr;
  if (row == nullptr) {
    import.difference = "its pre_tokenizer";
  } else {
    data.pre = row->names[0];
  }
  if (type_of(part_of(import.document, "decoder")) != "ByteLevel") {
    import.difference = "its decoder";
  }
}

// Scores that order the merges as the list does. Unless the list has every way to make a token, one
// after the other, merging by scores gives other tokens.
bool set_scores_from_merges(const JsonVocabulary& vocabulary, VocabularyData& data) {
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    ids.emplace(data.tokens[id], static_cast<int32_t>(id));
  }
  data.scores.assign(data.tokens.size(), -1e6f);  // no merge makes it
  std::vector<size_t> n_ways(data.tokens.size());
  bool is_ordered = true;
  int32_t last = -1, place = 0;
  for (const MergePair& merge : vocabulary.merges) {
    const auto found = ids.find(merge.left + merge.right);
    if (found == ids.end()) return false;
    const auto id = static_cast<size_t>(found->second);
    if (found->second != last) {
      is_ordered = is_ordered && n_ways[id] == 0;
      if (n_ways[id] == 0) data.scores[id] = static_cast<float>(-place++);
      last = found->second;
    }
    ++n_ways[id];
  }
  const auto is_symbol = [&](std::string_view text) {
    return ids.contains(text) || decode_utf8(text).length == text.size();
  };
  for (size_t id = 0; id < data.tokens.size() && is_ordered; ++id) {
    const std::string_view text = data.tokens[id];
    if (data.types[id] != TokenType::kNormal && n_ways[id] == 0) continue;
    size_t n_possible = 0;
    for (size_t at = 1; at < text.size(); ++at) {
      if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
      n_possible += is_symbol(text.substr(0, at)) && is_symbol(text.substr(at)) ? 1 : 0;
    }
    is_ordered = n_possible == n_ways[id];
  }
  return is_ordered;
}

bool is_spaces_to_symbol(const json& part) {
  return type_of(part) == "Replace" && is_pattern(part, "String", " ") &&
         has_text(part, "content", kSpaceSymbol);
}

// Normalizer and pre_tokenizer that do what "llama" does to spaces: all become U+2581, one before
// the text or none.
bool is_sentencepiece_spaces(const json& document, bool& adds_prefix) {
  auto normalizers = parts_of(document, "normalizer", "normalizers");
  const auto splitters = parts_of(document, "pre_tokenizer", "pretokenizers");
  adds_prefix = !normalizers.empty() && type_of(*normalizers[0]) == "Prepend" &&
                has_text(*normalizers[0], "prepend", kSpaceSymbol);
  if (adds_prefix) normalizers.erase(normalizers.begin());
  if (normalizers.size() != 1 || !is_spaces_to_symbol(*normalizers[0])) return false;
  // A splitter at spaces finds none any more.
  return std::all_of(splitters.begin(), splitters.end(), [](const json* part) {
    return type_of(*part) == "Split" && is_pattern(*part, "String", " ") &&
           !flag_of(*part, "invert", false);
  });
}

void import_sentencepiece_pairs(Import& import) {
  VocabularyData& data = import.data;
  const BpeOptions& bpe = import.vocabulary.bpe;
  data.model = "llama";
  if (!set_scores_from_merges(import.vocabulary, data)) {
    import.difference = "an order of merges that no scores give";
  }
  if (!bpe.unknown.byte_fallback || bpe.whole_words_first || !bpe.continuing_prefix.empty() ||
      !bpe.end_suffix.empty()) {
    import.difference = "options of its BPE model";
  }
  bool adds_prefix = false;
  if (!is_sentencepiece_spaces(import.document, adds_prefix)) {
    import.difference = "its normalizer or pre_tokenizer";
    adds_prefix = type_of(part_of(import.document, "pre_tokenizer")) == "Metaspace" &&
                  !has_text(part_of(import.document, "pre_tokenizer"), "prepend_scheme", "never");
  }
  data.add_space_prefix = adds_prefix;
  // A token like "▁▁" is never found as it stands in a text, whose spaces are still spaces; merges
  // make it, as they make any other.
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.types[id] == TokenType::kUserDefined && data.scores[id] > -1e6f &&
        data.tokens[id].find(kSpaceSymbol) != std::string::npos) {
      data.types[id] = TokenType::kNormal;
    }
  }
}

void import_unigram(Import& import) {
  VocabularyData& data = import.data;
  data.model = "t5";
  data.scores.assign(import.vocabulary.scores.begin(), import.vocabulary.scores.end());
  data.scores.resize(data.tokens.size(), -1e4f);
  data.remove_extra_whitespaces = true;
  // Hugging Face normalizes by graphemes where SentencePiece takes the longest entry.
  import.difference = "its normalizer and pre_tokenizer";
}

void import_word_pieces(Import& import) {
  VocabularyData& data = import.data;
  data.model = "bert";
  const json& normalizer = part_of(import.document, "normalizer");
  if (type_of(normalizer) == "BertNormalizer") {
    data.lowercase = flag_of(normalizer, "lowercase", true);
    data.strip_accents = flag_of(normalizer, "strip_accents", data.lowercase);
  }
  if (type_of(normalizer) != "BertNormalizer" || !flag_of(normalizer, "clean_text", true) ||
      !flag_of(normalizer, "handle_chinese_chars", true)) {
    import.difference = "its normalizer";
  }
  if (type_of(part_of(import.document, "pre_tokenizer")) != "BertPreTokenizer") {
    import.difference = "its pre_tokenizer";
  }
  if (import.vocabulary.max_word_characters != 100) import.difference = "its longest word";
  // llama.cpp's form: words begin with U+2581, what continues them has no "##".
  const std::string& prefix = import.vocabulary.continuing_prefix;
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.types[id] != TokenType::kNormal) continue;
    std::string& token = data.tokens[id];
    if (!prefix.empty() && token.starts_with(prefix) && token.size() > prefix.size()) {
      token.erase(0, prefix.size());
    } else {
      token.insert(0, kSpaceSymbol);
    }
  }
  if (type_of(part_of(import.document, "decoder")) != "WordPiece") {
    import.difference = "its decoder";
  }
}

// add_bos, add_eos and add_sep and their tokens, from what the post-processor puts around a text.
void import_frame(const JsonFrame& frame, Import& import) {
  VocabularyData& data = import.data;
  const size_t n_prefix = frame.prefix.size(), n_suffix = frame.suffix.size();
  if (n_prefix > 1 || n_suffix > 1) import.difference = "its post_processor";
  data.add_bos = n_prefix > 0;
  if (n_prefix > 0) data.bos = frame.prefix[0];
  if (data.model == "bert" || data.model == "t5") {
    const auto id_of = [&](std::string_view spelling) {
      const auto found = std::find(data.tokens.begin(), data.tokens.end(), spelling);
      return found == data.tokens.end() ? -1 : static_cast<int32_t>(found - data.tokens.begin());
    };
    data.cls = data.bos >= 0 ? data.bos : id_of("[CLS]");
    data.mask = std::max(id_of("[MASK]"), id_of("<mask>"));
    data.padding = std::max(id_of("[PAD]"), id_of("<pad>"));
  }
  if (data.model == "bert") {
    data.add_sep = n_suffix > 0;
    if (n_suffix > 0) data.sep = frame.suffix[0];
    // llama.cpp puts both around every text of this kind.
    if (n_prefix != 1 || n_suffix != 1) import.difference = "its post_processor";
  } else {
    data.add_eos = n_suffix > 0;
    if (n_suffix > 0) data.eos = frame.suffix[0];
  }
}

}  // namespace

Result<VocabularyData> read_tokenizer_json(std::string_view text, std::string_view where) {
  ASSIGN_OR_RETURN(const json document, parse_json_object(text, where));
  ASSIGN_OR_RETURN(const JsonVocabulary vocabulary, read_json_vocabulary(document));
  // Every part must be one that nibble knows, whether it is needed below or not.
  ASSIGN_OR_RETURN(const NormalizerChain normalizers, read_json_normalizer(document));
  ASSIGN_OR_RETURN(const SplitterChain splitters, read_json_pre_tokenizer(document));
  ASSIGN_OR_RETURN(const DecodeChain decoders, read_json_decoder(document));
  ASSIGN_OR_RETURN(
      const JsonFrame frame,
      read_json_post_processor(document, static_cast<int32_t>(vocabulary.spellings.size())));
  VocabularyData data;
  Import import{document, vocabulary, data, {}};
  copy_tokens(import);
  switch (vocabulary.model) {
    case JsonModel::kBpe:
      if (vocabulary.bpe.unknown.byte_fallback) {
        import_sentencepiece_pairs(import);
      } else {
        import_byte_level(import);
      }
      break;
    case JsonModel::kUnigram:
      import_unigram(import);
      break;
    case JsonModel::kWordPiece:
      import_word_pieces(import);
      break;
    case JsonModel::kWordLevel:
      data.model = "gpt2";
      data.pre = "default";
      import.difference = "its model, WordLevel";
      break;
  }
  import_frame(frame, import);
  if (!import.difference.empty()) {
    data.huggingface_json = text;
    data.warnings.push_back(
        fmt::format("{} has {}, for which GGUF has no name: the file carries tokenizer.json "
                    "itself; nibble goes "
                    "by it, llama.cpp will split text differently",
                    where, import.difference));
  }
  // What is wrong with the vocabulary should be said of the file it came from.
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(data));
  return data;
}

}  // namespace nibble
