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
generated tokens; tg64x4: by each of four sequences together. What llama-bench cannot measure is taken
from the engine's llama-batched-bench and llama-sweep-bench beside it. Generated weights will do
(nibble-lab shape): only time is measured. The figures of nibble's own probes in every round are kept
beside the rates.
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
    """tg64@4096 -> ("tg", 64, 4096, 1); tg64x4 -> ("tg", 64, 0, 4)"""
    kind, n, depth, batch = re.fullmatch(r"(pp|tg)(\d+)(?:@(\d+))?(?:x(\d+))?", test).groups()
    return kind, int(n), int(depth or 0), int(batch or 1)


def run_nibble(options, model, test):
    kind, n, depth, batch = parts(test)
    out = output_of([str(options.nibble), "bench", str(model), "--json", "-r", "1", "-t",
                     str(options.threads), "-d", str(depth), "-p", str(n if kind == "pp" else 0),
                     "-n", str(n if kind == "tg" else 0), "-b", str(batch)])
    rate = next(row["tokens_per_s"] for row in out["rows"]
                if row["test"] == ("prefill" if kind == "pp" else "decode"))
    probes = {key: out[key] for key in ("read_bandwidth_bytes_per_s", "int8_ops_per_s_one_thread",
                                        "int8_ops_per_s_all_threads", "fma_ops_per_s_all_threads",
                                        "cores_seen", "disturbed")}
    return rate, out.get("decode_bandwidth_fraction") if kind == "tg" else None, probes


def table_of(program, words, options, model, *arguments):
    """The rows of numbers that the engine's program, beside its llama-bench, prints as a table."""
    flags = ["-fa", "on"] + (["-rtr"] if "-rtr" in words else [])
    command = [str(Path(words[0]).with_name(program)), "-m", str(model), "-t", str(options.threads),
               *flags, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [[float(cell) for cell in line.strip("| \n").split("|")]
            for line in (result.stdout + result.stderr).splitlines() if re.match(r"\|\s*\d", line)]
    if result.returncode != 0 or not rows:
        sys.exit(f"peers: {shlex.join(command)}: {result.stderr[-400:]}")
    return rows


def run_peer(command, options, model, test, by_pairs):
    """by_pairs: the older llama-bench, without -d; it generates behind a prompt by -gp."""
    kind, n, depth, batch = parts(test)
    words = shlex.split(command)
    if batch > 1:
        return table_of("llama-batched-bench", words, options, model, "-c", 4096, "-npp", 8,
                        "-ntg", n, "-npl", batch)[-1][7]
    if depth and by_pairs and kind == "pp":
        rows = table_of("llama-sweep-bench", words, options, model, "-c", depth + n, "-b", n,
                        "-ub", n, "-n", 1)
        return next(row[4] for row in rows if row[2] == depth)
    what = ["-p", str(n if kind == "pp" else 0), "-n", str(n if kind == "tg" else 0)]
    if depth and by_pairs:
        what = ["-p", "0", "-n", "0", "-gp", f"{depth},{n}"]
    elif depth:
        what += ["-d", str(depth)]
    rows = output_of([*words, "-m", str(model), "-t", str(options.threads), "-r", "1", "-o", "json",
                      *what])
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
