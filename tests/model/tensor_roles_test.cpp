#include "model/tensor_roles.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(TensorRoles, NamesOfALlama) {
  const std::pair<const char*, TensorIdentity> names[] = {
      {"token_embd.weight", {TensorRole::token_embd, -1}},
      {"output.weight", {TensorRole::output, -1}},
      {"output_norm.weight", {TensorRole::output_norm, -1}},
      {"rope_freqs.weight", {TensorRole::rope_freqs, -1}},
      {"blk.0.attn_norm.weight", {TensorRole::attn_norm, 0}},
      {"blk.1.attn_q.weight", {TensorRole::attn_q, 1}},
      {"blk.2.attn_k.weight", {TensorRole::attn_k, 2}},
      {"blk.13.attn_v.weight", {TensorRole::attn_v, 13}},
      {"blk.3.attn_output.weight", {TensorRole::attn_output, 3}},
      {"blk.4.ffn_norm.weight", {TensorRole::ffn_norm, 4}},
      {"blk.5.ffn_gate.weight", {TensorRole::ffn_gate, 5}},
      {"blk.6.ffn_up.weight", {TensorRole::ffn_up, 6}},
      {"blk.127.ffn_down.weight", {TensorRole::ffn_down, 127}},
  };
  for (const auto& [name, identity] : names) {
    EXPECT_EQ(identify_tensor(name), identity) << name;
    EXPECT_EQ(tensor_name(identity.role, identity.layer), name);
  }
}

TEST(TensorRoles, RelativesAndClasses) {
  const std::pair<const char*, TensorIdentity> names[] = {
      {"blk.0.attn_qkv.weight", {TensorRole::attn_qkv, 0}},
      {"blk.0.attn_kv_b.weight", {TensorRole::attn_kv_b, 0}},
      {"per_layer_token_embd.weight", {TensorRole::per_layer_token_embd, -1}},
      {"blk.7.ffn_down_exps.weight", {TensorRole::ffn_down, 7}},
      {"blk.7.ffn_gate_shexp.weight", {TensorRole::ffn_gate, 7}},
      {"blk.7.ffn_up_exps.weight", {TensorRole::ffn_up, 7}},
      {"blk.7.ffn_down.0.weight", {TensorRole::ffn_down, 7}},
      {"blk.7.ffn_gate_up_exps.weight", {TensorRole::ffn_gate, 7}},
      {"blk.7.ffn_gate_inp_shexp.weight", {TensorRole::ffn_gate, 7}},
      {"enc.blk.7.attn_v.weight", {TensorRole::attn_v, -1}},
      {"dec.blk.7.cross_attn_v.weight", {TensorRole::attn_v, -1}},
      {"v.blk.7.ffn_down.weight", {TensorRole::ffn_down, -1}},
      {"dec.blk.7.attn_o.weight", {TensorRole::other, -1}},
      {"dec.blk.7.attn_rel_b.weight", {TensorRole::precise, -1}},
      {"blk.7.attn_v_b.weight", {TensorRole::other, 7}},
      {"blk.7.ffn_gate_inp.weight", {TensorRole::precise, 7}},
      {"blk.7.ffn_down_exps.bias", {TensorRole::bias, 7}},
      {"blk.7.attn_q.bias", {TensorRole::bias, 7}},
      {"blk.7.attn_q_norm.weight", {TensorRole::norm, 7}},
      {"blk.7.ffn_gate_norm.weight", {TensorRole::norm, 7}},
      {"blk.7.ssm_conv1d.weight", {TensorRole::precise, 7}},
      {"blk.7.ssm_in.weight", {TensorRole::other, 7}},
      {"blk.7.attn_q_a.weight", {TensorRole::other, 7}},
      {"position_embd.weight", {TensorRole::precise, -1}},
      {"rope_factors_long.weight", {TensorRole::other, -1}},
      {"something else", {TensorRole::bias, -1}},
      {"", {TensorRole::bias, -1}},
  };
  for (const auto& [name, identity] : names) {
    const TensorIdentity found = identify_tensor(name);
    EXPECT_EQ(found.role, identity.role) << name << " is " << role_name(found.role);
    EXPECT_EQ(found.layer, identity.layer) << name;
  }
}

TEST(TensorRoles, NamesOfPartsAndOfOtherFamilies) {
  using R = TensorRole;
  EXPECT_EQ(tensor_name(R::ffn_up, 3, TensorPart::bias), "blk.3.ffn_up.bias");
  EXPECT_EQ(tensor_name(R::ffn_up, 3, TensorPart::experts), "blk.3.ffn_up_exps.weight");
  EXPECT_EQ(tensor_name(R::output_norm, -1, TensorPart::bias), "output_norm.bias");
  EXPECT_EQ(tensor_name(R::ffn_gate_inp, 0), "blk.0.ffn_gate_inp.weight");
  EXPECT_EQ(tensor_name(R::attn_post_norm, 1), "blk.1.post_attention_norm.weight");
  EXPECT_EQ(tensor_name(R::ffn_post_norm, 1), "blk.1.post_ffw_norm.weight");
  EXPECT_EQ(tensor_name(R::position_embd), "position_embd.weight");
  // Loaders know them by name; recipes go on treating them by their class.
  EXPECT_EQ(identify_tensor(tensor_name(R::attn_q_norm, 1)).role, R::norm);
  EXPECT_EQ(identify_tensor(tensor_name(R::ffn_gate_inp, 1)).role, R::precise);
  EXPECT_FALSE(is_quantizable(R::position_embd));
  EXPECT_EQ(role_name(R::layer_output_norm), "layer_output_norm");
}

TEST(TensorRoles, LayersThatAreNone) {
  for (const char* name :
       {"blk.attn_v.weight", "blk..attn_v.weight", "blk.-1.attn_v.weight",
        "blk.99999999999.attn_v.weight", "blk.1x.attn_v.weight", "xblk.1.attn_v.weight"}) {
    EXPECT_EQ(identify_tensor(name), (TensorIdentity{TensorRole::attn_v, -1})) << name;
  }
  EXPECT_EQ(identify_tensor("blk.1.attn_va.weight").role, TensorRole::other);
}

TEST(TensorRoles, WhatMayBeQuantized) {
  for (const TensorRole role :
       {TensorRole::token_embd, TensorRole::per_layer_token_embd, TensorRole::output,
        TensorRole::attn_q, TensorRole::attn_k, TensorRole::attn_v, TensorRole::attn_output,
        TensorRole::ffn_gate, TensorRole::ffn_up, TensorRole::ffn_down, TensorRole::other}) {
    EXPECT_TRUE(is_quantizable(role)) << role_name(role);
  }
  for (const TensorRole role :
       {TensorRole::output_norm, TensorRole::attn_norm, TensorRole::ffn_norm, TensorRole::norm,
        TensorRole::rope_freqs, TensorRole::bias, TensorRole::precise}) {
    EXPECT_FALSE(is_quantizable(role)) << role_name(role);
  }
}

}  // namespace
}  // namespace nibble
