"""What the end-to-end tests share: running the program, and models small enough to write here.

Only Python's own library. The GGUF writer and reader below know nothing of nibble's code: they are
a second, independent reading of the file format.
"""

import array
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

NIBBLE = os.environ.get("NIBBLE_BIN", "")

# A child gets SIGINT's default action even if this process was started with it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)


def run(arguments, input=None, timeout=120, env=None, binary=False):
    """Runs `nibble ARGUMENTS...`: (exit code, standard output, standard error)."""
    result = subprocess.run(
        [NIBBLE, *map(str, arguments)],
        input=input.encode() if isinstance(input, str) else (input or b""),
        capture_output=True, timeout=timeout, check=False,
        env={**os.environ, **(env or {})})
    if binary:
        return result.returncode, result.stdout, result.stderr
    return (result.returncode, result.stdout.decode("utf-8", "replace"),
            result.stderr.decode("utf-8", "replace"))


class TestCase(unittest.TestCase):
    """A temporary folder per test, and the assertions every error path shares."""

    def setUp(self):
        if not NIBBLE or not os.access(NIBBLE, os.X_OK):
            self.fail("NIBBLE_BIN does not name the built program; run by ctest")
        self.dir = Path(tempfile.mkdtemp(prefix="nibble-e2e-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def run_ok(self, arguments, **options):
        code, out, err = run(arguments, **options)
        self.assertEqual(code, 0, f"{arguments}: exit {code}\n{err!r}")
        return out

    def run_json(self, arguments, **options):
        """Standard output must be one JSON document and nothing else."""
        out = self.run_ok([*arguments, "--json"], **options)
        return json.loads(out)

    def listing(self, folder=None):
        return sorted(p.relative_to(folder or self.dir).as_posix()
                      for p in (folder or self.dir).rglob("*"))

    def assert_error(self, arguments, code, *names, **options):
        """Exit code, one line that names the thing, silence on standard output, nothing left."""
        before = self.listing()
        actual, out, err = run(arguments, **options)
        what = f"nibble {' '.join(map(str, arguments))}\nexit {actual}, stderr: {err!r}"
        self.assertEqual(actual, code, what)
        self.assertEqual(out, "", what)
        lines = err.splitlines()
        self.assertEqual(len(lines), 1, what)
        self.assertRegex(lines[0], r"^(nibble\b|error\b)", what)
        for name in names:
            self.assertRegex(lines[0], re.escape(str(name)), what)
        self.assertEqual(self.listing(), before, what)
        return lines[0]


# ---------------------------------------------------------------- GGUF, written

U32, F32, BOOL, STRING, ARRAY, U64, I32 = 4, 6, 7, 8, 9, 10, 5
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}

# name: (wire id, weights per block, bytes per block)
TYPES = {
    "F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20),
    "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "IQ4_NL": (20, 32, 18), "BF16": (30, 1, 2),
    "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "IQ4_XS": (23, 256, 136),
    "TQ1_0": (34, 256, 54), "TQ2_0": (35, 256, 66), "MXFP4": (39, 32, 17),
    "IQ2_XXS": (16, 256, 66), "IQ2_XS": (17, 256, 74), "IQ3_XXS": (18, 256, 98),
    "IQ1_S": (19, 256, 50), "IQ3_S": (21, 256, 110), "IQ2_S": (22, 256, 82),
    "IQ1_M": (29, 256, 56), "NVFP4": (40, 64, 36), "Q1_0": (41, 128, 18), "Q2_0": (42, 64, 18),
}
TYPE_NAMES = {wire_id: name for name, (wire_id, _, _) in TYPES.items()}


def pack_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    """The bytes of one metadata value. An array's kind is (ARRAY, kind of its elements)."""
    if isinstance(kind, tuple):
        body = b"".join(pack_value(kind[1], v)[4:] for v in value)
        return struct.pack("<IIQ", ARRAY, kind[1], len(value)) + body
    if kind == STRING:
        return struct.pack("<I", STRING) + pack_string(value)
    return struct.pack("<I" + _SCALARS[kind], kind, value)


def write_gguf(path, metadata, tensors, version=3, alignment=32):
    """metadata: [(key, kind, value)], or a Gguf whose metadata to take; tensors: [(name, type name
    or id, shape, bytes or chunks)], shape in GGUF order, fastest first."""
    offset, table, sizes = 0, b"", []
    for name, kind, shape, data in tensors:
        size = len(data) if isinstance(data, (bytes, bytearray)) else sum(map(len, data))
        wire_id = TYPES[kind][0] if isinstance(kind, str) else kind
        table += pack_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, wire_id,
                                                 offset)
        sizes.append(size)
        offset += -(-size // alignment) * alignment
    if isinstance(metadata, Gguf):
        n_entries, entries = len(metadata.metadata), metadata.metadata_bytes
    else:
        n_entries = len(metadata)
        entries = b"".join(pack_string(k) + pack_value(kind, v) for k, kind, v in metadata)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), n_entries) + entries + table
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % alignment))
        for (_, _, _, data), size in zip(tensors, sizes):
            for chunk in [data] if isinstance(data, (bytes, bytearray)) else data:
                file.write(chunk)
            file.write(bytes(-size % alignment))
    return path


