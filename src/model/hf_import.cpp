#include "model/hf_import.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "container/gguf.h"
#include "container/gguf_rules.h"
#include "container/printable.h"
#include "model/hf_card.h"
#include "model/hf_family.h"
#include "model/hf_rows.h"
#include "model/hf_scales.h"
#include "model/hf_vocabulary.h"
#include "model/tensor_roles.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Tensors of any family that change nothing: tables that are computed anew, masks, numbers of the
// positions; scales of activations, which nibble does not quantize to 8 bits that way.
constexpr std::string_view kIgnored[] = {"*.rotary_emb.inv_freq",
                                         "*.attn.masked_bias",
                                         "*.attention.masked_bias",
                                         "*.position_ids",
                                         "*.input_scale",
                                         "*.k_scale",
                                         "*.v_scale"};

// * is any text, once.
bool matches(std::string_view name, std::string_view pattern) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern;
  const std::string_view head = pattern.substr(0, star), tail = pattern.substr(star + 1);
  return name.size() >= head.size() + tail.size() && name.starts_with(head) && name.ends_with(tail);
}

std::string with_number(std::string_view pattern, std::string_view mark, int64_t number) {
  std::string name(pattern);
  if (const size_t at = name.find(mark); at != std::string::npos) {
    name.replace(at, mark.size(), std::to_string(number));
  }
  return name;
}

// "1.1B", "135M", "8x7B": as llama.cpp's converter labels sizes.
std::string size_label(double n_params, int64_t n_experts, double n_expert_params) {
  if (n_experts > 0)
    n_params = n_params - n_expert_params + n_expert_params / static_cast<double>(n_experts);
  const auto [divisor, suffix] = n_params > 1e12  ? std::pair(1e12, 'T')
                                 : n_params > 1e9 ? std::pair(1e9, 'B')
                                 : n_params > 1e6 ? std::pair(1e6, 'M')
                                                  : std::pair(1e3, 'K');
  const double scaled = n_params / divisor;
  const std::string digits = fmt::format("{:.0f}", scaled);
  const int shown = digits == "0" ? 0 : static_cast<int>(digits.size());
  const std::string size = fmt::format("{:.{}f}{}", scaled, std::max(2 - shown, 0), suffix);
  return n_experts > 0 ? fmt::format("{}x{}", n_experts, size) : size;
}

class FolderSource final : public ModelSource {
 public:
  explicit FolderSource(HfRepo repo) : repo_(std::move(repo)) {}

  Status build();

  const fs::path& path() const override { return repo_.folder(); }
  std::vector<fs::path> paths() const override {
    std::vector<fs::path> paths;
    for (const SafetensorsFile& file : repo_.files()) paths.push_back(file.file().path());
    return paths;
  }
  uint64_t file_bytes() const override {
    uint64_t total = 0;
    for (const SafetensorsFile& file : repo_.files()) total += file.file_bytes();
    return total;
  }

  std::span<const std::byte> view(const GgufTensor& tensor) const override {
    const HfRows& rows = rows_of(tensor);
    return rows.is_plain(repo_) ? repo_.data(rows.parts[0]) : std::span<const std::byte>();
  }
  void read(const GgufTensor& tensor, int64_t first, int64_t n, std::byte* out) const override {
    rows_of(tensor).read(repo_, first, n, out);
  }
  void will_need(const GgufTensor& tensor, uint64_t offset, uint64_t n) const override {
    each_piece(tensor, offset, n,
               [](const MappedFile& file, auto piece) { file.will_need(piece); });
  }
  void dont_need(const GgufTensor& tensor, uint64_t offset, uint64_t n) const override {
    each_piece(tensor, offset, n,
               [](const MappedFile& file, auto piece) { file.dont_need(piece); });
  }
  Status check_unchanged(const GgufTensor& tensor) const override {
    for (const HfRepo::Place& place : rows_of(tensor).parts) {
      RETURN_IF_ERROR(repo_.files()[place.file].file().check_unchanged());
    }
    return {};
  }
  Status check_unchanged() const override {
    for (const SafetensorsFile& file : repo_.files())
      RETURN_IF_ERROR(file.file().check_unchanged());
    return {};
  }

 private:
  Status read_config();
  Status read_pooling();
  Status add_tensors();
  Status add_rule(const HfTensorRule& rule, int64_t layer);
  void add_made();
  Status check_left_over() const;
  void set_general();
  std::vector<int64_t> shape_of(const HfTensorRule& rule) const;
  Result<HfRepo::Place> take(const std::string& name, const std::vector<int64_t>& shape);
  const Format* format_for(const std::string& name, size_t n_dims, const SafeTensor& tensor,
                           bool has_scale) const;
  std::string where() const { return repo_.folder().string(); }

