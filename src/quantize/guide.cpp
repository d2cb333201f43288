#include "quantize/guide.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace nibble {
namespace {

constexpr QuantGuide kGuides[] = {
    {"COPY", "changes nothing but what --tensor-type and the other flags ask for"},
    {"F32", "full precision; only as a source for other tools"},
    {"F16", "half the size of F32 and all but the same answers; the source to quantize from"},
    {"BF16", "as F16, for models that were trained in it"},
    {"Q8_0", "when next to nothing may be lost and the memory suffices", true},
    {"Q6_K", "hard to tell from the original; for machines with memory to spare"},
    {"Q5_K_M", "closer to the original than 4 bits, where memory allows", true},
    {"Q5_K_S", "as Q5_K_M, every matrix with the same bits"},
    {"Q5_1", "5 bits for models whose rows do not fit K types; takes the room of Q6_K"},
    {"Q5_0", "5 bits for models whose rows do not fit K types"},
    {"Q4_K_M", "the choice of most people: small, fast and close to the original", true},
    {"Q4_K_S", "as Q4_K_M, a little smaller and a little worse"},
    {"IQ4_NL", "4 bits for models whose rows do not fit K types"},
    {"IQ4_XS", "when Q4_K_S just does not fit; best with an importance matrix"},
    {"Q4_1", "an older 4-bit type, 5 bits with its scales; Q4_K_M is smaller, Q5_K_S better"},
    {"Q4_0", "an older 4-bit type that every program reads; Q4_K_S is better at the same size"},
    {"MXFP4_MOE", "for models whose experts were trained in MXFP4; all else is Q8_0"},
    {"Q3_K_L", "when 4 bits do not fit; losses can be seen"},
    {"Q3_K_M", "when 4 bits do not fit; losses can be seen"},
    {"Q3_K_S", "when Q3_K_M does not fit; use an importance matrix"},
    {"Q2_K", "the last resort for large models; small ones break"},
    {"Q2_K_S", "as Q2_K, smaller; needs an importance matrix"},
    {"TQ2_0", "only for models trained with weights of -1, 0 and 1; others break"},
    {"TQ1_0", "as TQ2_0, smaller and slower"},
};

// One matrix of the 7B shape.
struct Matrix {
  TensorRole role;
  double n_weights;
};
constexpr int kLayers = 32;
constexpr double kModel = 4096, kKeys = 1024, kFeedForward = 14336, kVocabulary = 32000;
constexpr Matrix kLayerMatrices[] = {
    {TensorRole::attn_q, kModel* kModel},         {TensorRole::attn_k, kModel* kKeys},
    {TensorRole::attn_v, kModel* kKeys},          {TensorRole::attn_output, kModel* kModel},
    {TensorRole::ffn_gate, kModel* kFeedForward}, {TensorRole::ffn_up, kModel* kFeedForward},
    {TensorRole::ffn_down, kModel* kFeedForward},
};

}  // namespace

std::span<const QuantGuide> quant_guides() { return kGuides; }

namespace {

const Format& format_7b(const Recipe& recipe, const Matrix& matrix, int layer) {
  ModelFacts facts;
  facts.n_layers = kLayers;
  facts.gqa = static_cast<int>(kModel / kKeys);
  facts.architecture = "llama";
  RecipeTensor tensor;
  tensor.role = matrix.role;
  tensor.index = layer;
  tensor.count = kLayers;
  return format_of(choose_format(recipe, facts, tensor));
}

const FormatFigures* figures_of(FormatId id) {
  for (const FormatFigures& figures : format_figures()) {
    if (figures.id == id) return &figures;
  }
  return nullptr;
}

}  // namespace

double bits_per_weight_7b(const Recipe& recipe) {
  double bits = 0, n_weights = 0;
  const auto add = [&](const Matrix& matrix, int layer) {
    bits += matrix.n_weights * format_7b(recipe, matrix, layer).bits_per_weight();
    n_weights += matrix.n_weights;
  };
  add({TensorRole::token_embd, kModel * kVocabulary}, 0);
  add({TensorRole::output, kModel * kVocabulary}, 0);
  for (int layer = 0; layer < kLayers; ++layer) {
    for (const Matrix& matrix : kLayerMatrices) add(matrix, layer);
  }
  constexpr double kGains = kModel * (2 * kLayers + 1);  // F32 whatever the recipe
  return (bits + 32 * kGains) / (n_weights + kGains);
}

const FormatFigures* figures_7b(const Recipe& recipe) {
  if (recipe.copies) return nullptr;
  const bool in_use = std::any_of(
      std::begin(kLayerMatrices), std::end(kLayerMatrices),
      [&](const Matrix& m) { return format_7b(recipe, m, kLayers / 2).id == recipe.base; });
  return in_use ? figures_of(recipe.base) : nullptr;
}

}  // namespace nibble
