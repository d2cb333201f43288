// The planning half of pipeline.h.
#include "quantize/plan.h"

#include <algorithm>
#include <numeric>

#include "quantize/overrides.h"
#include "quantize/pipeline.h"

namespace nibble {
namespace {

// ---- facts of the model ------------------------------------------------------------------------

// A number of the model's configuration; of a list (one entry per layer), the first.
std::optional<int64_t> config_number(const GgufMetadata& metadata, std::string_view architecture,
                                     std::string_view field) {
  const GgufValue* value = metadata.find(fmt::format("{}.{}", architecture, field));
  if (value == nullptr) return std::nullopt;
  if (const auto list = value->as_ints(); list && !list->empty()) return list->front();
  return value->as_int();
}

// The families that llama.cpp calls 70B, by their depth. Source: llama.cpp, src/models.
struct Family70b {
  std::string_view architecture;
  int n_layers;
  bool only_shared_kv;  // with as many key-value heads as heads it is the 65B
};
constexpr Family70b kFamilies70b[] = {{"llama", 80, true},  {"llama-embed", 80, true},
                                      {"qwen2", 80, false}, {"deci", 80, false},
                                      {"olmo", 80, false},  {"jais2", 68, false}};

ModelFacts facts_of(const GgufMetadata& metadata, std::span<const TensorPlan> tensors) {
  ModelFacts facts;
  facts.tied_embeddings = true;
  for (const TensorPlan& tensor : tensors) {
    if (tensor.identity.role == TensorRole::output) facts.tied_embeddings = false;
    facts.n_layers = std::max(facts.n_layers, tensor.identity.layer + 1);
  }
  const GgufValue* value = metadata.find("general.architecture");
  const auto name = value ? value->as_string() : std::nullopt;
  if (!name) return facts;
  facts.architecture = *name;
  constexpr int64_t kLimit = 1 << 20;  // the values come from a file
  const auto number = [&](std::string_view field) -> std::optional<int64_t> {
    const auto n = config_number(metadata, *name, field);
    return n && *n > 0 && *n < kLimit ? n : std::nullopt;
  };
  if (const auto n = number("block_count")) facts.n_layers = static_cast<int>(*n);
  if (const auto n = number("expert_count")) facts.n_experts = static_cast<int>(*n);
  const auto n_heads = number("attention.head_count");
  const auto n_kv_heads = number("attention.head_count_kv");
  if (n_heads && n_kv_heads) facts.gqa = static_cast<int>(*n_heads / *n_kv_heads);
  const int next_token_layers = static_cast<int>(number("nextn_predict_layers").value_or(0));
  for (const Family70b& family : kFamilies70b) {
    facts.is_70b |= facts.architecture == family.architecture &&
                    facts.n_layers - next_token_layers == family.n_layers &&
                    (!family.only_shared_kv || facts.gqa > 1);
  }
  return facts;
}

// ---- types -------------------------------------------------------------------------------------

bool is_attn_v(TensorRole role) {
  return role == TensorRole::attn_v || role == TensorRole::attn_qkv ||
         role == TensorRole::attn_kv_b;
}

bool is_embedding(TensorRole role) {
  return role == TensorRole::token_embd || role == TensorRole::per_layer_token_embd;
}

// Whether the recipe has a say: weights with at least two dimensions in a role that allows it.
// Integers and F64 are not weights; a [n, 1] matrix is a vector.
bool is_recipe_matter(const TensorPlan& tensor) {
  return tensor.source.format->is_weight && tensor.source.n_rows() > 1 &&
         is_quantizable(tensor.identity.role);
}

// What the flags say about single tensors.
struct TypeFlags {
  std::vector<TensorTypeRule> rules;
  const Format* output = nullptr;
  const Format* embedding = nullptr;

