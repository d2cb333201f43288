// The planning half of pipeline.h.
#include <algorithm>

#include "quantize/pipeline.h"
#include "quantize/plan.h"

namespace nibble {
namespace {

// A number of the model's configuration; of a list (one entry per layer), the first.
std::optional<int64_t> config_number(const GgufFile& file, std::string_view field) {
  const GgufValue* architecture = file.metadata().find("general.architecture");
  const auto name = architecture ? architecture->as_string() : std::nullopt;
  if (!name) return std::nullopt;
  const GgufValue* value = file.metadata().find(fmt::format("{}.{}", *name, field));
  if (value == nullptr) return std::nullopt;
  if (const auto list = value->as_ints(); list && !list->empty()) return list->front();
  return value->as_int();
}

ModelFacts facts_of(const GgufFile& file) {
  ModelFacts facts;
  facts.tied_embeddings = file.find_tensor(tensor_name(TensorRole::output)) == nullptr;
  for (const GgufTensor& tensor : file.tensors()) {
    facts.n_layers = std::max(facts.n_layers, identify_tensor(tensor.name).layer + 1);
  }
  constexpr int64_t kLimit = 1 << 20;  // the values come from a file
  if (const auto n = config_number(file, "block_count"); n && *n > 0 && *n < kLimit) {
    facts.n_layers = static_cast<int>(*n);
  }
  const auto n_heads = config_number(file, "attention.head_count");
  const auto n_kv_heads = config_number(file, "attention.head_count_kv");
  if (n_heads && n_kv_heads && *n_kv_heads > 0 && *n_heads > 0 && *n_heads < kLimit) {
    facts.gqa = static_cast<int>(*n_heads / *n_kv_heads);
  }
  return facts;
}

// Whether the recipe has a say: weights with at least two dimensions in a role that allows it.
// Integers and F64 are not weights; a [n, 1] matrix is a vector.
bool is_recipe_matter(const GgufTensor& tensor, TensorRole role) {
  return tensor.format->is_weight && tensor.n_rows() > 1 && is_quantizable(role);
}

TensorPlan plan_tensor(const Recipe& recipe, const ModelFacts& facts, const GgufTensor& tensor) {
  TensorPlan plan;
  plan.source = tensor;
  plan.identity = identify_tensor(tensor.name);
  plan.requested = plan.chosen = tensor.format;
  if (is_recipe_matter(tensor, plan.identity.role)) {
    const FormatId wanted = choose_format(recipe, facts, plan.identity);
    plan.requested = &format_of(wanted);
    plan.chosen = &format_of(fit_to_row(wanted, tensor.row_len()));
  }
  if (plan.chosen != plan.requested) {
    plan.reason = fmt::format("rows of {} weights are not a multiple of {}", tensor.row_len(),
                              plan.requested->block_len);
  }
  plan.size_bytes = plan.chosen->size_bytes(tensor.n_elements());
  return plan;
}

}  // namespace

bool is_block_format(const Format& format) { return format.is_weight && format.block_len > 1; }

Result<GgufWriter> make_writer(const std::filesystem::path& path, const GgufFile& file,
                               const QuantizePlan& plan) {
  GgufMetadata metadata = file.metadata();
  metadata.set("general.quantization_version", GgufValue::of_uint32(2));
  metadata.set("general.file_type", GgufValue::of_uint32(plan.recipe->file_type));
  GgufWriter writer(path, std::move(metadata));
  for (const TensorPlan& tensor : plan.tensors) {
    const std::span dims(tensor.source.dims.data(), static_cast<size_t>(tensor.source.n_dims));
    ASSIGN_OR_RETURN([[maybe_unused]] const size_t index,
                     writer.add_tensor(tensor.source.name, *tensor.chosen, dims));
  }
  return writer;
}

Result<QuantizePlan> plan_quantize(const GgufFile& file, const QuantizeOptions& options) {
  QuantizePlan plan;
  ASSIGN_OR_RETURN(plan.recipe, find_recipe(options.to));
  const ModelFacts facts = facts_of(file);
  double requested_bits = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    TensorPlan row = plan_tensor(*plan.recipe, facts, tensor);
    const auto n = static_cast<uint64_t>(tensor.n_elements());
    plan.n_params += n;
    plan.source_bytes += tensor.size_bytes;
    plan.tensor_bytes += row.size_bytes;
    plan.n_substituted += row.chosen != row.requested;
    plan.n_requantized += row.converted() && is_block_format(*tensor.format);
    requested_bits += row.requested->bits_per_weight() * static_cast<double>(n);
    plan.tensors.push_back(std::move(row));
  }
  if (plan.n_params > 0) {
    const auto n_params = static_cast<double>(plan.n_params);
    plan.requested_bits_per_weight = requested_bits / n_params;
    plan.bits_per_weight = 8.0 * static_cast<double>(plan.tensor_bytes) / n_params;
  }
  plan.source_file_bytes = file.file_bytes();
  ASSIGN_OR_RETURN(const GgufWriter layout, make_writer({}, file, plan));
  plan.file_bytes = layout.file_bytes();
  return plan;
}

}  // namespace nibble
