#!/usr/bin/env python3
"""Measures how fast `nibble quantize` is, beside llama.cpp's quantizer; writes
bench/results/quantize.json.

    tools/measure_quantize.py --build build/release [--rounds 5] [--types Q8_0 Q4_0 ...]

A cached F16 file of generated weights (`nibble-lab shape --preset 1b-6l`), two threads each, both
programs in turn, medians. GB of source per second counts the bytes of the whole F16 file and the
whole run, from start to the renamed output. llama.cpp is the library that scripts/setup_interop
installs, driven by tests/e2e/llama_quantize.py.
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TYPES = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "IQ4_NL", "IQ4_XS", "Q6_K", "Q5_K_S", "Q4_K_S", "Q3_K_S",
         "Q2_K"]
ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ROOT / ".cache/interop/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"


def seconds(arguments, output):
    start = time.monotonic()
    result = subprocess.run([str(a) for a in arguments], capture_output=True, check=False)
    elapsed = time.monotonic() - start
    if result.returncode != 0:
        sys.exit(f"measure_quantize: {' '.join(map(str, arguments))}: {result.stderr.decode()}")
    output.unlink()
    return elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--types", nargs="+", default=TYPES)
    options = parser.parse_args()
    target = ROOT / "bench/results/quantize.json"
    with tempfile.TemporaryDirectory(prefix="nibble-quantize-") as name:
        folder = Path(name)
        source, output = folder / "f16.gguf", folder / "out.gguf"
        subprocess.run([options.build / "nibble-lab", "shape", source, "--preset", "1b-6l", "--type",
                        "F16"], check=True)
        size = source.stat().st_size
        source.read_bytes()  # into the cache
        rows = {}
        for to in options.types:
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(seconds([options.build / "nibble", "quantize", source, output, to,
                                     "-t", "2"], output))
                theirs.append(seconds([sys.executable, ROOT / "tests/e2e/llama_quantize.py",
                                       LIBRARIES, source, output, to], output))
            rows[to] = {
                "gb_per_second": size / 1e9 / statistics.median(ours),
                "llama_cpp_gb_per_second": size / 1e9 / statistics.median(theirs),
                "speed_of_llama_cpp": statistics.median(t / o for o, t in zip(ours, theirs))}
            print(to, rows[to], flush=True)
    results = json.loads(target.read_text()) if target.exists() else {}
    results.update(date=str(datetime.date.today()), threads=2, source_bytes=size,
                   rounds=options.rounds)
    results.setdefault("types", {}).update(rows)
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
