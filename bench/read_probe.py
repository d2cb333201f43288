#!/usr/bin/env python3
"""Does nibble's read probe measure what a program of its own measures (bench/stream_read.c)? Runs
both in turn and writes bench/results/read_probe.json; fails when the medians differ by over 5 %.

    bench/read_probe.py --nibble build/release/nibble [--rounds 9] [--threads 2]
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TINY = HERE.parent / "tests/golden/arch/mistral/model.gguf"


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True,
                          text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "stream_read"
        run("cc", "-O3", "-march=native", "-pthread", HERE / "stream_read.c", "-o", program)
        for _ in range(options.rounds):
            probe = json.loads(run(options.nibble, "bench", TINY, "-p", 0, "-n", 1, "-r", 5, "-t",
                                   options.threads, "--json"))["read_bandwidth_bytes_per_s"]
            stream = [float(line) for line in run(program, options.threads).split()]
            rounds.append({"probe": probe, "stream": statistics.median(stream)})
    ratio = statistics.median(r["probe"] / r["stream"] for r in rounds)
    (HERE / "results/read_probe.json").write_text(json.dumps(
        {"date": str(datetime.date.today()), "threads": options.threads, "ratio": ratio,
         "rounds": rounds}, indent=1) + "\n")
    print(f"probe / independent program: {ratio:.3f}")
    if abs(ratio - 1) > 0.05:
        sys.exit(1)


if __name__ == "__main__":
    main()
