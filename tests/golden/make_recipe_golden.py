#!/usr/bin/env python3
"""Writes recipes.json: the type that llama.cpp's quantizer gives every tensor of 29 models.

How to run (Python 3.9 or newer); BINS is the folder of the npm package node-llama-cpp 3.22.1 that
holds libllama.v0.5.0.so:

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy
    venv/bin/python tests/golden/make_recipe_golden.py BINS tests/golden/recipes.json

The models have headers only: their tensors are holes in a sparse file, which a dry run of
llama_model_quantize() (what `llama-quantize --dry-run` calls) never reads.

The file: { "models": [ {
  "name", "metadata": {key: value},           numbers with a point are f32, others u32
  "tensors": [[name, [dims, fastest first], [layers]]],   "{i}" in a name: one for each layer
  "source": "F16",                            of tensors with two dimensions or more, others F32
  "types": { recipe: {"*": type, name: "TYPE TYPE*3 ..."} },   one entry per layer, "*": the others,
                                               without vectors, which all stay F32
  "types_with_imatrix": the same, for the recipes that differ when an importance matrix is given
  "with_flags": [{"flags": {...}, "types": as above}]
} ] }
"""

import ctypes
import itertools
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import gguf

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from llama_quantize import FILE_TYPES, load_library  # noqa: E402

LINE = re.compile(r"\[ *\d+/ *\d+\] (\S+) +- \[[^\]]*\], type = *(\S+), size = +[\d.]+ MiB"
                  r"(?: -> +[\d.]+ MiB \((\S+)\))?\n")