  static Result<TypeFlags> parse(const QuantizeOptions& options) {
    TypeFlags flags;
    for (const std::string& text : options.tensor_types) {
      ASSIGN_OR_RETURN(TensorTypeRule rule, TensorTypeRule::parse(text));
      flags.rules.push_back(std::move(rule));
    }
    if (!options.output_type.empty()) {
      ASSIGN_OR_RETURN(flags.output,
                       parse_written_format("--output-tensor-type", options.output_type));
    }
    if (!options.embedding_type.empty()) {
      ASSIGN_OR_RETURN(flags.embedding,
                       parse_written_format("--token-embedding-type", options.embedding_type));
    }
    return flags;
  }

  const TensorTypeRule* find(std::string_view name) const {
    const auto found = std::find_if(rules.begin(), rules.end(),
                                    [&](const TensorTypeRule& rule) { return rule.matches(name); });
    return found == rules.end() ? nullptr : &*found;
  }
};

// A type that a flag asks for, and that flag as messages name it.
struct Demand {
  const Format* format = nullptr;
  std::string flag;
};

// The order of llama-quantize: the flags for embedding and output beat a regular expression, but
// for the large per-layer embedding, which an expression may name.
Demand demand_for(const TypeFlags& flags, const ModelFacts& facts, const TensorPlan& tensor) {
  const TensorRole role = tensor.identity.role;
  const TensorTypeRule* rule = flags.find(tensor.source.name);
  const bool is_named = role == TensorRole::per_layer_token_embd && rule != nullptr;
  if (flags.embedding != nullptr && is_embedding(role) && !is_named) {
    return {flags.embedding, "--token-embedding-type"};
  }
  if (flags.output != nullptr && role == TensorRole::output) {
    return {flags.output, "--output-tensor-type"};
  }
  if (rule != nullptr) return {&rule->format(), "--tensor-type " + rule->text()};
  if (flags.output != nullptr && facts.tied_embeddings && is_embedding(role)) {
    return {flags.output, "--output-tensor-type"};
  }
  return {};
}

// Deals out the counts of RecipeTensor, in llama.cpp's order of tensors: by layer, then by name.
class Counter {
 public:
  Counter(const ModelFacts& facts, std::span<const TensorPlan> tensors) : facts_(facts) {
    n_attn_v_ = static_cast<int>(
        std::count_if(tensors.begin(), tensors.end(),
                      [](const TensorPlan& tensor) { return is_attn_v(tensor.identity.role); }));
  }

  RecipeTensor next(const TensorPlan& tensor) {
    RecipeTensor result{.role = tensor.identity.role, .count = facts_.n_layers};
    result.is_stack = tensor.source.dims[2] > 1;
    if (is_attn_v(result.role)) {
      result.index = attn_v_++;
      result.count = n_attn_v_;
    } else if (result.role == TensorRole::ffn_down) {
      result.index = facts_.n_experts > 1 ? tensor.identity.layer : ffn_down_++;
    }
    return result;
  }

 private:
  const ModelFacts& facts_;
  int n_attn_v_ = 0, attn_v_ = 0, ffn_down_ = 0;
};

std::vector<size_t> llama_cpp_order(std::span<const TensorPlan> tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int layer_a = tensors[a].identity.layer, layer_b = tensors[b].identity.layer;
    return layer_a != layer_b ? layer_a < layer_b : tensors[a].source.name < tensors[b].source.name;
  });
  return order;
}

// "Q8_0, Q5_1, ...": block formats that take rows of this length.
std::string formats_for_rows(int64_t row_len) {
  std::string names;
  for (const Format& format : all_formats()) {
    if (!format.is_weight || format.encode == nullptr || row_len % format.block_len != 0) continue;
    names += names.empty() ? "" : ", ";
    names += format.name;
  }
  return names;
}

