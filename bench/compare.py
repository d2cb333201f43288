#!/usr/bin/env python3
"""Prints what bench/peers.py measured: medians, and how many times as fast nibble was as the faster
of the others in the same round. Rounds in which the machine gave only one core are told apart.

    bench/compare.py [bench/results/peers.json]
"""

import json
import statistics
import sys
from pathlib import Path

PEERS = ["llama.cpp", "ik_llama.cpp"]


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def cell(value, form):
    return "" if value is None else format(value, form)


def table(results):
    lines = ["| model and test | nibble, tokens/s | " + " | ".join(PEERS) +
             " | times the faster | of read bandwidth | rounds, two cores seen |",
             "|" + "---|" * (len(PEERS) + 5)]
    for name, row in results["rows"].items():
        rounds = row["rounds"]
        ratios = [r["nibble"] / max(r[p] for p in PEERS if p in r) for r in rounds
                  if any(p in r for p in PEERS)]
        two = sum(r["probes"]["cores_seen"] >= 1.7 for r in rounds)
        cells = [name, cell(median([r["nibble"] for r in rounds]), ".1f"),
                 *(cell(median([r.get(p) for r in rounds]), ".1f") for p in PEERS),
                 cell(median(ratios), ".2f"),
                 cell(median([r.get("bandwidth_fraction") for r in rounds]), ".2f"),
                 f"{len(rounds)}, {two}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main():
    default = Path(__file__).resolve().parent / "results/peers.json"
    results = json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text())
    print(results["machine"])
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