  const HfRows& rows_of(const GgufTensor& tensor) const {
    const GgufTensor* own = find_tensor(tensor.name);
    CHECK(own != nullptr);
    return rows_[static_cast<size_t>(own - tensors_.data())];
  }
  // A piece of a tensor that lies in the map as it is; of others all they are made of, when all of
  // it is meant.
  template <typename Visit>
  void each_piece(const GgufTensor& tensor, uint64_t offset, uint64_t n, Visit&& visit) const {
    const HfRows& rows = rows_of(tensor);
    const bool is_plain = rows.is_plain(repo_);
    if (!is_plain && (offset != 0 || n < tensor.size_bytes)) return;
    for (const HfRepo::Place& place : rows.parts) {
      auto bytes = repo_.data(place);
      if (is_plain) {
        offset = std::min<uint64_t>(offset, bytes.size());
        bytes = bytes.subspan(offset, std::min<uint64_t>(n, bytes.size() - offset));
      }
      visit(repo_.files()[place.file].file(), bytes);
    }
  }

  HfRepo repo_;
  const HfFamily* family_ = nullptr;
  HfModel model_;
  HfScales scales_;
  std::string prefix_;
  std::vector<HfRows> rows_;  // beside tensors_
  std::vector<bool> used_;    // beside repo_.tensors()
};

Status FolderSource::read_config() {
  const json& config = repo_.config();
  const std::string file = (repo_.folder() / "config.json").string();
  const auto classes = config.find("architectures");
  const std::string name = classes != config.end() && classes->is_array() && classes->size() == 1 &&
                                   classes->front().is_string()
                               ? classes->front().get<std::string>()
                               : "";
  if (name.empty()) {
    return make_error(
        ErrorKind::kInvalid,
        "[{}] does not name one class of model in \"architectures\"; nibble knows: {}", file,
        known_hf_classes());
  }
  family_ = find_hf_family_by_class(name);
  if (family_ == nullptr) {
    return make_error(ErrorKind::kFailure, "[{}] has the architecture '{}'; nibble knows: {}", file,
                      printable(name), known_hf_classes());
  }
  model_.architecture = family_->architecture;
  HfConfig reader(config, file);
  ASSIGN_OR_RETURN(scales_, HfScales::read(reader));
  family_->read(reader, model_);
  return reader.finish();
}

std::vector<int64_t> FolderSource::shape_of(const HfTensorRule& rule) const {
  std::vector<int64_t> shape;
  for (const HfDim dim : rule.shape) {
    if (dim != HfDim::none) shape.push_back(model_[dim]);
  }
  return shape;
}

Result<HfRepo::Place> FolderSource::take(const std::string& name,
                                         const std::vector<int64_t>& shape) {
  const auto place = repo_.find(prefix_ + name);
  if (!place) {
    return make_error(
        ErrorKind::kInvalid,
        "[{}] the tensor {}{} is missing; config.json says that the model has it; the "
        "folder is incomplete",
        where(), prefix_, name);
  }
  const SafeTensor& tensor = *place->tensor;
  if (!std::equal(shape.begin(), shape.end(), tensor.dims().begin(), tensor.dims().end())) {
    return make_error(
        ErrorKind::kInvalid,
        "[{}] the tensor {}{} has the shape {}; [{}] follows from config.json; one of "
        "them is of another model",
        where(), prefix_, name, tensor.shape_text(), fmt::join(shape, ", "));
  }
  if (!is_float_dtype(tensor.dtype)) {
    return make_error(ErrorKind::kFailure,
                      "[{}] the tensor {}{} is of the type {}; weights of floating-point types are "
                      "read; this model was quantized by another program",
                      where(), prefix_, name, dtype_name(tensor.dtype));
  }
  const auto at = std::lower_bound(
      repo_.tensors().begin(), repo_.tensors().end(), tensor.name,
      [](const HfRepo::Place& p, const std::string& wanted) { return p.tensor->name < wanted; });
  used_[static_cast<size_t>(at - repo_.tensors().begin())] = true;
  return *place;
}

