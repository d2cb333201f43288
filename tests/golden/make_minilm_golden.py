#!/usr/bin/env python3
"""Embeddings of the lines of minilm_texts.txt by the model all-MiniLM-L6-v2.

    make_minilm_golden.py MODEL_FOLDER tests/golden

MODEL_FOLDER: what scripts/fetch_minilm puts into .cache/. Writes minilm_embeddings.bin:

  "NBLVEC01" | u32 n_texts | u32 width | f32 vectors[n_texts][width]

Mean of the last hidden states over all tokens, [CLS] and [SEP] included, then length one.
transformers 4.46.3 with torch 1.13.1, float32, made the file.
"""

import struct
import sys
from pathlib import Path

import numpy as np
import torch
import transformers


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
    model = transformers.BertModel.from_pretrained(sys.argv[1]).eval()
    folder = Path(sys.argv[2])
    vectors = []
    for text in (folder / "minilm_texts.txt").read_text(encoding="utf-8").splitlines():
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        mean = states.double().mean(0).numpy()
        vectors.append(mean / np.linalg.norm(mean))
    vectors = np.array(vectors)
    with open(folder / "minilm_embeddings.bin", "wb") as file:
        file.write(b"NBLVEC01" + struct.pack("<2I", *vectors.shape))
        file.write(vectors.astype("<f4").tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
