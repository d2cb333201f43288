#include "model/hf_card.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "model/front_matter.h"
#include "model/hf_family.h"
#include "model/hf_model_id.h"

namespace nibble {
namespace {

using nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr size_t kMaxTextBytes = 64 * 1024;
constexpr size_t kMaxEntries = 1024;  // of a list

struct TextKey {
  std::string_view gguf;  // behind "general."
  // of the card, the first counts; the first is the one that is written
  std::vector<std::string_view> card;
};

const std::vector<TextKey>& text_keys() {
  static const std::vector<TextKey> keys = {
      {"name", {"name", "model_name"}},
      {"author", {"author", "model_author", "model_creator"}},
      {"version", {"version", "model_version"}},
      {"organization", {"organization", "model_organization"}},
      {"description", {"description", "model_description"}},
      {"finetune", {"finetune", "model_finetune"}},
      {"basename", {"basename", "model_basename", "model_type"}},
      {"size_label", {"size_label", "model_size_label"}},
      {"source.url", {"url", "model_url"}},
      {"source.doi", {"doi", "model_doi"}},
      {"source.uuid", {"uuid", "model_uuid"}},
      {"source.repo_url", {"repo_url", "model_repo_url"}},
      {"license", {"license"}},
      {"license.name", {"license_name"}},
      {"license.link", {"license_link"}},
  };
  return keys;
}

struct ListKey {
  std::string_view gguf;
  std::vector<std::string_view> card;  // all of them count
};

const std::vector<ListKey>& list_keys() {
  static const std::vector<ListKey> keys = {{"tags", {"tags", "pipeline_tag"}},
                                            {"languages", {"languages", "language"}}};
  return keys;
}

// Models and data sets that this one was made from: a list of names or objects. The first key that
// is there counts; the last is the one that is written, since the hub has only names in the others.
struct OriginKey {
  std::string_view gguf;
  std::vector<std::string_view> card;
};

const std::vector<OriginKey>& origin_keys() {
  static const std::vector<OriginKey> keys = {
      {"base_model", {"base_model", "base_models", "base_model_sources"}},
      {"dataset", {"datasets", "dataset", "dataset_sources"}}};
  return keys;
}

constexpr std::string_view kOriginFields[] = {
    "name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url"};

struct SamplingKey {
  std::string_view gguf;        // behind "general.sampling."
  std::string_view generation;  // in generation_config.json
  bool is_integer = false;
};

constexpr SamplingKey kSamplingKeys[] = {
    {"top_k", "top_k", true},
    {"top_p", "top_p"},
    {"min_p", "min_p"},
    {"temp", "temperature"},
    {"penalty_repeat", "penalty_repeat"},
    {"penalty_repeat", "repetition_penalty"},  // the last of a name is the one that is written
    {"penalty_last_n", "penalty_last_n", true},
    {"xtc_probability", "xtc_probability"},
    {"xtc_threshold", "xtc_threshold"},
    {"mirostat", "mirostat", true},
    {"mirostat_tau", "mirostat_tau"},
    {"mirostat_eta", "mirostat_eta"},
};

std::string general(std::string_view key) { return fmt::format("general.{}", key); }

void set_text(GgufMetadata& metadata, std::string_view key, std::string_view text) {
  const bool is_fit = !text.empty() && text.size() <= kMaxTextBytes && is_valid_utf8(text);
  if (!is_fit || metadata.find(general(key)) != nullptr) return;
  metadata.set(general(key), GgufValue::of_string(text));
}

const json& part_of(const json& object, std::string_view key) {
  static const json kNone;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : kNone;
}

// A text, or several.
std::vector<std::string> texts_of(const json& value) {
  std::vector<std::string> texts;
  const auto add = [&](const json& item) {
    if (!item.is_string() || texts.size() == kMaxEntries) return;
    const auto& text = item.get_ref<const std::string&>();
    if (text.size() <= kMaxTextBytes && is_valid_utf8(text)) texts.push_back(text);
  };
  if (value.is_array()) {
    for (const json& item : value) add(item);
  } else {
    add(value);
  }
  return texts;
}

void read_origins(const json& card, const OriginKey& key, double n_params, GgufMetadata& metadata) {
  const json* list = nullptr;
  for (const std::string_view name : key.card) {
    if (list == nullptr && !part_of(card, name).is_null()) list = &part_of(card, name);
  }
  if (list == nullptr) return;
  const json items = list->is_array() ? *list : json::array({*list});
  uint32_t count = 0;
  for (const json& item : items) {
    if ((!item.is_string() && !item.is_object()) || count == kMaxEntries) continue;
    const auto set = [&](std::string_view field, std::string_view text) {
      set_text(metadata, fmt::format("{}.{}.{}", key.gguf, count, field), text);
    };
    if (item.is_object()) {
      for (const std::string_view field : kOriginFields) {
        const json& value = part_of(item, field);
        if (value.is_string()) set(field, value.get_ref<const std::string&>());
      }
    } else if (const auto& id = item.get_ref<const std::string&>();
               id.find("://") != std::string::npos) {
      set("repo_url", id);
    } else {
      const ModelIdParts parts = split_model_id(id, n_params);
      set("name", title_of(parts.name));
      set("organization", title_of(parts.organization));
      set("version", parts.version);
    }
    ++count;
  }
  metadata.set(fmt::format("general.{}.count", key.gguf), GgufValue::of_uint32(count));
}

void read_readme(const json& card, double n_params, GgufMetadata& metadata) {
  for (const TextKey& key : text_keys()) {
    for (const std::string_view name : key.card) {
      set_text(metadata, key.gguf,
               fmt::format("{}", fmt::join(texts_of(part_of(card, name)), ",")));
    }
  }
  for (const OriginKey& key : origin_keys()) read_origins(card, key, n_params, metadata);
  for (const ListKey& key : list_keys()) {
    std::vector<std::string> all;
    for (const std::string_view name : key.card) {
      for (std::string& text : texts_of(part_of(card, name))) all.push_back(std::move(text));
    }
    if (!all.empty()) metadata.set(general(key.gguf), GgufValue::of_strings(all));
  }
}

void read_name(std::string_view id, double n_params, GgufMetadata& metadata) {
  const ModelIdParts parts = split_model_id(id, n_params);
  set_text(metadata, "name", title_of(parts.name));
  set_text(metadata, "organization", title_of(parts.organization));
  set_text(metadata, "basename", parts.basename);
  set_text(metadata, "finetune", parts.finetune);
  set_text(metadata, "version", parts.version);
  set_text(metadata, "size_label", parts.size_label);
}

void read_sampling(const json& generation, GgufMetadata& metadata) {
  for (const SamplingKey& key : kSamplingKeys) {
    const json& value = part_of(generation, key.generation);
    if (!value.is_number()) continue;
    const double number = value.get<double>();
    if (!(std::abs(number) <= std::numeric_limits<int32_t>::max())) continue;
    if (key.is_integer && number != std::floor(number)) continue;
    metadata.set(fmt::format("general.sampling.{}", key.gguf),
                 key.is_integer ? GgufValue::of_int32(static_cast<int32_t>(number))
                                : GgufValue::of_float32(static_cast<float>(number)));
  }
}

// As YAML has it: a double-quoted scalar of YAML is a string of JSON.
std::string yaml_text(std::string_view text) {
  return json(std::string(text)).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string origins_text(const GgufMetadata& metadata, const OriginKey& key) {
  const GgufValue* count = metadata.find(fmt::format("general.{}.count", key.gguf));
  const uint64_t n = count != nullptr ? count->as_uint().value_or(0) : 0;
  std::string text;
  for (uint64_t i = 0; i < std::min<uint64_t>(n, kMaxEntries); ++i) {
    std::string item;
    for (const std::string_view field : kOriginFields) {
      const GgufValue* value = metadata.find(fmt::format("general.{}.{}.{}", key.gguf, i, field));
      if (value == nullptr || !value->as_string()) continue;
      item += fmt::format("{}\"{}\": {}", item.empty() ? "" : ", ", field,
                          yaml_text(*value->as_string()));
    }
    text += fmt::format("- {{{}}}\n", item);
  }
  return text.empty() ? text : fmt::format("{}:\n{}", key.card.back(), text);
}

// What every reader makes out by itself.
bool is_made_anew(std::string_view key) {
  constexpr std::string_view kKeys[] = {"general.architecture", "general.type",
                                        "general.quantization_version", "general.file_type",
                                        "general.alignment"};
  return std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys);
}

}  // namespace

void read_card(const HfRepo& repo, double n_params, GgufMetadata& metadata) {
  if (const auto text = repo.text_file("README.md"); text.ok() && *text) {
    read_readme(read_front_matter(**text), n_params, metadata);
  }
  const json& path = part_of(repo.config(), "_name_or_path");
  if (path.is_string()) {  // a name, or a path on the machine where the folder was made
    const auto& id = path.get_ref<const std::string&>();
    if (std::count(id.begin(), id.end(), '/') <= 1) read_name(id, n_params, metadata);
  }
  // the folder's own name, also when it was given as "." or with a slash behind it
  std::error_code ignored;
  std::filesystem::path full = std::filesystem::weakly_canonical(repo.folder(), ignored);
  if (full.filename().empty()) full = full.parent_path();
  read_name(full.filename().string(), n_params, metadata);
  if (const auto generation = repo.json_file("generation_config.json");
      generation.ok() && *generation) {
    read_sampling(**generation, metadata);
  }
}

std::string model_card(const GgufMetadata& metadata, std::vector<std::string>& lost) {
  std::string head;
  for (const TextKey& key : text_keys()) {
    const GgufValue* value = metadata.find(general(key.gguf));
    if (value == nullptr || !value->as_string() || value->as_string()->empty()) continue;
    head += fmt::format("{}: {}\n", key.card.front(), yaml_text(*value->as_string()));
  }
  for (const ListKey& key : list_keys()) {
    const GgufValue* value = metadata.find(general(key.gguf));
    const auto texts = value != nullptr ? value->as_strings() : std::nullopt;
    if (!texts || texts->empty()) continue;
    head += fmt::format("{}:\n", key.card.front());
    for (const std::string& text : *texts) head += fmt::format("- {}\n", yaml_text(text));
  }
  for (const OriginKey& key : origin_keys()) head += origins_text(metadata, key);
  for (const auto& [key, value] : metadata.entries()) {
    if (!key.starts_with("general.") || is_made_anew(key)) continue;
    const std::string_view rest = std::string_view(key).substr(8);
    const auto is_this = [&](const auto& row) { return row.gguf == rest; };
    const auto begins_with = [&](const OriginKey& row) {
      return rest.starts_with(fmt::format("{}.", row.gguf));
    };
    const bool is_said =
        std::any_of(text_keys().begin(), text_keys().end(), is_this) ||
        std::any_of(list_keys().begin(), list_keys().end(), is_this) ||
        std::any_of(origin_keys().begin(), origin_keys().end(), begins_with) ||
        std::any_of(std::begin(kSamplingKeys), std::end(kSamplingKeys),
                    [&](const auto& row) { return rest == fmt::format("sampling.{}", row.gguf); });
    if (!is_said) lost.push_back(key);
  }
  return head.empty() ? head : fmt::format("---\n{}---\n", head);
}

void write_sampling(const GgufMetadata& metadata, OrderedJson& generation) {
  for (const SamplingKey& key : kSamplingKeys) {
    const GgufValue* value = metadata.find(fmt::format("general.sampling.{}", key.gguf));
    if (value == nullptr || !value->as_float() || key.generation == "penalty_repeat") continue;
    if (key.is_integer) {
      if (value->as_int()) generation[std::string(key.generation)] = *value->as_int();
    } else if (std::isfinite(*value->as_float())) {
      generation[std::string(key.generation)] = plain_number(*value->as_float());
    }
  }
  if (generation.contains("temperature")) generation["do_sample"] = true;
}

}  // namespace nibble
