"""`nibble embed`: its flags on a tiny encoder, and all-MiniLM-L6-v2 against its reference."""

import array
import json
import math
import os
import re
import struct
import sys
import unittest

from interop import HERE, LIBRARIES, command, missing
from support import TestCase, run

GOLDEN = HERE.parent / "golden"
DEMO_TEXT = HERE.parent / "data" / "demo.txt"
TINY = GOLDEN / "arch" / "bert" / "model.gguf"
MINILM = HERE.parent.parent / ".cache" / "all-MiniLM-L6-v2"


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def many_texts(n_more):
    """The golden texts and the first sentences of the demo's text: 48 are too few to tell encoders
    apart that differ by a few percent."""
    parts = re.split(r"(?<=[.!?])\s+|\n\n", DEMO_TEXT.read_text(encoding="utf-8"))
    sentences = [" ".join(part.split()) for part in parts]
    sentences = [s for s in sentences if 40 <= len(s) <= 200 and not s.startswith("=")]
    golden = (GOLDEN / "minilm_texts.txt").read_text(encoding="utf-8").splitlines()
    return golden + sentences[:n_more]


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

    @staticmethod
    def errors(vectors, reference):
        """Mean of 1 - cosine with the reference, and mean |cosine - cosine of the reference| over
        all pairs of sentences."""
        own = [1.0 - dot(a, b) for a, b in zip(vectors, reference)]
        pairs = [abs(dot(vectors[i], vectors[j]) - dot(reference[i], reference[j]))
                 for i in range(len(vectors)) for j in range(i)]
        return sum(own) / len(own), sum(pairs) / len(pairs)

    @unittest.skipIf(missing(), missing())
    def test_quantized_files_are_no_further_off_than_those_of_llama_cpp(self):
        source = self.dir / "f32.gguf"
        self.run_ok(["convert", MINILM, source, "--to", "F32"])
        texts = self.dir / "texts"
        texts.write_text("\n".join(many_texts(152)) + "\n", encoding="utf-8")
        reference = self.embed(source, texts=texts)
        self.assertEqual(len(reference), 200)
        for kind in "Q8_0", "Q4_0", "Q4_1", "IQ4_NL":  # the same type for every tensor in both
            ours, theirs = self.dir / f"ours-{kind}.gguf", self.dir / f"theirs-{kind}.gguf"
            self.run_ok(["quantize", source, ours, kind])
            command([sys.executable, HERE / "llama_quantize.py", LIBRARIES, source, theirs, kind],
                    f"llama.cpp to {kind}")
            a, a_pairs = self.errors(self.embed(ours, "--float-activations", texts=texts),
                                     reference)
            b, b_pairs = self.errors(self.embed(theirs, "--float-activations", texts=texts),
                                     reference)
            as_is, _ = self.errors(self.embed(ours, texts=texts), reference)
            print(f"{kind}: mean cosine error {a:.5f} (8-bit activations {as_is:.5f}), pairs "
                  f"{a_pairs:.5f}; quantized by llama.cpp {b:.5f}, pairs {b_pairs:.5f}", flush=True)
            # Where both encoders are as good, chance decides by some percent: Q8_0 is rounding to
            # nearest, IQ4_NL the same search. The others are ahead by more than that.
            chance = 1.05 if kind in ("Q8_0", "IQ4_NL") else 1.0
            self.assertLessEqual(a, b * chance, kind)
            self.assertLessEqual(a_pairs, b_pairs * 1.05, kind)


if __name__ == "__main__":
    unittest.main()
