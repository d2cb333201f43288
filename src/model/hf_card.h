// What a folder says about a model beside its arithmetic: the head of README.md, the name in
// config.json, the name of the folder and the usual sampling in generation_config.json, as
// general.* metadata; and the other way round.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "container/hf_repo.h"
#include "container/model_source.h"

namespace nibble {

// Sets general.{name, author, version, organization, finetune, basename, description, size_label,
// license*, source.*, base_model.*, dataset.*, tags, languages, sampling.*}, from the first of
// README.md, "_name_or_path" and the folder's name that says it, as llama.cpp's converter does
// (base models and data sets get no address made up from their names). n_params tells sizes from
// context lengths in names. What cannot be read is left out.
void read_card(const HfRepo& repo, double n_params, GgufMetadata& metadata);

// README.md with a head that read_card reads; empty when there is nothing to say. Names of
// general.* keys that have no place in it go into `lost`.
std::string model_card(const GgufMetadata& metadata, std::vector<std::string>& lost);

// general.sampling.* under the names of generation_config.json.
void write_sampling(const GgufMetadata& metadata, nlohmann::ordered_json& generation);

}  // namespace nibble
