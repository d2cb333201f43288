// What a tensor is for. GGUF names its tensors the same way in nearly every architecture
// ("blk.{i}.attn_v.weight"), so one table serves them all, also those that nibble cannot run.
// Everything else (recipes, reports, the loaders of model/) asks for a role, never parses a name.
#pragma once

#include <string>
#include <string_view>

namespace nibble {

enum class TensorRole {
  // whole model
  token_embd,
  per_layer_token_embd,
  output,
  output_norm,
  rope_freqs,
  token_embd_norm,  // roles from here to the next comment: see kOwnNames in tensor_roles.cpp
  position_embd,
  token_types,
  rope_factors_long,
  rope_factors_short,
  attn_q_norm,
  attn_k_norm,
  attn_post_norm,    // of the attention's output, before it joins the residual
  attn_output_norm,  // of the sum with the residual
  ffn_post_norm,
  layer_output_norm,
  ffn_gate_inp,  // the router of a mixture of experts
  // per layer
  attn_norm,
  attn_q,
  attn_k,
  attn_v,
  attn_qkv,   // the three above in one matrix
  attn_kv_b,  // keys and values out of a latent
  attn_output,
  ffn_norm,
  ffn_gate,
  ffn_up,
  ffn_down,
  // classes without one name of their own: tensor_name() has none for them
  norm,     // any other gain
  bias,     // anything that does not end in "weight"
  precise,  // small or delicate weights that lose more than they save when quantized
  other,    // any other weight
};

// Which tensor of a role: blk.3.ffn_up.weight, blk.3.ffn_up.bias, or blk.3.ffn_up_exps.weight, the
// matrices of all experts on top of each other.
enum class TensorPart { weight, bias, experts };

struct TensorIdentity {
  TensorRole role = TensorRole::other;
  int layer = -1;  // -1: belongs to no layer (or to one of an encoder, a decoder, an image side)

  friend bool operator==(const TensorIdentity&, const TensorIdentity&) = default;
};

// Any name has an identity; names that the table does not know are norm, bias, precise or other.
TensorIdentity identify_tensor(std::string_view gguf_name);

// The GGUF name of a tensor: tensor_name(TensorRole::attn_v, 3) is "blk.3.attn_v.weight". `layer`
// is ignored by roles of the whole model. CHECK: norm, bias, precise and other have no name.
std::string tensor_name(TensorRole role, int layer = -1, TensorPart part = TensorPart::weight);

// The role as it is printed: "attn_v".
std::string_view role_name(TensorRole role);

// Whether a tensor in this role may be stored in a block format at all. Only weights with two or
// more dimensions are; the caller looks at the shape.
bool is_quantizable(TensorRole role);

}  // namespace nibble
