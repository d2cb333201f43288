#!/usr/bin/env python3
"""What quantization costs all-MiniLM-L6-v2, ours and llama.cpp's encoders, over several draws of the
rounding errors (tests/e2e/minilm_draws.py); writes bench/results/embeddings.json.

    tools/measure_embeddings.py --build build/release [--seeds 0,1,2]
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
import minilm_draws  # noqa: E402

TARGET = ROOT / "bench/results/embeddings.json"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")],
                        default=list(range(9)))
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()

    def nibble(arguments):
        return subprocess.run([options.build / "nibble", *map(str, arguments)], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    kinds = {kind: [] for kind in minilm_draws.KINDS}
    with tempfile.TemporaryDirectory(prefix="nibble-embeddings-") as name:
        folder = Path(name)
        source = folder / "f32.gguf"
        nibble(["convert", ROOT / ".cache/all-MiniLM-L6-v2", source, "--to", "F32"])
        for seed in options.seeds:
            for kind, row in minilm_draws.measure(nibble, source, seed, kinds, folder).items():
                kinds[kind].append(row)
    result = {"date": str(datetime.date.today()), "n_texts": len(minilm_draws.texts()), "types": {}}
    for kind, rows in kinds.items():
        def ratio(key):
            values = [row[f"nibble{key}"] / row[f"llama_cpp{key}"] for row in rows]
            return {"mean": statistics.mean(values),
                    "stderr": statistics.stdev(values) / len(values) ** 0.5}
        result["types"][kind] = {**minilm_draws.means(rows), "ratio": ratio(""),
                                 "ratio_pairs": ratio("_pairs"), "draws": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
