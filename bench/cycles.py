#!/usr/bin/env python3
"""Cycles and instructions of every format's decode loop, as llvm-mca sees them: figures that no
neighbour on the machine moves. The program is disassembled; what counts is the innermost loop with
byte products, for one column, of the function that multiplies rows held by eights (for formats that
stay as they lie, rows). One product instruction covers 32 weights. Writes bench/results/cycles.json.

    bench/cycles.py --nibble build/release/nibble [--cpu znver3]
"""

import argparse
import collections
import datetime
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).resolve().parent / "results/cycles.json"
FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
LINE = re.compile(r"^ +([0-9a-f]+):\t(\S+)(?: +(.*))?$")
NAME = re.compile(r"isa_avx2::\(anonymous namespace\)::matmul_(interleaved|rows)"
                  r"<nibble::Block(\w+)>\(nibble::MatmulArgs const&\)(?: \[clone .*\])?$")


def functions(program):
    """(demangled name, [(address, mnemonic, operands)])"""
    text = subprocess.run(["objdump", "-dC", "--no-show-raw-insn", program], check=True,
                          capture_output=True, text=True).stdout
    name, body = None, []
    for line in text.splitlines():
        if head := FUNCTION.match(line):
            if name:
                yield name, body
            name, body = head[1], []
        elif (found := LINE.match(line)) and name:
            body.append((int(found[1], 16), found[2], (found[3] or "").split("#")[0].strip()))
    yield name, body


def product_loops(body):
    """Loops with byte products and without a smaller loop that has some."""
    places = {address: i for i, (address, _, _) in enumerate(body)}
    loops = []
    for i, (address, mnemonic, operands) in enumerate(body):
        if mnemonic.startswith("j") and (to := re.match(r"([0-9a-f]+) <", operands)):
            start = places.get(int(to[1], 16))
            if start is not None and start <= i and n_products(body[start:i + 1]):
                loops.append((start, i))
    return [body[a:b + 1] for a, b in loops
            if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in loops)]


def n_products(loop):
    return sum(mnemonic in ("vpmaddubsw", "vpdpbusd") for _, mnemonic, _ in loop)


def cycles(loop, cpu):
    text = "\n".join(f"{m} {o}" for _, m, o in loop if not m.startswith("j")) + "\n"
    with tempfile.NamedTemporaryFile("w", suffix=".s") as file:
        file.write(re.sub(r"\*?[0-9a-f]+ <[^>]*>", "0", text))
        file.flush()
        out = subprocess.run(["llvm-mca-14", f"-mcpu={cpu}", "-iterations=100", file.name],
                             check=True, capture_output=True, text=True).stdout
    return int(re.search(r"Total Cycles: +(\d+)", out)[1]) / 100


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", type=Path, required=True)
    parser.add_argument("--cpu", default="znver3")
    parser.add_argument("--list", action="store_true", help="every loop that could count")
    options = parser.parse_args()
    found = collections.defaultdict(list)
    for name, body in functions(options.nibble):
        if not (which := NAME.search(name)):
            continue
        if loops := product_loops(body):
            found[which[2], which[1]] += loops
    rows = {}
    for (block, kind), loops in sorted(found.items()):
        if options.list:
            print(block, kind, [(len(loop), n_products(loop)) for loop in loops])
        if kind == "rows" and (block, "interleaved") in found:
            continue
        loop = min(loops, key=n_products)  # one column
        per_32 = 1 / n_products(loop)
        rows[block] = {"held": "by eights" if kind == "interleaved" else "as it lies",
                       "weights": 32 * n_products(loop), "instructions": len(loop),
                       "cycles_per_32": round(cycles(loop, options.cpu) * per_32, 3),
                       "instructions_per_32": round(len(loop) * per_32, 2)}
    if not rows:
        sys.exit("cycles: no kernels found; is the program stripped?")
    TARGET.write_text(json.dumps({"date": str(datetime.date.today()), "cpu": options.cpu,
                                  "formats": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
