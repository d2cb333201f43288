#include "quantize/recipe.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace nibble {
namespace {

using enum FormatId;

constexpr TensorRole kHead[] = {TensorRole::output};
constexpr TensorRole kEmbedding[] = {TensorRole::token_embd, TensorRole::per_layer_token_embd};
constexpr TensorRole kAttnV[] = {TensorRole::attn_v, TensorRole::attn_qkv, TensorRole::attn_kv_b};
constexpr TensorRole kFfnDown[] = {TensorRole::ffn_down};

// The matrix that makes the logits gets 6 bits in every recipe of fewer.
constexpr RecipeRule kHeadRule = {.roles = kHead, .format = Q6_K};
constexpr RecipeRule kTiedHeadRule = {.roles = kEmbedding, .format = Q6_K, .only_tied = true};

constexpr RecipeRule kHeadOnly[] = {kHeadRule, kTiedHeadRule};

constexpr RecipeRule kQ5KM[] = {
    kHeadRule,
    kTiedHeadRule,
    {.roles = kAttnV, .format = Q6_K, .layers = LayerSet::more_bits},
    {.roles = kFfnDown, .format = Q6_K, .layers = LayerSet::more_bits},
};

// 80 layers with shared keys and values are the 70B models, in which attn_v is so small beside the
// rest that a fifth bit is all but free.
constexpr RecipeRule kQ4KM[] = {
    kHeadRule,
    kTiedHeadRule,
    {.roles = kAttnV, .format = Q6_K, .layers = LayerSet::more_bits},
    {.roles = kAttnV, .format = Q5_K, .min_gqa = 2, .n_layers = 80},
    {.roles = kFfnDown, .format = Q6_K, .layers = LayerSet::more_bits},
};

constexpr RecipeRule kQ4KS[] = {
    kHeadRule,
    kTiedHeadRule,
    {.roles = kAttnV, .format = Q5_K, .layers = LayerSet::first_four},
    {.roles = kAttnV, .format = Q5_K, .min_gqa = 2, .n_layers = 80},
    {.roles = kFfnDown, .format = Q5_K, .layers = LayerSet::first_eighth},
};

constexpr RecipeRule kIQ4NL[] = {
    kHeadRule,
    kTiedHeadRule,
    {.roles = kAttnV, .format = Q5_K, .min_gqa = 4},
    {.roles = kFfnDown, .format = Q5_K, .layers = LayerSet::first_eighth},
};

constexpr Recipe kRecipes[] = {
    {"F32", F32, 0, {}},
    {"F16", F16, 1, {}},
    {"BF16", BF16, 32, {}},
    {"Q8_0", Q8_0, 7, {}},
    {"Q6_K", Q6_K, 18, {}},
    {"Q5_K_M", Q5_K, 17, kQ5KM},
    {"Q5_K_S", Q5_K, 16, kHeadOnly},
    {"Q5_1", Q5_1, 9, kHeadOnly},
    {"Q5_0", Q5_0, 8, kHeadOnly},
    {"Q4_K_M", Q4_K, 15, kQ4KM},
    {"Q4_K_S", Q4_K, 14, kQ4KS},
    {"Q4_1", Q4_1, 3, kHeadOnly},
    {"Q4_0", Q4_0, 2, kHeadOnly},
    {"IQ4_NL", IQ4_NL, 25, kIQ4NL},
};

struct Alias {
  std::string_view name, means;
};
constexpr Alias kAliases[] = {{"Q5_K", "Q5_K_M"}, {"Q4_K", "Q4_K_M"}};

// What stands in for a 256-wide format in rows that are only multiples of 32.
struct Substitute {
  FormatId wanted, instead;
};
constexpr Substitute kSubstitutes[] = {{Q4_K, IQ4_NL}, {Q5_K, Q5_0}, {Q6_K, Q8_0}};

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

bool contains(LayerSet set, int layer, int n_layers) {
  const int eighth = n_layers / 8;
  switch (set) {
    case LayerSet::all:
      return true;
    case LayerSet::first_four:
      return layer < 4;
    case LayerSet::first_eighth:
      return layer < eighth;
    case LayerSet::more_bits:
      return layer < eighth || layer >= 7 * n_layers / 8 || (layer - eighth) % 3 == 2;
  }
  return false;
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
  return make_error(ErrorKind::kFailure, "[quantize] unknown type '{}'; known types are {}", name,
                    recipe_names());
}

FormatId choose_format(const Recipe& recipe, const ModelFacts& facts,
                       const TensorIdentity& identity) {
  for (const RecipeRule& rule : recipe.rules) {
    const bool holds =
        std::find(rule.roles.begin(), rule.roles.end(), identity.role) != rule.roles.end() &&
        contains(rule.layers, identity.layer, facts.n_layers) && facts.gqa >= rule.min_gqa &&
        (rule.n_layers == 0 || rule.n_layers == facts.n_layers) &&
        (!rule.only_tied || facts.tied_embeddings);
    if (holds) return rule.format;
  }
  return recipe.base;
}

FormatId fit_to_row(FormatId wanted, int64_t row_len) {
  if (row_len % format_of(wanted).block_len == 0) return wanted;
  for (const Substitute& row : kSubstitutes) {
    if (row.wanted == wanted && row_len % format_of(row.instead).block_len == 0) return row.instead;
  }
  return F16;
}

}  // namespace nibble
