#include "quantize/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace nibble {
namespace {

using enum FormatId;
using Layers = std::vector<int>;

// Layers whose attn_v or ffn_down gets more than the rest, written out, as llama-quantize gives
// them without importance data to dense models of this depth.
const Layers kNone = {};
const Layers kMoreBits16 = {0, 1, 4, 7, 10, 13, 14, 15};
const Layers kMoreBits22 = {0, 1, 4, 7, 10, 13, 16, 19, 20, 21};
const Layers kMoreBits30 = {0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 26, 27, 28, 29};
const Layers kMoreBits32 = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31};
const Layers kMoreBits80 = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  12, 15, 18, 21,
                            24, 27, 30, 33, 36, 39, 42, 45, 48, 51, 54, 57, 60, 63,
                            66, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79};
const Layers kFirst2 = {0, 1};
const Layers kFirst3 = {0, 1, 2};
const Layers kFirst4 = {0, 1, 2, 3};
const Layers kFirst10 = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

struct Case {
  const char* recipe;
  int n_layers, gqa;
  bool tied;
  FormatId base, head;
  // attn_v: `v_more` in these layers, `v_rest` in the others; ffn_down likewise with base as rest
  Layers v_layers;
  FormatId v_more, v_rest;
  Layers down_layers;
  FormatId down_more;
};

void check(const Case& c) {
  SCOPED_TRACE(fmt::format("{} with {} layers, gqa {}", c.recipe, c.n_layers, c.gqa));
  const auto recipe = find_recipe(c.recipe);
  ASSERT_TRUE(recipe.ok()) << recipe.error().message;
  const ModelFacts facts{.n_layers = c.n_layers,
                         .gqa = c.gqa,
                         .tied_embeddings = c.tied,
                         .is_70b = c.n_layers == 80 && c.gqa > 1};
  const auto type = [&](TensorRole role, int layer) {
    return format_of(choose_format(**recipe, facts, {role, layer, c.n_layers})).name;
  };
  const auto name = [](FormatId id) { return format_of(id).name; };

  EXPECT_EQ(type(TensorRole::token_embd, -1), name(c.tied ? c.head : c.base));
  EXPECT_EQ(type(TensorRole::output, -1), name(c.head));
  for (int layer = 0; layer < c.n_layers; ++layer) {
    const auto in = [layer](const Layers& layers) {
      return std::find(layers.begin(), layers.end(), layer) != layers.end();
    };
    EXPECT_EQ(type(TensorRole::attn_v, layer), name(in(c.v_layers) ? c.v_more : c.v_rest)) << layer;
    EXPECT_EQ(type(TensorRole::ffn_down, layer), name(in(c.down_layers) ? c.down_more : c.base))
        << layer;
    for (const TensorRole role : {TensorRole::attn_q, TensorRole::attn_k, TensorRole::attn_output,
                                  TensorRole::ffn_gate, TensorRole::ffn_up, TensorRole::other}) {
      EXPECT_EQ(type(role, layer), name(c.base)) << layer << " " << role_name(role);
    }
  }
}

TEST(Recipe, Q4KM) {
  check({"Q4_K_M", 16, 4, true, Q4_K, Q6_K, kMoreBits16, Q6_K, Q4_K, kMoreBits16, Q6_K});
  check({"Q4_K_M", 22, 8, false, Q4_K, Q6_K, kMoreBits22, Q6_K, Q4_K, kMoreBits22, Q6_K});
  check({"Q4_K_M", 30, 3, true, Q4_K, Q6_K, kMoreBits30, Q6_K, Q4_K, kMoreBits30, Q6_K});
  check({"Q4_K_M", 32, 1, false, Q4_K, Q6_K, kMoreBits32, Q6_K, Q4_K, kMoreBits32, Q6_K});
  check({"Q4_K_M", 32, 4, false, Q4_K, Q6_K, kMoreBits32, Q6_K, Q4_K, kMoreBits32, Q6_K});
  // the 70B shape: what is left of attn_v gets 5 bits; not so the 65B shape without shared heads
  check({"Q4_K_M", 80, 8, false, Q4_K, Q6_K, kMoreBits80, Q6_K, Q5_K, kMoreBits80, Q6_K});
  check({"Q4_K_M", 80, 1, false, Q4_K, Q6_K, kMoreBits80, Q6_K, Q4_K, kMoreBits80, Q6_K});
}

TEST(Recipe, Q4KS) {
  check({"Q4_K_S", 16, 4, true, Q4_K, Q6_K, kFirst4, Q5_K, Q4_K, kFirst2, Q5_K});
  check({"Q4_K_S", 22, 8, false, Q4_K, Q6_K, kFirst4, Q5_K, Q4_K, kFirst2, Q5_K});
  check({"Q4_K_S", 30, 3, true, Q4_K, Q6_K, kFirst4, Q5_K, Q4_K, kFirst3, Q5_K});
  check({"Q4_K_S", 32, 1, false, Q4_K, Q6_K, kFirst4, Q5_K, Q4_K, kFirst4, Q5_K});
  check({"Q4_K_S", 80, 8, false, Q4_K, Q6_K, kNone, Q5_K, Q5_K, kFirst10, Q5_K});
  check({"Q4_K_S", 80, 1, false, Q4_K, Q6_K, kFirst4, Q5_K, Q4_K, kFirst10, Q5_K});
}

