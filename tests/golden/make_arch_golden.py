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

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import save_file

VOCAB, D, FF, HEAD = 96, 32, 64, 16
N_TOKENS = 200


def bf16(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(torch.bfloat16)


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


# ---- the NumPy model, float64 --------------------------------------------------------------------

def rms(x, gain, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * gain


def layer_norm(x, gain, bias, eps):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps) * gain + bias


def silu(x):
    return x / (1.0 + np.exp(-x))


def gelu_tanh(x):
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x ** 3)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rotate(x, base, scale=1.0):  # [n, heads, d], pairs (i, i + d/2)
    n, _, d = x.shape
    angles = np.arange(n)[:, None] * scale * base ** (-2.0 * np.arange(d // 2) / d)
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
    a, b = x[..., :d // 2], x[..., d // 2:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def attend(q, k, v, scale, causal=True, window=0):  # [n, heads, d]
    n = q.shape[0]
    k, v = (np.repeat(t, q.shape[1] // t.shape[1], axis=1) for t in (k, v))
    scores = np.einsum("ihd,jhd->hij", q, k) * scale
    distance = np.arange(n)[:, None] - np.arange(n)[None, :]
    if causal:
        scores = np.where(distance < 0, -np.inf, scores)
    if window:
        scores = np.where(distance >= window, -np.inf, scores)
    return np.einsum("hij,jhd->ihd", softmax(scores), v).reshape(n, -1)


def numpy_decoder(c, w, tokens):
    """qwen3, qwen3moe and gemma3."""
    gemma = c["model_type"] == "gemma3_text"
    eps, heads, d = c["rms_norm_eps"], c["num_attention_heads"], c["head_dim"]
    gain = lambda name: w[name] + (1.0 if gemma else 0.0)
    x = w["model.embed_tokens.weight"][tokens] * (np.sqrt(D) if gemma else 1.0)
    n = len(tokens)
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        local = gemma and (i + 1) % c["sliding_window_pattern"] != 0
        y = rms(x, gain(p + "input_layernorm.weight"), eps)
        q, k, v = ((y @ w[f"{p}self_attn.{t}_proj.weight"].T).reshape(n, -1, d) for t in "qkv")
        q = rms(q, gain(p + "self_attn.q_norm.weight"), eps)
        k = rms(k, gain(p + "self_attn.k_norm.weight"), eps)
        base = c["rope_local_base_freq"] if local else c["rope_theta"]
        stretch = 1.0 if local or not c.get("rope_scaling") else 1.0 / c["rope_scaling"]["factor"]
        q, k = rotate(q, base, stretch), rotate(k, base, stretch)
        scale = c.get("query_pre_attn_scalar", d) ** -0.5
        y = attend(q, k, v, scale, window=c["sliding_window"] if local else 0)
        y = y @ w[p + "self_attn.o_proj.weight"].T
        second = p + "post_attention_layernorm.weight"
        if gemma:
            y = rms(y, gain(second), eps)
            second = p + "pre_feedforward_layernorm.weight"
        x = x + y
        y = rms(x, gain(second), eps)

        def mlp(prefix, z):
            act = gelu_tanh if gemma else silu
            return (act(z @ w[prefix + "gate_proj.weight"].T) *
                    (z @ w[prefix + "up_proj.weight"].T)) @ w[prefix + "down_proj.weight"].T
        if "num_experts" in c:
            probabilities = softmax(y @ w[p + "mlp.gate.weight"].T)
            out = np.zeros_like(y)
            for t in range(n):
                top = np.argsort(-probabilities[t], kind="stable")[:c["num_experts_per_tok"]]
                for e in top:
                    out[t] += (probabilities[t, e] / probabilities[t, top].sum() *
                               mlp(f"{p}mlp.experts.{e}.", y[t]))
            y = out
        else:
            y = mlp(p + "mlp.", y)
        if gemma:
            y = rms(y, gain(p + "post_feedforward_layernorm.weight"), eps)
        x = x + y
    x = rms(x, gain("model.norm.weight"), eps)
    return x @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T


def numpy_nomic(c, w, tokens):
    eps, heads, n = c["layer_norm_epsilon"], c["n_head"], len(tokens)
    norm = lambda x, name: layer_norm(x, w[name + ".weight"], w[name + ".bias"], eps)
    x = w["embeddings.word_embeddings.weight"][tokens]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "emb_ln")
    for i in range(c["n_layer"]):
        p = f"encoder.layers.{i}."
        q, k, v = (x @ w[p + "attn.Wqkv.weight"].T).reshape(n, 3, heads, -1).transpose(1, 0, 2, 3)
        q, k = rotate(q, c["rotary_emb_base"]), rotate(k, c["rotary_emb_base"])
        y = attend(q, k, v, q.shape[-1] ** -0.5, causal=False)
        x = norm(x + y @ w[p + "attn.out_proj.weight"].T, p + "norm1")
        # fc11 carries the values, fc12 the gate
        y = (x @ w[p + "mlp.fc11.weight"].T) * silu(x @ w[p + "mlp.fc12.weight"].T)
        x = norm(x + y @ w[p + "mlp.fc2.weight"].T, p + "norm2")
    return x


# ---- GGUF, as llama.cpp's converter names and arranges things ------------------------------------

LLAMA_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up", "mlp.gate": "ffn_gate_inp",
    "block_sparse_moe.gate": "ffn_gate_inp"}
GEMMA_NAMES = LLAMA_NAMES | {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm"}
NEOX_NAMES = {
    "gpt_neox.embed_in": "token_embd", "gpt_neox.final_layer_norm": "output_norm",
    "embed_out": "output", "input_layernorm": "attn_norm",
    "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down"}
GPT2_NAMES = {
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm", "ln_1": "attn_norm", "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down"}
BERT_NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "emb_ln": "token_embd_norm", "attention.self.query": "attn_q", "attention.self.key": "attn_k",
    "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm", "attn.Wqkv": "attn_qkv",
    "attn.out_proj": "attn_output", "norm1": "attn_output_norm", "norm2": "layer_output_norm",
    "mlp.fc11": "ffn_up", "mlp.fc12": "ffn_gate", "mlp.fc2": "ffn_down"}


def permute(w, heads):
    """Pairs (i, i + d/2) of each head side by side."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def gguf_tensors(family, c, weights):
    names = {"gptneox": NEOX_NAMES, "gpt2": GPT2_NAMES, "bert": BERT_NAMES,
             "nomic-bert": BERT_NAMES}.get(family, GEMMA_NAMES if "gemma" in family else LLAMA_NAMES)
    out, experts = {}, {}
    for name, w in weights.items():
        base, part = name.rsplit(".", 1)
        layer = re.match(r"(?:model\.|transformer\.|gpt_neox\.|encoder\.)(?:layers?|h)\.(\d+)\.(.*)",
                         base)
        key = layer[2] if layer else base
        expert = re.match(r"(?:block_sparse_moe|mlp)\.experts\.(\d+)\.(\w+)", key)
        if expert:
            which = {"w1": "gate", "gate_proj": "gate", "w2": "down", "down_proj": "down",
                     "w3": "up", "up_proj": "up"}[expert[2]]
            experts.setdefault((layer[1], which), {})[int(expert[1])] = w
            continue
        if "gemma" in family and name.endswith("norm.weight"):
            w = w + 1.0
        if family == "llama" and key == "self_attn.q_proj":
            w = permute(w, c["num_attention_heads"])
        if family == "llama" and key == "self_attn.k_proj":
            w = permute(w, c["num_key_value_heads"])
        if family == "gpt2" and re.search(r"c_attn|c_proj|c_fc", name) and part == "weight":
            w = w.T
        if family == "gptneox" and "query_key_value" in name:
            heads = c["num_attention_heads"]
            w = w.reshape(heads, 3, D // heads, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape)
        out[(f"blk.{layer[1]}." if layer else "") + names[key] + "." + part] = w
    for (layer, which), parts in experts.items():
        out[f"blk.{layer}.ffn_{which}_exps.weight"] = np.stack([parts[e] for e in sorted(parts)])
    return out


def llama3_divisors(c):
    s, theta = c["rope_scaling"], c["rope_theta"]
    divisors = []
    for i in range(HEAD // 2):
        wavelength = 2 * np.pi * theta ** (2 * i / HEAD)
        turns = s["original_max_position_embeddings"] / wavelength
        low, high = s["low_freq_factor"], s["high_freq_factor"]
        smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
        divisors.append(1.0 / ((1.0 - smooth) / s["factor"] + smooth))
    return np.array(divisors, dtype=np.float32)


def add_vocabulary(writer, family):
    """96 tokens: of encoders single letters as word pieces, else byte-level with one merge."""
    if "bert" in family:
        tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        types = [3] * 5
        letters = [chr(ord("a") + i) for i in range(26)] + [str(i) for i in range(10)]
        tokens += (["\u2581" + t for t in letters] + letters + ["\u2581" + t for t in "-.,:;!?()\"'/"]
                   + ["th", "er", "on", "an", "in", "st", "en"])
        writer.add_string("tokenizer.ggml.model", "bert")
        writer.add_string("tokenizer.ggml.pre", "jina-v2-en")
        for key, value in dict(unknown=1, padding=0, cls=2, seperator=3, mask=4, bos=2,
                               eos=3).items():
            writer.add_uint32(f"tokenizer.ggml.{key}_token_id", value)
    else:
        tokens = [chr(c) for c in range(ord("!"), ord("~"))] + ["\u0120", "th", "</s>"]
        types = []
        writer.add_string("tokenizer.ggml.model", "gpt2")
        writer.add_string("tokenizer.ggml.pre", "gpt-2")
        writer.add_array("tokenizer.ggml.merges", ["t h"])
        writer.add_uint32("tokenizer.ggml.eos_token_id", VOCAB - 1)
        writer.add_uint32("tokenizer.ggml.bos_token_id", VOCAB - 1)
    types = types or [1] * (VOCAB - 1) + [3]
    types += [1] * (VOCAB - len(types))
    assert len(tokens) == len(set(tokens)) == VOCAB, len(tokens)
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_array("tokenizer.ggml.token_type", types)


def write_gguf(path, family, c, weights, extra_keys, extra_tensors):
    writer = gguf.GGUFWriter(str(path), family)
    get = lambda *keys: next((c[k] for k in keys if c.get(k) is not None), None)
    key = lambda k: f"{family}.{k}"
    if family == "llama":
        writer.add_uint32(key("vocab_size"), VOCAB)
    writer.add_uint32(key("context_length"), get("max_position_embeddings", "n_positions"))
    writer.add_uint32(key("embedding_length"), D)
    writer.add_uint32(key("block_count"), get("num_hidden_layers", "n_layer"))
    writer.add_uint32(key("feed_forward_length"), get("intermediate_size", "n_inner") or 4 * D)
    heads = get("num_attention_heads", "n_head")
    writer.add_uint32(key("attention.head_count"), heads)
    if get("num_key_value_heads"):
        writer.add_uint32(key("attention.head_count_kv"), c["num_key_value_heads"])
    if c.get("head_dim"):
        writer.add_uint32(key("attention.key_length"), c["head_dim"])
        writer.add_uint32(key("attention.value_length"), c["head_dim"])
    if get("rms_norm_eps"):
        writer.add_float32(key("attention.layer_norm_rms_epsilon"), c["rms_norm_eps"])
    else:
        writer.add_float32(key("attention.layer_norm_epsilon"),
                           get("layer_norm_eps", "layer_norm_epsilon"))
    if get("rope_theta", "rotary_emb_base"):
        writer.add_float32(key("rope.freq_base"), float(get("rope_theta", "rotary_emb_base")))
    for name, value in extra_keys.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32,
               str: writer.add_string}[type(value)]
        add(key(name) if not name.startswith("tokenizer.") else name, value)
    add_vocabulary(writer, family)
    for name, w in (gguf_tensors(family, c, weights) | extra_tensors).items():
        w = np.ascontiguousarray(w, dtype=np.float32)
        delicate = w.ndim < 2 or re.search(r"ffn_gate_inp|position_embd|token_types", name)
        if delicate:
            writer.add_tensor(name, w)
        else:
            bits = bf16(w).view(torch.int16).numpy().view(np.uint8)
            writer.add_tensor(name, bits, raw_shape=bits.shape,
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


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
