"""Our files in llama.cpp and its files here: the same weights, the same greedy text.

llama.cpp (scripts/setup_interop) multiplies quantized weights with activations rounded to 8 bits,
and so does nibble. Such a rounding answers a difference in the last bit of a float with a whole
step, and thirty layers of it make noise. Over 60 positions of SmolLM2 the logits of both engines
stood 0.12 (Q8_0) to 0.23 (Q4_K_M) RMS beside those of float activations, and llama.cpp beside
itself 0.10 to 0.16 when it read token by token instead of all at once, 0.12 to 0.19 with flash
attention and an F16 cache. Its own text of the Q4_K_M file parted in three of the five prompts,
once at a gap of 0.15, when they were computed side by side instead of one after the other. So file
and arithmetic are judged apart:

  values  llama.cpp's own code decodes our file to F32; every tensor equals our decoding, bit by bit
  rule    the greedy text of our file with float activations is that of llama.cpp on those decoded
          weights, for which it uses floats too: token for token, and of the five prompts one may
          part, at a near tie (top-2 gap under NEAR_TIE), which is printed
  as is   both engines on the quantized file itself, in 8 bits: they may part only where the gap is
          within the noise (ROUNDING); where they do is printed

F16 files need no such care: there the rule holds for the file itself.
"""

import json
import os
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import Gguf, TestCase, byte_letters, run

HERE = Path(__file__).resolve().parent
INTEROP = HERE.parent.parent / ".cache" / "interop"
PACKAGES = INTEROP / "node_modules"
LIBRARIES = PACKAGES / "@node-llama-cpp" / "linux-x64" / "bins" / "linux-x64"
DEMO_MODEL = Path(os.environ.get("NIBBLE_DEMO_MODEL", ""))
PROMPTS = json.loads((HERE.parent / "golden" / "smollm2_prompts.json").read_text())
N_PREDICT = 64
NEAR_TIE = 0.1
ROUNDING = 1.0  # over four times the RMS above: both logits of a gap are off, on both sides


def missing():
    if not (INTEROP / "installed").is_file():
        return f"{INTEROP} is missing; run scripts/setup_interop"
    if not DEMO_MODEL.is_file():
        return "the demo model is missing; run scripts/fetch_demo_model"
    return ""


def command(arguments, what):
    result = subprocess.run(list(map(str, arguments)), capture_output=True, timeout=600,
                            check=False)
    if result.returncode != 0:
        raise AssertionError(f"{what}: exit {result.returncode}\n"
                             f"{result.stderr.decode('utf-8', 'replace')[-2000:]}")
    return result.stdout


@unittest.skipIf(missing(), missing())
class InteropCase(TestCase):
    """Subclasses may ask for fewer prompts and tokens."""

    prompts = PROMPTS
    n_predict = N_PREDICT

    @classmethod
    def setUpClass(cls):
        metadata = Gguf(DEMO_MODEL).metadata
        values = {letter: b for b, letter in enumerate(byte_letters())}
        cls.pieces = [
            bytes(values[c] for c in token) if kind == 1 else token.encode()
            for token, kind in zip(metadata["tokenizer.ggml.tokens"],
                                   metadata["tokenizer.ggml.token_type"])]

    def quantize(self, to, source=DEMO_MODEL, *arguments):
        path = self.dir / f"{to}.gguf"
        self.run_ok(["quantize", source, path, "--to", to, "--allow-requantize", *arguments])
        return path

    def llama_quantize(self, source, to, *split):
        path = self.dir / f"llama-{to}.gguf"
        command([sys.executable, HERE / "llama_quantize.py", LIBRARIES, source, path, to, *split],
                f"llama.cpp, {source.name} to {to}")
        return path

    def reference(self, path):
        """llama.cpp's greedy continuation of every prompt."""
        request = self.dir / f"{path.name}.json"
        # One thread: llama.cpp's threads wait for each other by spinning, which on a busy machine
        # costs more than they bring.
        request.write_text(json.dumps({"models": [str(path)], "prompts": self.prompts,
                                       "n_predict": self.n_predict, "n_threads": 1}))
        return json.loads(command([INTEROP / "node", HERE / "interop_reference.mjs", PACKAGES,
                                   request], f"llama.cpp on {path.name}"))[0]

    def continuation(self, path, prompt, *arguments):
        code, out, err = run(["run", path, "-p", prompt, "--raw", "-n", self.n_predict, "--temp", 0,
                              "-ctk", "f32", "-ctv", "f32", "-c", 256, "-t", 1, *arguments],
                             binary=True, timeout=600)
        self.assertEqual(code, 0, err)
        return out

    def partings(self, what, reference, texts):
        """Prints where our text is not the reference's: [top-2 gap of the reference there]."""
        gaps = []
        for prompt, expected, text in zip(self.prompts, reference, texts):
            at, token = 0, 0
            while token < len(expected["ids"]):
                piece = self.pieces[expected["ids"][token]]
                if text[at:at + len(piece)] != piece:
                    break
                at, token = at + len(piece), token + 1
            if token == len(expected["ids"]) and at == len(text):
                continue
            # Past the last gap only if our text goes on behind n_predict tokens of the reference.
            self.assertLess(token, len(expected["gaps"]), f"{what}: {prompt!r}: too long a text")
            gaps.append(expected["gaps"][token])
            print(f"{what}: {prompt[:30]!r} parts at token {token}, top-2 gap {gaps[-1]:.4f}: "
                  f"{text[at:at + 20]!r}", flush=True)
        return gaps

    def compare(self, what, judged, path, *arguments):
        """Both engines at once, each on one core: [gaps where they part]."""
        with ThreadPoolExecutor(2) as pool:
            reference = pool.submit(self.reference, judged)
            texts = list(pool.map(lambda p: self.continuation(path, p, *arguments), self.prompts))
            return self.partings(what, reference.result(), texts)

    def assert_rule(self, what, gaps):
        self.assertLessEqual(len(gaps), 1, f"{what}: more than one of {len(self.prompts)} parts")
        for gap in gaps:
            self.assertLess(gap, NEAR_TIE, f"{what}: parts without a near tie")

    def check_values(self, path):
        """The types in the file, and the F32 file that llama.cpp decoded it to."""
        tensors = Gguf(path).tensors
        judged = self.llama_quantize(path, "F32")
        theirs, ours = Gguf(judged).tensors, Gguf(self.quantize("F32", path)).tensors
        self.assertEqual(set(theirs), set(tensors))
        for name, (kind, shape, data) in theirs.items():
            self.assertEqual((kind, shape), ("F32", tensors[name][1]), name)
            self.assertTrue(ours[name] == (kind, shape, data), f"{path.name}: {name} "
                            f"({tensors[name][0]}) is decoded differently by llama.cpp")
        return {kind for kind, _, _ in tensors.values()}, judged

    def check_as_is(self, path):
        for gap in self.compare(f"{path.name}, 8-bit activations", path, path):
            self.assertLess(gap, ROUNDING, f"{path.name}: parts where rounding cannot be the cause")

    def check_ours(self, to, expected_types):
        path = self.quantize(to)
        types, judged = self.check_values(path)
        self.assertEqual(types, expected_types)
        self.assert_rule(path.name, self.compare(f"{path.name}, float activations", judged, path,
                                                 "--float-activations"))
        self.check_as_is(path)
