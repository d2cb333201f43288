"""nibble-lab from outside: exit codes, messages, and that nibble reads what it writes."""

import os
import subprocess
import unittest

import support

LAB = os.environ.get("NIBBLE_LAB_BIN", "")


def lab(*arguments, env=None):
    result = subprocess.run([LAB, *map(str, arguments)], capture_output=True, text=True,
                            timeout=120, check=False, env={**os.environ, **(env or {})})
    return result.returncode, result.stdout, result.stderr


class LabTest(support.TestCase):

    def setUp(self):
        super().setUp()
        if not LAB or not os.access(LAB, os.X_OK):
            self.fail("NIBBLE_LAB_BIN does not name the built program; run by ctest")

    def make(self, name, *arguments):
        path = self.dir / name
        code, out, err = lab(*arguments, path)
        self.assertEqual((code, out), (0, ""), err)
        return path

    def assert_refused(self, code, name, *arguments, env=None):
        before = self.listing()
        actual, out, err = lab(*arguments, env=env)
        self.assertEqual((actual, out), (code, ""), f"{arguments}: {err}")
        self.assertRegex(err, r"\Anibble-lab: [^\n]*\n\Z")
        self.assertIn(name, err)
        self.assertEqual(self.listing(), before)

    def test_a_shape_is_what_inspect_says(self):
        model = self.make("tiny.gguf", "shape", "--preset", "tiny", "--type", "Q4_K_M",
                          "--ctx", "128")
        report = self.run_json(["inspect", model])
        self.assertEqual(report["architecture"], "llama")
        self.assertEqual(report["context_length"], 128)
        self.assertEqual(report["file_bytes"], model.stat().st_size)
        types = {tensor["name"]: tensor["type"] for tensor in report["tensors"]}
        self.assertEqual(types["blk.0.attn_q.weight"], "Q4_K")
        self.assertEqual(types["output.weight"], "Q6_K")

    def test_maps_write_float32_of_the_expected_shape(self):
        model = self.make("tiny.gguf", "shape", "--preset", "tiny", "--type", "Q8_0")
        for verb, d_model in (("rescale", 256), ("widen", 512)):
            with self.subTest(verb):
                report = self.run_json(["inspect", self.make(f"{verb}.gguf", verb, model)])
                self.assertEqual({t["type"] for t in report["tensors"]}, {"F32"})
                shapes = {t["name"]: t["shape"] for t in report["tensors"]}
                self.assertEqual(shapes["token_embd.weight"], [d_model, 512])

    def test_a_dry_run_writes_nothing(self):
        code, out, err = lab("shape", "--preset", "7b", "--type", "Q4_K_M", "--dry-run",
                             self.dir / "7b.gguf")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("7241732096 parameters", out)
        self.assertEqual(self.listing(), [])

    def test_bad_input(self):
        model = self.make("tiny.gguf", "shape", "--preset", "tiny", "--type", "F16")
        text = self.dir / "text.gguf"
        text.write_text("no model")
        out = self.dir / "out.gguf"
        shape = ("shape", "--preset", "tiny", "--type")
        self.assert_refused(2, "--help")
        self.assert_refused(2, "9b", "shape", "--preset", "9b", "--type", "F16", out)
        self.assert_refused(1, "Q9", *shape, "Q9", out)
        self.assert_refused(2, "--threads", *shape, "F16", "--threads", "0", out)
        self.assert_refused(2, "--threads", *shape, "F16", "--threads", "10000", out)
        self.assert_refused(2, "--ctx", *shape, "F16", "--ctx", "0", out)
        self.assert_refused(1, "nowhere", *shape, "F16", self.dir / "nowhere" / "out.gguf")
        self.assert_refused(3, "missing", *shape, "F16", "--tokenizer", self.dir / "missing", out)
        self.assert_refused(2, "sparc", *shape, "F16", out, env={"NIBBLE_ISA": "sparc"})
        for verb in ("rescale", "widen"):
            with self.subTest(verb):
                self.assert_refused(3, "missing", verb, self.dir / "missing", out)
                self.assert_refused(4, "text.gguf", verb, text, out)
                self.assert_refused(2, "config.json", verb, self.dir, out)
                self.assert_refused(2, "tiny.gguf", verb, model, model)
        self.assert_refused(2, "--sigma", "rescale", model, out, "--sigma", "2")


if __name__ == "__main__":
    unittest.main()
