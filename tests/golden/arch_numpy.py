"""Decoders and nomic-bert in float64 NumPy, written from the papers: the reference of
make_arch_golden.py where transformers has no such model."""

import numpy as np


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
    embedding = w["model.embed_tokens.weight"]
    x = embedding[tokens] * (np.sqrt(embedding.shape[1]) if gemma else 1.0)
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
