// Recipes: which type each tensor of a model gets when somebody asks for "Q4_K_M". A recipe is a
// row of data: a base type and rules by role. The choices are those of llama.cpp
// (src/llama-quant.cpp), so that a name means the same here as everywhere else; rows that do not
// fit a block differ, see fit_to_row().
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
  int n_experts = 0;
  bool is_70b = false;  // one of the 70B models, whose attn_v is small beside the rest
  bool has_importance = false;
  std::string architecture{};
};

// What a rule may ask about a tensor. Layers are counted as llama.cpp does: attn_v and its
// relatives by how many of them came before (a hybrid model has none in most layers), ffn_down
// likewise, or by the layer in its name when there are experts.
struct RecipeTensor {
  TensorRole role = TensorRole::other;
  int index = 0;          // among `count`
  int count = 1;          // of attn_v and relatives: all there are; of others: layers of the model
  bool is_stack = false;  // several matrices in one tensor, [n_in, n_out, n_mat]
};

// Which of the `count` a rule is for.
enum class LayerSet {
  all,
  first_two,
  first_four,
  first_eighth,  // index < count / 8
  first_sixteenth,
  more_bits,  // the first and the last eighth, and every third one between
};

// Gives the format to a tensor when everything in the row holds; the first row that does wins.
struct RecipeRule {
  std::span<const TensorRole> roles{};  // empty: any
  FormatId format = FormatId::F32;
  LayerSet layers = LayerSet::all;
  int min_gqa = 0;           // at least so many query heads per key-value head
  int n_experts = 0;         // only models of exactly so many experts; 0: any
  bool only_tied = false;    // only models whose embedding is the head, too
  bool only_70b = false;     // only models with is_70b
  bool only_stacks = false;  // only tensors with is_stack
  bool with_importance = false, without_importance = false;
  std::string_view architecture{}, not_architecture{};  // empty: any, none
};

struct Recipe {
  std::string_view name;
  FormatId base;
  uint32_t file_type;  // general.file_type of the output
  std::span<const RecipeRule> rules{};
  bool special_head = true;       // 6 bits for the head, 8 for keys and values beside 8 experts
  bool needs_importance = false;  // too few bits to be of use without
  bool copies = false;            // every tensor as it is
};

// All recipes that can be written, best quality first.
std::span<const Recipe> all_recipes();

// "F32, F16, ...": the names of all recipes, as messages and help texts list them.
std::string recipe_names();

// By name in any case, or by its file_type as a number; Q3_K, Q4_K and Q5_K mean their _M.
// kFailure: unknown name (the message lists all), or one that llama.cpp writes and nibble only
// reads (the message names the nearest).
Result<const Recipe*> find_recipe(std::string_view name);

// The format the recipe wants for a quantizable tensor, whatever the tensor's shape.
FormatId choose_format(const Recipe& recipe, const ModelFacts& facts, const RecipeTensor& tensor);

// What to do with rows that are not whole blocks of the wanted format.
enum class RowPolicy {
  smallest,        // the smallest 32-wide format with at least as many bits
  like_llama_cpp,  // what llama.cpp takes, often one bit more
  strict,          // refuse
};

// The wanted format when rows of row_len weights are whole blocks of it. Else the smallest 32-wide
// format with at least as many bits: IQ4_NL for Q2_K, Q3_K, IQ4_XS and Q4_K, Q4_0 for TQ1_0 and
// TQ2_0 (as small, and it holds ternary weights exactly, which IQ4_NL cannot: its codebook has no
// 0), Q5_0 for Q5_K, Q8_0 for Q6_K; or F16 when rows are not multiples of 32 either. llama.cpp
// takes Q4_0 for Q2_K and Q3_K and one more bit for Q4_K and Q5_K (Q5_0, Q5_1), which makes a
// "4-bit" file of a small model 5 bits large without a word. `strict` gives what `smallest` does:
// the caller refuses when it is not the wanted one.
FormatId fit_to_row(FormatId wanted, int64_t row_len, RowPolicy policy = RowPolicy::smallest);

}  // namespace nibble
