#!/usr/bin/env python3
"""Writes formats.bin: golden values of the number formats from an implementation that is not ours.

How to run (Python 3.9 or newer):

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy
    venv/bin/python tests/golden/make_format_golden.py tests/golden/formats.bin LIBRARY

Decoded values come from `gguf.quants.dequantize`; for Q1_0 and Q2_0, which that package cannot
decode, from the function dequantize_row_<type> of LIBRARY: libggml-base.so of llama.cpp, as the npm
package node-llama-cpp 3.22.1 ships it. For the later formats (LATER) both are asked and must agree.
Encode errors come from `gguf.quants.quantize`, where that package has an encoder (not for Q4_K, Q5_K,
Q6_K, IQ4_NL), and are kept for the earlier formats.

The file, little-endian, no padding:

    "NBLFMT01" | u32 n_sections
    section: u32 wire id | u32 n_blocks | u32 n_values | u32 n_errors
             blocks as they lie in a file | f32 values[n_values]
             f64 errors[n_errors]: plain squared error of the package's encoder, one per row set

Row sets are not stored. tests/formats/format_rows.h makes the same ones from a seed; make_rows()
below is its twin and must stay so.
"""

import ctypes
import struct
import sys

import gguf
import numpy as np

MASK = (1 << 64) - 1
N_ROWS, ROW_LEN = 8, 512


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

    def uniform(self):
        return (self.next() >> 11) * 2.0**-53

    def normal(self):
        total = 0.0
        for _ in range(12):
            total += self.uniform()
        return total - 6.0


def make_rows(kind):
    """Row sets by number: Gaussian, two-sided with heavier and very heavy tails (powers of a normal:
    exact on every machine), shifted Gaussian, constant, zero, tiny, one outlier."""
    rng = Random(1000 + kind)
    rows = np.zeros((N_ROWS, ROW_LEN), np.float32)
    for r in range(N_ROWS):
        for j in range(ROW_LEN):
            v = rng.normal()
            if kind == 1:
                v = v * abs(v)
            elif kind == 2:
                v = v * v * v
            elif kind == 3:
                v = v + 10.0
            elif kind == 4:
                v = float(r) - 3.7
            elif kind == 5:
                v = 0.0
            elif kind == 6:
                v = v * 2.0**-14
            elif kind == 7:
                v = 64.0 if j % 32 == r else v
            rows[r, j] = np.float32(v * 0.0625)
    return rows


N_KINDS = 8


def f16_scales(n, rng):
    """Finite binary16 of every sort: zero, subnormal, negative, largest, ordinary."""
    special = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00,
                        0xBC00], np.uint16)
    random = rng.integers(0, 0x7C00, n).astype(np.uint16) | (
        rng.integers(0, 2, n).astype(np.uint16) << 15)
    random[: len(special)] = special[: n]
    return random


def pack_scales(sc, m):
    """12 bytes: the low six bits of eight scales and eight minima, see src/formats/blocks.h."""
    return ([sc[j] | (sc[j + 4] >> 4) << 6 for j in range(4)]
            + [m[j] | (m[j + 4] >> 4) << 6 for j in range(4)]
            + [(sc[j + 4] & 15) | (m[j + 4] & 15) << 4 for j in range(4)])


def pack_scales_q3(sc):
    """12 bytes of 16 six-bit numbers, see BlockQ3_K in src/formats/blocks_super.h."""
    return ([sc[j] & 15 | (sc[j + 8] & 15) << 4 for j in range(8)]
            + [sum((sc[k + 4 * i] >> 4) << (2 * i) for i in range(4)) for k in range(4)])


def pack_scales_iq4(ls):
    """scales_h (2 bytes) and scales_l (4 bytes) of eight six-bit numbers, see BlockIQ4_XS there."""
    high = sum((ls[j] >> 4) << (2 * j) for j in range(8))
    return [high & 255, high >> 8] + [ls[2 * i] & 15 | (ls[2 * i + 1] & 15) << 4 for i in range(4)]


# Wire id, weights and bytes of a block, and blocks that walk through all values of all scales.
LATER = {"Q2_K": (10, 256, 84, 32), "Q3_K": (11, 256, 110, 80), "IQ4_XS": (23, 256, 136, 80),
         "TQ1_0": (34, 256, 54, 32), "TQ2_0": (35, 256, 66, 32), "MXFP4": (39, 32, 17, 272),
         "NVFP4": (40, 64, 36, 80), "Q1_0": (41, 128, 18, 32), "Q2_0": (42, 64, 18, 32)}
NOT_IN_GGUF = ("Q1_0", "Q2_0")


def walk_scales(name, blocks):
    for b in range(len(blocks) - 16):
        row = blocks[16 + b]
        if name == "Q2_K":  # scale and minimum of a sub-block are one byte
            row[0:16] = [(16 * b + j) % 256 for j in range(16)]
        elif name == "Q3_K":
            row[96:108] = pack_scales_q3([(4 * j + b) % 64 for j in range(16)])
        elif name == "IQ4_XS":
            row[2:8] = pack_scales_iq4([(8 * j + b) % 64 for j in range(8)])
        elif name == "MXFP4":
            row[0] = b
        elif name == "NVFP4":
            row[0:4] = [(4 * b + j) % 256 for j in range(4)]


