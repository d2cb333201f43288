#include "model/tensor_roles.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "base/check.h"

namespace nibble {
namespace {

// {i} stands for the layer, a final * for any rest.
struct NameRow {
  TensorRole role;
  std::string_view pattern;
};

constexpr NameRow kNames[] = {
    {TensorRole::token_embd, "token_embd.weight"},
    {TensorRole::per_layer_token_embd, "per_layer_token_embd.weight"},
    {TensorRole::output, "output.weight"},
    {TensorRole::output_norm, "output_norm.weight"},
    {TensorRole::rope_freqs, "rope_freqs.weight"},
    {TensorRole::attn_norm, "blk.{i}.attn_norm.weight"},
    {TensorRole::attn_q, "blk.{i}.attn_q.weight"},
    {TensorRole::attn_k, "blk.{i}.attn_k.weight"},
    {TensorRole::attn_v, "blk.{i}.attn_v.weight"},
    {TensorRole::attn_qkv, "blk.{i}.attn_qkv.weight"},
    {TensorRole::attn_kv_b, "blk.{i}.attn_kv_b.weight"},
    {TensorRole::attn_output, "blk.{i}.attn_output.weight"},
    {TensorRole::ffn_norm, "blk.{i}.ffn_norm.weight"},
    {TensorRole::ffn_gate, "blk.{i}.ffn_gate.weight"},
    {TensorRole::ffn_up, "blk.{i}.ffn_up.weight"},
    {TensorRole::ffn_down, "blk.{i}.ffn_down.weight"},
};

// Names that the loaders of model/ ask for but that identify_tensor() leaves in their class (norm,
// precise, other): recipes treat them by it.
constexpr NameRow kOwnNames[] = {
    {TensorRole::token_embd_norm, "token_embd_norm.weight"},
    {TensorRole::position_embd, "position_embd.weight"},
    {TensorRole::token_types, "token_types.weight"},
    {TensorRole::rope_factors_long, "rope_factors_long.weight"},
    {TensorRole::rope_factors_short, "rope_factors_short.weight"},
    {TensorRole::attn_q_norm, "blk.{i}.attn_q_norm.weight"},
    {TensorRole::attn_k_norm, "blk.{i}.attn_k_norm.weight"},
    {TensorRole::attn_post_norm, "blk.{i}.post_attention_norm.weight"},
    {TensorRole::attn_output_norm, "blk.{i}.attn_output_norm.weight"},
    {TensorRole::ffn_post_norm, "blk.{i}.post_ffw_norm.weight"},
    {TensorRole::layer_output_norm, "blk.{i}.layer_output_norm.weight"},
    {TensorRole::ffn_gate_inp, "blk.{i}.ffn_gate_inp.weight"},
};

// Relatives that are treated alike: the experts of a mixture ("ffn_down_exps"), the shared expert,
// encoder and decoder ("dec.blk.3.cross_attn_v.weight"), the image side ("v.blk.3.ffn_up.weight").
// The first row that occurs in the name decides. Source: llama.cpp, src/llama-quant.cpp.
constexpr NameRow kParts[] = {
    {TensorRole::attn_qkv, "attn_qkv.weight"},
    {TensorRole::attn_kv_b, "attn_kv_b.weight"},
    {TensorRole::attn_v, "attn_v.weight"},
    {TensorRole::attn_k, "attn_k.weight"},
    {TensorRole::attn_q, "attn_q.weight"},
    {TensorRole::attn_output, "attn_output.weight"},
    {TensorRole::ffn_up, "ffn_up"},
    {TensorRole::ffn_gate, "ffn_gate"},
    {TensorRole::ffn_down, "ffn_down"},
};

// Weights that llama.cpp leaves at their own precision, by a part of their name: routers and
// indexers of mixtures, positions and token types, convolutions and mixing vectors of recurrent
// models, small projections, the image and audio sides. Source: llama.cpp, src/llama-quant.cpp.
constexpr std::string_view kPreciseParts[] = {
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "position_embd.weight",
    "token_types.weight",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    "time_mix_w0.weight",
    "time_mix_w1.weight",
    "time_mix_w2.weight",
    "time_mix_v0.weight",
    "time_mix_v1.weight",
    "time_mix_v2.weight",
    "time_mix_a0.weight",
    "time_mix_a1.weight",
    "time_mix_a2.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
};

constexpr std::string_view kLayerMark = "{i}";

struct RoleName {
  TensorRole role;
  std::string_view name;
};

constexpr RoleName kRoleNames[] = {
    {TensorRole::token_embd, "token_embd"},
    {TensorRole::per_layer_token_embd, "per_layer_token_embd"},
    {TensorRole::output, "output"},
    {TensorRole::output_norm, "output_norm"},
    {TensorRole::rope_freqs, "rope_freqs"},
    {TensorRole::attn_norm, "attn_norm"},
    {TensorRole::attn_q, "attn_q"},
    {TensorRole::attn_k, "attn_k"},
    {TensorRole::attn_v, "attn_v"},
    {TensorRole::attn_qkv, "attn_qkv"},
    {TensorRole::attn_kv_b, "attn_kv_b"},
    {TensorRole::attn_output, "attn_output"},
    {TensorRole::ffn_norm, "ffn_norm"},
    {TensorRole::ffn_gate, "ffn_gate"},
    {TensorRole::ffn_up, "ffn_up"},
    {TensorRole::ffn_down, "ffn_down"},
    {TensorRole::token_embd_norm, "token_embd_norm"},
    {TensorRole::position_embd, "position_embd"},
    {TensorRole::token_types, "token_types"},
    {TensorRole::rope_factors_long, "rope_factors_long"},
    {TensorRole::rope_factors_short, "rope_factors_short"},
    {TensorRole::attn_q_norm, "attn_q_norm"},
    {TensorRole::attn_k_norm, "attn_k_norm"},
    {TensorRole::attn_post_norm, "attn_post_norm"},
    {TensorRole::attn_output_norm, "attn_output_norm"},
    {TensorRole::ffn_post_norm, "ffn_post_norm"},
    {TensorRole::layer_output_norm, "layer_output_norm"},
    {TensorRole::ffn_gate_inp, "ffn_gate_inp"},
    {TensorRole::norm, "norm"},
    {TensorRole::bias, "bias"},
    {TensorRole::precise, "precise"},
    {TensorRole::other, "other"},
};

bool match_text(std::string_view name, std::string_view pattern) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

// The layer of a name that fits the pattern (-1 without a layer), nullopt when it does not fit.
std::optional<int> match(std::string_view name, std::string_view pattern) {
  const size_t mark = pattern.find(kLayerMark);
  if (mark == std::string_view::npos) {
    return match_text(name, pattern) ? std::optional(-1) : std::nullopt;
  }
  if (!name.starts_with(pattern.substr(0, mark))) return std::nullopt;
  name.remove_prefix(mark);
  int layer = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc() || layer < 0) return std::nullopt;
  name.remove_prefix(static_cast<size_t>(end - name.data()));
  if (!match_text(name, pattern.substr(mark + kLayerMark.size()))) return std::nullopt;
  return layer;
}

TensorRole class_of(std::string_view name) {
  if (!name.ends_with("weight")) return TensorRole::bias;
  if (name.find("_norm.weight") != std::string_view::npos) return TensorRole::norm;
  for (const std::string_view part : kPreciseParts) {
    if (name.find(part) != std::string_view::npos) return TensorRole::precise;
  }
  return TensorRole::other;
}

}  // namespace

