"""Puts blocks that llama.cpp encoded into a model: files in types that nibble only reads.

    python3 foreign_blocks.py LIBRARIES IN.gguf OUT.gguf TYPE REGEX [IMATRIX.gguf]

LIBRARIES holds libggml-base.so, as scripts/setup_interop installs it. Tensors of IN whose names
REGEX matches, in F32, become TYPE; IMATRIX is what `nibble calibrate` writes (without: all ones).
"""

import array
import ctypes
import re
import sys

from support import TYPES, Gguf, n_elements, tensor_bytes, unpack_floats, write_gguf


def encoder(libraries):
    library = ctypes.CDLL(f"{libraries}/libggml-base.so")
    chunk = library.ggml_quantize_chunk
    chunk.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64,
                      ctypes.c_int64, ctypes.c_int64, ctypes.c_char_p]
    chunk.restype = ctypes.c_size_t

    def encode(kind, shape, data, importance):
        out = ctypes.create_string_buffer(tensor_bytes(kind, shape))
        size = chunk(TYPES[kind][0], data, out, 0, n_elements(shape) // shape[0], shape[0],
                     importance)
        if size != len(out):
            sys.exit(f"foreign_blocks: {kind}: {size} bytes, not {len(out)}")
        return out.raw

    return encode


def importance_of(matrix, name, width):
    if matrix is None:
        return array.array("f", [1.0] * width).tobytes()
    (count,) = unpack_floats("F32", matrix.tensors[name + ".counts"][2])
    sums = unpack_floats("F32", matrix.tensors[name + ".in_sum2"][2])
    return array.array("f", [v / count for v in sums]).tobytes()


def main(libraries, source, target, kind, pattern, imatrix=None):
    model, matrix = Gguf(source), Gguf(imatrix) if imatrix else None
    encode = encoder(libraries)
    tensors, n_changed = [], 0
    for name, (old, shape, data) in model.tensors.items():
        if re.search(pattern, name) and len(shape) > 1:
            if old != "F32":
                sys.exit(f"foreign_blocks: {name} is {old}, not F32")
            data = encode(kind, shape, data, importance_of(matrix, name, shape[0]))
            old, n_changed = kind, n_changed + 1
        tensors.append((name, old, shape, data))
    if n_changed == 0:
        sys.exit(f"foreign_blocks: {pattern!r} matches no tensor")
    write_gguf(target, model, tensors)


if __name__ == "__main__":
    main(*sys.argv[1:])
