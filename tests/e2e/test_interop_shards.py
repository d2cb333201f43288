"""Models in several files, between llama.cpp and nibble (see interop.py)."""

import unittest

from interop import DEMO_MODEL, PROMPTS, InteropCase, missing
from support import Gguf
from test_shards import shard_names


class InteropShardsTest(InteropCase):
    prompts = PROMPTS[:1]
    n_predict = 16

    def split(self):
        """The demo model as a set of ours, and the same in one file."""
        self.run_ok(["quantize", DEMO_MODEL, self.dir / "set", "--to", "Q8_0", "--allow-requantize",
                     "--split-max-size", "40M"])
        paths = sorted(self.dir.glob("set-*.gguf"))
        self.assertEqual([path.name for path in paths], shard_names("set", len(paths)))
        self.assertGreater(len(paths), 2)
        return paths, self.quantize("Q8_0")

    def test_llama_cpp_runs_our_set_like_our_file(self):
        paths, whole = self.split()
        self.assertEqual(self.reference(paths[0]), self.reference(whole))

    def test_llama_cpp_decodes_our_set_like_our_file(self):
        paths, whole = self.split()
        theirs = Gguf(self.llama_quantize(paths[0], "F32")).tensors
        ours = Gguf(self.quantize("F32", whole)).tensors
        self.assertTrue(theirs == ours)

    def test_we_read_what_llama_cpp_splits(self):
        paths, _ = self.split()
        self.llama_quantize(paths[0], "F32", "keep-split")
        theirs = sorted(self.dir.glob("llama-F32*"))
        self.assertEqual(len(theirs), len(paths))
        self.run_ok(["quantize", theirs[0], self.dir / "whole.gguf", "--to", "F32"])
        self.run_ok(["quantize", paths[0], self.dir / "ours.gguf", "--to", "F32",
                     "--allow-requantize"])
        self.assertTrue(Gguf(self.dir / "whole.gguf").tensors ==
                        Gguf(self.dir / "ours.gguf").tensors)
        self.assertNotIn("split.no", Gguf(self.dir / "whole.gguf").metadata)


if __name__ == "__main__":
    if missing():
        print(f"skipped: {missing()}", flush=True)
    unittest.main()