Status set_chosen(const QuantizeOptions& options, std::string_view where, const Demand& demand,
                  TensorPlan& tensor) {
  const int64_t row_len = tensor.source.row_len();
  tensor.chosen = &format_of(fit_to_row(tensor.requested->id, row_len, options.rows));
  if (tensor.chosen != tensor.requested) {
    tensor.reason = fmt::format("rows of {} weights are not a multiple of {}", row_len,
                                tensor.requested->block_len);
    if (!demand.flag.empty() && options.rows != RowPolicy::like_llama_cpp) {
      return make_error(ErrorKind::kUsage,
                        "[{}] tensor {} cannot be {}: its {}; it may be {}; --compat-fallback "
                        "takes another type instead",
                        demand.flag, tensor.source.name, tensor.requested->name, tensor.reason,
                        formats_for_rows(row_len));
    }
    if (options.rows == RowPolicy::strict) {
      return make_error(ErrorKind::kUsage,
                        "[{}] tensor {} cannot be {}: its {}, and --strict allows no other type; "
                        "without it, it becomes {}",
                        where, tensor.source.name, tensor.requested->name, tensor.reason,
                        tensor.chosen->name);
    }
  }
  if (tensor.converted() && tensor.chosen->encode == nullptr) {
    return make_error(ErrorKind::kFailure,
                      "[{}] tensor {} would become {}, which is read but not written", where,
                      tensor.source.name, tensor.chosen->name);
  }
  return {};
}

Status choose_types(const QuantizeOptions& options, std::string_view where, const TypeFlags& flags,
                    const ModelFacts& facts, QuantizePlan& plan) {
  const Recipe& recipe = *plan.recipe;
  Counter counter(facts, plan.tensors);
  // F32, F16 and BF16 know no exceptions; neither does --pure.
  const bool is_uniform = options.pure || !is_block_format(format_of(recipe.base));
  for (const size_t i : llama_cpp_order(plan.tensors)) {
    TensorPlan& tensor = plan.tensors[i];
    tensor.requested = tensor.chosen = tensor.source.format;
    const bool is_left = options.leave_output && tensor.identity.role == TensorRole::output;
    if (recipe.copies || is_left || !is_recipe_matter(tensor)) continue;
    const Demand demand = demand_for(flags, facts, tensor);
    if (demand.format != nullptr) {
      tensor.requested = demand.format;
    } else if (is_uniform) {
      tensor.requested = &format_of(recipe.base);
    } else {
      tensor.requested = &format_of(choose_format(recipe, facts, counter.next(tensor)));
    }
    RETURN_IF_ERROR(set_chosen(options, where, demand, tensor));
  }
  return {};
}

// ---- what is said about it ---------------------------------------------------------------------

void warn_of_idle_flags(const TypeFlags& flags, QuantizePlan& plan) {
  for (const TensorTypeRule& rule : flags.rules) {
    const auto count = [&](auto&& predicate) {
      return std::count_if(plan.tensors.begin(), plan.tensors.end(), [&](const TensorPlan& tensor) {
        return predicate(tensor) && rule.matches(tensor.source.name);
      });
    };
    if (plan.recipe->copies || count(is_recipe_matter) > 0) continue;
    const bool matches_any = count([](const TensorPlan&) { return true; }) > 0;
    plan.warnings.push_back(fmt::format(
        "[--tensor-type {}] {}", rule.text(),
        matches_any ? "matches only tensors that keep their type (vectors, norms, routers)"
                    : "matches no tensor of this model"));
  }
  const bool has_flags =
      !flags.rules.empty() || flags.output != nullptr || flags.embedding != nullptr;
  if (plan.recipe->copies && has_flags) {
    plan.warnings.push_back(
        "[quantize] COPY leaves every tensor as it is; flags for types have no "
        "effect");
  }
}

void add_up(QuantizePlan& plan) {
  double requested_bits = 0;
  for (TensorPlan& tensor : plan.tensors) {
    const auto n = static_cast<uint64_t>(tensor.source.n_elements());
    tensor.size_bytes = tensor.chosen->size_bytes(tensor.source.n_elements());
    plan.n_params += n;
    plan.source_bytes += tensor.source.size_bytes;
    plan.tensor_bytes += tensor.size_bytes;
    plan.n_substituted += tensor.chosen != tensor.requested;
    plan.n_requantized += tensor.converted() && is_block_format(*tensor.source.format);
    requested_bits += tensor.requested->bits_per_weight() * static_cast<double>(n);
  }
  if (plan.n_params == 0) return;
  const auto n_params = static_cast<double>(plan.n_params);
  plan.requested_bits_per_weight = requested_bits / n_params;
  plan.bits_per_weight = 8.0 * static_cast<double>(plan.tensor_bytes) / n_params;
}

}  // namespace

