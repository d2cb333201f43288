"""`nibble calibrate` from outside: the file it writes, and requests that it refuses."""

import random
import unittest

from support import Gguf, TestCase, TinyModel, unpack_floats


class CalibrateTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = TinyModel("F16", d_model=64, n_layers=2).save(self.dir / "model.gguf")
        rng = random.Random(3)
        words = ["the", "and", "ing", "of", "to", "with", "that", "was", "xyz"]
        text = " ".join(rng.choice(words) for _ in range(600))
        self.text = self.dir / "text.txt"
        self.text.write_text(f" = A title = \n{text}\n")

    def calibrate(self, *arguments):
        out = self.dir / "imatrix.gguf"
        self.run_ok(["calibrate", self.model, "--text", self.text, "-o", out, *arguments])
        return Gguf(out)

    def test_sums_and_counts_for_every_matrix(self):
        matrix, model = self.calibrate("--chunk", "64"), Gguf(self.model)
        self.assertEqual(matrix.metadata["general.type"], "imatrix")
        self.assertEqual(matrix.metadata["imatrix.datasets"], ["text.txt"])
        self.assertEqual(matrix.metadata["imatrix.chunk_size"], 64)
        chunks = matrix.metadata["imatrix.chunk_count"]
        self.assertGreater(chunks, 2)
        wanted = {name for name, (_, shape, _) in model.tensors.items()
                  if len(shape) == 2 and name != "token_embd.weight"}
        self.assertEqual({n.removesuffix(".in_sum2") for n in matrix.tensors
                          if n.endswith(".in_sum2")}, wanted)
        for name in wanted:
            kind, shape, data = matrix.tensors[name + ".in_sum2"]
            self.assertEqual((kind, shape), ("F32", [model.tensors[name][1][0], 1]), name)
            self.assertTrue(all(v > 0 for v in unpack_floats("F32", data)), name)
            kind, shape, data = matrix.tensors[name + ".counts"]
            self.assertEqual((kind, shape), ("F32", [1, 1]), name)
            (count,) = unpack_floats("F32", data)
            self.assertTrue(64 * (chunks - 1) < count <= 64 * chunks, name)

    def test_bad_requests(self):
        out = self.dir / "imatrix.gguf"
        self.assert_error(["calibrate", self.model, "--text", self.dir / "none.txt", "-o", out], 3,
                          "none.txt")
        self.assert_error(["calibrate", self.model, "--text", self.text, "-o", self.model], 2,
                          "model.gguf")
        self.assert_error(["calibrate", self.model, "--text", self.text, "-o", self.text], 2,
                          "text.txt")
        self.text.write_text("too little")
        self.assert_error(["calibrate", self.model, "--text", self.text, "-o", out], 1, "text.txt")
        self.assert_error(["calibrate", self.text, "--text", self.text, "-o", out], 4, "text.txt")


if __name__ == "__main__":
    unittest.main()
