"""Instructions per decoded token: a measure of the kernels that no neighbour on the machine moves.

Two layers of the 1.1B shape at Q4_K_M, one thread, counted by valgrind's callgrind; the difference
of two lengths leaves loading out. bench/results/instructions.json holds what was reached; more than
3 % above it fails. `test_instructions.py --update` writes that file.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

NIBBLE = os.environ["NIBBLE_BIN"]
LAB = os.environ["NIBBLE_LAB_BIN"]
RESULTS = Path(__file__).resolve().parents[2] / "bench/results/instructions.json"
SHORT, LONG = 3, 9  # tokens
D_MODEL, D_FF, KV_DIM, VOCAB, LAYERS = 2048, 5632, 256, 32000, 2
WEIGHTS = LAYERS * (2 * D_MODEL * D_MODEL + 2 * D_MODEL * KV_DIM + 3 * D_MODEL * D_FF) + D_MODEL * VOCAB


def instructions(model, n_tokens, folder):
    result = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out", NIBBLE,
         "run", model, "--raw", "-p", "a", "-n", str(n_tokens), "-t", "1", "--temp", "0"],
        capture_output=True, text=True, errors="replace", check=True, timeout=800)
    produced = int(re.search(r"answer: (\d+) tokens", result.stderr)[1])
    if produced != n_tokens:
        raise AssertionError(f"{produced} tokens instead of {n_tokens}")
    return int(re.search(r"Collected : (\d+)", result.stderr)[1])


def per_token():
    with tempfile.TemporaryDirectory() as folder:
        model = f"{folder}/model.gguf"
        subprocess.run([LAB, "shape", model, "--preset", "1b-2l", "--type", "Q4_K_M"], check=True,
                       capture_output=True)
        short, long = (instructions(model, n, folder) for n in (SHORT, LONG))
        return (long - short) / (LONG - SHORT)


def runs_avx2():
    flags = Path("/proc/cpuinfo").read_text().split()
    return "avx2" in flags and os.environ.get("NIBBLE_ISA", "avx2") == "avx2"


class InstructionsTest(unittest.TestCase):
    def test_no_more_than_before(self):
        if shutil.which("valgrind") is None:
            self.skipTest("valgrind is not installed")
        if not runs_avx2():
            self.skipTest("the figure is that of the AVX2 kernels")
        counted = per_token()
        known = json.loads(RESULTS.read_text())["instructions_per_token"]
        print(f"{counted / 1e6:.2f} million instructions per token, "
              f"{counted / WEIGHTS:.3f} per weight; known: {known / 1e6:.2f} million")
        self.assertLess(counted, 1.03 * known, "decoding takes more instructions than it did")
        if counted < 0.97 * known:
            print("Fewer than known: run test_instructions.py --update")


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        count = per_token()
        RESULTS.write_text(json.dumps({
            "what": "callgrind, one thread, AVX2: two layers of the 1.1B shape at Q4_K_M, decoding",
            "n_weights": WEIGHTS,
            "instructions_per_token": round(count),
            "instructions_per_weight": round(count / WEIGHTS, 4)}, indent=2) + "\n")
        print(RESULTS.read_text())
    else:
        unittest.main()
