// A model as Hugging Face keeps it: a folder with config.json, weights in one or several
// safetensors files, and the files of its tokenizer. Only files directly in the folder are opened,
// whatever its index says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "container/safetensors.h"

namespace nibble {

class HfRepo {
 public:
  // Where a tensor is.
  struct Place {
    const SafeTensor* tensor = nullptr;
    uint32_t file = 0;
  };

  // Reads the configuration and the headers of all weights. Errors: kNotFound (folder, a shard),
  // kInvalid (JSON, headers; an index that names other places than the folder, or whose list of
  // tensors is not that of its files), kUsage (a folder without config.json, or with pickled
  // weights only).
  static Result<HfRepo> open(const std::filesystem::path& folder);

  HfRepo(HfRepo&&) = default;
  HfRepo& operator=(HfRepo&&) = default;

  const std::filesystem::path& folder() const { return folder_; }
  const nlohmann::json& config() const { return config_; }  // an object

  // Of a file that the folder may have; `name` is plain (is_plain_name), or two plain names with a
  // slash between them. nullopt: there is none.
  Result<std::optional<nlohmann::json>> json_file(std::string_view name) const;
  Result<std::optional<std::string>> text_file(std::string_view name) const;

  const std::vector<SafetensorsFile>& files() const { return files_; }
  // All tensors, sorted by name; the pointers hold as long as the repository.
  const std::vector<Place>& tensors() const { return tensors_; }
  std::optional<Place> find(std::string_view name) const;
  std::span<const std::byte> data(const Place& place) const {
    return files_[place.file].data(*place.tensor);
  }

 private:
  HfRepo() = default;
  Status open_weights();
  Status open_file(const std::string& name);
  Status check_index(const nlohmann::json& weight_map, const std::vector<std::string>& names) const;
  Status index_names();

  std::filesystem::path folder_;
  nlohmann::json config_;
  std::vector<SafetensorsFile> files_;
  std::vector<Place> tensors_;
};

// Whether `name` can only be a file in the folder at hand: letters, digits, and - _ . + = , space
// inside; no separators, no percent signs, not beginning with a dot.
bool is_plain_name(std::string_view name);

// "model.safetensors", or "model-00002-of-00005.safetensors".
std::string safetensors_file_name(size_t number, size_t count);
inline constexpr std::string_view kSafetensorsIndexName = "model.safetensors.index.json";

}  // namespace nibble
