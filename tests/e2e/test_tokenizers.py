"""Tokenizers against Hugging Face's `tokenizers` package: every kind, on random strings of code
points assigned in Unicode 14; ids exact, decoded text equal.

The small tokenizers are those of tests/golden/tokenizers; MiniLM's WordPiece comes with the model.
NIBBLE_TOKENIZER_STRINGS sets how many strings each gets (default 100000 for the kinds the project
promises, a tenth for the others).
"""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / ".cache" / "tokenizers"
MINILM = ROOT / ".cache" / "all-MiniLM-L6-v2" / "tokenizer.json"
GOLDEN = ROOT / "tests" / "golden" / "tokenizers"
LAB = os.environ.get("NIBBLE_LAB_BIN", "")
# The others are variations of these.
PROMISED = {"gpt2", "llama2", "unigram", "minilm"}

sys.path.insert(0, str(PACKAGE))
sys.path.insert(0, str(ROOT / "tests" / "golden"))
os.environ["TOKENIZERS_PARALLELISM"] = "false"

try:
    from tokenizers import Tokenizer
    import make_tokenizer_golden as golden
    golden.assigned()
    MISSING = ""
except (ImportError, SystemExit) as error:
    MISSING = f"{error}; run scripts/setup_tokenizers"


def count_for(name):
    count = int(os.environ.get("NIBBLE_TOKENIZER_STRINGS", "100000"))
    return count if name in PROMISED else count // 10


def ours(path, texts, *flags):
    """[(ids, text)], by nibble-lab."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([LAB, "tokenize", str(path), *flags], input=lines.encode(),
                          capture_output=True, check=False, timeout=800)
    if done.returncode != 0:
        raise AssertionError(f"nibble-lab: exit {done.returncode}: {done.stderr.decode()}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [(row["ids"], row["text"]) for row in rows]


@unittest.skipIf(MISSING, MISSING)
class TokenizersTest(unittest.TestCase):
    def compare(self, name, path):
        reference = Tokenizer.from_file(str(path))
        reference.no_truncation()
        reference.no_padding()
        reference.encode_special_tokens = True
        texts = golden.FIXED + list(golden.random_texts(count_for(name), 7))
        special = {token for token, added in reference.get_added_tokens_decoder().items()
                   if added.special and added.content not in ("<unk>", "[UNK]")}
        differences = []
        for begin in range(0, len(texts), 10000):
            part = texts[begin:begin + 10000]
            want = reference.encode_batch(part, add_special_tokens=False)
            for text, encoding, (ids, decoded) in zip(part, want, ours(path, part)):
                # Its Unigram takes "<s>" in a text for the token even when asked not to.
                if special & set(encoding.ids):
                    self.assertFalse(special & set(ids), repr(text))
                    continue
                if ids != encoding.ids:
                    differences.append(f"{text!r}\n  want {encoding.tokens}\n  have "
                                       f"{[reference.id_to_token(i) for i in ids]}")
                    continue
                expected = reference.decode(ids)
                # Bytes that are no text together: ours keeps them as bytes.
                if decoded != expected and "\ufffd" not in expected:
                    differences.append(f"{text!r} decoded\n  want {expected!r}\n  have {decoded!r}")
        print(f"{name}: {len(texts)} strings, {len(differences)} differ", flush=True)
        self.assertFalse(differences, "\n" + "\n".join(differences[:10]))

    def test_small_tokenizers(self):
        for path in sorted(GOLDEN.glob("*.json")):
            if path.stem != "cases":
                with self.subTest(path.stem):
                    self.compare(path.stem, path)

    def test_minilm(self):
        if not MINILM.exists():
            self.skipTest(f"{MINILM} is missing; run scripts/fetch_minilm")
        self.compare("minilm", MINILM)

    def test_special_tokens_and_what_goes_around_a_text(self):
        for path in sorted(GOLDEN.glob("*.json")):
            if path.stem == "cases":
                continue
            reference = Tokenizer.from_file(str(path))
            texts = [text for text in golden.FIXED if text] + ["<s> a</s>b", "[MASK] [SEP]x"]
            for text, (ids, _) in zip(texts, ours(path, texts, "--special", "--add-special")):
                self.assertEqual(ids, reference.encode(text).ids, f"{path.stem}: {text!r}")


if __name__ == "__main__":
    if MISSING:
        print(f"skipped: {MISSING}", flush=True)
    unittest.main()
