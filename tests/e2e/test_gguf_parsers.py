"""Files that nibble writes, taken apart byte by byte by a reader that shares no code with it and
allows less than the format does: everything in order, aligned, without gaps, padded with zeros."""

import math
import os
import struct
import subprocess
import unittest
from pathlib import Path

from support import (ARRAY, BOOL, F32, I32, STRING, TYPE_NAMES, U32, U64, Gguf, TestCase, TinyModel,
                     tensor_bytes)

LAB = os.environ.get("NIBBLE_LAB_BIN", "")
U8, I8, U16, I16, I64, F64 = 0, 1, 2, 3, 11, 12
SCALARS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", U64: "Q", I64: "q",
           F64: "d"}

# A value of every kind, at the ends of its range.
EVERY_KIND = [
    ("test.u8", U8, 255), ("test.i8", I8, -128), ("test.u16", U16, 65535),
    ("test.i16", I16, -32768), ("test.u32", U32, 2**32 - 1), ("test.i32", I32, -2**31),
    ("test.u64", U64, 2**64 - 1), ("test.i64", I64, -2**63), ("test.f32", F32, -0.0),
    ("test.f32.infinite", F32, math.inf), ("test.f64", F64, 5e-324), ("test.true", BOOL, True),
    ("test.false", BOOL, False), ("test.text", STRING, "naïve 日本 🙂\0 after a zero"),
    ("test.text.empty", STRING, ""), ("test.list.u8", (ARRAY, U8), [0, 1, 255]),
    ("test.list.u64", (ARRAY, U64), [2**63, 0]), ("test.list.f64", (ARRAY, F64), [0.1, -1e300]),
    ("test.list.bool", (ARRAY, BOOL), [True, False, True]),
    ("test.list.text", (ARRAY, STRING), ["", "ä", "x" * 1000]),
    ("test.list.empty", (ARRAY, I16), []), ("test.list.no.text", (ARRAY, STRING), []),
]


