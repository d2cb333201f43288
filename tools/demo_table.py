#!/usr/bin/env python3
"""Prints what scripts/demo measured as one table, and the machine it came from.

    tools/demo_table.py FOLDER TYPE...      FOLDER holds inspect-F32.json, bench-F32.json,
                                            bench-TYPE.json for each type, and compare.json
"""

import datetime
import json
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


def speed(value, base):
    return f"{value:.1f} ({value / base:.2f} x)"


def with_error(value, error, digits):
    """An error is null where there is only one document."""
    text = f"{value:.{digits}f}"
    return text if error is None else f"{text} ± {error:.{digits}f}"


def speed_cells(bench, base):
    return [megabytes(bench["peak_rss_bytes"]), megabytes(bench["peak_anon_bytes"]),
            speed(bench["prefill_tps"], base["prefill_tps"]),
            speed(bench["decode_tps"], base["decode_tps"])]


def table_rows(types, benches, inspect, compare):
    base = compare["base"]
    rows = [["F32", megabytes(base["file_bytes"]), "", f"{inspect['bits_per_weight']:.2f}",
             *speed_cells(benches["F32"], benches["F32"]), "", "", f"{base['ppl']:.3f}", ""]]
    for name, model in zip(types, compare["models"]):
        smaller = 1 - model["file_bytes"] / base["file_bytes"]
        rows.append([
            name, megabytes(model["file_bytes"]), f"{100 * smaller:.1f} %",
            f"{model['bits_per_weight']:.2f}", *speed_cells(benches[name], benches["F32"]),
            with_error(model["kld_mean"], model["kld_stderr"], 5),
            f"{100 * model['same_top']:.2f} %", f"{model['ppl']:.3f}",
            with_error(model["ppl_ratio"], model["ppl_ratio_stderr"], 4)])
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
    bandwidth = statistics.median(b["read_bandwidth_bytes_per_s"] for b in benches.values())
    threads = benches["F32"]["n_threads"]
    disturbed = [f"{name} ({b['cores_seen']:.1f} cores' worth)" for name, b in benches.items()
                 if b["disturbed"]]
    state = ("disturbed by other work, speeds too low: " + ", ".join(disturbed)
             if disturbed else "not disturbed")
    return (f"{datetime.date.today()}, {cpu_model()}, {os.cpu_count()} cores, {threads} threads, "
            f"memory read at {bandwidth / 1e9:.1f} GB/s; {state}.")


def main(arguments):
    if len(arguments) < 2:
        sys.exit(__doc__.strip())
    folder, types = Path(arguments[0]), arguments[1:]
    benches = {name: read(folder / f"bench-{name}.json") for name in ["F32", *types]}
    compare = read(folder / "compare.json")
    if len(compare["models"]) != len(types):
        sys.exit(f"demo_table: [{folder}/compare.json] holds {len(compare['models'])} models, not "
                 f"{len(types)}; run scripts/demo again")
    print_table(table_rows(types, benches, read(folder / "inspect-F32.json"), compare))
    print()
    print(machine_line(benches))
    print(f"Speed and memory: a prompt of 512 tokens, 64 generated; against F32 in brackets.\n"
          f"Quality: {compare['n_scored']} tokens of {compare['n_documents']} documents against "
          f"F32; errors are standard errors, clustered by document.")
    print("The rows of this model are 576 wide, which K-quants (blocks of 256) do not divide: such\n"
          "tensors get a type of blocks of 32. Bits per weight are those of the file as it is.")


if __name__ == "__main__":
    main(sys.argv[1:])
