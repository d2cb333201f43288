#include "text/vocabulary_kinds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/log.h"
#include "text/pipeline.h"
#include "text/pretokenize.h"

namespace nibble {
namespace {

constexpr const char* kSpaceSymbol = "\u2581";
// What SentencePiece and llama.cpp take off the lowest score for an unknown character.
constexpr double kUnknownPenalty = 10.0;

std::string known_splitters() {
  std::string known;
  for (const PreTokenizerSpec& row : all_pre_tokenizers()) {
    for (const std::string_view name : row.names) {
      known += known.empty() ? "" : ", ";
      known += name;
    }
  }
  return known;
}

Result<TokenizerPipeline> begin_pipeline(const VocabularyData& data) {
  TokenizerPipeline pipeline;
  ASSIGN_OR_RETURN(TokenTable table, TokenTable::create(data.tokens, data.types));
  pipeline.table = std::make_unique<TokenTable>(std::move(table));
  pipeline.added_are_literal = true;
  std::vector<AddedToken> added;
  for (int32_t id = 0; id < pipeline.table->size(); ++id) {
    const TokenType type = pipeline.table->type(id);
    const bool is_special = type == TokenType::kControl || type == TokenType::kUnknown;
    if ((!is_special && type != TokenType::kUserDefined) ||
        data.tokens[static_cast<size_t>(id)].empty())
      continue;
    added.push_back(
        {.spelling = data.tokens[static_cast<size_t>(id)], .token = id, .is_special = is_special});
  }
  pipeline.added = AddedTokens(std::move(added));
  if (data.add_bos) pipeline.prefix.push_back(data.bos);
  if (data.add_sep) pipeline.suffix.push_back(data.sep);
  if (data.add_eos) pipeline.suffix.push_back(data.eos);
  return pipeline;
}

// A real unknown token. Many vocabularies only name some control token there (SmolLM2:
// <|endoftext|>), which must not come out of plain text: such characters are dropped, as the
// models' own tokenizers do.
int32_t real_unknown(const TokenizerPipeline& pipeline, const VocabularyData& data) {
  const int32_t id = data.unknown;
  return id >= 0 && pipeline.table->type(id) == TokenType::kUnknown ? id : -1;
}

Status add_form(const VocabularyData& data, NormalizerChain& chain) {
  constexpr std::pair<std::string_view, NormalForm> kForms[] = {{"NFC", NormalForm::kNfc},
                                                                {"NFD", NormalForm::kNfd},
                                                                {"NFKC", NormalForm::kNfkc},
                                                                {"NFKD", NormalForm::kNfkd}};
  if (data.normalizer.empty()) return {};
  for (const auto& [name, form] : kForms) {
    if (data.normalizer != name) continue;
    chain.push_back(make_form_normalizer(form));
    return {};
  }
  return make_error(
      ErrorKind::kFailure,
      "[tokenizer] unknown normal form \"{}\" (nibble.tokenizer.normalizer); known are "
      "NFC, NFD, NFKC, NFKD; a newer version of nibble may know it",
      plain_name(data.normalizer));
}

Result<TokenizerPipeline> build_byte_pairs(const VocabularyData& data) {
  const std::string_view name = data.model == "gemma4" ? "gemma4" : std::string_view(data.pre);
  const PreTokenizerSpec* spec = find_pre_tokenizer(name);
  if (spec == nullptr) {
    return make_error(ErrorKind::kFailure,
                      "[tokenizer] unknown splitter \"{}\" (tokenizer.ggml.pre); known are: {}; a "
                      "newer version of nibble may know it",
                      plain_name(data.pre), known_splitters());
  }
  if (name.empty()) {
    warn(
        "[tokenizer] the file names no splitter (tokenizer.ggml.pre); taking \"default\", which "
        "may "
        "give other tokens than the model was trained with");
  }
  ASSIGN_OR_RETURN(TokenizerPipeline pipeline, begin_pipeline(data));
  RETURN_IF_ERROR(add_form(data, pipeline.normalizers));
  if (spec->drops_spaces && data.lowercase) pipeline.normalizers.push_back(make_lowercase());
  pipeline.escapes_spaces = !spec->is_byte_level && !spec->drops_spaces;
  ASSIGN_OR_RETURN(pipeline.splitters, make_splitters(*spec));

  std::vector<MergePair> merges;
  merges.reserve(data.merges.size());
  for (const std::string& merge : data.merges) {
    const size_t space = merge.find(' ', 1);
    merges.push_back({merge.substr(0, space),
                      space == std::string::npos ? std::string() : merge.substr(space + 1)});
  }
  BpeOptions options;
  options.unknown.unknown = real_unknown(pipeline, data);
  options.unknown.byte_fallback = !spec->is_byte_level;
  options.whole_words_first = spec->whole_words_first;
  options.is_byte_level = spec->is_byte_level;
  ASSIGN_OR_RETURN(pipeline.model, make_bpe_model(*pipeline.table, merges, options));
  pipeline.decoders.push_back(spec->is_byte_level ? make_byte_level_decoder()
                                                  : make_replace_decoder(kSpaceSymbol, " "));
  return pipeline;
}

Status check_scores(const VocabularyData& data) {
  if (data.scores.size() != data.tokens.size()) {
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] {} scores for {} tokens; a \"{}\" vocabulary needs one each "
                      "(tokenizer.ggml.scores); the file is damaged or was made by an unusual "
                      "converter",
                      data.scores.size(), data.tokens.size(), plain_name(data.model));
  }
  for (size_t id = 0; id < data.scores.size(); ++id) {
    if (std::isfinite(data.scores[id])) continue;
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] the score of token {} is no finite number; the file is damaged",
                      id);
  }
  return {};
}

