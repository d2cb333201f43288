// Encoders: BERT (MiniLM, BGE, E5) and nomic-bert. Heads for other tasks are left out: what they
// are used for is the embedding.
#include <limits>

#include "model/hf_families.h"

namespace nibble {
namespace {

using D = HfDim;
constexpr double kRequired = std::numeric_limits<double>::quiet_NaN();

// ---- BERT --------------------------------------------------------------------------------------

constexpr std::string_view kBertClasses[] = {"BertModel", "BertForMaskedLM"};
constexpr std::string_view kBertPrefixes[] = {"", "bert."};
constexpr std::string_view kBertIgnored[] = {"embeddings.position_ids", "pooler.dense.*",
                                             "cls.predictions.*", "cls.seq_relationship.*"};

constexpr HfTensorRule kBertTensors[] = {
    {"token_embd.weight", "embeddings.word_embeddings.weight", {D::vocab, D::d_model}},
    {"position_embd.weight", "embeddings.position_embeddings.weight", {D::positions, D::d_model}},
    {"token_types.weight", "embeddings.token_type_embeddings.weight", {D::token_types, D::d_model}},
    {"token_embd_norm.weight", "embeddings.LayerNorm.weight", {D::d_model}},
    {"token_embd_norm.bias", "embeddings.LayerNorm.bias", {D::d_model}},
    {"blk.{i}.attn_q.weight", "encoder.layer.{i}.attention.self.query.weight", {D::q, D::d_model}},
    {"blk.{i}.attn_q.bias", "encoder.layer.{i}.attention.self.query.bias", {D::q}},
    {"blk.{i}.attn_k.weight", "encoder.layer.{i}.attention.self.key.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_k.bias", "encoder.layer.{i}.attention.self.key.bias", {D::kv}},
    {"blk.{i}.attn_v.weight", "encoder.layer.{i}.attention.self.value.weight", {D::kv, D::d_model}},
    {"blk.{i}.attn_v.bias", "encoder.layer.{i}.attention.self.value.bias", {D::kv}},
    {"blk.{i}.attn_output.weight",
     "encoder.layer.{i}.attention.output.dense.weight",
     {D::d_model, D::q}},
    {"blk.{i}.attn_output.bias", "encoder.layer.{i}.attention.output.dense.bias", {D::d_model}},
    {"blk.{i}.attn_output_norm.weight",
     "encoder.layer.{i}.attention.output.LayerNorm.weight",
     {D::d_model}},
    {"blk.{i}.attn_output_norm.bias",
     "encoder.layer.{i}.attention.output.LayerNorm.bias",
     {D::d_model}},
    {"blk.{i}.ffn_up.weight", "encoder.layer.{i}.intermediate.dense.weight", {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_up.bias", "encoder.layer.{i}.intermediate.dense.bias", {D::d_ff}},
    {"blk.{i}.ffn_down.weight", "encoder.layer.{i}.output.dense.weight", {D::d_model, D::d_ff}},
    {"blk.{i}.ffn_down.bias", "encoder.layer.{i}.output.dense.bias", {D::d_model}},
    {"blk.{i}.layer_output_norm.weight", "encoder.layer.{i}.output.LayerNorm.weight", {D::d_model}},
    {"blk.{i}.layer_output_norm.bias", "encoder.layer.{i}.output.LayerNorm.bias", {D::d_model}},
};

void set_token_types(HfConfig& config, HfModel& model) {
  model[D::token_types] = config.integer("type_vocab_size", 1, 1 << 16, 2);
  model.metadata.set("tokenizer.ggml.token_type_count",
                     GgufValue::of_uint32(static_cast<uint32_t>(model[D::token_types])));
}

void read_bert(HfConfig& config, HfModel& model) {
  read_basics(config, model, {.has_kv_heads = false});
  model[D::positions] = config.integer("max_position_embeddings", 1, 1 << 30);
  model.set_float("attention.layer_norm_epsilon",
                  config.number("layer_norm_eps", 0.0, 1.0, kRequired));
  model.set_bool("attention.causal", false);
  set_token_types(config, model);
  config.expect_text("hidden_act", {"gelu"});
  config.expect_text("position_embedding_type", {"absolute"});
  config.ignore({"hidden_dropout_prob", "attention_probs_dropout_prob", "tie_word_embeddings",
                 "directionality", "pooler_fc_size", "pooler_num_attention_heads",
                 "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type"});
}

void write_bert(const ModelSource& source, ConfigReader& reader, nlohmann::json& config) {
  write_basics(reader, config, {.has_kv_heads = false});
  config["layer_norm_eps"] =
      plain_number(reader.number("attention.layer_norm_epsilon", 0.0, 1.0, kRequired));
  const GgufTensor* types = source.find_tensor("token_types.weight");
  config["type_vocab_size"] = types != nullptr ? types->n_rows() : 2;
  config["hidden_act"] = "gelu";
  config["model_type"] = "bert";
}

// ---- nomic-bert --------------------------------------------------------------------------------

constexpr std::string_view kNomicClasses[] = {"NomicBertModel"};
constexpr std::string_view kNomicPrefixes[] = {"", "bert."};
constexpr std::string_view kNomicScalings[] = {"linear"};

constexpr HfTensorRule kNomicTensors[] = {
    {"token_embd.weight", "embeddings.word_embeddings.weight", {D::vocab, D::d_model}},
    {"token_types.weight", "embeddings.token_type_embeddings.weight", {D::token_types, D::d_model}},
    {"token_embd_norm.weight", "emb_ln.weight", {D::d_model}},
    {"token_embd_norm.bias", "emb_ln.bias", {D::d_model}},
    {"blk.{i}.attn_qkv.weight", "encoder.layers.{i}.attn.Wqkv.weight", {D::d_model_3, D::d_model}},
    {"blk.{i}.attn_output.weight",
     "encoder.layers.{i}.attn.out_proj.weight",
     {D::d_model, D::d_model}},
    {"blk.{i}.attn_output_norm.weight", "encoder.layers.{i}.norm1.weight", {D::d_model}},
    {"blk.{i}.attn_output_norm.bias", "encoder.layers.{i}.norm1.bias", {D::d_model}},
    {"blk.{i}.ffn_up.weight", "encoder.layers.{i}.mlp.fc11.weight", {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_gate.weight", "encoder.layers.{i}.mlp.fc12.weight", {D::d_ff, D::d_model}},
    {"blk.{i}.ffn_down.weight", "encoder.layers.{i}.mlp.fc2.weight", {D::d_model, D::d_ff}},
    {"blk.{i}.layer_output_norm.weight", "encoder.layers.{i}.norm2.weight", {D::d_model}},
    {"blk.{i}.layer_output_norm.bias", "encoder.layers.{i}.norm2.bias", {D::d_model}},
};

constexpr HfBasicKeys kNomicKeys = {.n_layers = "n_layer",
                                    .n_ctx = "n_positions",
                                    .d_model = "n_embd",
                                    .d_ff = "n_inner",
                                    .n_heads = "n_head",
                                    .has_kv_heads = false};

void read_nomic(HfConfig& config, HfModel& model) {
  read_basics(config, model, kNomicKeys);
  // The configuration promises more than the model was trained for.
  const int64_t n_trained = config.integer("max_trained_positions", 1, 1 << 30, 2048);
  model.set_number("context_length",
                   std::min(n_trained, config.integer("n_positions", 1, 1 << 30)));
  read_rope(config, model, model[D::head], kNomicScalings, "rotary_emb_base");
  model.set_float("attention.layer_norm_epsilon",
                  config.number("layer_norm_epsilon", 0.0, 1.0, kRequired));
  model.set_bool("attention.causal", false);
  set_token_types(config, model);
  config.expect_text("activation_function", {"swiglu"});
  for (const std::string_view key :
       {"causal", "qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "prenorm",
        "rotary_emb_interleaved", "parallel_block", "parallel_block_tied_norm", "use_rms_norm",
        "scale_attn_by_inverse_layer_idx"}) {
    config.expect_flag(key, false);
  }
  config.expect_flag("scale_attn_weights", true);
  config.expect_number("rotary_emb_fraction", 1);
  config.expect_number("rotary_scaling_factor", 1);
  config.expect_number("moe_every_n_layers", 0);
  if (config.find("rotary_emb_scale_base") != nullptr) {
    config.refuse("rotary_emb_scale_base", "null");
  }
  config.ignore({"tie_word_embeddings",
                 "dense_seq_output",
                 "fused_bias_fc",
                 "fused_dropout_add_ln",
                 "last_layer_subset",
                 "mlp_checkpoint_lvl",
                 "pad_vocab_size_multiple",
                 "reorder_and_upcast_attn",
                 "residual_in_fp32",
                 "summary_activation",
                 "summary_first_dropout",
                 "summary_proj_to_labels",
                 "summary_type",
                 "summary_use_proj",
                 "use_flash_attn",
                 "use_xentropy",
                 "expert_choice_router",
                 "ffn_div",
                 "moe_top_k",
                 "num_experts",
                 "num_shared_experts",
                 "moe_impl",
                 "moe_normalize_expert_weights",
                 "moe_resid_pdrop"});
}

void write_nomic(const ModelSource& source, ConfigReader& reader, nlohmann::json& config) {
  write_basics(reader, config, kNomicKeys);
  config["max_trained_positions"] = config["n_positions"];  // the file keeps the smaller one only
  write_rope(source, reader, config, "rotary_emb_base");
  config["layer_norm_epsilon"] =
      plain_number(reader.number("attention.layer_norm_epsilon", 0.0, 1.0, kRequired));
  const GgufTensor* types = source.find_tensor("token_types.weight");
  config["type_vocab_size"] = types != nullptr ? types->n_rows() : 2;
  config["activation_function"] = "swiglu";
  // what other readers would take to be otherwise
  for (const char* key : {"causal", "qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "prenorm",
                          "rotary_emb_interleaved", "parallel_block", "use_rms_norm"}) {
    config[key] = false;
  }
  config["rotary_emb_fraction"] = 1.0;
  config["model_type"] = "nomic_bert";
}

}  // namespace

const HfFamily kHfBert = {"bert",       kBertClasses, kBertPrefixes, read_bert,
                          kBertTensors, kBertIgnored, write_bert};
const HfFamily kHfNomicBert = {"nomic-bert",  kNomicClasses, kNomicPrefixes, read_nomic,
                               kNomicTensors, kBertIgnored,  write_nomic};

}  // namespace nibble