class Layout:
    """metadata: [(key, kind, value)] in order; tensors: [(name, type, shape, begin, end)] in order,
    begin and end as offsets in the file. ValueError where the bytes are not as they should be."""

    def __init__(self, path):
        self.data = Path(path).read_bytes()
        self.at = 0
        magic, version, n_tensors, n_kv = self.take("4sIQQ")
        if (magic, version) != (b"GGUF", 3):
            raise ValueError(f"begins with {magic!r}, version {version}")
        self.metadata = [(self.text(), *self.value(*self.take("I"))) for _ in range(n_kv)]
        keys = [key for key, _, _ in self.metadata]
        if len(set(keys)) != len(keys):
            raise ValueError("a key occurs twice")
        alignment = dict(zip(keys, (v for _, _, v in self.metadata))).get("general.alignment", 32)
        records = []
        for _ in range(n_tensors):
            name, (n_dims,) = self.text(), self.take("I")
            records.append((name, list(self.take(f"{n_dims}Q")), *self.take("IQ")))
        if len({name for name, *_ in records}) != n_tensors:
            raise ValueError("a tensor occurs twice")
        start = self.pad(self.at, alignment)
        self.tensors, end = [], start
        for name, shape, kind, offset in records:
            begin = self.pad(end, alignment)
            if start + offset != begin:
                raise ValueError(f"{name} is at {start + offset}, not at {begin}")
            end = begin + tensor_bytes(TYPE_NAMES[kind], shape)
            self.tensors.append((name, TYPE_NAMES[kind], shape, begin, end))
        if self.pad(end, alignment) != len(self.data):
            raise ValueError(f"{len(self.data)} bytes; the last tensor ends at {end}")

    def pad(self, at, alignment):
        """Where the next aligned thing begins; only zeros lie before it."""
        end = -(-at // alignment) * alignment
        if self.data[at:end] != bytes(end - at):
            raise ValueError(f"padding at {at} is cut, or not of zeros")
        return end

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def text(self):
        (length,) = self.take("Q")
        return self.take(f"{length}s")[0].decode()

    def value(self, kind):
        if kind == STRING:
            return kind, self.text()
        if kind == BOOL:
            (byte,) = self.take("B")
            if byte > 1:
                raise ValueError(f"a truth value of {byte}")
            return kind, byte == 1
        if kind == ARRAY:
            element, count = self.take("IQ")
            return (ARRAY, element), [self.value(element)[1] for _ in range(count)]
        return kind, self.take(SCALARS[kind])[0]


class GgufParsersTest(TestCase):
    RECIPES = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_NL")

    def quantize(self, source, to):
        path = self.dir / f"{source.stem}-{to}.gguf"
        self.run_ok(["quantize", source, path, "--to", to])
        return path

    def assert_same_content(self, layout, path):
        """The two readers of these tests agree on what the file holds."""
        other = Gguf(path)
        self.assertEqual([(name, (kind, shape, layout.data[begin:end]))
                          for name, kind, shape, begin, end in layout.tensors],
                         list(other.tensors.items()))
        self.assertEqual({key: value for key, _, value in layout.metadata}, other.metadata)

    def test_every_type_has_a_clean_layout(self):
        # Rows of 64 and 128 and a vocabulary of 301: tensors that do not end on the alignment.
        small = TinyModel(vocab_size=301).save(self.dir / "small.gguf")
        wide = TinyModel("F16", d_model=256, d_ff=512, n_layers=1).save(self.dir / "wide.gguf")
        for source in (small, wide):
            names = [name for name, *_ in Layout(source).tensors]
            for to in self.RECIPES:
                with self.subTest(source=source.name, to=to):
                    path = self.quantize(source, to)
                    layout = Layout(path)
                    self.assertEqual([name for name, *_ in layout.tensors], names)
                    self.assert_same_content(layout, path)

    def test_metadata_keeps_kind_value_and_order(self):
        model = TinyModel()
        model.metadata += [list(entry) for entry in EVERY_KIND]
        for version in (2, 3):
            with self.subTest(version=version):
                source = model.save(self.dir / f"v{version}.gguf", version=version)
                layout = Layout(self.quantize(source, "Q8_0"))
                own = {"general.file_type", "general.quantization_version"}
                self.assertEqual(
                    [entry for entry in layout.metadata if entry[0] not in own],
                    [(key, kind, value if kind != F32 else
                      struct.unpack("<f", struct.pack("<f", value))[0])
                     for key, kind, value in model.metadata if key not in own])
                values = {key: value for key, _, value in layout.metadata}
                self.assertEqual(math.copysign(1, values["test.f32"]), -1)
                kinds = {key: kind for key, kind, _ in layout.metadata}
                self.assertEqual({kinds[key] for key in own}, {U32})

    def test_alignment_of_the_source_is_kept(self):
        for alignment in (8, 32, 64, 4096):
            with self.subTest(alignment=alignment):
                model = TinyModel(vocab_size=301).set("general.alignment", alignment, U32)
                source = model.save(self.dir / f"a{alignment}.gguf", alignment=alignment)
                path = self.quantize(source, "Q4_0")
                layout = Layout(path)
                self.assertIn(("general.alignment", U32, alignment), layout.metadata)
                self.assertTrue(all(begin % alignment == 0 for *_, begin, _ in layout.tensors))
                self.assert_same_content(layout, path)

    @unittest.skipUnless(LAB and os.access(LAB, os.X_OK), "NIBBLE_LAB_BIN names no program")
    def test_models_of_the_lab_have_a_clean_layout(self):
        for to in ("F32", "Q4_K_M"):
            with self.subTest(to=to):
                path = self.dir / f"lab-{to}.gguf"
                subprocess.run([LAB, "shape", "--preset", "tiny", "--type", to, path], check=True,
                               capture_output=True, timeout=120)
                self.assert_same_content(Layout(path), path)


if __name__ == "__main__":
    unittest.main()