// What both kinds of SentencePiece share: the charsmap, what happens to spaces, and back.
Result<TokenizerPipeline> begin_sentencepiece(const VocabularyData& data) {
  RETURN_IF_ERROR(check_scores(data));
  ASSIGN_OR_RETURN(TokenizerPipeline pipeline, begin_pipeline(data));
  if (!data.precompiled_charsmap.empty()) {
    ASSIGN_OR_RETURN(Charsmap charsmap, Charsmap::parse(data.precompiled_charsmap));
    pipeline.normalizers.push_back(make_charsmap(std::move(charsmap)));
  }
  if (data.remove_extra_whitespaces) pipeline.normalizers.push_back(make_squeeze_spaces());
  pipeline.escapes_spaces = true;
  pipeline.add_space_prefix = data.add_space_prefix;
  pipeline.decoders.push_back(make_replace_decoder(kSpaceSymbol, " "));
  pipeline.decoders.push_back(make_fuse_decoder());
  if (data.add_space_prefix) pipeline.decoders.push_back(make_strip_decoder(" ", 1, 0, true));
  return pipeline;
}

UnknownOptions sentencepiece_unknown(const TokenizerPipeline& pipeline,
                                     const VocabularyData& data) {
  UnknownOptions unknown;
  unknown.unknown = real_unknown(pipeline, data);
  unknown.fuse = true;
  unknown.byte_fallback = true;
  return unknown;
}

Result<TokenizerPipeline> build_scored_pairs(const VocabularyData& data) {
  ASSIGN_OR_RETURN(TokenizerPipeline pipeline, begin_sentencepiece(data));
  pipeline.model =
      make_score_model(*pipeline.table, data.scores, sentencepiece_unknown(pipeline, data));
  return pipeline;
}

Result<TokenizerPipeline> build_unigram(const VocabularyData& data) {
  ASSIGN_OR_RETURN(TokenizerPipeline pipeline, begin_sentencepiece(data));
  std::vector<double> scores(data.scores.begin(), data.scores.end());
  double lowest = std::numeric_limits<double>::infinity();
  for (int32_t id = 0; id < pipeline.table->size(); ++id) {
    const TokenType type = pipeline.table->type(id);
    double& score = scores[static_cast<size_t>(id)];
    if (type == TokenType::kNormal) lowest = std::min(lowest, score);
    if (type == TokenType::kUserDefined) score = 0;  // better than any log-probability
  }
  if (!std::isfinite(lowest)) lowest = 0;
  ASSIGN_OR_RETURN(pipeline.model,
                   make_unigram_model(*pipeline.table, std::move(scores), lowest - kUnknownPenalty,
                                      sentencepiece_unknown(pipeline, data)));
  return pipeline;
}

Result<TokenizerPipeline> build_word_pieces(const VocabularyData& data) {
  if (data.unknown < 0) {
    return make_error(ErrorKind::kInvalid,
                      "[tokenizer] a \"bert\" vocabulary names no unknown token "
                      "(tokenizer.ggml.unknown_token_id); its special token ids are incomplete");
  }
  ASSIGN_OR_RETURN(TokenizerPipeline pipeline, begin_pipeline(data));
  BertOptions bert;
  bert.strip_accents = data.strip_accents;
  bert.lowercase = data.lowercase;
  pipeline.normalizers.push_back(make_bert(bert));
  pipeline.splitters.push_back(make_class_splitter(is_unicode_space, SplitBehavior::kRemoved));
  pipeline.splitters.push_back(make_class_splitter(is_punctuation, SplitBehavior::kIsolated));
  WordPieceOptions options;
  options.unknown = data.unknown;
  options.continuing_prefix = "";
  options.initial_prefix = kSpaceSymbol;
  pipeline.model = make_word_piece_model(*pipeline.table, options);
  pipeline.decoders.push_back(make_word_piece_decoder("", kSpaceSymbol, true));
  return pipeline;
}

}  // namespace

std::string plain_name(std::string_view name) {
  std::string plain(name.substr(0, 40));
  for (char& c : plain) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return plain;
}

Result<std::unique_ptr<Tokenizer>> create_from_fields(VocabularyData data) {
  const auto build = [&]() -> Result<TokenizerPipeline> {
    if (data.model == "gpt2" || data.model == "gemma4") return build_byte_pairs(data);
    if (data.model == "llama") return build_scored_pairs(data);
    if (data.model == "t5") return build_unigram(data);
    if (data.model == "bert") return build_word_pieces(data);
    return make_error(ErrorKind::kFailure,
                      "[tokenizer] the tokenizer model is \"{}\"; supported are \"gpt2\" "
                      "(byte-level BPE), \"llama\" (SentencePiece BPE), \"t5\" (Unigram), \"bert\" "
                      "(WordPiece) and \"gemma4\"; others are not",
                      plain_name(data.model));
  };
  ASSIGN_OR_RETURN(TokenizerPipeline pipeline, build());
  return make_pipeline_tokenizer(std::move(data), std::move(pipeline));
}

}  // namespace nibble
