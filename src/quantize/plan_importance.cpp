// Which tensors of a plan have data in the importance matrix.
#include <algorithm>

#include "quantize/plan.h"

namespace nibble {
namespace {

// Fewer tokens than this are called too few. A column's mean of squares has a relative error of
// about sqrt(kurtosis / n): with 10,000 tokens a few percent, which is as good as the weighting
// needs; with a few hundred, rare columns are guesswork, and a mixture has experts that saw none.
constexpr int64_t kMinImportanceTokens = 10'000;

bool is_embedding(TensorRole role) {
  return role == TensorRole::token_embd || role == TensorRole::per_layer_token_embd;
}

// "a, b, c and 12 more".
std::string list_names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

// The name under which the matrix has data for the tensor, or empty. Where the embedding is the
// head, too, what is known of the head is known of it.
std::string importance_name(const ImportanceMatrix& matrix, const TensorPlan& tensor, bool tied) {
  const auto has = [&](const std::string& name) { return matrix.entries().count(name) > 0; };
  if (has(tensor.source.name)) return tensor.source.name;
  const std::string head = tensor_name(TensorRole::output);
  return tied && tensor.identity.role == TensorRole::token_embd && has(head) ? head : "";
}

void set_metadata(const QuantizeOptions& options, QuantizePlan& plan) {
  const ImportanceMatrix& matrix = *plan.importance;
  const auto set_number = [&](const char* key, uint64_t value) {
    plan.metadata.set(key, GgufValue::of_uint32(static_cast<uint32_t>(value)));
  };
  // the file's name only: where it lay is nobody's business
  plan.metadata.set("quantize.imatrix.file",
                    GgufValue::of_string(options.imatrix.filename().string()));
  if (!matrix.source().datasets.empty()) {
    const std::filesystem::path dataset = matrix.source().datasets.front();
    plan.metadata.set("quantize.imatrix.dataset",
                      GgufValue::of_string(dataset.filename().string()));
  }
  set_number("quantize.imatrix.entries_count", matrix.entries().size());
  if (matrix.source().n_chunks > 0) {
    set_number("quantize.imatrix.chunks_count", matrix.source().n_chunks);
  }
}

}  // namespace

Status read_importance(const QuantizeOptions& options, std::span<const GgufTensor> tensors,
                       QuantizePlan& plan) {
  if (options.imatrix.empty()) return {};
  ASSIGN_OR_RETURN(plan.importance, ImportanceMatrix::read(options.imatrix));
  const auto& entries = plan.importance->entries();
  const bool knows_one = std::any_of(tensors.begin(), tensors.end(), [&](const GgufTensor& tensor) {
    return entries.count(tensor.name) > 0;
  });
  if (!knows_one) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the importance matrix knows none of the tensors of this model (its "
                      "first is {}); it was collected on another one",
                      options.imatrix.string(),
                      entries.empty() ? "missing" : entries.begin()->first);
  }
  const int64_t n_tokens = plan.importance->n_tokens();
  if (n_tokens > 0 && n_tokens < kMinImportanceTokens) {
    plan.warnings.push_back(fmt::format(
        "[{}] the importance matrix saw only {} tokens; with fewer than {} rare columns "
        "are guesswork: collect it on more text",
        options.imatrix.string(), n_tokens, kMinImportanceTokens));
  }
  set_metadata(options, plan);
  return {};
}

Status assign_importance(const QuantizeOptions& options, bool tied_embeddings, QuantizePlan& plan) {
  std::vector<std::string> missing;
  for (TensorPlan& tensor : plan.tensors) {
    if (!tensor.converted() || !is_block_format(*tensor.chosen)) continue;
    const TensorRole role = tensor.identity.role;
    const bool may_lack = is_embedding(role) || role == TensorRole::output;
    if (plan.importance) {
      tensor.importance = importance_name(*plan.importance, tensor, tied_embeddings);
      if (tensor.importance.empty() && !may_lack) missing.push_back(tensor.source.name);
    }
    if (!tensor.importance.empty()) {
      GgufTensor named = tensor.source;
      named.name = tensor.importance;
      const auto factors = plan.importance->factors(named);
      if (!factors.ok()) {
        return make_error(factors.error().kind, "[{}] {}", options.imatrix.string(),
                          factors.error().message);
      }
    } else if (plan.recipe->needs_importance && tensor.chosen->id == plan.recipe->base &&
               !may_lack && plan.needs_importance.empty()) {
      plan.needs_importance = tensor.source.name;
    }
  }
  if (!missing.empty()) {
    plan.warnings.push_back(fmt::format(
        "[{}] the importance matrix knows nothing of {} tensors, which are quantized without: {}",
        options.imatrix.string(), missing.size(), list_names(missing)));
  }
  if (!plan.needs_importance.empty()) {
    plan.warnings.push_back(fmt::format(
        "[quantize] {} is of no use without importance data, and {} has none: give --imatrix FILE "
        "(nibble calibrate collects one)",
        plan.recipe->name, plan.needs_importance));
  }
  return {};
}

}  // namespace nibble
