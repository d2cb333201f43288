#!/usr/bin/env python3
"""Tiny random models of every architecture with what an independent implementation computes.

    make_arch_golden.py OUT [NAME ...]

OUT/<name>/config.json, model.safetensors   the model as Hugging Face folders have it, BF16
OUT/<name>/model.gguf                       the same as llama.cpp's converter would write it
OUT/<name>/reference.bin                    the prompt and the results:

  "NBLARCH1" | u32 n_tokens | u32 width | u32 n_positions | u32 zero
  i32 tokens[n_tokens] | i32 positions[n_positions] | f32 values[n_positions][width]

values: logits behind these positions; of encoders the final hidden states. The reference is
transformers (4.46.3 with torch 1.13.1 made the files), float32, eager attention, except where that
version does not know the family: those are computed by the float64 NumPy model below, written
from the papers. Needs numpy<2, torch, transformers, safetensors, gguf.

Weights are drawn so that every branch of the arithmetic shows: heads attend unevenly, routers
differ from token to token, scores and logits reach into their caps. Prompts are longer than windows
and than the contexts before stretching.
"""

import json
import re
import struct
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from arch_gguf import D, FF, HEAD, VOCAB, bf16, llama3_divisors, write_gguf
from arch_numpy import numpy_decoder, numpy_nomic

N_TOKENS = 200


# ---- weights -----------------------------------------------------------------------------------

def draw(name, shape, rng, norm_offset):
    """A weight of this name; gemma's norms are stored without the one they are around."""
    if "norm" in name.lower() or re.search(r"\bln_|layernorm", name):
        base = 0.0 if name.endswith("bias") else norm_offset
        return base + 0.3 * rng.standard_normal(shape)
    if name.endswith("bias"):
        return 0.5 * rng.standard_normal(shape)
    if re.search(r"embed|wte|wpe|lm_head", name):
        return rng.standard_normal(shape) * (0.3 if "wpe" in name or "position" in name else 1.0)
    scale = 1.0 / np.sqrt(shape[-1])
    if re.search(r"q_proj|k_proj|query|key|qkv|c_attn|Wqkv", name):
        scale *= 1.6
    if re.search(r"block_sparse_moe\.gate|mlp\.gate\.weight", name):
        scale *= 2.0
    return scale * rng.standard_normal(shape)


def llama_shapes(c, experts=None, qk_norm=False, post_norms=False):
    """Names and shapes of the families that transformers 4.46 does not know."""
    q, kv = c["num_attention_heads"] * c["head_dim"], c["num_key_value_heads"] * c["head_dim"]
    shapes = {"model.embed_tokens.weight": (VOCAB, D), "model.norm.weight": (D,)}
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        shapes |= {p + "input_layernorm.weight": (D,), p + "post_attention_layernorm.weight": (D,),
                   p + "self_attn.q_proj.weight": (q, D), p + "self_attn.k_proj.weight": (kv, D),
                   p + "self_attn.v_proj.weight": (kv, D), p + "self_attn.o_proj.weight": (D, q)}
        if qk_norm:
            shapes |= {p + "self_attn.q_norm.weight": (c["head_dim"],),
                       p + "self_attn.k_norm.weight": (c["head_dim"],)}
        if post_norms:
            shapes |= {p + "pre_feedforward_layernorm.weight": (D,),
                       p + "post_feedforward_layernorm.weight": (D,)}
        mlps = [p + "mlp."]
        ff = c["intermediate_size"]
        if experts:
            mlps = [f"{p}mlp.experts.{e}." for e in range(experts)]
            shapes[p + "mlp.gate.weight"] = (experts, D)
            ff = c["moe_intermediate_size"]
        for m in mlps:
            shapes |= {m + "gate_proj.weight": (ff, D), m + "up_proj.weight": (ff, D),
                       m + "down_proj.weight": (D, ff)}
    if not c.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = (VOCAB, D)
    return shapes


def nomic_shapes(c):
    shapes = {"embeddings.word_embeddings.weight": (VOCAB, D),
              "embeddings.token_type_embeddings.weight": (2, D),
              "emb_ln.weight": (D,), "emb_ln.bias": (D,)}
    for i in range(c["n_layer"]):
        p = f"encoder.layers.{i}."
        shapes |= {p + "attn.Wqkv.weight": (3 * D, D), p + "attn.out_proj.weight": (D, D),
                   p + "norm1.weight": (D,), p + "norm1.bias": (D,),
                   p + "norm2.weight": (D,), p + "norm2.bias": (D,),
                   p + "mlp.fc11.weight": (FF, D), p + "mlp.fc12.weight": (FF, D),
                   p + "mlp.fc2.weight": (D, FF)}
    return shapes


# ---- the models -----------------------------------------------------------------------------------

