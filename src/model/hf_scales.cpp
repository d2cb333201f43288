#include "model/hf_scales.h"

#include <algorithm>
#include <string>

#include "container/printable.h"

namespace nibble {

using nlohmann::json;

Result<HfScales> HfScales::read(HfConfig& config) {
  HfScales scales;
  const json* object = config.find("quantization_config");
  if (object == nullptr) object = config.find("compression_config");
  if (object == nullptr) return scales;
  const auto text = [&](const char* key) {
    const auto found = object->is_object() ? object->find(key) : object->end();
    return object->is_object() && found != object->end() && found->is_string()
               ? found->get<std::string>()
               : std::string();
  };
  const std::string method = text("quant_method"), format = text("format");
  const bool is_fp8 =
      method == "fp8" || (method == "compressed-tensors" && format == "float-quantized");
  if (!is_fp8) {
    return make_error(ErrorKind::kFailure,
                      "[{}] the weights are quantized already, by '{}'{}; of quantized folders "
                      "nibble reads 8-bit floating point (fp8); take the folder of the original "
                      "model",
                      config.where(), printable(method.empty() ? "an unnamed method" : method),
                      format.empty() ? "" : fmt::format(" ({})", printable(format)));
  }
  scales.is_quantized_ = true;
  const auto block = object->find("weight_block_size");
  if (block == object->end() || block->is_null()) return scales;
  const auto is_size = [](const json& n) {
    return n.is_number_unsigned() && n.get<uint64_t>() >= 1 && n.get<uint64_t>() <= 1 << 20;
  };
  if (!block->is_array() || block->size() != 2 || !is_size((*block)[0]) || !is_size((*block)[1])) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] \"weight_block_size\" is no pair of sizes; the file is damaged",
                      config.where());
  }
  scales.block_rows_ = (*block)[0].get<int64_t>();
  scales.block_cols_ = (*block)[1].get<int64_t>();
  return scales;
}

Result<std::optional<HfScale>> HfScales::find(const HfRepo& repo, const HfRepo::Place& place,
                                              std::vector<bool>& used) const {
  const SafeTensor& tensor = *place.tensor;
  const bool is_8_bit = dtype_bytes(tensor.dtype) == 1;
  if (!is_quantized_ || !is_8_bit || !tensor.name.ends_with(".weight") || tensor.n_dims != 2) {
    return std::optional<HfScale>();
  }
  const int64_t n_rows = tensor.shape[0], n_cols = tensor.shape[1];
  HfScale scale;
  auto found = repo.find(tensor.name + "_scale_inv");
  const bool in_blocks = found.has_value();
  if (!found) found = repo.find(tensor.name + "_scale");
  if (!found) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} has 8-bit weights without a scale ({}_scale_inv or "
                      "{}_scale); the folder is incomplete",
                      repo.folder().string(), tensor.name, tensor.name, tensor.name);
  }
  scale.place = *found;
  const SafeTensor& numbers = *found->tensor;
  int64_t n = 1;
  for (const int64_t dim : numbers.dims()) n *= dim;
  const auto blocks = [](int64_t size, int64_t block) { return (size + block - 1) / block; };
  if (n == 1) {
    scale.block_rows = std::max<int64_t>(n_rows, 1);
    scale.block_cols = std::max<int64_t>(n_cols, 1);
  } else if (in_blocks) {
    scale.block_rows = block_rows_;
    scale.block_cols = block_cols_;
    scale.cols = blocks(n_cols, block_cols_);
  } else {
    scale.block_rows = 1;
    scale.block_cols = std::max<int64_t>(n_cols, 1);
  }
  const bool fits = n == blocks(n_rows, scale.block_rows) * scale.cols &&
                    (!in_blocks || n == 1 || numbers.n_dims == 2) &&
                    (numbers.n_dims < 2 || n == 1 || numbers.shape[1] == scale.cols);
  if (!fits || !is_float_dtype(numbers.dtype)) {
    return make_error(
        ErrorKind::kInvalid,
        "[{}] the scale {} has the shape {} in {}, which does not fit the weights {}; "
        "the folder is damaged",
        repo.folder().string(), numbers.name, numbers.shape_text(), dtype_name(numbers.dtype),
        tensor.shape_text());
  }
  const auto at = std::lower_bound(
      repo.tensors().begin(), repo.tensors().end(), numbers.name,
      [](const HfRepo::Place& p, const std::string& wanted) { return p.tensor->name < wanted; });
  used[static_cast<size_t>(at - repo.tensors().begin())] = true;
  return std::optional(scale);
}

}  // namespace nibble