TEST(Recipe, Q5KM) {
  check({"Q5_K_M", 16, 4, true, Q5_K, Q6_K, kMoreBits16, Q6_K, Q5_K, kMoreBits16, Q6_K});
  check({"Q5_K_M", 22, 8, false, Q5_K, Q6_K, kMoreBits22, Q6_K, Q5_K, kMoreBits22, Q6_K});
  check({"Q5_K_M", 30, 3, true, Q5_K, Q6_K, kMoreBits30, Q6_K, Q5_K, kMoreBits30, Q6_K});
  check({"Q5_K_M", 32, 1, false, Q5_K, Q6_K, kMoreBits32, Q6_K, Q5_K, kMoreBits32, Q6_K});
  check({"Q5_K_M", 80, 8, false, Q5_K, Q6_K, kMoreBits80, Q6_K, Q5_K, kMoreBits80, Q6_K});
}

TEST(Recipe, IQ4NL) {
  check({"IQ4_NL", 16, 4, true, IQ4_NL, Q6_K, kNone, Q5_K, Q5_K, kFirst2, Q5_K});
  check({"IQ4_NL", 22, 8, false, IQ4_NL, Q6_K, kNone, Q5_K, Q5_K, kFirst2, Q5_K});
  check({"IQ4_NL", 30, 3, true, IQ4_NL, Q6_K, kNone, Q5_K, IQ4_NL, kFirst3, Q5_K});
  check({"IQ4_NL", 32, 1, false, IQ4_NL, Q6_K, kNone, Q5_K, IQ4_NL, kFirst4, Q5_K});
  check({"IQ4_NL", 80, 8, false, IQ4_NL, Q6_K, kNone, Q5_K, Q5_K, kFirst10, Q5_K});
}

TEST(Recipe, OneTypeButForTheHead) {
  const std::pair<const char*, FormatId> with_head[] = {{"Q5_K_S", Q5_K}, {"Q5_0", Q5_0},
                                                        {"Q5_1", Q5_1},   {"Q4_0", Q4_0},
                                                        {"Q4_1", Q4_1},   {"Q6_K", Q6_K}};
  for (const auto& [name, base] : with_head) {
    for (const int n_layers : {16, 22, 30, 32, 80}) {
      check({name, n_layers, 8, false, base, Q6_K, kNone, base, base, kNone, base});
      check({name, n_layers, 1, true, base, Q6_K, kNone, base, base, kNone, base});
    }
  }
  const std::pair<const char*, FormatId> plain[] = {
      {"Q8_0", Q8_0}, {"F16", F16}, {"BF16", BF16}, {"F32", F32}};
  for (const auto& [name, base] : plain) {
    check({name, 32, 4, false, base, base, kNone, base, base, kNone, base});
    check({name, 32, 4, true, base, base, kNone, base, base, kNone, base});
  }
}

TEST(Recipe, FusedAttentionCountsAsV) {
  const Recipe& recipe = **find_recipe("Q4_K_M");
  const ModelFacts facts{.n_layers = 32};
  for (const TensorRole role : {TensorRole::attn_qkv, TensorRole::attn_kv_b}) {
    EXPECT_EQ(choose_format(recipe, facts, {role, 0, 32}), Q6_K);
    EXPECT_EQ(choose_format(recipe, facts, {role, 4, 32}), Q4_K);
  }
}

// The numbers are on the wire: general.file_type.
TEST(Recipe, FileTypeNumbers) {
  const std::pair<const char*, uint32_t> numbers[] = {
      {"COPY", 0},    {"F32", 0},     {"F16", 1},     {"Q4_0", 2},      {"Q4_1", 3},
      {"Q8_0", 7},    {"Q5_0", 8},    {"Q5_1", 9},    {"Q2_K", 10},     {"Q3_K_S", 11},
      {"Q3_K_M", 12}, {"Q3_K_L", 13}, {"Q4_K_S", 14}, {"Q4_K_M", 15},   {"Q5_K_S", 16},
      {"Q5_K_M", 17}, {"Q6_K", 18},   {"Q2_K_S", 21}, {"IQ4_NL", 25},   {"IQ4_XS", 30},
      {"BF16", 32},   {"TQ1_0", 36},  {"TQ2_0", 37},  {"MXFP4_MOE", 38}};
  EXPECT_EQ(all_recipes().size(), std::size(numbers));
  for (const auto& [name, number] : numbers) {
    const auto recipe = find_recipe(name);
    ASSERT_TRUE(recipe.ok()) << recipe.error().message;
    EXPECT_EQ((*recipe)->name, name);
    EXPECT_EQ((*recipe)->file_type, number) << name;
    if ((*recipe)->copies) continue;
    EXPECT_EQ(*find_recipe(std::to_string(number)), *recipe) << number;
  }
}

