#include "model/hf_config.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "container/printable.h"

namespace nibble {
namespace {

using nlohmann::json;

// Of every model: what training, generation and other programs' bookkeeping put there.
constexpr std::string_view kWithoutEffect[] = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "_num_labels",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "id2label",
    "initializer_range",
    "is_llama_config",
    "label2id",
    "length_penalty",
    "max_length",
    "max_sequence_length",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_router_logits",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
};

// Of every model too: true would be another model, one that reads a second text's vectors or, of
// BERT, one that does not look ahead.
constexpr std::string_view kOnlyFalse[] = {"add_cross_attention", "is_decoder",
                                           "is_encoder_decoder"};

std::string shown(const json& value) { return printable(value.dump(-1, ' ', true), 60); }

}  // namespace

HfConfig::HfConfig(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {}

void HfConfig::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

void HfConfig::refuse(std::string_view key, std::string_view allowed) {
  const json* value = find(key);
  fail(make_error(ErrorKind::kFailure,
                  "[{}] \"{}\" is {}; nibble computes models with {}; this one needs more", where_,
                  key, value != nullptr ? shown(*value) : "absent", allowed));
}

const json* HfConfig::find(std::string_view key) {
  read_.emplace(key);
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

int64_t HfConfig::integer(std::string_view key, int64_t low, int64_t high, int64_t fallback) {
  const json* value = find(key);
  if (value == nullptr && fallback >= 0) return fallback;
  // unsigned numbers beyond int64 are above every `high`
  const bool is_integer =
      value != nullptr && value->is_number_integer() &&
      !(value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(high));
  const int64_t number = is_integer ? value->get<int64_t>() : low;
  if (!is_integer || number < low || number > high) {
    fail(
        make_error(ErrorKind::kInvalid,
                   "[{}] \"{}\" is {}; a whole number from {} to {} is needed; the file is damaged "
                   "or of a kind nibble does not know",
                   where_, key, value != nullptr ? shown(*value) : "absent", low, high));
    return low;
  }
  return number;
}

std::optional<double> HfConfig::optional_number(std::string_view key, double low, double high) {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] \"{}\" is {}; a number from {} to {} is needed; the file is damaged",
                    where_, key, shown(*value), low, high));
    return low;
  }
  return number;
}

double HfConfig::number(std::string_view key, double low, double high, double fallback) {
  if (const auto value = optional_number(key, low, high)) return *value;
  if (!std::isnan(fallback)) return fallback;
  fail(make_error(ErrorKind::kInvalid, "[{}] \"{}\" is absent; a number from {} to {} is needed",
                  where_, key, low, high));
  return low;
}

bool HfConfig::flag(std::string_view key, bool fallback) {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fail(make_error(ErrorKind::kInvalid, "[{}] \"{}\" is {}; true or false is needed", where_, key,
                  shown(*value)));
  return fallback;
}

std::string HfConfig::text(std::string_view key, std::string_view fallback) {
  const json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (value->is_string()) return value->get<std::string>();
  fail(make_error(ErrorKind::kInvalid, "[{}] \"{}\" is {}; a text is needed", where_, key,
                  shown(*value)));
  return std::string(fallback);
}

std::vector<float> HfConfig::numbers(std::string_view key, size_t max_count) {
  const json* value = find(key);
  std::vector<float> result;
  if (value == nullptr) return result;
  const bool is_list =
      value->is_array() && value->size() <= max_count &&
      std::all_of(value->begin(), value->end(), [](const json& element) {
        return element.is_number() && element.get<double>() > 0 && element.get<double>() < 1e6;
      });
  if (!is_list) {
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] \"{}\" is no list of at most {} positive numbers; the file is damaged",
                    where_, key, max_count));
    return result;
  }
  for (const json& element : *value) result.push_back(element.get<float>());
  return result;
}

void HfConfig::expect_text(std::string_view key, std::initializer_list<std::string_view> allowed) {
  const json* value = find(key);
  if (value == nullptr) return;
  const auto* text = value->get_ptr<const std::string*>();
  if (text != nullptr && std::find(allowed.begin(), allowed.end(), *text) != allowed.end()) return;
  refuse(key, fmt::format("{}", fmt::join(allowed, " or ")));
}

void HfConfig::expect_flag(std::string_view key, bool allowed) {
  if (flag(key, allowed) != allowed) refuse(key, allowed ? "true" : "false");
}

void HfConfig::expect_number(std::string_view key, double allowed) {
  const json* value = find(key);
  if (value == nullptr || (value->is_number() && value->get<double>() == allowed)) return;
  refuse(key, fmt::format("{}", allowed));
}

void HfConfig::ignore(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) read_.emplace(key);
}

Status HfConfig::finish() {
  for (const std::string_view key : kOnlyFalse) expect_flag(key, false);
  if (error_) return *error_;
  std::string unknown;
  for (const auto& [key, value] : object_.items()) {
    const bool is_harmless = std::find(std::begin(kWithoutEffect), std::end(kWithoutEffect), key) !=
                             std::end(kWithoutEffect);
    if (is_harmless || read_.count(key) != 0 || value.is_null()) continue;
    unknown += fmt::format("{}\"{}\"", unknown.empty() ? "" : ", ", printable(key));
  }
  if (unknown.empty()) return {};
  return make_error(ErrorKind::kFailure,
                    "[{}] has keys that nibble does not know for this kind of model: {}; they may "
                    "change what it computes; remove them if they do not",
                    where_, printable(unknown, 400));
}

}  // namespace nibble
