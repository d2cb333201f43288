#!/usr/bin/env python3
"""Writes tests/data/demo.txt, the text that scripts/demo measures models on: about 10,000 tokens
in 20 documents. The titles and openings stand here; everything behind them was written by the demo
model in F32, with the seeds given here, so the file belongs to nobody and can be made again.

    tools/make_demo_text.py [--nibble build/release/nibble] [--model MODEL.gguf] [--out FILE]

MODEL defaults to .cache/demo/SmolLM2-135M-F32.gguf: the demo model with its weights as F32, made by
    nibble quantize .cache/SmolLM2-135M-Instruct.Q4_1.gguf OUT --to F32 --allow-requantize
The same text comes out on any number of threads; another instruction set adds floats in another
order and may part from it somewhere.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of one document, its title included: it fills one window of 512 tokens.
N_TOKENS = 512
ENOUGH_TOKENS = 500
# The penalty keeps so small a model from going round in circles, which would be too easy a test.
SAMPLING = ["--temp", "0.8", "--repeat-penalty", "1.05", "--repeat-last-n", "256"]
CACHE = ["--cache-type-k", "f32", "--cache-type-v", "f32"]
MAX_ROUNDS = 20
# As src/evaluate/documents.cpp recognises one; no other line may look like it.
TITLE_LINE = re.compile(r" = (?!=).* =[ \r]*")

# (title, opening, seed)
DOCUMENTS = [
    ("The Moons of Jupiter", "Jupiter has more than ninety known moons. The four largest", 1),
    ("How Bees Find Flowers", "A honey bee that has found a good meadow", 2),
    ("The Roman Road", "In the year 120 the road from the coast to the", 3),
    ("A Short History of Paper", "Paper was first made in China, where", 4),
    ("Onion Soup", "Ingredients:\n\n- 6 large onions\n- 50 g butter\n-", 5),
    ("Baking Bread at Home", "The first thing to know about bread is", 26),
    ("Sorting a List in Python", "Here is a small program:\n\n```python\ndef sort_list(items):\n", 7),
    ("Counting Words in C", "The following program counts the words in a file.\n\n"
     "```c\n#include <stdio.h>\n", 8),
    ("A Letter from the Lighthouse", "Dear Marta,\n\nThe storm has been over for two days, and", 9),
    ("Application for Leave", "Dear Mr. Jensen,\n\nI am writing to ask for", 30),
    ("The Locked Door", "\"Did you hear that?\" asked Tom.\n\n\"Hear what?\" said Anna.\n\n", 11),
    ("The Fox and the Well", "Once upon a time a young fox lived near an old well.", 12),
    ("How to Mend a Bicycle Tyre", "1. Turn the bicycle upside down.\n2.", 13),
    ("Writing a Good Report", "A report has three parts. The first", 14),
    ("Fractions", "Question: Anna has 3/4 of a cake and eats 1/3 of it. How much is left?\n\nAnswer:", 15),
    ("The Area of a Circle", "Let r be the radius of the circle. Then", 16),
    ("High Blood Pressure", "High blood pressure has few symptoms, but", 17),
    ("The Price of Coffee", "Coffee prices rose by 12 percent in March, as", 18),
    ("Rivers and Floods", "When more rain falls than the soil can hold,", 19),
    ("Keeping Chickens", "People who want to keep chickens in a small garden often ask", 20),
]


def call(options, *arguments, stdin=b""):
    """Standard output of nibble; ends the program where it fails."""
    done = subprocess.run([options.nibble, *arguments], input=stdin, capture_output=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"make_demo_text: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def count_tokens(options, text):
    return len(json.loads(call(options, "tokenize", options.model, "--json", "--no-special",
                               stdin=text.encode())))


def make_document(options, title, opening, seed):
    """One document with its title line. Where the model ends its text early, a new paragraph
    begins and it goes on, with the next seed."""
    text = f" = {title} = \n\n{opening}"
    for part in range(MAX_ROUNDS):
        n_left = N_TOKENS - count_tokens(options, text)
        if n_left <= N_TOKENS - ENOUGH_TOKENS:
            break
        more = call(options, "run", options.model, "--raw", "-p", text, "-n", str(n_left),
                    "--seed", str(100 * seed + part), *SAMPLING, *CACHE)
        # The last character may be cut in two.
        text = (text + more.decode(errors="ignore")).rstrip() + "\n\n"
    else:
        sys.exit(f"make_demo_text: '{title}' does not get long enough; change its seed")
    if any(TITLE_LINE.fullmatch(line) for line in text.split("\n")[1:]):
        sys.exit(f"make_demo_text: '{title}' holds a second title line; change its seed")
    return text


def main():
    parser = argparse.ArgumentParser(description="Writes the text of the demo.")
    parser.add_argument("--nibble", default=str(ROOT / "build/release/nibble"))
    parser.add_argument("--model", default=str(ROOT / ".cache/demo/SmolLM2-135M-F32.gguf"))
    parser.add_argument("--out", default=str(ROOT / "tests/data/demo.txt"))
    options = parser.parse_args()
    documents = []
    for title, opening, seed in DOCUMENTS:
        documents.append(make_document(options, title, opening, seed))
        print(f"{title}: {len(documents[-1])} characters", file=sys.stderr, flush=True)
    Path(options.out).write_text("".join(documents), encoding="utf-8")


if __name__ == "__main__":
    main()