const Format* FolderSource::format_for(const std::string& name, size_t n_dims,
                                       const SafeTensor& tensor, bool has_scale) const {
  const TensorRole role = identify_tensor(name).role;
  if (n_dims == 1 || name.ends_with("_norm.weight") || !is_quantizable(role) || has_scale) {
    return &format_of(FormatId::F32);
  }
  switch (tensor.dtype) {
    case SafeDtype::F16:
      return &format_of(FormatId::F16);
    case SafeDtype::BF16:
    case SafeDtype::F8_E4M3:  // exact in BF16
    case SafeDtype::F8_E5M2:
      return &format_of(FormatId::BF16);
    default:
      return &format_of(FormatId::F32);
  }
}

Status FolderSource::add_rule(const HfTensorRule& rule, int64_t layer) {
  if ((model_.flags & rule.flags) != rule.flags) return {};
  GgufTensor tensor;
  tensor.name = with_number(rule.gguf, "{i}", layer);
  const std::string name = with_number(rule.hf, "{i}", layer);
  const std::vector<int64_t> shape = shape_of(rule);
  const bool is_stack = rule.transform == HfTransform::stack;
  HfRows rows;
  rows.transform = rule.transform;
  rows.head_dim = model_[HfDim::head];
  const int64_t n_parts = is_stack ? model_[HfDim::experts] : 1;
  bool has_scale = false;
  for (int64_t e = 0; e < n_parts; ++e) {
    const std::string part = with_number(name, "{e}", e);
    ASSIGN_OR_RETURN(const HfRepo::Place place, take(part, shape));
    ASSIGN_OR_RETURN(auto scale, scales_.find(repo_, place, used_));
    has_scale |= scale.has_value();
    rows.parts.push_back(place);
    rows.scales.push_back(std::move(scale));
    if (place.tensor->dtype != rows.parts[0].tensor->dtype) {
      return make_error(ErrorKind::kInvalid,
                        "[{}] the tensor {} is {}, that of expert 0 is {}; one "
                        "type is needed",
                        where(), part, dtype_name(place.tensor->dtype),
                        dtype_name(rows.parts[0].tensor->dtype));
    }
  }
  if (!has_scale) rows.scales.clear();

  std::vector<int64_t> dims(shape.rbegin(), shape.rend());
  if (rule.transform == HfTransform::transpose) std::swap(dims[0], dims[1]);
  if (is_stack) dims.push_back(n_parts);
  tensor.n_dims = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), tensor.dims.begin());
  tensor.format = format_for(tensor.name, dims.size(), *rows.parts[0].tensor, has_scale);
  tensor.size_bytes = tensor.format->size_bytes(tensor.n_elements());
  rows.format = tensor.format;
  rows.n_rows = dims.size() == 1 ? dims[0] : tensor.n_rows();
  rows.row_len = dims.size() == 1 ? 1 : dims[0];
  // vectors whose elements stay in place are read in one piece
  if (dims.size() == 1 && folder_row(rule.transform, 1, dims[0], rows.head_dim) == 1 &&
      rule.transform != HfTransform::regroup_qkv) {
    std::swap(rows.n_rows, rows.row_len);
  }
  tensors_.push_back(std::move(tensor));
  rows_.push_back(std::move(rows));
  return {};
}

void FolderSource::add_made() {
  for (const auto& [name, values] : model_.made) {
    GgufTensor tensor;
    tensor.name = name;
    tensor.n_dims = 1;
    tensor.dims[0] = static_cast<int64_t>(values.size());
    tensor.format = &format_of(FormatId::F32);
    tensor.size_bytes = values.size() * sizeof(float);
    HfRows rows;
    rows.format = tensor.format;
    rows.made = &values;
    tensors_.push_back(std::move(tensor));
    rows_.push_back(std::move(rows));
  }
}

// In the order of llama.cpp's files: what is made, then as the family's table has it, the rules of
// layers layer by layer.
Status FolderSource::add_tensors() {
  used_.assign(repo_.tensors().size(), false);
  for (const std::string_view prefix : family_->prefixes) {
    const std::string first = with_number(family_->tensors.front().hf, "{i}", 0);
    if (repo_.find(std::string(prefix) + first)) {
      prefix_ = prefix;
      break;
    }
  }
  add_made();
  RETURN_IF_ERROR(for_each_rule(
      *family_, model_.n_layers,
      [&](const HfTensorRule& rule, int64_t layer) { return add_rule(rule, layer); }));
  const auto duplicate = index_names();
  CHECK(!duplicate);  // the rules name each tensor once
  return check_left_over();
}