TensorIdentity identify_tensor(std::string_view gguf_name) {
  TensorIdentity identity{class_of(gguf_name), match(gguf_name, "blk.{i}.*").value_or(-1)};
  // A router begins like a gate and a bias is called like its weight: those stay what they are.
  if (identity.role == TensorRole::precise || identity.role == TensorRole::bias) return identity;
  for (const auto& [role, pattern] : kNames) {
    if (match(gguf_name, pattern)) {
      identity.role = role;
      return identity;
    }
  }
  if (identity.role == TensorRole::norm) return identity;  // "ffn_gate_norm" is no gate
  for (const auto& [role, part] : kParts) {
    if (gguf_name.find(part) != std::string_view::npos) {
      identity.role = role;
      break;
    }
  }
  return identity;
}

std::string tensor_name(TensorRole role, int layer, TensorPart part) {
  const auto is_role = [&](const NameRow& candidate) { return candidate.role == role; };
  const NameRow* row = std::find_if(std::begin(kNames), std::end(kNames), is_role);
  if (row == std::end(kNames)) {
    row = std::find_if(std::begin(kOwnNames), std::end(kOwnNames), is_role);
    CHECK(row != std::end(kOwnNames));
  }
  std::string name(row->pattern);
  if (const size_t mark = name.find(kLayerMark); mark != std::string::npos) {
    CHECK(layer >= 0);
    name.replace(mark, kLayerMark.size(), std::to_string(layer));
  }
  constexpr std::string_view kWeight = ".weight";
  if (part == TensorPart::bias) name.replace(name.size() - kWeight.size(), kWeight.size(), ".bias");
  if (part == TensorPart::experts) name.insert(name.size() - kWeight.size(), "_exps");
  return name;
}

std::string_view role_name(TensorRole role) {
  const auto* row = std::find_if(std::begin(kRoleNames), std::end(kRoleNames),
                                 [&](const RoleName& candidate) { return candidate.role == role; });
  CHECK(row != std::end(kRoleNames));
  return row->name;
}

bool is_quantizable(TensorRole role) {
  switch (role) {
    case TensorRole::output_norm:
    case TensorRole::rope_freqs:
    case TensorRole::attn_norm:
    case TensorRole::ffn_norm:
    case TensorRole::token_embd_norm:
    case TensorRole::position_embd:
    case TensorRole::token_types:
    case TensorRole::rope_factors_long:
    case TensorRole::rope_factors_short:
    case TensorRole::attn_q_norm:
    case TensorRole::attn_k_norm:
    case TensorRole::attn_post_norm:
    case TensorRole::attn_output_norm:
    case TensorRole::ffn_post_norm:
    case TensorRole::layer_output_norm:
    case TensorRole::ffn_gate_inp:
    case TensorRole::norm:
    case TensorRole::bias:
    case TensorRole::precise:
      return false;
    default:
      return true;
  }
}

}  // namespace nibble
