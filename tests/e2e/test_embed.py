"""`nibble embed`: its flags on a tiny encoder, and all-MiniLM-L6-v2 against its reference."""

import array
import json
import math
import os
import struct
import sys
import unittest

import minilm_draws
from interop import HERE, missing
from support import TestCase, run

GOLDEN = HERE.parent / "golden"
TINY = GOLDEN / "arch" / "bert" / "model.gguf"
MINILM = HERE.parent.parent / ".cache" / "all-MiniLM-L6-v2"


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


class EmbedTest(TestCase):
    def vectors(self, arguments, **options):
        code, out, err = run(["embed", *arguments], **options)
        self.assertEqual(code, 0, err)
        return [[float(x) for x in line.split()] for line in out.splitlines()]

    def test_texts_from_arguments_standard_input_and_a_file(self):
        texts = ["a b c", "on the an"]
        expected = self.vectors([TINY, *texts])
        self.assertEqual([len(v) for v in expected], [32, 32])
        for vector in expected:
            self.assertAlmostEqual(dot(vector, vector), 1.0, places=5)
        self.assertEqual(self.vectors([TINY], input="a b c\r\non the an\n"), expected)
        (self.dir / "texts").write_text("a b c\non the an")
        self.assertEqual(self.vectors([TINY, "-f", self.dir / "texts"]), expected)
        document = json.loads(self.run_ok(["embed", TINY, *texts, "--json"]))
        self.assertEqual(document["architecture"], "bert")
        self.assertEqual(document["width"], 32)
        self.assertEqual([e["index"] for e in document["embeddings"]], [0, 1])
        for entry, vector in zip(document["embeddings"], expected):
            for x, y in zip(entry["embedding"], vector):
                self.assertAlmostEqual(x, y, places=6)

    def test_pooling_and_length(self):
        by_default = self.vectors([TINY, "a b c"])
        self.assertEqual(self.vectors([TINY, "a b c", "--pooling", "mean"]), by_default)
        cls, last = (self.vectors([TINY, "a b c", "--pooling", p])[0] for p in ("cls", "last"))
        self.assertLess(dot(cls, last), 0.999)
        raw = self.vectors([TINY, "a b c", "--no-normalize"])[0]
        length = math.sqrt(dot(raw, raw))
        self.assertGreater(abs(length - 1.0), 0.01)
        self.assertAlmostEqual(dot(raw, by_default[0]), length, places=4)

    def test_errors(self):
        for arguments, code, part in [
                ([TINY], 2, "there is no text"),
                ([TINY, "a", "--pooling", "sum"], 2, "--pooling"),
                ([TINY, "a b c d", "-c", "4"], 1, "1 to 4 are allowed"),
                ([TINY, "a", "-c", "999"], 1, "at most 256 tokens"),
                ([self.dir / "none.gguf", "a"], 3, "none.gguf")]:
            result, out, err = run(["embed", *arguments])
            self.assertEqual((result, out), (code, ""), err)
            self.assertIn(part, err)
        self.assertEqual(self.vectors([TINY, "a b c d", "-c", "4", "--cut"]),
                         self.vectors([TINY, "a b"]))
        code, _, err = run(["run", TINY, "-p", "a"])
        self.assertEqual(code, 1)
        self.assertIn("nibble embed", err)


@unittest.skipUnless(MINILM.is_dir(), f"{MINILM} is missing; run scripts/fetch_minilm")
class MiniLmTest(TestCase):
    @classmethod
    def setUpClass(cls):
        data = (GOLDEN / "minilm_embeddings.bin").read_bytes()
        assert data[:8] == b"NBLVEC01"
        n, width = struct.unpack_from("<2I", data, 8)
        values = array.array("f", data[16:])
        if sys.byteorder == "big":
            values.byteswap()
        cls.reference = [values[i * width:(i + 1) * width] for i in range(n)]

    def embed(self, model, *flags, texts=GOLDEN / "minilm_texts.txt"):
        out = self.run_ok(["embed", model, "-f", texts, "--json", *flags])
        return [e["embedding"] for e in json.loads(out)["embeddings"]]

    def test_f32_equals_the_reference(self):
        self.run_ok(["convert", MINILM, self.dir / "f32.gguf", "--to", "F32"])
        for model in MINILM, self.dir / "f32.gguf":
            vectors = self.embed(model)
            self.assertEqual(len(vectors), len(self.reference))
            cosines = [dot(a, b) for a, b in zip(vectors, self.reference)]
            print(f"{os.path.basename(model)}: least cosine {min(cosines):.9f}", flush=True)
            self.assertGreater(min(cosines), 0.99999)

    @unittest.skipIf(missing(), missing())
    def test_quantized_files_are_no_further_off_than_those_of_llama_cpp(self):
        source = self.dir / "f32.gguf"
        self.run_ok(["convert", MINILM, source, "--to", "F32"])
        draws = [minilm_draws.measure(self.run_ok, source, seed, minilm_draws.KINDS, self.dir)
                 for seed in range(4)]
        for kind in minilm_draws.KINDS:
            mean = minilm_draws.means([draw[kind] for draw in draws])
            print(kind, {key: round(value, 5) for key, value in mean.items()}, flush=True)
            self.assertLessEqual(mean["nibble"], mean["llama_cpp"], kind)
            self.assertLessEqual(mean["nibble_pairs"], mean["llama_cpp_pairs"], kind)

    def test_a_draw_is_the_same_function(self):
        source, draw = self.dir / "f32.gguf", self.dir / "draw.gguf"
        self.run_ok(["convert", MINILM, source, "--to", "F32"])
        minilm_draws.write_draw(source, draw, 1)
        vectors = [self.embed(path) for path in (source, draw)]
        self.assertGreater(max(abs(a - b) for a, b in zip(vectors[0][0], vectors[1][0])), 0.01)
        for i, j in (1, 0), (2, 0), (2, 1):
            self.assertAlmostEqual(dot(vectors[0][i], vectors[0][j]),
                                   dot(vectors[1][i], vectors[1][j]), places=5)


if __name__ == "__main__":
    unittest.main()
