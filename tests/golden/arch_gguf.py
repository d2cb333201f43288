"""Models of make_arch_golden.py as GGUF, as llama.cpp's converter names and arranges things."""

import re

import gguf
import numpy as np
import torch

VOCAB, D, FF, HEAD = 96, 32, 64, 16


def bf16(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float32)).to(torch.bfloat16)


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
