"""`nibble inspect`: its figures, computed a second time from the file in plain Python."""

import unittest

from support import Gguf, TestCase, TinyModel, n_elements, tensor_bytes


class InspectTest(TestCase):
    def check(self, path, kv_width, n_layers):
        report = self.run_json(["inspect", path])
        file = Gguf(path)
        expected = [{"name": name, "type": kind, "shape": shape, "bytes": tensor_bytes(kind, shape)}
                    for name, (kind, shape, _) in file.tensors.items()]
        self.assertEqual([{k: t[k] for k in ("name", "type", "shape", "bytes")}
                          for t in report["tensors"]], expected)
        n_params = sum(n_elements(t["shape"]) for t in expected)
        n_bytes = sum(t["bytes"] for t in expected)
        n_ctx = file.metadata["llama.context_length"]
        self.assertEqual(report["architecture"], "llama")
        self.assertEqual(report["n_params"], n_params)
        self.assertEqual(report["file_bytes"], path.stat().st_size)
        self.assertAlmostEqual(report["bits_per_weight"], 8 * n_bytes / n_params, places=3)
        self.assertEqual(report["context_length"], n_ctx)

        memory = report["memory"]
        self.assertEqual([m["n_ctx"] for m in memory],
                         sorted({n for n in (2048, 8192, n_ctx) if n <= n_ctx}))
        for m in memory:
            # Keys and values in f16: 2 x 2 bytes x width x layers for each position.
            least = n_bytes + 4 * kv_width * n_layers * m["n_ctx"]
            self.assertGreaterEqual(m["bytes"], least)
            self.assertLess(m["bytes"], 2 * least + (256 << 20))
        for a, b in zip(memory, memory[1:]):
            more = 4 * kv_width * n_layers * (b["n_ctx"] - a["n_ctx"])
            self.assertGreaterEqual(b["bytes"] - a["bytes"], more)
        return report

    def test_figures_of_an_f32_model(self):
        path = TinyModel(n_ctx=32768).save(self.dir / "tiny.gguf")
        report = self.check(path, 32, 2)
        self.assertEqual(report["bits_per_weight"], 32)

    def test_figures_of_an_f16_model_with_tied_output(self):
        path = TinyModel("F16", tied=True, n_ctx=512, n_layers=3).save(self.dir / "tiny.gguf")
        self.check(path, 32, 3)

    def test_figures_of_a_quantized_model(self):
        path = TinyModel(d_model=256, d_ff=512, n_ctx=8192).save(self.dir / "tiny.gguf")
        self.run_ok(["quantize", path, self.dir / "q.gguf", "--to", "Q4_K_M"])
        report = self.check(self.dir / "q.gguf", 128, 2)
        self.assertLess(report["bits_per_weight"], 8)

    def test_version_2_and_another_alignment(self):
        path = TinyModel(n_ctx=2048).save(self.dir / "v2.gguf", version=2)
        self.check(path, 32, 2)
        model = TinyModel(n_ctx=2048).set("general.alignment", 64, 4)
        self.check(model.save(self.dir / "aligned.gguf", alignment=64), 32, 2)

    def test_text_names_what_matters(self):
        path = TinyModel().save(self.dir / "tiny.gguf")
        out = self.run_ok(["inspect", path])
        for word in ("llama", "token_embd.weight", "blk.1.ffn_down.weight", "F32"):
            self.assertIn(word, out)
        self.assertEqual(self.listing(), ["tiny.gguf"])

    def test_control_characters_of_a_file_do_not_reach_the_terminal(self):
        path = TinyModel().set("general.name", "a\x1b]52;c;x\x07b").save(self.dir / "tiny.gguf")
        out = self.run_ok(["inspect", path])
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\x07", out)


if __name__ == "__main__":
    unittest.main()
