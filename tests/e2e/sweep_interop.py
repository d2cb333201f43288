"""Every type that quantize writes, for SmolLM2 and for its widened twin (all rows multiples of
256), in llama.cpp: it opens the file, decodes every tensor to our bits, and goes on with a text as
we do. Too long for every test run; .ci/run calls it.

    NIBBLE_BIN=... NIBBLE_LAB_BIN=... NIBBLE_DEMO_MODEL=... python3 tests/e2e/sweep_interop.py
"""

import json
import os
import subprocess
import unittest

from interop import DEMO_MODEL, PROMPTS, InteropCase, missing


class SweepTest(InteropCase):
    prompts = PROMPTS[:2]
    n_predict = 12

    def sweep(self, source):
        names = [row["type"] for row in json.loads(self.run_ok(["quants", "--json"]))]
        self.assertGreater(len(names), 20)
        for name in names:
            if name == "COPY":
                continue
            with self.subTest(source=source.name, to=name):
                path = self.quantize(name, source)
                types, judged = self.check_values(path)
                self.assert_rule(name, self.compare(f"{source.name} {name}, float activations",
                                                    judged, path, "--float-activations"))
                opened = self.reference(path)
                self.assertTrue(all(text["gaps"] for text in opened))
                print(f"{source.name} {name}: {', '.join(sorted(types))}", flush=True)
            for file in self.dir.glob("*.gguf"):
                if file != source:
                    file.unlink()

    def test_smollm2(self):
        self.sweep(DEMO_MODEL)

    def test_widened(self):
        wide = self.dir / "widened.gguf"
        subprocess.run([os.environ["NIBBLE_LAB_BIN"], "widen", DEMO_MODEL, wide], check=True,
                       capture_output=True)
        self.sweep(wide)


if __name__ == "__main__":
    if missing():
        print(f"skipped: {missing()}", flush=True)
    unittest.main()