BASE = dict(hidden_size=D, intermediate_size=FF, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=VOCAB, max_position_embeddings=256,
            rms_norm_eps=1e-5, rope_theta=10000.0, head_dim=HEAD, tie_word_embeddings=False)
LLAMA = BASE | dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu")
HEADS_2 = dict(num_attention_heads=2, num_key_value_heads=1, head_dim=None)
PHI3 = BASE | HEADS_2 | dict(architectures=["Phi3ForCausalLM"], model_type="phi3",
                             hidden_act="silu", pad_token_id=0, bos_token_id=1, eos_token_id=2)
LONG = [1.0, 1.3, 1.9, 3.1, 4.7, 6.1, 7.3, 8.9]
SHORT = [1.0, 1.05, 1.1, 1.2, 1.4, 1.7, 2.0, 2.4]

# name: (GGUF architecture, config.json, keys of the GGUF beside the usual ones)
MODELS = {
    "llama3": ("llama", LLAMA | dict(rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64)), {"rope.dimension_count": HEAD}),
    "llama_linear": ("llama", LLAMA | dict(
        tie_word_embeddings=True, attention_bias=True,
        rope_scaling=dict(rope_type="linear", factor=4.0)),
        {"rope.dimension_count": HEAD, "rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "llama_yarn": ("llama", LLAMA | dict(max_position_embeddings=64, rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=64)),
        {"rope.dimension_count": HEAD, "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
         "rope.scaling.original_context_length": 64}),
    "mistral": ("llama", BASE | dict(
        architectures=["MistralForCausalLM"], model_type="mistral", hidden_act="silu",
        sliding_window=40), {"rope.dimension_count": HEAD, "attention.sliding_window": 40}),
    "mixtral": ("llama", BASE | HEADS_2 | dict(
        architectures=["MixtralForCausalLM"], model_type="mixtral", hidden_act="silu",
        num_local_experts=5, num_experts_per_tok=2, sliding_window=None),
        {"rope.dimension_count": HEAD, "expert_count": 5, "expert_used_count": 2}),
    "qwen2": ("qwen2", BASE | HEADS_2 | dict(
        architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_act="silu",
        use_sliding_window=False), {}),
    "qwen3": ("qwen3", BASE | dict(
        architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_act="silu",
        attention_bias=False, use_sliding_window=False, rms_norm_eps=1e-6), {}),
    "qwen3moe": ("qwen3moe", BASE | dict(
        architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", hidden_act="silu",
        attention_bias=False, use_sliding_window=False, rms_norm_eps=1e-6, num_experts=6,
        num_experts_per_tok=3, moe_intermediate_size=32, norm_topk_prob=True,
        decoder_sparse_step=1, mlp_only_layers=[]),
        {"expert_count": 6, "expert_used_count": 3, "expert_feed_forward_length": 32}),
    "gemma2": ("gemma2", BASE | dict(
        architectures=["Gemma2ForCausalLM"], model_type="gemma2", num_hidden_layers=3,
        hidden_activation="gelu_pytorch_tanh", hidden_act="gelu_pytorch_tanh",
        attn_logit_softcapping=5.0, final_logit_softcapping=6.0, query_pre_attn_scalar=HEAD,
        sliding_window=40, tie_word_embeddings=True, rms_norm_eps=1e-6),
        {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 6.0,
         "attention.sliding_window": 40}),
    "gemma3": ("gemma3", BASE | dict(
        architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", num_hidden_layers=7,
        hidden_activation="gelu_pytorch_tanh", attn_logit_softcapping=None,
        final_logit_softcapping=None, query_pre_attn_scalar=HEAD, sliding_window=40,
        sliding_window_pattern=6, rope_local_base_freq=100.0, rope_theta=50000.0,
        rope_scaling=dict(rope_type="linear", factor=8.0), tie_word_embeddings=True,
        rms_norm_eps=1e-6),
        {"attention.sliding_window": 40, "rope.freq_base_swa": 100.0,
         "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}),
    "phi3": ("phi3", PHI3 | dict(
        sliding_window=40, rope_scaling=None, original_max_position_embeddings=256),
        {"rope.dimension_count": HEAD, "rope.scaling.original_context_length": 256,
         "attention.sliding_window": 40}),
    "phi3_longrope": ("phi3", PHI3 | dict(
        sliding_window=None, original_max_position_embeddings=64,
        rope_scaling=dict(type="longrope", long_factor=LONG, short_factor=SHORT)),
        {"rope.dimension_count": HEAD, "rope.scaling.original_context_length": 64,
         "attention.sliding_window": 0,
         "rope.scaling.attn_factor": float(np.sqrt(1 + np.log(256 / 64) / np.log(64)))}),
    "gptneox": ("gptneox", dict(
        architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox", hidden_act="gelu",
        hidden_size=D, intermediate_size=FF, num_hidden_layers=2, num_attention_heads=2,
        vocab_size=VOCAB, max_position_embeddings=256, rotary_pct=0.5, rotary_emb_base=10000,
        layer_norm_eps=1e-5, use_parallel_residual=True, tie_word_embeddings=False,
        attention_bias=True),
        {"rope.dimension_count": HEAD // 2, "use_parallel_residual": True}),
    "gpt2": ("gpt2", dict(
        architectures=["GPT2LMHeadModel"], model_type="gpt2", activation_function="gelu_new",
        n_embd=D, n_inner=None, n_layer=2, n_head=2, vocab_size=VOCAB, n_positions=256, n_ctx=256,
        layer_norm_epsilon=1e-5, bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0), {}),
    "bert": ("bert", dict(
        architectures=["BertModel"], model_type="bert", hidden_act="gelu", hidden_size=D,
        intermediate_size=FF, num_hidden_layers=2, num_attention_heads=2, vocab_size=VOCAB,
        max_position_embeddings=256, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=0,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        {"attention.causal": False, "pooling_type": 1, "tokenizer.ggml.token_type_count": 2}),
    "nomic_bert": ("nomic-bert", dict(
        architectures=["NomicBertModel"], model_type="nomic_bert", activation_function="swiglu",
        n_embd=D, n_inner=FF, n_layer=2, n_head=2, vocab_size=VOCAB, n_positions=256,
        type_vocab_size=2, layer_norm_epsilon=1e-12, rotary_emb_base=1000,
        rotary_emb_fraction=1.0, rotary_emb_interleaved=False, rotary_emb_scale_base=None,
        qkv_proj_bias=False, mlp_fc1_bias=False, mlp_fc2_bias=False, prenorm=False, causal=False,
        max_trained_positions=2048),
        {"attention.causal": False, "pooling_type": 1, "tokenizer.ggml.token_type_count": 2}),
}


def reference(name, c, rng, tokens):
    """The HF weights (float32 values of BF16) and the outputs at every position."""
    if name in ("qwen3", "qwen3moe", "gemma3", "nomic_bert"):
        if name == "nomic_bert":
            shapes = nomic_shapes(c)
        else:
            shapes = llama_shapes(c, c.get("num_experts"), True, name == "gemma3")
        weights = {k: bf16(draw(k, s, rng, 0.0 if name == "gemma3" else 1.0)).float().numpy()
                   for k, s in shapes.items()}
        doubled = {k: w.astype(np.float64) for k, w in weights.items()}
        run = numpy_nomic if name == "nomic_bert" else numpy_decoder
        return weights, run(c, doubled, tokens)
    values = {k: v for k, v in c.items() if v is not None or k != "head_dim"}
    config = transformers.CONFIG_MAPPING[c["model_type"]](**values)
    config._attn_implementation = "eager"
    model = getattr(transformers, c["architectures"][0])(config).eval()
    weights = {}
    with torch.no_grad():
        for k, parameter in model.named_parameters():
            if "pooler" in k:
                continue
            offset = 0.0 if "gemma" in name else 1.0
            w = bf16(draw(k, tuple(parameter.shape), rng, offset)).float()
            parameter.copy_(w)
            weights[k] = w.numpy()
        out = model(torch.tensor([tokens]), **({} if name == "bert" else {"use_cache": False}))
    values = out.last_hidden_state if name == "bert" else out.logits
    return weights, values[0].double().numpy()


def make(name, out):
    family, config, keys = MODELS[name]
    c = {k: v for k, v in config.items() if v is not None or k != "head_dim"} | {
        "torch_dtype": "bfloat16"}
    rng = np.random.default_rng(int.from_bytes(name.encode(), "little") % 2**32)
    tokens = rng.integers(0, VOCAB, N_TOKENS).tolist()
    weights, values = reference(name, config, rng, tokens)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(c, indent=1) + "\n")
    save_file({k: bf16(w).contiguous() for k, w in weights.items()},
              str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    extra = {}
    if name == "llama3":
        extra["rope_freqs.weight"] = llama3_divisors(c)
    if name == "phi3_longrope":
        extra["rope_factors_long.weight"] = np.array(LONG)
        extra["rope_factors_short.weight"] = np.array(SHORT)
    write_gguf(folder / "model.gguf", family, config, weights, keys, extra)
    positions = list(range(0, N_TOKENS, 7)) + [N_TOKENS - 1]
    with open(folder / "reference.bin", "wb") as f:
        f.write(b"NBLARCH1" + struct.pack("<4I", N_TOKENS, values.shape[1], len(positions), 0))
        f.write(np.array(tokens, dtype="<i4").tobytes())
        f.write(np.array(positions, dtype="<i4").tobytes())
        f.write(values[positions].astype("<f4").tobytes())
    spread = np.sqrt((values ** 2).mean())
    print(f"{name}: rms {spread:.3f}, {(folder / 'model.gguf').stat().st_size} bytes")


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    for name in sys.argv[2:] or MODELS:
        make(name, Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