TEST(Recipe, NamesInAnyCaseAndAliases) {
  EXPECT_EQ((*find_recipe("q4_k_m"))->name, "Q4_K_M");
  EXPECT_EQ((*find_recipe("Iq4_nL"))->name, "IQ4_NL");
  EXPECT_EQ((*find_recipe("q4_k"))->name, "Q4_K_M");
  EXPECT_EQ((*find_recipe("Q5_K"))->name, "Q5_K_M");
  EXPECT_EQ((*find_recipe("q3_k"))->name, "Q3_K_M");
}

// Names that people know from llama-quantize get a better answer than "unknown".
TEST(Recipe, NamesThatAreReadButNotWritten) {
  for (const char* name : {"IQ1_S", "IQ1_M", "IQ2_XXS", "iq2_xs", "IQ2_S", "IQ2_M", "IQ3_XXS",
                           "IQ3_XS", "IQ3_S", "IQ3_M", "Q1_0", "Q2_0", "NVFP4"}) {
    const auto recipe = find_recipe(name);
    ASSERT_FALSE(recipe.ok()) << name;
    EXPECT_EQ(recipe.error().kind, ErrorKind::kFailure);
    EXPECT_NE(recipe.error().message.find("known but not written"), std::string::npos)
        << recipe.error().message;
  }
  EXPECT_NE(find_recipe("iq2_xxs").error().message.find("nearest: Q2_K "), std::string::npos);
}

// A row that no encoder exists for would be a name that fails at the end.
TEST(Recipe, EveryTypeThatARecipeChoosesIsWritten) {
  for (const Recipe& recipe : all_recipes()) {
    EXPECT_NE(format_of(recipe.base).encode, nullptr) << recipe.name;
    for (const RecipeRule& rule : recipe.rules) {
      EXPECT_NE(format_of(rule.format).encode, nullptr) << recipe.name;
    }
  }
}

TEST(Recipe, UnknownNameListsAllNames) {
  for (const char* name : {"Q4_K_L", "", "Q4", "Q4_K_M ", "4", "15x", "-1", "19"}) {
    const auto recipe = find_recipe(name);
    ASSERT_FALSE(recipe.ok()) << name;
    EXPECT_EQ(recipe.error().kind, ErrorKind::kFailure);
    for (const Recipe& known : all_recipes()) {
      EXPECT_NE(recipe.error().message.find(known.name), std::string::npos) << known.name;
    }
  }
}

TEST(Recipe, RowsThatDoNotFit) {
  struct Row {
    FormatId wanted;
    int64_t row_len;
    FormatId given;
  };
  const Row rows[] = {
      {Q4_K, 576, IQ4_NL},   {Q5_K, 576, Q5_0},    {Q6_K, 576, Q8_0},   {Q4_K, 768, Q4_K},
      {Q5_K, 1536, Q5_K},    {Q6_K, 2304, Q6_K},   {Q4_0, 576, Q4_0},   {IQ4_NL, 576, IQ4_NL},
      {Q8_0, 32, Q8_0},      {Q4_K, 32, IQ4_NL},   {Q4_K, 48, F16},     {Q5_K, 100, F16},
      {Q6_K, 1, F16},        {Q4_0, 288 + 8, F16}, {Q8_0, 16, F16},     {F16, 7, F16},
      {BF16, 7, BF16},       {F32, 7, F32},        {Q2_K, 576, IQ4_NL}, {Q3_K, 576, IQ4_NL},
      {IQ4_XS, 576, IQ4_NL}, {TQ1_0, 576, Q4_0},   {TQ2_0, 576, Q4_0},  {MXFP4, 576, MXFP4},
      {Q2_K, 48, F16},
  };
  for (const Row& row : rows) {
    const FormatId given = fit_to_row(row.wanted, row.row_len);
    EXPECT_EQ(given, row.given) << format_of(row.wanted).name << " in rows of " << row.row_len
                                << " became " << format_of(given).name;
    EXPECT_EQ(row.row_len % format_of(given).block_len, 0);
    EXPECT_GE(format_of(given).bits_per_weight(), format_of(row.wanted).bits_per_weight());
  }
}

// The row that differs is what --compat-fallback is for.
TEST(Recipe, RowsThatDoNotFitAsLlamaCppTakesThem) {
  const std::pair<FormatId, FormatId> rows[] = {{Q4_K, Q5_0},  {Q5_K, Q5_1}, {Q6_K, Q8_0},
                                                {Q3_K, Q4_0},  {Q2_K, Q4_0}, {TQ1_0, Q4_0},
                                                {TQ2_0, Q4_0}, {Q4_0, Q4_0}, {IQ4_XS, IQ4_NL}};
  for (const auto& [wanted, given] : rows) {
    EXPECT_EQ(fit_to_row(wanted, 576, RowPolicy::like_llama_cpp), given);
    EXPECT_EQ(fit_to_row(wanted, 48, RowPolicy::like_llama_cpp), F16);
    EXPECT_EQ(fit_to_row(wanted, 768, RowPolicy::like_llama_cpp), wanted);
  }
}

}  // namespace
}  // namespace nibble
