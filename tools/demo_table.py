#!/usr/bin/env python3
"""Prints what scripts/demo measured as one table, and the machine it came from.

    tools/demo_table.py FOLDER TYPE...

FOLDER holds inspect-F32.json, compare.json with the types in this order, and for F32 and each type
bench-TYPE-1.json, -2 and so on: rounds, in each of which all of them were measured once.
"""

import datetime
import json
import math
import os
import platform
import statistics
import sys
from pathlib import Path

COLUMNS = ["", "size", "smaller", "bits per weight", "memory", "without file", "prefill, tokens/s",
           "decode, tokens/s", "mean KL divergence", "same top", "perplexity", "ratio"]


def read(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"demo_table: [{path}] cannot be read: {error}; run scripts/demo again")


def megabytes(size_bytes):
    return f"{size_bytes / 1e6:.1f} MB"


def with_error(value, error):
    """Two significant digits of the error, but 3 to 7 behind the point. The error is null where
    there is only one document."""
    digits = 4
    if error:
        digits = min(7, max(3, 1 - math.floor(math.log10(error))))
    text = f"{value:.{digits}f}"
    return text if error is None else f"{text} ± {error:.{digits}f}"


class Rounds:
    """What bench said of one type, round by round, beside what it said of F32."""

    def __init__(self, folder, name, base=None):
        paths = sorted(folder.glob(f"bench-{name}-*.json"))
        if not paths:
            sys.exit(f"demo_table: [{folder}] holds no bench-{name}-1.json; run scripts/demo again")
        self.rounds = [read(path) for path in paths]
        self.base = base or self
        if len(self.rounds) != len(self.base.rounds):
            sys.exit(f"demo_table: [{folder}] holds {len(self.base.rounds)} rounds of F32 and "
                     f"{len(self.rounds)} of {name}; run scripts/demo again")

    def median(self, key):
        return statistics.median(bench[key] for bench in self.rounds)

    def speed(self, key):
        """Median, and the median of the ratios to F32 inside each round."""
        ratio = statistics.median(bench[key] / base[key]
                                  for bench, base in zip(self.rounds, self.base.rounds))
        return f"{self.median(key):.1f} ({ratio:.2f} x)"

    def cells(self):
        return [megabytes(self.median("peak_rss_bytes")), megabytes(self.median("peak_anon_bytes")),
                self.speed("prefill_tps"), self.speed("decode_tps")]


def table_rows(types, benches, inspect, compare):
    base = compare["base"]
    rows = [["F32", megabytes(base["file_bytes"]), "", f"{inspect['bits_per_weight']:.2f}",
             *benches["F32"].cells(), "", "", f"{base['ppl']:.3f}", ""]]
    for name, model in zip(types, compare["models"]):
        smaller = 1 - model["file_bytes"] / base["file_bytes"]
        rows.append([
            name, megabytes(model["file_bytes"]), f"{100 * smaller:.1f} %",
            f"{model['bits_per_weight']:.2f}", *benches[name].cells(),
            with_error(model["kld_mean"], model["kld_stderr"]),
            f"{100 * model['same_top']:.2f} %", f"{model['ppl']:.3f}",
            with_error(model["ppl_ratio"], model["ppl_ratio_stderr"])])
    return rows


def print_table(rows):
    """Markdown, padded so that it reads as well on a terminal."""
    widths = [max(len(row[i]) for row in [COLUMNS, *rows]) for i in range(len(COLUMNS))]
    for row in [COLUMNS, ["-" * (width - 1) + ":" for width in widths], *rows]:
        print("| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths)) + " |")


def cpu_model():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine_line(benches):
    every = [bench for rounds in benches.values() for bench in rounds.rounds]
    bandwidth = statistics.median(bench["read_bandwidth_bytes_per_s"] for bench in every)
    n_disturbed = sum(bench["disturbed"] for bench in every)
    cores = statistics.median(bench["cores_seen"] for bench in every)
    state = "not disturbed" if n_disturbed == 0 else (
        f"{n_disturbed} of {len(every)} measurements were disturbed by other work ({cores:.1f} cores "
        f"seen in the median): speeds are too low")
    return (f"{datetime.date.today()}, {cpu_model()}, {os.cpu_count()} cores, "
            f"{every[0]['n_threads']} threads, memory read at {bandwidth / 1e9:.1f} GB/s; {state}.")


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__.strip())
    folder, types = Path(arguments[0]), arguments[1:]
    benches = {"F32": Rounds(folder, "F32")}
    for name in types:
        benches[name] = Rounds(folder, name, benches["F32"])
    compare = read(folder / "compare.json")
    if len(compare["models"]) != len(types):
        sys.exit(f"demo_table: [{folder}/compare.json] holds {len(compare['models'])} models, not "
                 f"{len(types)}; run scripts/demo again")
    print_table(table_rows(types, benches, read(folder / "inspect-F32.json"), compare))
    print()
    print(machine_line(benches))
    print(f"Speed and memory: a prompt of 512 tokens, 64 generated; in brackets against F32.\n"
          f"Quality: {compare['n_scored']} tokens of {compare['n_documents']} documents against "
          f"F32; errors are standard errors, clustered by document.")
    print("The rows of this model are 576 wide, which K-quants (blocks of 256) do not divide: such\n"
          "tensors get a type of blocks of 32. Bits per weight are those of the file as it is.")


if __name__ == "__main__":
    main(sys.argv[1:])