# ---------------------------------------------------------------- GGUF, read

class Gguf:
    """A GGUF file: .version, .metadata {key: value}, .tensors {name: (type, shape, bytes)}."""

    def __init__(self, path):
        self._data = Path(path).read_bytes()
        self._at = 4
        if self._data[:4] != b"GGUF":
            raise ValueError(f"{path}: no GGUF magic")
        self.version, n_tensors, n_kv = self._take("IQQ")
        self.metadata = {}
        begin = self._at
        for _ in range(n_kv):
            key = self._string()
            (kind,) = self._take("I")
            self.metadata[key] = self._value(kind)
        self.metadata_bytes = self._data[begin:self._at]
        records = []
        for _ in range(n_tensors):
            name = self._string()
            (n_dims,) = self._take("I")
            shape = self._take(f"{n_dims}Q")
            wire_id, offset = self._take("IQ")
            records.append((name, wire_id, shape, offset))
        alignment = self.metadata.get("general.alignment", 32)
        start = -(-self._at // alignment) * alignment
        self.tensors = {}
        for name, wire_id, shape, offset in records:
            kind = TYPE_NAMES[wire_id]
            size = tensor_bytes(kind, shape)
            data = self._data[start + offset:start + offset + size]
            if len(data) != size:
                raise ValueError(f"{path}: {name} is cut")
            self.tensors[name] = (kind, list(shape), data)

    def _take(self, layout):
        values = struct.unpack_from("<" + layout, self._data, self._at)
        self._at += struct.calcsize("<" + layout)
        return values

    def _string(self):
        (length,) = self._take("Q")
        self._at += length
        return self._data[self._at - length:self._at].decode()

    def _value(self, kind):
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            element, count = self._take("IQ")
            return [self._value(element) for _ in range(count)]
        return self._take(_SCALARS[kind])[0]


def n_elements(shape):
    count = 1
    for dim in shape:
        count *= dim
    return count


def tensor_bytes(kind, shape):
    _, block, size = TYPES[kind]
    return n_elements(shape) // block * size


def pack_floats(kind, values):
    """Numbers -> bytes of an F32, F16 or BF16 tensor, rounded to nearest, ties to even."""
    if kind == "F32":
        data = array.array("f", values)
        if sys.byteorder == "big":
            data.byteswap()
        return data.tobytes()
    if kind == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    bits = struct.unpack(f"<{len(values)}I", pack_floats("F32", values))
    return struct.pack(f"<{len(values)}H", *((b + 0x7FFF + (b >> 16 & 1)) >> 16 for b in bits))


def unpack_floats(kind, data):
    """Bytes of an F32, F16, BF16, Q8_0 or Q4_0 tensor -> numbers."""
    if kind in ("F32", "F16"):
        return list(struct.unpack(f"<{len(data) // (4 if kind == 'F32' else 2)}"
                                  f"{'f' if kind == 'F32' else 'e'}", data))
    if kind == "BF16":
        bits = struct.unpack(f"<{len(data) // 2}H", data)
        return list(struct.unpack(f"<{len(bits)}f", struct.pack(f"<{len(bits)}I",
                                                                *(b << 16 for b in bits))))
    values = []
    if kind == "Q8_0":
        for scale, *codes in struct.iter_unpack("<e32b", data):
            values += [scale * code for code in codes]
        return values
    if kind == "Q4_0":
        for scale, *codes in struct.iter_unpack("<e16B", data):
            values += [scale * ((c & 15) - 8) for c in codes]
            values += [scale * ((c >> 4) - 8) for c in codes]
        return values
    raise ValueError(kind)


# ---------------------------------------------------------------- a vocabulary

def byte_letters():
    """Byte-level BPE writes each byte as one printable letter; GPT-2's table."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in printable}
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + len(letters) - len(printable))
    return [letters[b] for b in range(256)]


SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def vocabulary(size=300):
    """(tokens, types, merges): three control tokens, 256 bytes, merged pairs up to `size`."""
    letters = byte_letters()
    tokens = SPECIALS + letters
    merges = []
    words = "the and ing of to in is it on that for as with his he was be at by an".split()
    for word in words:
        parts = [letters[32], *word]
        while len(parts) > 1 and len(tokens) < size:
            joined = parts[0] + parts[1]
            if joined not in tokens:
                merges.append(f"{parts[0]} {parts[1]}")
                tokens.append(joined)
            parts[:2] = [joined]
    types = [3] * len(SPECIALS) + [1] * (len(tokens) - len(SPECIALS))
    while len(tokens) < size:
        types.append(5)
        tokens.append(f"<unused{len(tokens)}>")
    return tokens, types, merges


# ---------------------------------------------------------------- a Llama model

class TinyModel:
    """A Llama model with random weights, as parts that a test may bend before save().

    metadata: list of [key, kind, value]; tensors: list of [name, type, shape, data].
    """

    def __init__(self, kind="F32", d_model=64, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=128,
                 n_ctx=256, vocab_size=300, tied=False, seed=1, pool=None):
        self.rng = random.Random(seed)
        self.kind = kind
        self.pool = pool  # generate only so many numbers and repeat them: for large models
        head_dim = d_model // n_heads
        d_kv = head_dim * n_kv_heads
        tokens, types, merges = vocabulary(vocab_size)
        self.metadata = [list(m) for m in (
            ("general.architecture", STRING, "llama"),
            ("general.name", STRING, "tiny"),
            ("general.file_type", U32, {"F32": 0, "F16": 1, "BF16": 32}[kind]),
            ("llama.vocab_size", U32, vocab_size),
            ("llama.context_length", U32, n_ctx),
            ("llama.embedding_length", U32, d_model),
            ("llama.block_count", U32, n_layers),
            ("llama.feed_forward_length", U32, d_ff),
            ("llama.rope.dimension_count", U32, head_dim),
            ("llama.rope.freq_base", F32, 10000.0),
            ("llama.attention.head_count", U32, n_heads),
            ("llama.attention.head_count_kv", U32, n_kv_heads),
            ("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
            ("tokenizer.ggml.model", STRING, "gpt2"),
            ("tokenizer.ggml.pre", STRING, "smollm"),
            ("tokenizer.ggml.tokens", (ARRAY, STRING), tokens),
            ("tokenizer.ggml.token_type", (ARRAY, I32), types),
            ("tokenizer.ggml.merges", (ARRAY, STRING), merges),
            ("tokenizer.ggml.bos_token_id", U32, 1),
            ("tokenizer.ggml.eos_token_id", U32, 2),
            ("tokenizer.ggml.unknown_token_id", U32, 0),
            ("tokenizer.ggml.padding_token_id", U32, 2),
            ("tokenizer.ggml.add_bos_token", BOOL, False),
            ("tokenizer.chat_template", STRING,
             "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
             "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
            ("somebody.elses.key", (ARRAY, 2), [1, 2, 65535]),
        )]
        self.tensors = []
        self._add("token_embd.weight", [d_model, vocab_size], 1.0)
        for i in range(n_layers):
            self._norm(f"blk.{i}.attn_norm.weight", d_model)
            self._linear(f"blk.{i}.attn_q.weight", d_model, d_model)
            self._linear(f"blk.{i}.attn_k.weight", d_model, d_kv)
            self._linear(f"blk.{i}.attn_v.weight", d_model, d_kv)
            self._linear(f"blk.{i}.attn_output.weight", d_model, d_model)
            self._norm(f"blk.{i}.ffn_norm.weight", d_model)
            self._linear(f"blk.{i}.ffn_gate.weight", d_model, d_ff)
            self._linear(f"blk.{i}.ffn_up.weight", d_model, d_ff)
            self._linear(f"blk.{i}.ffn_down.weight", d_ff, d_model)
        self._norm("output_norm.weight", d_model)
        if not tied:
            self._linear("output.weight", d_model, vocab_size)

    def _norm(self, name, n):
        values = [1.0 + self.rng.gauss(0, 0.1) for _ in range(n)]
        self.tensors.append([name, "F32", [n], pack_floats("F32", values)])

    def _linear(self, name, n_in, n_out):
        self._add(name, [n_in, n_out], n_in ** -0.5)

    def _add(self, name, shape, sigma):
        count = n_elements(shape)
        values = [self.rng.gauss(0, sigma) for _ in range(min(count, self.pool or count))]
        data = pack_floats(self.kind, values)
        if len(values) < count:
            size = count * (len(data) // len(values))
            data = [data] * (size // len(data)) + [data[:size % len(data)]]
        self.tensors.append([name, self.kind, shape, data])

    def set(self, key, value, kind=None):
        for entry in self.metadata:
            if entry[0] == key:
                entry[2] = value
                entry[1] = entry[1] if kind is None else kind
                return self
        self.metadata.append([key, kind, value])
        return self

    def drop(self, name):
        """Removes a tensor or a metadata key."""
        self.tensors = [t for t in self.tensors if t[0] != name]
        self.metadata = [m for m in self.metadata if m[0] != name]
        return self

    def tensor(self, name):
        return next(t for t in self.tensors if t[0] == name)

    def save(self, path, **options):
        return write_gguf(path, self.metadata, self.tensors, **options)
