#include "container/hf_repo.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "container/printable.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kMaxConfigBytes = 4u << 20;
constexpr uint64_t kMaxIndexBytes = 32u << 20;
constexpr uint64_t kMaxTextBytes = 256u << 20;  // tokenizer.json of large vocabularies
constexpr size_t kMaxFiles = 4096;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Weights in a form that is not read, or empty.
std::string unread_weights(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    for (const std::string_view ending :
         {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack"}) {
      const bool is_weights =
          name.find("model") != std::string::npos || name.find("consolidated") != std::string::npos;
      if (is_weights && name.ends_with(ending)) return name;
    }
  }
  return "";
}

}  // namespace

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.+=, ").find(c) != std::string_view::npos;
  });
}

std::string safetensors_file_name(size_t number, size_t count) {
  if (count == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", number + 1, count);
}

Result<HfRepo> HfRepo::open(const fs::path& folder) {
  HfRepo repo;
  repo.folder_ = folder;
  const fs::path config_path = folder / "config.json";
  if (!is_there(config_path)) {
    return make_error(ErrorKind::kUsage,
                      "[{}] has no config.json; a folder with config.json, *.safetensors and "
                      "tokenizer files, or a GGUF file, is a model",
                      folder.string());
  }
  ASSIGN_OR_RETURN(repo.config_, read_json_file(config_path, kMaxConfigBytes));
  if (!repo.config_.is_object()) {
    return make_error(ErrorKind::kInvalid, "[{}] is no JSON object; it is damaged",
                      config_path.string());
  }
  RETURN_IF_ERROR(repo.open_weights());
  RETURN_IF_ERROR(repo.index_names());
  return repo;
}

Status HfRepo::open_file(const std::string& name) {
  const fs::path path = folder_ / name;
  auto file = SafetensorsFile::open(path);
  if (!file.ok() && file.error().kind == ErrorKind::kNotFound) {
    return make_error(ErrorKind::kNotFound,
                      "[{}] is missing; the index of the folder says that it holds tensors of this "
                      "model; fetch it into the same folder",
                      path.string());
  }
  if (!file.ok()) return file.error();
  files_.push_back(file.take());
  return {};
}

Status HfRepo::open_weights() {
  if (is_there(folder_ / "model.safetensors")) return open_file("model.safetensors");
  const fs::path index_path = folder_ / kSafetensorsIndexName;
  if (!is_there(index_path)) {
    if (const std::string name = unread_weights(folder_); !name.empty()) {
      return make_error(ErrorKind::kUsage,
                        "[{}] holds its weights in {} only; that form can run code when it is read "
                        "and is not opened; get the safetensors files of this model",
                        folder_.string(), printable(name));
    }
    return make_error(ErrorKind::kNotFound,
                      "[{}] has neither model.safetensors nor {}; fetch the weights into it",
                      folder_.string(), kSafetensorsIndexName);
  }
  ASSIGN_OR_RETURN(const json index, read_json_file(index_path, kMaxIndexBytes));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object() || map->empty()) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] has no \"weight_map\" from tensors to files; it is damaged",
                      index_path.string());
  }
  std::vector<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    const auto* name = file.get_ptr<const std::string*>();
    if (name == nullptr || !is_plain_name(*name) || !name->ends_with(".safetensors")) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] says that the tensor {} is in {}; only the plain name of a "
                        ".safetensors file in this folder is allowed; nothing else is opened",
                        index_path.string(), printable(tensor),
                        printable(file.dump(-1, ' ', true)));
    }
    names.push_back(*name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.size() > kMaxFiles) {
    return make_error(ErrorKind::kInvalid, "[{}] names {} files; at most {} are allowed",
                      index_path.string(), names.size(), kMaxFiles);
  }
  for (const std::string& name : names) RETURN_IF_ERROR(open_file(name));
  return check_index(*map, names);
}

// The index and the files tell the same story, tensor by tensor.
Status HfRepo::check_index(const json& weight_map, const std::vector<std::string>& names) const {
  const std::string where = (folder_ / kSafetensorsIndexName).string();
  size_t n_tensors = 0;
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const SafeTensor& tensor : files_[i].tensors()) {
      const auto entry = weight_map.find(tensor.name);
      if (entry == weight_map.end() || *entry != names[i]) {
        return make_error(ErrorKind::kInvalid,
                          "[{}] {} the tensor {}, which is in {}; the index and its files must "
                          "agree; one of them is of another model",
                          where,
                          entry == weight_map.end() ? "does not know" : "looks elsewhere for",
                          printable(tensor.name), names[i]);
      }
      ++n_tensors;
    }
  }
  if (n_tensors == weight_map.size()) return {};
  for (const auto& [tensor, file] : weight_map.items()) {
    const auto at =
        std::lower_bound(names.begin(), names.end(), file.get_ref<const std::string&>());
    if (files_[static_cast<size_t>(at - names.begin())].find(tensor) != nullptr) continue;
    return make_error(ErrorKind::kInvalid,
                      "[{}] says that the tensor {} is in {}, which does not have it; one of them "
                      "is of another model, or damaged",
                      where, printable(tensor), *at);
  }
  return {};
}

Status HfRepo::index_names() {
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const SafeTensor& tensor : files_[i].tensors()) {
      tensors_.push_back({&tensor, static_cast<uint32_t>(i)});
    }
  }
  std::sort(tensors_.begin(), tensors_.end(),
            [](const Place& a, const Place& b) { return a.tensor->name < b.tensor->name; });
  for (size_t i = 1; i < tensors_.size(); ++i) {
    if (tensors_[i].tensor->name != tensors_[i - 1].tensor->name) continue;
    return make_error(ErrorKind::kInvalid, "[{}] has the tensor {} in two files; one is allowed",
                      folder_.string(), printable(tensors_[i].tensor->name));
  }
  return {};
}

std::optional<HfRepo::Place> HfRepo::find(std::string_view name) const {
  const auto found = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const Place& place, std::string_view wanted) { return place.tensor->name < wanted; });
  if (found == tensors_.end() || found->tensor->name != name) return std::nullopt;
  return *found;
}

Result<std::optional<std::string>> HfRepo::text_file(std::string_view name) const {
  const size_t slash = name.find('/');
  const bool is_plain = slash == std::string_view::npos ? is_plain_name(name)
                                                        : is_plain_name(name.substr(0, slash)) &&
                                                              is_plain_name(name.substr(slash + 1));
  if (!is_plain) {
    return make_error(
        ErrorKind::kInvalid,
        "[{}] names the file {}; only plain names are allowed; nothing else is opened",
        folder_.string(), printable(name));
  }
  const fs::path path = folder_ / name;
  if (!is_there(path)) return std::optional<std::string>();
  ASSIGN_OR_RETURN(std::string text, read_text_file(path, kMaxTextBytes));
  return std::optional(std::move(text));
}

Result<std::optional<json>> HfRepo::json_file(std::string_view name) const {
  ASSIGN_OR_RETURN(const auto text, text_file(name));
  if (!text) return std::optional<json>();
  ASSIGN_OR_RETURN(json value, parse_json(*text, (folder_ / name).string()));
  return std::optional(std::move(value));
}

}  // namespace nibble
