#!/usr/bin/env python3
"""nibble alone on whole models: how near to the limits of the hardware, in how much memory, how soon
ready; writes bench/results/models.json, whose table tools/performance_report.py puts into
docs/PERFORMANCE.md.

    bench/models.py --nibble build/release/nibble --model "A Q4_K_M=FILE.gguf" [--model ...]
                    [--rounds 3] [--threads 2] [-- FLAGS OF nibble bench]

A round runs every model once, each time a fresh process; medians count. Models whose names differ
only in their last word are one another's comparison. Flags behind -- replace "-p 512 -n 64". Results
of other models stay in the file.
"""

import argparse
import datetime
import json
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "results/models.json"
KEPT = ["load_ms", "peak_rss_bytes", "read_bandwidth_bytes_per_s", "int8_ops_per_s_all_threads",
        "fma_ops_per_s_all_threads", "cores_seen"]


def measure(options, model, flags):
    command = [str(options.nibble), "bench", str(model), "--json", "-r", "1", "-t",
               str(options.threads), *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"models: {' '.join(command)}: {result.stderr[-400:]}")
    out = json.loads(result.stdout)
    round_ = {key: out[key] for key in KEPT}
    for row in out["rows"]:
        name = f"{row['test']} {row['n_tokens']}" + (f"@{row['depth']}" if row["depth"] else "")
        if row["type_k"] != "f16":
            name += f" {row['type_k']} KV"
        round_[name] = row["tokens_per_s"]
        if row["test"] == "decode" and not row["depth"]:
            round_["decode_of_read"] = row["bandwidth_fraction"]
    return round_


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("flags", nargs="*")
    options = parser.parse_args()
    flags = options.flags or ["-p", "512", "-n", "64"]

    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    models = dict(entry.split("=", 1) for entry in options.model)
    rounds = {name: [] for name in models}
    for _ in range(options.rounds):
        for name, model in models.items():
            rounds[name].append(measure(options, model, flags))
    results = json.loads(TARGET.read_text()) if TARGET.exists() else {"models": {}}
    results["machine"] = f"{cpu[1] if cpu else platform.machine()}, {options.threads} threads"
    for name, model in models.items():
        medians = {key: statistics.median(r[key] for r in rounds[name]) for key in rounds[name][0]}
        results["models"].setdefault(name, {}).update(
            {"file_bytes": Path(model).stat().st_size, "date": str(datetime.date.today()),
             "rounds": options.rounds, **medians})
    TARGET.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
