// tokenizer.json as a pipeline (pipeline.h), and the parts of it that tokenizer_json.cpp compares
// with what GGUF fields can say.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/pipeline.h"

namespace nibble {

struct JsonAddedToken {
  AddedToken token;
  bool is_normalized = false;  // found in the normalized text
};

enum class JsonModel { kBpe, kUnigram, kWordPiece, kWordLevel };

// The vocabulary and the model's options, taken apart.
struct JsonVocabulary {
  JsonModel model = JsonModel::kBpe;
  std::vector<std::string> spellings;  // by id; unused ids are "[PAD<id>]"
  std::vector<TokenType> types;
  std::vector<JsonAddedToken> added;
  size_t n_model_tokens = 0;
  std::vector<double> scores;     // Unigram: one per token of the model
  std::vector<MergePair> merges;  // BPE
  BpeOptions bpe;
  UnknownOptions unknown;  // the model's unknown token, also when it is not special
  int64_t max_word_characters = 100;
  std::string continuing_prefix;
};

Result<JsonVocabulary> read_json_vocabulary(const nlohmann::json& json);
Result<NormalizerChain> read_json_normalizer(const nlohmann::json& json);
Result<SplitterChain> read_json_pre_tokenizer(const nlohmann::json& json);
Result<DecodeChain> read_json_decoder(const nlohmann::json& json);
// What the post-processor puts around one text.
struct JsonFrame {
  std::vector<int32_t> prefix, suffix;
};
Result<JsonFrame> read_json_post_processor(const nlohmann::json& json, int32_t n_tokens);

// The parts of "Sequence" (nested ones, too) or the part itself, in order; `list_key` is where a
// Sequence keeps them. None for null.
Result<std::vector<const nlohmann::json*>> flat_parts(const nlohmann::json& json,
                                                      const std::string& what,
                                                      const std::string& list_key);

// From data.huggingface_json; data.add_bos and add_eos decide whether those tokens are around a
// text, the rest of what is, the JSON says.
Result<std::unique_ptr<Tokenizer>> create_from_json(VocabularyData data);

}  // namespace nibble
