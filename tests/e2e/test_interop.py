"""Our files in llama.cpp and its files here; what is asked is told in interop.py."""

import sys
import unittest

from interop import DEMO_MODEL, HERE, LIBRARIES, InteropCase, command, missing

READ_ONLY = ["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "NVFP4", "Q1_0",
             "Q2_0"]


class InteropTest(InteropCase):
    def test_f16(self):
        path = self.quantize("F16")
        self.assert_rule(path.name, self.compare(path.name, path, path))

    def test_q8_0(self):
        self.check_ours("Q8_0", {"F32", "Q8_0"})

    def test_q4_0(self):
        self.check_ours("Q4_0", {"F32", "Q4_0", "Q8_0"})

    # Rows of ffn_down are 1536 long, all others 576, which no K-quant can hold.
    def test_q4_k_m(self):
        self.check_ours("Q4_K_M", {"F32", "Q4_K", "Q6_K", "IQ4_NL", "Q8_0"})

    def test_q5_k_m(self):
        self.check_ours("Q5_K_M", {"F32", "Q5_K", "Q6_K", "Q5_0", "Q8_0"})

    # The rule on the decoded demo model is the golden file of tests/model.
    def test_a_file_by_others(self):
        types, _ = self.check_values(DEMO_MODEL)
        self.assertIn("Q4_1", types)
        self.check_as_is(DEMO_MODEL)

    def test_a_file_by_the_quantizer_of_llama_cpp(self):
        path = self.llama_quantize(DEMO_MODEL, "Q4_K_M")
        types, _ = self.check_values(path)
        self.assertLess({"Q4_K", "Q6_K"}, types)
        self.check_as_is(path)

    def test_types_that_only_others_write(self):
        """One file with a layer of each, encoded by llama.cpp."""
        path = self.dir / "0.gguf"
        self.run_ok(["quantize", DEMO_MODEL, path, "F16", "--allow-requantize",
                     "--tensor-type", r"blk\.\d\.ffn_down=F32"])
        for layer, kind in enumerate(READ_ONLY):
            source, path = path, self.dir / f"{layer + 1}.gguf"
            command([sys.executable, HERE / "foreign_blocks.py", LIBRARIES, source, path, kind,
                     rf"blk\.{layer}\.ffn_down"], f"{kind} by llama.cpp")
        types, judged = self.check_values(path)
        self.assertLess(set(READ_ONLY), types)
        self.assert_rule("read-only types", self.compare("read-only types, float activations",
                                                         judged, path, "--float-activations"))
        self.check_as_is(path)


if __name__ == "__main__":
    if missing():
        print(f"skipped: {missing()}", flush=True)
    unittest.main()