Status FolderSource::check_left_over() const {
  for (size_t i = 0; i < used_.size(); ++i) {
    if (used_[i]) continue;
    std::string_view name = repo_.tensors()[i].tensor->name;
    const auto is_ignored = [&](std::span<const std::string_view> patterns) {
      return std::any_of(patterns.begin(), patterns.end(),
                         [&](std::string_view pattern) { return matches(name, pattern); });
    };
    if (is_ignored(kIgnored)) continue;
    if (name.starts_with(prefix_)) name.remove_prefix(prefix_.size());
    if (is_ignored(family_->ignored)) continue;
    // some folders keep the tied matrix twice, or under another of its prefixes
    if ((model_.flags & kHfUntied) == 0 && name.ends_with("lm_head.weight")) continue;
    return make_error(
        ErrorKind::kInvalid,
        "[{}] has the tensor {}, which no rule for '{}' with this config.json accounts "
        "for; leaving it out could change what the model computes",
        where(), printable(repo_.tensors()[i].tensor->name), family_->architecture);
  }
  return {};
}

// Folders of sentence-transformers say in modules.json how the vectors of the tokens become one.
Status FolderSource::read_pooling() {
  ASSIGN_OR_RETURN(const auto modules, repo_.json_file("modules.json"));
  if (!modules || !modules->is_array()) return {};
  const auto text = [](const json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() && found->is_string()
               ? found->get<std::string>()
               : std::string();
  };
  for (const json& module : *modules) {
    if (!text(module, "type").ends_with("Pooling")) continue;
    ASSIGN_OR_RETURN(const auto pooling, repo_.json_file(text(module, "path") + "/config.json"));
    if (!pooling) return {};
    static constexpr std::pair<const char*, uint32_t> kModes[] = {{"pooling_mode_mean_tokens", 1},
                                                                  {"pooling_mode_cls_token", 2},
                                                                  {"pooling_mode_lasttoken", 3}};
    static constexpr std::pair<std::string_view, uint32_t> kNames[] = {
        {"mean", 1}, {"cls", 2}, {"lasttoken", 3}};
    for (const auto& [key, mode] : kModes) {
      const auto found = pooling->is_object() ? pooling->find(key) : pooling->end();
      if (!pooling->is_object() || found == pooling->end() || *found != true) continue;
      model_.set_number("pooling_type", mode);
      return {};
    }
    for (const auto& [name, mode] : kNames) {
      if (text(*pooling, "pooling_mode") != name) continue;
      model_.set_number("pooling_type", mode);
      return {};
    }
    return make_error(
        ErrorKind::kFailure,
        "[{}] pools the vectors of tokens in a way nibble does not know; mean, cls and "
        "last token are known",
        where());
  }
  return {};
}

void FolderSource::set_general() {
  metadata_.set("general.architecture", GgufValue::of_string(family_->architecture));
  metadata_.set("general.type", GgufValue::of_string("model"));
  double n_params = 0, n_expert_params = 0;
  for (const GgufTensor& tensor : tensors_) {
    const auto n = static_cast<double>(tensor.n_elements());
    n_params += n;
    if (tensor.n_dims == 3) n_expert_params += n;
  }
  read_card(repo_, n_params, metadata_);
  if (metadata_.find("general.size_label") == nullptr) {
    metadata_.set("general.size_label", GgufValue::of_string(size_label(
                                            n_params, model_[HfDim::experts], n_expert_params)));
  }
}

Status FolderSource::build() {
  RETURN_IF_ERROR(read_config());
  RETURN_IF_ERROR(read_pooling());
  RETURN_IF_ERROR(add_tensors());
  if (tensors_.size() > kMaxTensors) {
    return make_error(ErrorKind::kFailure, "[{}] has {} tensors; at most {} are allowed", where(),
                      tensors_.size(), kMaxTensors);
  }
  set_general();
  for (const auto& [key, value] : model_.metadata.entries()) metadata_.set(key, value);
  return add_folder_vocabulary(repo_, model_[HfDim::vocab], metadata_);
}

}  // namespace

Result<std::unique_ptr<ModelSource>> open_folder(const fs::path& folder) {
  ASSIGN_OR_RETURN(HfRepo repo, HfRepo::open(folder));
  auto source = std::make_unique<FolderSource>(std::move(repo));
  RETURN_IF_ERROR(source->build());
  RETURN_IF_ERROR(source->check_unchanged());
  return std::unique_ptr<ModelSource>(std::move(source));
}

}  // namespace nibble
