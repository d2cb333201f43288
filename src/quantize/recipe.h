// Recipes: which type each tensor of a model gets when somebody asks for "Q4_K_M". A recipe is a
// row of data: a base type and rules by role. The choices without importance data are those of
// llama.cpp (src/llama-quant.cpp), so that a name means the same here as everywhere else; rows that
// do not fit a block differ, see fit_to_row().
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/format.h"
#include "model/tensor_roles.h"

namespace nibble {

// What a rule may ask about the model.
struct ModelFacts {
  int n_layers = 0;
  int gqa = 1;                   // query heads per key-value head
  bool tied_embeddings = false;  // no output matrix: the embedding is the head, too
};

// Which layers a rule is for.
enum class LayerSet {
  all,
  first_four,
  first_eighth,  // layer < n_layers / 8
  more_bits,     // the first and the last eighth, and every third one between
};

// Gives the format to a tensor when everything in the row holds; the first row that does wins.
struct RecipeRule {
  std::span<const TensorRole> roles;
  FormatId format = FormatId::F32;
  LayerSet layers = LayerSet::all;
  int min_gqa = 0;         // at least so many query heads per key-value head
  int n_layers = 0;        // only models of exactly this depth; 0: any
  bool only_tied = false;  // only models whose embedding is the head, too
};

struct Recipe {
  std::string_view name;
  FormatId base;
  uint32_t file_type;  // general.file_type of the output
  std::span<const RecipeRule> rules;
};

// All recipes, best quality first.
std::span<const Recipe> all_recipes();

// "F32, F16, ...": the names of all recipes, as messages and help texts list them.
std::string recipe_names();

// By name in any case; Q4_K and Q5_K mean their _M. kFailure: unknown name (the message lists all).
Result<const Recipe*> find_recipe(std::string_view name);

// The format the recipe wants for a quantizable tensor, whatever the tensor's shape.
FormatId choose_format(const Recipe& recipe, const ModelFacts& facts,
                       const TensorIdentity& identity);

// The wanted format, or, when rows of row_len weights are not whole blocks of it, the smallest
// 32-wide format with at least as many bits (Q4_K: IQ4_NL, Q5_K: Q5_0, Q6_K: Q8_0), or F16 when
// rows are not multiples of 32 either. llama.cpp takes one more bit (Q5_0, Q5_1), which makes a
// "4-bit" file of a small model 5 bits large without a word.
FormatId fit_to_row(FormatId wanted, int64_t row_len);

}  // namespace nibble
