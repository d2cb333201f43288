#!/usr/bin/env python3
"""Compares `nibble tokenize` with recorded token ids.

    check_vocab_pairs.py NIBBLE FOLDER

FOLDER holds vocabulary-only models with their cases, as llama.cpp keeps them:

    NAME.gguf       the vocabulary
    NAME.gguf.inp   texts, separated by "\\n__ggml_vocab_test__\\n"
    NAME.gguf.out   per text one line of token ids (no special tokens added)

Every text goes to `NIBBLE tokenize NAME.gguf --json --no-special` byte for byte. Exit code 0 when
all ids of all models are equal and at least one model was compared; a tokenizer that is not
supported is a failure.
"""

import json
import pathlib
import subprocess
import sys

SEPARATOR = b"\n__ggml_vocab_test__\n"


def tokenize(nibble: str, model: pathlib.Path, text: bytes) -> subprocess.CompletedProcess:
    command = [nibble, "tokenize", str(model), "--json", "--no-special"]
    return subprocess.run(command, input=text, capture_output=True, check=False)


def check_model(nibble: str, model: pathlib.Path) -> tuple[int, int]:
    """Returns (cases, failures)."""
    texts = model.with_name(model.name + ".inp").read_bytes().split(SEPARATOR)
    lines = model.with_name(model.name + ".out").read_text().splitlines()
    if texts[-1] == b"" and len(texts) == len(lines) + 1:
        texts.pop()  # the separator also ends the file
    if len(lines) != len(texts):
        print(f"FAIL {model.name}: {len(texts)} texts but {len(lines)} lines of ids")
        return 1, 1
    failures = 0
    for number, (text, line) in enumerate(zip(texts, lines)):
        done = tokenize(nibble, model, text)
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip()
            print(f"FAIL {model.name} case {number}: exit code {done.returncode}: {reason}")
            failures += 1
            continue
        want = [int(word) for word in line.split()]
        have = json.loads(done.stdout)
        if have != want:
            print(f"FAIL {model.name} case {number}: {text!r}\n  want {want}\n  have {have}")
            failures += 1
    return len(texts), failures


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    nibble, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    compared = failed = 0
    for model in sorted(folder.glob("*.gguf")):
        if not model.with_name(model.name + ".inp").exists():
            continue
        result = check_model(nibble, model)
        compared += 1
        failed += result[1] > 0
        print(f"{'ok  ' if result[1] == 0 else 'FAIL'} {model.name}: {result[0]} cases, "
              f"{result[1]} differ")
    if compared == 0:
        print(f"FAIL: no model with cases in {folder}")
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
