#!/usr/bin/env python3
"""Writes codebook_formats.bin: golden values of the codebook formats (IQ1, IQ2, IQ3).

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 numpy
    venv/bin/python tests/golden/make_codebook_golden.py tests/golden/codebook_formats.bin [LIBRARY]

Same file format as formats.bin (make_format_golden.py), no encode errors. The blocks reach every
grid index, every sign byte, every scale and both shifts; values come from `gguf.quants.dequantize`.
With LIBRARY (libggml-base.so of llama.cpp) the values are compared with that library's
to_float functions, bit for bit.
"""

import ctypes
import struct
import sys

import gguf
import numpy as np

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from make_format_golden import f16_scales  # noqa: E402

GRID_SIZES = {"IQ1_S": 2048, "IQ1_M": 2048, "IQ2_XXS": 256, "IQ2_XS": 512, "IQ2_S": 1024,
              "IQ3_XXS": 256, "IQ3_S": 512}


def bytes_of(array):
    return array.reshape(len(array), -1).view(np.uint8)


def golden_blocks(name, rng):
    """[n_blocks, bytes]: fields as drawn in src/formats/blocks_codebook.h. Grid indices walk through
    the whole grid, all else is random where it has no walk of its own."""
    size = GRID_SIZES[name]
    per_block = 64 if name.startswith("IQ3") else 32
    n = max(size // per_block, 24)
    index = (np.arange(n * per_block, dtype=np.uint32) * 5 % size).reshape(n, 8, -1)
    signs = (np.arange(n * 32, dtype=np.uint32) * 3 % 256).reshape(n, 8, 4)
    s16 = (np.arange(n * 16, dtype=np.uint32) % 16 + np.arange(n * 16) // 256).reshape(n, 8, 2) % 16
    d = bytes_of(f16_scales(n, rng).reshape(n, 1))
    low = bytes_of((index & 255).astype(np.uint8))
    seven = signs & 127
    packed = sum(seven[..., k].astype(np.uint32) << (7 * k) for k in range(4))
    packed = bytes_of(packed | s16[..., 0].astype(np.uint32) << 28)
    scales = bytes_of((s16[..., 0] | s16[..., 1] << 4).astype(np.uint8))
    sign_bytes = bytes_of(signs.astype(np.uint8))
    high = index >> 8
    if name == "IQ2_XXS":
        both = np.concatenate([low.reshape(n, 8, 4), packed.reshape(n, 8, 4)], axis=2)
        return np.hstack([d, both.reshape(n, -1)])
    if name == "IQ2_XS":
        return np.hstack([d, bytes_of((index | seven << 9).astype(np.uint16)), scales])
    if name == "IQ2_S":
        qh = sum(high[..., k] << (2 * k) for k in range(4)).astype(np.uint8)
        return np.hstack([d, low, sign_bytes, bytes_of(qh), scales])
    if name == "IQ3_XXS":
        return np.hstack([d, low, packed])
    if name == "IQ3_S":
        qh = sum(high[..., k] << k for k in range(8)).astype(np.uint8)
        pairs = s16[..., 0].reshape(n, 4, 2)
        return np.hstack([d, low, bytes_of(qh), sign_bytes,
                          bytes_of((pairs[..., 0] | pairs[..., 1] << 4).astype(np.uint8))])
    delta = rng.integers(0, 2, (n, 8, 4)).astype(np.uint32)
    if name == "IQ1_S":
        qh = sum(high[..., k] << (3 * k) for k in range(4)) | (s16[..., 0] & 7) << 12
        return np.hstack([d, low, bytes_of((qh | delta[..., 0] << 15).astype(np.uint16))])
    nibbles = high | delta << 3  # IQ1_M
    qh = bytes_of((nibbles[..., 0::2] | nibbles[..., 1::2] << 4).astype(np.uint8))
    s3 = (s16 & 7).reshape(n, 4, 4)
    words = sum(s3[..., k] << (3 * k) for k in range(4)).astype(np.uint32)
    d16 = d.view(np.uint16).astype(np.uint32)
    words |= np.hstack([(d16 >> (4 * k) & 15) << 12 for k in range(4)])
    return np.hstack([low, qh, bytes_of(words.astype(np.uint16))])


def main(path, library=None):
    rng = np.random.default_rng(21)
    sections = []
    for name in GRID_SIZES:
        kind = getattr(gguf.GGMLQuantizationType, name)
        blocks = np.ascontiguousarray(golden_blocks(name, rng)).astype(np.uint8)
        assert blocks.shape[1] == gguf.GGML_QUANT_SIZES[kind][1], name
        values = gguf.quants.dequantize(blocks, kind).astype("<f4").reshape(-1)
        if library:
            other = np.zeros_like(values)
            to_float = getattr(ctypes.CDLL(library), "dequantize_row_" + name.lower())
            to_float(blocks.ctypes.data_as(ctypes.c_void_p), other.ctypes.data_as(ctypes.c_void_p),
                     ctypes.c_int64(len(values)))
            different = int(np.sum(values.view(np.uint32) != other.view(np.uint32)))
            print(f"{name}: {len(blocks)} blocks, {different} of {len(values)} values differ")
        sections.append(struct.pack("<4I", int(kind), len(blocks), len(values), 0)
                        + blocks.tobytes() + values.tobytes())
    with open(path, "wb") as out:
        out.write(b"NBLFMT01" + struct.pack("<I", len(sections)) + b"".join(sections))


if __name__ == "__main__":
    main(*sys.argv[1:])
