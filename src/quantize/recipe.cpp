#include "quantize/recipe.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <iterator>

namespace nibble {
namespace {

using enum FormatId;

constexpr TensorRole kHead[] = {TensorRole::output};
constexpr TensorRole kEmbedding[] = {TensorRole::token_embd, TensorRole::per_layer_token_embd};
constexpr TensorRole kAttnV[] = {TensorRole::attn_v, TensorRole::attn_qkv, TensorRole::attn_kv_b};
constexpr TensorRole kAttnK[] = {TensorRole::attn_k};
constexpr TensorRole kAttnOut[] = {TensorRole::attn_output};
constexpr TensorRole kFfnDown[] = {TensorRole::ffn_down};
constexpr TensorRole kFfn[] = {TensorRole::ffn_gate, TensorRole::ffn_up, TensorRole::ffn_down};

constexpr std::string_view kFalcon = "falcon";

// Before the rules of every recipe with a special head. The matrix that makes the logits gets 6
// bits (8 in Falcon), also where the recipe has fewer. Keys and values are so small beside 8
// experts that 8 bits for them are all but free.
constexpr RecipeRule kCommonRules[] = {
    {.roles = kHead, .format = Q8_0, .architecture = kFalcon},
    {.roles = kEmbedding, .format = Q8_0, .only_tied = true, .architecture = kFalcon},
    {.roles = kHead, .format = Q6_K},
    {.roles = kEmbedding, .format = Q6_K, .only_tied = true},
    {.roles = kAttnV, .format = Q8_0, .n_experts = 8},
    {.roles = kAttnK, .format = Q8_0, .n_experts = 8},
};

// Rules that several recipes share.
constexpr RecipeRule kMoreForV = {.roles = kAttnV, .format = Q6_K, .layers = LayerSet::more_bits};
// In the 70B models, attn_v is so small beside the rest that a fifth bit is all but free.
constexpr RecipeRule kV70b = {.roles = kAttnV, .format = Q5_K, .only_70b = true};
constexpr RecipeRule kOutOfExperts = {
    .roles = kAttnOut, .format = Q5_K, .n_experts = 8, .not_architecture = kFalcon};

constexpr RecipeRule kQ5KM[] = {
    kMoreForV,
    {.roles = kFfnDown, .format = Q6_K, .layers = LayerSet::more_bits},
};

constexpr RecipeRule kQ4KM[] = {
    kMoreForV,
    kV70b,
    {.roles = kFfnDown,
     .format = Q6_K,
     .layers = LayerSet::first_sixteenth,
     .architecture = kFalcon},
    {.roles = kFfnDown, .format = Q5_K, .layers = LayerSet::more_bits, .architecture = kFalcon},
    {.roles = kFfnDown, .format = Q6_K, .layers = LayerSet::more_bits, .not_architecture = kFalcon},
    kOutOfExperts,
};

constexpr RecipeRule kQ4KS[] = {
    {.roles = kAttnV, .format = Q5_K, .layers = LayerSet::first_four},
    kV70b,
    {.roles = kFfnDown,
     .format = Q5_K,
     .layers = LayerSet::first_eighth,
     .not_architecture = kFalcon},
    kOutOfExperts,
};

constexpr RecipeRule kIQ4[] = {
    {.roles = kAttnV, .format = Q5_K, .min_gqa = 4},
    {.roles = kFfnDown,
     .format = Q5_K,
     .layers = LayerSet::first_eighth,
     .without_importance = true},
    kOutOfExperts,
};

constexpr RecipeRule kQ3KL[] = {
    {.roles = kAttnV, .format = Q5_K},
    {.roles = kFfnDown, .format = Q4_K, .architecture = kFalcon},
    {.roles = kFfnDown, .format = Q5_K},
    {.roles = kAttnOut, .format = Q4_K, .architecture = kFalcon},
    {.roles = kAttnOut, .format = Q3_K, .n_experts = 8},
    {.roles = kAttnOut, .format = Q5_K},
};

constexpr RecipeRule kQ3KM[] = {
    kV70b,
    {.roles = kAttnV, .format = Q5_K, .layers = LayerSet::first_two},
    {.roles = kAttnV, .format = Q4_K},
    {.roles = kFfnDown, .format = Q5_K, .layers = LayerSet::first_sixteenth},
    {.roles = kFfnDown, .format = Q4_K, .not_architecture = kFalcon},
    {.roles = kFfnDown, .format = Q4_K, .layers = LayerSet::more_bits},
    kOutOfExperts,
    {.roles = kAttnOut, .format = Q4_K, .not_architecture = kFalcon},
};

constexpr RecipeRule kQ3KS[] = {kV70b, kOutOfExperts};

constexpr RecipeRule kQ2K[] = {
    kV70b,
    {.roles = kAttnV, .format = Q4_K, .min_gqa = 4},
    {.roles = kAttnV, .format = Q3_K},
    {.roles = kFfnDown, .format = Q3_K},
    kOutOfExperts,
    {.roles = kAttnOut, .format = Q3_K, .not_architecture = kFalcon},
};

constexpr RecipeRule kQ2KS[] = {
    {.roles = kAttnV, .format = Q5_K, .min_gqa = 4, .only_70b = true},
    {.roles = kAttnV, .format = Q4_K, .min_gqa = 4},
    {.roles = kFfnDown, .format = Q4_K, .layers = LayerSet::first_eighth},
};

// With importance data, the first layers' ffn_down needs the minimum of the asymmetric formats.
constexpr RecipeRule kQ5_0[] = {
    {.roles = kFfnDown, .format = Q5_1, .layers = LayerSet::first_eighth, .with_importance = true}};
constexpr RecipeRule kQ4_0[] = {
    {.roles = kFfnDown, .format = Q4_1, .layers = LayerSet::first_eighth, .with_importance = true}};

constexpr RecipeRule kTernary[] = {{.roles = kEmbedding, .format = Q4_K}};

// 4 bits for the experts, 8 for all else. BailingMoE 3 has other stacks than experts.
constexpr RecipeRule kMxfp4Moe[] = {
    {.roles = kFfn, .format = MXFP4, .only_stacks = true},
    {.format = MXFP4, .only_stacks = true, .not_architecture = "bailingmoe3"},
    {.format = Q8_0},
};

constexpr Recipe kRecipes[] = {
    {.name = "COPY", .base = F32, .file_type = 0, .special_head = false, .copies = true},
    {.name = "F32", .base = F32, .file_type = 0, .special_head = false},
    {.name = "F16", .base = F16, .file_type = 1, .special_head = false},
    {.name = "BF16", .base = BF16, .file_type = 32, .special_head = false},
    {.name = "Q8_0", .base = Q8_0, .file_type = 7, .special_head = false},
    {.name = "Q6_K", .base = Q6_K, .file_type = 18},
    {.name = "Q5_K_M", .base = Q5_K, .file_type = 17, .rules = kQ5KM},
    {.name = "Q5_K_S", .base = Q5_K, .file_type = 16},
    {.name = "Q5_1", .base = Q5_1, .file_type = 9},
    {.name = "Q5_0", .base = Q5_0, .file_type = 8, .rules = kQ5_0},
    {.name = "Q4_K_M", .base = Q4_K, .file_type = 15, .rules = kQ4KM},
    {.name = "Q4_K_S", .base = Q4_K, .file_type = 14, .rules = kQ4KS},
    {.name = "IQ4_NL", .base = IQ4_NL, .file_type = 25, .rules = kIQ4},
    {.name = "IQ4_XS", .base = IQ4_XS, .file_type = 30, .rules = kIQ4},
    {.name = "Q4_1", .base = Q4_1, .file_type = 3},
    {.name = "Q4_0", .base = Q4_0, .file_type = 2, .rules = kQ4_0},
    {.name = "MXFP4_MOE",
     .base = MXFP4,
     .file_type = 38,
     .rules = kMxfp4Moe,
     .special_head = false},
    {.name = "Q3_K_L", .base = Q3_K, .file_type = 13, .rules = kQ3KL},
    {.name = "Q3_K_M", .base = Q3_K, .file_type = 12, .rules = kQ3KM},
    {.name = "Q3_K_S", .base = Q3_K, .file_type = 11, .rules = kQ3KS},
    {.name = "Q2_K", .base = Q2_K, .file_type = 10, .rules = kQ2K},
    {.name = "Q2_K_S", .base = Q2_K, .file_type = 21, .rules = kQ2KS, .needs_importance = true},
    {.name = "TQ2_0", .base = TQ2_0, .file_type = 37, .rules = kTernary},
    {.name = "TQ1_0", .base = TQ1_0, .file_type = 36, .rules = kTernary},
};

struct Alias {
  std::string_view name, means;
};
constexpr Alias kAliases[] = {{"Q5_K", "Q5_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q3_K", "Q3_K_M"}};

// Names of llama.cpp's quantizer whose types are read and run here, but not written, and the
// recipe that comes nearest.
constexpr Alias kReadOnly[] = {
    {"IQ3_M", "Q3_K_M"}, {"IQ3_S", "Q3_K_S"}, {"IQ3_XS", "Q3_K_S"}, {"IQ3_XXS", "Q3_K_S"},
    {"IQ2_M", "Q2_K"},   {"IQ2_S", "Q2_K"},   {"IQ2_XS", "Q2_K"},   {"IQ2_XXS", "Q2_K"},
    {"IQ1_M", "Q2_K"},   {"IQ1_S", "Q2_K"},   {"Q2_0", "Q2_K"},     {"Q1_0", "Q2_K"},
    {"NVFP4", "IQ4_NL"},
};

// What stands in for a 256-wide format in rows that are only multiples of 32: ours, llama.cpp's.
struct Substitute {
  FormatId wanted, smallest, like_llama_cpp;
};
constexpr Substitute kSubstitutes[] = {
    {Q6_K, Q8_0, Q8_0},   {Q5_K, Q5_0, Q5_1},   {Q4_K, IQ4_NL, Q5_0}, {IQ4_XS, IQ4_NL, IQ4_NL},
    {Q3_K, IQ4_NL, Q4_0}, {Q2_K, IQ4_NL, Q4_0}, {TQ2_0, Q4_0, Q4_0},  {TQ1_0, Q4_0, Q4_0},
};

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

bool contains(LayerSet set, int index, int count) {
  const int eighth = count / 8;
  switch (set) {
    case LayerSet::all:
      return true;
    case LayerSet::first_two:
      return index < 2;
    case LayerSet::first_four:
      return index < 4;
    case LayerSet::first_eighth:
      return index < eighth;
    case LayerSet::first_sixteenth:
      return index < count / 16;
    case LayerSet::more_bits:
      return index < eighth || index >= 7 * count / 8 || (index - eighth) % 3 == 2;
  }
  return false;
}

bool holds(const RecipeRule& rule, const ModelFacts& facts, const RecipeTensor& tensor) {
  const bool has_role = rule.roles.empty() || std::find(rule.roles.begin(), rule.roles.end(),
                                                        tensor.role) != rule.roles.end();
  return has_role && contains(rule.layers, tensor.index, tensor.count) &&
         facts.gqa >= rule.min_gqa && (rule.n_experts == 0 || rule.n_experts == facts.n_experts) &&
         (!rule.only_tied || facts.tied_embeddings) && (!rule.only_70b || facts.is_70b) &&
         (!rule.only_stacks || tensor.is_stack) &&
         (!rule.with_importance || facts.has_importance) &&
         (!rule.without_importance || !facts.has_importance) &&
         (rule.architecture.empty() || rule.architecture == facts.architecture) &&
         (rule.not_architecture.empty() || rule.not_architecture != facts.architecture);
}

const Recipe* find_by_number(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return nullptr;
  for (const Recipe& recipe : kRecipes) {
    if (!recipe.copies && recipe.file_type == number) return &recipe;
  }
  return nullptr;
}

}  // namespace

std::span<const Recipe> all_recipes() { return kRecipes; }

std::string recipe_names() {
  std::string names;
  for (const Recipe& recipe : kRecipes) {
    names += names.empty() ? "" : ", ";
    names += recipe.name;
  }
  return names;
}

Result<const Recipe*> find_recipe(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (same_name(name, alias.name)) name = alias.means;
  }
  for (const Recipe& recipe : kRecipes) {
    if (same_name(name, recipe.name)) return &recipe;
  }
  if (const Recipe* recipe = find_by_number(name)) return recipe;
  for (const Alias& row : kReadOnly) {
    if (!same_name(name, row.name)) continue;
    return make_error(ErrorKind::kFailure,
                      "[quantize] {} is known but not written; nibble reads and runs it; nearest: "
                      "{} (all that can be written: {})",
                      row.name, row.means, recipe_names());
  }
  return make_error(ErrorKind::kFailure, "[quantize] unknown type '{}'; known types are {}", name,
                    recipe_names());
}

FormatId choose_format(const Recipe& recipe, const ModelFacts& facts, const RecipeTensor& tensor) {
  const std::span<const RecipeRule> none;
  for (const std::span<const RecipeRule> rules :
       {recipe.special_head ? std::span<const RecipeRule>(kCommonRules) : none, recipe.rules}) {
    for (const RecipeRule& rule : rules) {
      if (holds(rule, facts, tensor)) return rule.format;
    }
  }
  return recipe.base;
}

FormatId fit_to_row(FormatId wanted, int64_t row_len, RowPolicy policy) {
  const auto fits = [row_len](FormatId id) { return row_len % format_of(id).block_len == 0; };
  if (fits(wanted)) return wanted;
  for (const Substitute& row : kSubstitutes) {
    if (row.wanted != wanted) continue;
    const bool like_llama_cpp = policy == RowPolicy::like_llama_cpp;
    const FormatId instead = like_llama_cpp ? row.like_llama_cpp : row.smallest;
    if (fits(instead)) return instead;
  }
  return F16;
}

}  // namespace nibble
