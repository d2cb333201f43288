"""Every type that quantize writes, for SmolLM2 and for its widened twin (all rows multiples of
256), in llama.cpp: it opens the file, decodes every tensor to our bits, and goes on with a text as
we do. Too long for every test run; .ci/run calls it.

    NIBBLE_BIN=... NIBBLE_LAB_BIN=... NIBBLE_DEMO_MODEL=... python3 tests/e2e/sweep_interop.py
"""

import json
import os
import subprocess
import unittest
from pathlib import Path

from interop import DEMO_MODEL, PROMPTS, InteropCase, missing

TEXT = Path(__file__).resolve().parents[1] / "data/demo.txt"


class SweepTest(InteropCase):
    prompts = PROMPTS[:2]
    n_predict = 12

    def sweep(self, source):
        names = [row["type"] for row in json.loads(self.run_ok(["quants", "--json"]))]
        self.assertGreater(len(names), 20)
        imatrix = self.dir / "imatrix"  # Q2_K_S is refused without
        self.run_ok(["calibrate", source, "--text", TEXT, "-o", imatrix, "--tokens", 1000])
        matrix = ["--imatrix", imatrix]
        for name in names:
            if name in ("COPY", "F32"):
                continue
            with self.subTest(source=source.name, to=name):
                path = self.quantize(name, source, *(matrix if name == "Q2_K_S" else []))
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
        raise SystemExit(f"sweep_interop: {missing()}")
    unittest.main()