bool is_block_format(const Format& format) { return format.is_weight && format.block_len > 1; }

Result<GgufWriter> make_writer(const std::filesystem::path& path, const ModelSource& source,
                               const QuantizeOptions& options, const QuantizePlan& plan) {
  if (options.keep_split && options.split_max_bytes != 0) {
    return make_error(ErrorKind::kUsage,
                      "[--keep-split] and --split-max-size contradict each other; give one");
  }
  std::error_code ignored;
  if (options.keep_split && std::filesystem::is_directory(source.path(), ignored)) {
    return make_error(ErrorKind::kUsage,
                      "[--keep-split] keeps the files of a divided GGUF model; [{}] is a folder; "
                      "--split-max-size divides by size",
                      source.path().string());
  }
  GgufWriter writer(path, plan.metadata);
  const bool keeps_split = options.keep_split && source.paths().size() > 1;
  if (keeps_split || options.split_max_bytes != 0) writer.split(options.split_max_bytes);
  size_t shard = 0;
  for (const TensorPlan& tensor : plan.tensors) {
    for (; keeps_split && shard < tensor.source.shard; ++shard) writer.start_shard();
    const std::span dims(tensor.source.dims.data(), static_cast<size_t>(tensor.source.n_dims));
    ASSIGN_OR_RETURN([[maybe_unused]] const size_t index,
                     writer.add_tensor(tensor.source.name, *tensor.chosen, dims));
  }
  for (; keeps_split && shard + 1 < source.paths().size(); ++shard) writer.start_shard();
  return writer;
}

Result<QuantizePlan> plan_tensors(const GgufMetadata& metadata, std::span<const GgufTensor> tensors,
                                  const QuantizeOptions& options, std::string_view where) {
  QuantizePlan plan;
  ASSIGN_OR_RETURN(plan.recipe, find_recipe(options.to));
  ASSIGN_OR_RETURN(const TypeFlags flags, TypeFlags::parse(options));
  plan.metadata = metadata;
  plan.metadata.set("general.quantization_version", GgufValue::of_uint32(2));
  if (!plan.recipe->copies) {
    plan.metadata.set("general.file_type", GgufValue::of_uint32(plan.recipe->file_type));
  }
  RETURN_IF_ERROR(read_importance(options, tensors, plan));
  for (const std::string& text : options.metadata) {
    RETURN_IF_ERROR(apply_override(text, plan.metadata));
  }
  for (const GgufTensor& tensor : tensors) {
    TensorPlan& row = plan.tensors.emplace_back();
    row.source = tensor;
    row.identity = identify_tensor(tensor.name);
  }
  ModelFacts facts = facts_of(plan.metadata, plan.tensors);
  facts.has_importance = plan.importance.has_value();
  RETURN_IF_ERROR(choose_types(options, where, flags, facts, plan));
  RETURN_IF_ERROR(assign_importance(options, facts.tied_embeddings, plan));
  warn_of_idle_flags(flags, plan);
  add_up(plan);
  return plan;
}

Result<QuantizePlan> plan_quantize(const ModelSource& source, const QuantizeOptions& options) {
  ASSIGN_OR_RETURN(QuantizePlan plan, plan_tensors(source.metadata(), source.tensors(), options,
                                                   source.path().string()));
  plan.source_file_bytes = source.file_bytes();
  ASSIGN_OR_RETURN(const GgufWriter layout, make_writer({}, source, options, plan));
  plan.file_bytes = layout.file_bytes();
  return plan;
}

}  // namespace nibble