def golden_blocks(name, n_blocks, rng):
    """Random codes and finite scales; the first blocks walk through every code value."""
    if name in LATER:
        size = LATER[name][2]
    else:
        size = gguf.GGML_QUANT_SIZES[getattr(gguf.GGMLQuantizationType, name)][1]
    blocks = rng.integers(0, 256, (n_blocks, size)).astype(np.uint8)
    if name in ("F16", "BF16", "F32"):
        return blocks
    fields = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
              "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "Q2_K": [80, 82],
              "Q3_K": [108], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [], "NVFP4": [],
              "Q1_0": [0], "Q2_0": [0]}[name]
    payload = [i for i in range(size) if not any(f <= i < f + 2 for f in fields)]
    # 256 consecutive byte values over the payload, at least once from each start.
    for b in range(min(n_blocks // 2, 16)):
        blocks[b, payload] = (np.arange(len(payload)) + 16 * b) % 256
    if name in ("Q4_K", "Q5_K"):  # every 6-bit scale and minimum, sub-block by sub-block
        for b in range(8):
            blocks[16 + b, 4:16] = pack_scales([8 * b + j for j in range(8)],
                                               [63 - (8 * j + b) for j in range(8)])
    if name == "Q6_K":  # every int8 scale
        for b in range(16):
            blocks[16 + b, 192:208] = np.arange(16 * b, 16 * b + 16)
    walk_scales(name, blocks)
    for i, field in enumerate(fields):
        scales = np.roll(f16_scales(n_blocks, rng), 3 * i)
        blocks[:, field] = scales & 0xFF
        blocks[:, field + 1] = scales >> 8
    return blocks


def decode(name, blocks):
    kind = getattr(gguf.GGMLQuantizationType, name)
    return gguf.quants.dequantize(blocks, kind).astype(np.float32).reshape(-1)


def encode_errors(name):
    kind = getattr(gguf.GGMLQuantizationType, name)
    errors = []
    for k in range(N_KINDS):
        rows = make_rows(k)
        try:
            decoded = gguf.quants.dequantize(gguf.quants.quantize(rows, kind), kind)
        except NotImplementedError:
            return []
        errors.append(float(np.sum((rows.astype(np.float64) - decoded) ** 2)))
    return errors


def decode_later(name, blocks, library):
    values = np.zeros(len(blocks) * LATER[name][1], np.float32)
    to_float = getattr(library, "dequantize_row_" + name.lower().replace("_k", "_K"))
    to_float(blocks.ctypes.data_as(ctypes.c_void_p), values.ctypes.data_as(ctypes.c_void_p),
             ctypes.c_int64(len(values)))
    if name not in NOT_IN_GGUF:
        other = decode(name, blocks)
        different = int(np.sum(values.view(np.uint32) != other.view(np.uint32)))
        assert different == 0, f"{name}: {different} of {len(values)} values differ"
    return values


def main(path, library):
    library = ctypes.CDLL(library)
    rng = np.random.default_rng(20)
    sections = []
    for name, n_blocks in [("F16", 512), ("BF16", 512), ("Q4_0", 48), ("Q4_1", 48), ("Q5_0", 48),
                           ("Q5_1", 48), ("Q8_0", 48), ("Q4_K", 32), ("Q5_K", 32), ("Q6_K", 32),
                           ("IQ4_NL", 48)]:
        kind = getattr(gguf.GGMLQuantizationType, name)
        blocks = golden_blocks(name, n_blocks, rng)
        if name in ("F16", "BF16"):  # every class of number, then random finite ones
            bits = rng.integers(0, 65536, n_blocks).astype(np.uint16)
            mask = 0x7C00 if name == "F16" else 0x7F80
            bits = np.where((bits & mask) == mask, bits & 0x83FF, bits).astype(np.uint16)
            bits[:4] = [0, 0x8000, 1, 0x8001]
            blocks = bits.view(np.uint8).reshape(n_blocks, 2)
        with np.errstate(all="ignore"):
            values, errors = decode(name, blocks), encode_errors(name)
        sections.append(struct.pack("<4I", int(kind), n_blocks, len(values), len(errors))
                        + blocks.tobytes() + values.astype("<f4").tobytes()
                        + struct.pack(f"<{len(errors)}d", *errors))
    for name, (wire_id, _, _, n_blocks) in LATER.items():
        blocks = np.ascontiguousarray(golden_blocks(name, n_blocks, rng))
        with np.errstate(all="ignore"):
            values = decode_later(name, blocks, library)
        sections.append(struct.pack("<4I", wire_id, n_blocks, len(values), 0)
                        + blocks.tobytes() + values.astype("<f4").tobytes())
    with open(path, "wb") as out:
        out.write(b"NBLFMT01" + struct.pack("<I", len(sections)) + b"".join(sections))


if __name__ == "__main__":
    main(*sys.argv[1:])
