#!/usr/bin/env python3
"""nibble beside other engines on the same files; writes bench/results/peers.json, which
bench/compare.py reads.

    bench/peers.py --nibble build/release/nibble --model A=FILE.gguf [--model ...]
                   --llama-cpp COMMAND --ik-llama-cpp COMMAND
                   [--tests pp512,tg64,pp512@4096,tg64@4096] [--pairs 7] [--threads 2]

COMMAND is the engine's own llama-bench with the flags that make it fastest, for example
"build/bin/llama-bench -fa 1" and "build/bin/llama-bench -fa 1 -rtr 1". A round runs every engine once
on every test, each time a fresh process, so that what the machine does meanwhile meets all of them;
ratios are taken within a round. pp512@4096: a prompt of 512 tokens behind 4096 others; tg64: 64
generated tokens. Generated weights will do (nibble-lab shape): only time is measured. The figures of
nibble's own probes in every round are kept beside the rates.
"""

import argparse
import datetime
import json
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "results/peers.json"


def output_of(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"peers: {shlex.join(command)}: {result.stderr[-400:]}")
    return json.loads(result.stdout)


def parts(test):
    """tg64@4096 -> ("tg", 64, 4096)"""
    kind, n, _, depth = re.fullmatch(r"(pp|tg)(\d+)(@(\d+))?", test).groups()
    return kind, int(n), int(depth or 0)


def run_nibble(options, model, test):
    kind, n, depth = parts(test)
    out = output_of([str(options.nibble), "bench", str(model), "--json", "-r", "1", "-t",
                     str(options.threads), "-d", str(depth), "-p", str(n if kind == "pp" else 0),
                     "-n", str(n if kind == "tg" else 0)])
    rate = next(row["tokens_per_s"] for row in out["rows"]
                if row["test"] == ("prefill" if kind == "pp" else "decode"))
    probes = {key: out[key] for key in ("read_bandwidth_bytes_per_s", "int8_ops_per_s_one_thread",
                                        "int8_ops_per_s_all_threads", "cores_seen", "disturbed")}
    return rate, out.get("decode_bandwidth_fraction") if kind == "tg" else None, probes


def run_peer(command, options, model, test, by_pairs):
    """by_pairs: the older llama-bench, without -d; it generates behind a prompt by -gp."""
    kind, n, depth = parts(test)
    what = ["-p", str(n if kind == "pp" else 0), "-n", str(n if kind == "tg" else 0)]
    if depth and by_pairs:
        if kind == "pp":
            return None
        what = ["-p", "0", "-n", "0", "-gp", f"{depth},{n}"]
    elif depth:
        what += ["-d", str(depth)]
    rows = output_of([*shlex.split(command), "-m", str(model), "-t", str(options.threads), "-r", "1",
                      "-o", "json", *what])
    return rows[-1]["avg_ts"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--llama-cpp")
    parser.add_argument("--ik-llama-cpp")
    parser.add_argument("--tests", default="pp512,tg64")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()

    peers = {"llama.cpp": (options.llama_cpp, False), "ik_llama.cpp": (options.ik_llama_cpp, True)}
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    results = json.loads(options.output.read_text()) if options.output.exists() else {"rows": {}}
    results["machine"] = f"{cpu[1] if cpu else platform.machine()}, {options.threads} threads"
    for entry in options.model:
        name, _, model = entry.partition("=")
        for test in options.tests.split(","):
            rounds = []
            for _ in range(options.pairs):
                rate, fraction, probes = run_nibble(options, model, test)
                row = {"nibble": rate, "probes": probes}
                if fraction is not None:
                    row["bandwidth_fraction"] = fraction
                for peer, (command, by_pairs) in peers.items():
                    if command is None:
                        continue
                    rate = run_peer(command, options, model, test, by_pairs)
                    if rate is not None:
                        row[peer] = rate
                rounds.append(row)
            results["rows"][f"{name} {test}"] = {"date": str(datetime.date.today()),
                                                 "rounds": rounds}
            options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
