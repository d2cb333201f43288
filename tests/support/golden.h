// Readers of the golden files in tests/golden. The formats stand in the scripts that write them
// (llama_reference.cpp, make_token_golden.mjs).
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_reader.h"
#include "base/file.h"
#include "base/result.h"

namespace nibble::golden {

// One position of a sequence: what an independent engine computed after its token.
struct LogitsAt {
  float rms = 0;  // sqrt(mean(logit^2)) over the whole vocabulary
  int32_t argmax = 0;
  float argmax_logit = 0;
  float top2_gap = 0;         // largest logit minus the second largest
  std::vector<float> logits;  // [n_sampled], of Logits::sampled_ids
};

struct Logits {
  int64_t vocab_size = 0;
  std::vector<int32_t> tokens;       // [n_positions]: the input, from position 0
  std::vector<int32_t> sampled_ids;  // [n_sampled], ascending
  std::vector<LogitsAt> positions;   // [n_positions]
};

// Reads smollm2_logits.bin. kNotFound, or kInvalid when the size or the magic is wrong.
inline Result<Logits> read_logits(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string file, read_text_file(path));
  ByteReader reader(std::as_bytes(std::span(file)));
  const auto magic = reader.take_string(8);
  const auto n_positions = reader.read<uint32_t>(), vocab_size = reader.read<uint32_t>(),
             n_sampled = reader.read<uint32_t>(), reserved = reader.read<uint32_t>();
  if (!magic || *magic != "NBLGOLD1" || !reserved ||
      reader.remaining() !=
          4ull * (uint64_t{*n_positions} * (5 + uint64_t{*n_sampled}) + *n_sampled)) {
    return make_error(ErrorKind::kInvalid, "[{}] is no file of golden logits", path.string());
  }
  Logits result;
  result.vocab_size = *vocab_size;
  for (uint32_t i = 0; i < *n_positions; ++i) result.tokens.push_back(*reader.read<int32_t>());
  for (uint32_t i = 0; i < *n_sampled; ++i) result.sampled_ids.push_back(*reader.read<int32_t>());
  for (uint32_t i = 0; i < *n_positions; ++i) {
    LogitsAt at;
    at.rms = *reader.read<float>();
    at.argmax = *reader.read<int32_t>();
    at.argmax_logit = *reader.read<float>();
    at.top2_gap = *reader.read<float>();
    for (uint32_t k = 0; k < *n_sampled; ++k) at.logits.push_back(*reader.read<float>());
    result.positions.push_back(std::move(at));
  }
  return result;
}

inline Result<nlohmann::json> read_json(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return make_error(ErrorKind::kInvalid, "[{}] is no JSON", path.string());
  }
  return json;
}

struct GreedyRun {
  std::string prompt;
  std::vector<int32_t> prompt_ids;
  std::vector<int32_t> continuation_ids;  // not stopped by an end token
  std::vector<double> top2_gaps;          // per id of the continuation
};

// Reads smollm2_greedy.json. kNotFound or kInvalid.
inline Result<std::vector<GreedyRun>> read_greedy(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const auto json, read_json(path));
  std::vector<GreedyRun> runs;
  for (const auto& entry : json.at("prompts")) {
    runs.push_back({entry.at("prompt"), entry.at("prompt_ids"), entry.at("continuation_ids"),
                    entry.at("top2_gaps")});
  }
  return runs;
}

struct TokenCase {
  std::string text;
  std::vector<int32_t> plain;    // special tokens left as text
  std::vector<int32_t> special;  // special tokens recognised
};

// Reads smollm2_tokens.json. kNotFound or kInvalid.
inline Result<std::vector<TokenCase>> read_token_cases(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const auto json, read_json(path));
  std::vector<TokenCase> cases;
  for (const auto& entry : json) {
    cases.push_back({entry.at("text"), entry.at("plain"), entry.at("special")});
  }
  return cases;
}

}  // namespace nibble::golden