class ImatrixData(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class TensorOverride(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("type", ctypes.c_int)]


class Library:
    def __init__(self, folder):
        self.llama = load_library(folder)
        self.text = ""
        callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self.log = callback(self.on_log)
        self.llama.llama_log_set(self.log, None)
        self.floats = (ctypes.c_float * 1)(1.0)
        self.imatrix = (ImatrixData * 2)(
            ImatrixData(b"some.weight", ctypes.cast(self.floats, ctypes.c_void_p), 1),
            ImatrixData(None, None, 0))

    def on_log(self, level, text, data):
        self.text += text.decode(errors="replace")

    def types(self, path, recipe, imatrix, flags=None):
        """{tensor: type} of a dry run."""
        parameters = self.llama.llama_model_quantize_default_params()
        parameters.n_threads = 1
        parameters.file_type = FILE_TYPES[recipe]
        parameters.dry_run = True
        parameters.only_copy = recipe == "COPY"
        if imatrix:
            parameters.imatrix = ctypes.cast(self.imatrix, ctypes.c_void_p)
        flags = flags or {}
        parameters.pure = flags.get("pure", False)
        parameters.quantize_output_tensor = not flags.get("leave_output", False)
        if "output_type" in flags:
            parameters.output_tensor_type = gguf.GGMLQuantizationType[flags["output_type"]]
        if "embedding_type" in flags:
            parameters.token_embedding_type = gguf.GGMLQuantizationType[flags["embedding_type"]]
        rules = [rule.rsplit("=", 1) for rule in flags.get("tensor_types", [])]
        overrides = (TensorOverride * (len(rules) + 1))(
            *[TensorOverride(pattern.encode(), gguf.GGMLQuantizationType[kind])
              for pattern, kind in rules])
        if rules:
            parameters.tensor_overrides = ctypes.cast(overrides, ctypes.c_void_p)
        self.text = ""
        if self.llama.llama_model_quantize(path.encode(), b"/nowhere", ctypes.byref(parameters)):
            raise SystemExit(f"{path} {recipe}: {self.text}")
        return {name: (to or source).upper() for name, source, to in LINE.findall(self.text)}


def attention(width, kv_width):
    return [["blk.{i}.attn_norm.weight", [width]], ["blk.{i}.attn_q.weight", [width, width]],
            ["blk.{i}.attn_k.weight", [width, kv_width]],
            ["blk.{i}.attn_v.weight", [width, kv_width]],
            ["blk.{i}.attn_output.weight", [width, width]]]


def fused_attention(width):
    return [["blk.{i}.attn_norm.weight", [width]], ["blk.{i}.attn_qkv.weight", [width, 3 * width]],
            ["blk.{i}.attn_output.weight", [width, width]]]


def feed_forward(width, inner, gate=True):
    gates = [["blk.{i}.ffn_gate.weight", [width, inner]]] if gate else []
    return [["blk.{i}.ffn_norm.weight", [width]], *gates,
            ["blk.{i}.ffn_up.weight", [width, inner]], ["blk.{i}.ffn_down.weight", [inner, width]]]


def experts(width, inner, n, shared=False):
    more = [["blk.{i}.ffn_gate_shexp.weight", [width, inner]],
            ["blk.{i}.ffn_up_shexp.weight", [width, inner]],
            ["blk.{i}.ffn_down_shexp.weight", [inner, width]]] if shared else []
    return [["blk.{i}.ffn_norm.weight", [width]], ["blk.{i}.ffn_gate_inp.weight", [width, n]],
            ["blk.{i}.ffn_gate_exps.weight", [width, inner, n]],
            ["blk.{i}.ffn_up_exps.weight", [width, inner, n]],
            ["blk.{i}.ffn_down_exps.weight", [inner, width, n]], *more]


def ends(width, tied, n_vocab=320):
    head = [] if tied else [["output.weight", [width, n_vocab]]]
    return [["token_embd.weight", [width, n_vocab]], ["output_norm.weight", [width]], *head]


def only(layers, tensors):
    return [[name, dims, list(layers)] for name, dims in tensors]


def metadata(architecture, n_layers, n_heads, n_kv_heads, width, **more):
    values = {"block_count": n_layers, "context_length": 2048, "embedding_length": width,
              "feed_forward_length": 2 * width, "attention.head_count": n_heads,
              "attention.head_count_kv": n_kv_heads, "attention.layer_norm_rms_epsilon": 1e-5,
              "attention.layer_norm_epsilon": 1e-5,
              **{key.replace("__", "."): value for key, value in more.items()}}
    return {"general.architecture": architecture,
            **{f"{architecture}.{key}": value for key, value in values.items()}}


def model(name, values, tensors):
    return {"name": name, "metadata": values, "tensors": tensors, "source": "F16"}


def dense(name, architecture, n_layers, n_heads, n_kv_heads, tied, width=256, inner=512):
    return model(name, metadata(architecture, n_layers, n_heads, n_kv_heads, width),
                 ends(width, tied) + attention(width, width // n_heads * n_kv_heads)
                 + feed_forward(width, inner))


SSM = {"ssm__conv_kernel": 4, "ssm__inner_size": 256, "ssm__state_size": 16,
       "ssm__time_step_rank": 16, "ssm__group_count": 1}


def models():
    for n_kv_heads, tied in itertools.product((8, 4, 2, 1), (False, True)):
        yield dense(f"gqa {8 // n_kv_heads}, {'tied' if tied else 'untied'}", "llama", 32, 8,
                    n_kv_heads, tied)
    yield dense("22 layers, gqa 8", "llama", 22, 8, 1, False)
    yield dense("70B", "llama", 80, 8, 1, False)
    yield dense("65B", "llama", 80, 8, 8, False)
    yield dense("70B of the second family", "qwen2", 80, 8, 1, True)
    yield dense("80 layers of another family", "qwen3", 80, 8, 2, False)
    yield dense("576 wide", "llama", 30, 9, 3, True, 576, 1536)
    yield dense("576 wide, untied", "llama", 30, 9, 3, False, 576, 1536)
    yield dense("80 wide", "llama", 8, 8, 8, False, 80, 112)
    yield model("8 experts", metadata("llama", 32, 8, 2, 256, expert_count=8, expert_used_count=2),
                ends(256, False) + attention(256, 64) + experts(256, 512, 8))
    old = [[f"blk.{{i}}.ffn_{part}.{expert}.weight", [256, 256]]
           for part in ("gate", "up", "down") for expert in range(8)]
    yield model("8 experts apart", metadata("llama", 16, 8, 8, 256, expert_count=8,
                                            expert_used_count=2),
                ends(256, False) + attention(256, 256)
                + [["blk.{i}.ffn_gate_inp.weight", [256, 8]]] + old)
    yield model("falcon 7B", metadata("falcon", 32, 8, 1, 256),
                ends(256, False) + fused_attention(256) + feed_forward(256, 1024, False))
    yield model("falcon 40B, tied", metadata("falcon", 60, 8, 8, 256),
                ends(256, True) + fused_attention(256) + feed_forward(256, 1024, False))
    yield model("fused qkv", metadata("phi3", 32, 8, 8, 256, rope__dimension_count=32),
                ends(256, False) + fused_attention(256) + feed_forward(256, 512, False))
    latent = [["blk.{i}.attn_q.weight", [256, 256]], ["blk.{i}.attn_kv_a_mqa.weight", [256, 96]],
              ["blk.{i}.attn_kv_a_norm.weight", [64]], ["blk.{i}.attn_kv_b.weight", [256, 256]],
              ["blk.{i}.attn_output.weight", [256, 256]]]
    yield model("latent attention, 64 experts",
                metadata("deepseek2", 27, 8, 8, 256, leading_dense_block_count=1,
                         attention__kv_lora_rank=64, expert_feed_forward_length=256,
                         expert_count=64, expert_used_count=6, expert_shared_count=2),
                ends(256, False) + latent + only([0], feed_forward(256, 512))
                + only(range(1, 27), experts(256, 256, 64, True)))
    encoder = [[f"enc.blk.{{i}}.{name}.weight", dims] for name, dims in (
        ("attn_q", [256, 256]), ("attn_k", [256, 256]), ("attn_v", [256, 256]),
        ("attn_o", [256, 256]), ("attn_rel_b", [8, 32]), ("ffn_up", [256, 512]),
        ("ffn_down", [512, 256]))]
    decoder = [[name.replace("enc.", "dec."), dims] for name, dims in encoder]
    cross = [[name.replace("attn_", "cross_attn_"), dims] for name, dims in decoder[:4]]
    yield model("encoder and decoder",
                metadata("t5", 12, 8, 8, 256, attention__relative_buckets_count=32),
                [["token_embd.weight", [256, 320]], ["output.weight", [256, 320]]]
                + only(range(12), encoder + decoder + cross))
    linear = [["blk.{i}.attn_qkv.weight", [256, 768]], ["blk.{i}.attn_gate.weight", [256, 256]],
              ["blk.{i}.ssm_conv1d.weight", [4, 768]], ["blk.{i}.ssm_out.weight", [256, 256]],
              ["blk.{i}.ssm_ba.weight", [256, 64]]]
    yield model("hybrid with experts",
                metadata("qwen3next", 24, 8, 1, 256, expert_count=16, expert_used_count=2,
                         expert_feed_forward_length=256, **SSM),
                ends(256, False) + only([i for i in range(24) if i % 4 != 3], linear)
                + only(range(3, 24, 4), attention(256, 32)) + experts(256, 256, 16, True))
    mamba = [["blk.{i}.ssm_in.weight", [256, 512]], ["blk.{i}.ssm_conv1d.weight", [4, 256]],
             ["blk.{i}.ssm_x.weight", [256, 48]], ["blk.{i}.ssm_out.weight", [256, 256]]]
    yield model("hybrid, attention in every eighth layer",
                metadata("jamba", 32, 8, 2, 256, **SSM),
                ends(256, True) + only([i for i in range(32) if i % 8 != 4], mamba)
                + only(range(4, 32, 8), attention(256, 64)) + feed_forward(256, 512))
    yield model("per-layer embeddings",
                metadata("gemma3n", 30, 8, 2, 256, attention__sliding_window=512),
                ends(256, True) + [["per_layer_token_embd.weight", [7680, 320]],
                                   ["per_layer_model_proj.weight", [256, 7680]],
                                   ["altup_proj.weight", [256, 256, 3]],
                                   ["blk.{i}.altup_router.weight", [256, 4]],
                                   ["blk.{i}.laurel_l.weight", [256, 64]],
                                   ["blk.{i}.inp_gate.weight", [256, 256]]]
                + attention(256, 64) + feed_forward(256, 512))
    yield model("bert", metadata("bert", 12, 8, 8, 256),
                [["token_embd.weight", [256, 320]], ["position_embd.weight", [256, 512]],
                 ["token_types.weight", [256, 2]], ["token_embd_norm.weight", [256]]]
                + attention(256, 256) + feed_forward(256, 512, False))
    yield model("experts beside matrices per head",
                metadata("bailingmoe3", 16, 8, 8, 256, attention__key_length_mla=64,
                         attention__value_length_mla=64, attention__kv_lora_rank=64,
                         ssm__conv_kernel=4, kda__head_dim=32, kda__gate_lower_bound=-5.0,
                         expert_feed_forward_length=256, expert_shared_count=1, expert_count=16,
                         expert_used_count=2, leading_dense_block_count=1, expert_gating_func=2),
                ends(256, False) + [["blk.{i}.attn_k_b.weight", [64, 64, 8]],
                                    ["blk.{i}.attn_v_b.weight", [64, 64, 8]],
                                    ["blk.{i}.attn_output.weight", [256, 256]]]
                + only([0], feed_forward(256, 512))
                + only(range(1, 16), experts(256, 256, 16, True)))
    yield model("matrices per head", metadata("deepseek2", 16, 8, 1, 256,
                                              leading_dense_block_count=1,
                                              attention__q_lora_rank=64, attention__kv_lora_rank=64,
                                              expert_feed_forward_length=256, expert_count=16,
                                              expert_used_count=2, expert_shared_count=1),
                ends(256, False) + [["blk.{i}.attn_k_b.weight", [64, 64, 8]],
                                    ["blk.{i}.attn_v_b.weight", [64, 64, 8]],
                                    ["blk.{i}.attn_output.weight", [256, 256]]]
                + only([0], feed_forward(256, 512))
                + only(range(1, 16), experts(256, 256, 16)))


FLAGS = [
    {"recipe": "Q4_K_M", "pure": True},
    {"recipe": "MXFP4_MOE", "pure": True},
    {"recipe": "Q4_K_M", "leave_output": True},
    {"recipe": "Q4_K_M", "output_type": "Q8_0"},
    {"recipe": "Q4_0", "embedding_type": "Q5_1"},
    {"recipe": "F16", "embedding_type": "Q8_0", "output_type": "Q6_K"},
    {"recipe": "Q4_K_S", "output_type": "Q5_K", "embedding_type": "Q8_0",
     "tensor_types": ["token_embd=Q4_0", "output=Q4_0"]},
    # the layers of attn_v and ffn_down that follow are counted without those that a rule takes
    {"recipe": "Q4_K_M", "tensor_types": [r"blk\.[0-5]\.attn_v=Q8_0", "attn=Q5_1"]},
    {"recipe": "Q3_K_M", "tensor_types": [r"blk\.(0|2)\.(attn_v|attn_qkv|ffn_down)=Q8_0",
                                          "ffn_up|ffn_gate=Q2_K"]},
]
WITH_FLAGS = ("gqa 4, tied", "gqa 4, untied", "8 experts", "falcon 7B", "per-layer embeddings",
              "576 wide")


def layers_of(row, n_layers):
    if "{i}" not in row[0]:
        return [None]
    return row[2] if len(row) > 2 else range(n_layers)


def full_name(pattern, layer):
    return pattern if layer is None else pattern.replace("{i}", str(layer))


def write(description, path):
    values = description["metadata"]
    architecture = values["general.architecture"]
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in values.items():
        if key != "general.architecture":
            (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(key, value)
    n_bytes = 0
    for row in description["tensors"]:
        kind = gguf.GGMLQuantizationType.F16 if len(row[1]) > 1 else gguf.GGMLQuantizationType.F32
        for layer in layers_of(row, values[f"{architecture}.block_count"]):
            n = (2 if len(row[1]) > 1 else 4)
            for dim in row[1]:
                n *= dim
            writer.add_tensor_info(full_name(row[0], layer), row[1][::-1], None, n, raw_dtype=kind)
            n_bytes += n + 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(path, os.path.getsize(path) + 65536 + n_bytes)


def compact(description, types):
    """{"*": the type most tensors have, name: types per layer}, equal neighbours counted."""
    values = list(types.values())
    rest = max(sorted(set(values)), key=values.count)
    result = {"*": rest}
    architecture = description["metadata"]["general.architecture"]
    for row in description["tensors"]:
        if len(row[1]) == 1:
            continue
        layers = layers_of(row, description["metadata"][f"{architecture}.block_count"])
        given = [types[full_name(row[0], layer)] for layer in layers]
        if set(given) == {rest}:
            continue
        runs = [(kind, len(list(run))) for kind, run in itertools.groupby(given)]
        result[row[0]] = " ".join(kind if n == 1 else f"{kind}*{n}" for kind, n in runs)
    return result


def main(folder, target):
    library = Library(folder)
    result = []
    with tempfile.TemporaryDirectory() as scratch:
        for description in models():
            path = f"{scratch}/model.gguf"
            write(description, path)
            plain, weighted = ({recipe: compact(description, library.types(path, recipe, imatrix))
                                for recipe in FILE_TYPES} for imatrix in (False, True))
            description["types"] = plain
            description["types_with_imatrix"] = {recipe: types for recipe, types in weighted.items()
                                                 if types != plain[recipe]}
            if description["name"] in WITH_FLAGS:
                description["with_flags"] = [
                    {"flags": flags, "types": compact(description, library.types(
                        path, flags["recipe"], False, flags))} for flags in FLAGS]
            result.append(description)
    with open(target, "w", encoding="ascii") as file:
        file.write('{"models": [\n' + ",\n".join(json.dumps(m) for m in result) + "\n]}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
