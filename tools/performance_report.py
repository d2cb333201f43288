#!/usr/bin/env python3
"""bench/results/{formats,instructions_by_format,cycles,models,peers}.json -> the measured tables of
docs/PERFORMANCE.md and the roofline plot docs/roofline.svg.

    tools/performance_report.py [--check] [ROOT]

--check writes nothing and fails when either does not say what the results say.
"""

import json
import math
import re
import statistics
import sys
from pathlib import Path

from formats_report import NAMES, TYPES, place, write_or_check

TOOL = "performance_report"
# What binds a decode kernel that reaches this share of the read bandwidth is the memory.
MEMORY_BOUND = 0.9


def formats_table(results, instructions, cycles):
    speed = results["speed"]
    lines = [
        f"Bytes per weight with all scales; instructions per weight of a decoded token "
        f"(callgrind, one thread, two layers of the 1.1B shape, every matrix in the format, all of "
        f"the step counted; {instructions['date']}); cycles of the inner loop per 32 weights on one "
        f"core, by llvm-mca for {cycles['cpu']}, everything in the first-level cache; decode: row-dots over 600 MB as a share of "
        f"the read bandwidth of the same run, {speed['read_bytes_per_second'] / 1e9:.1f} GB/s; "
        f"prefill: operations (two per weight and column) of 512 rows times 64 columns as a share "
        f"of what the int8 probe reaches, {speed['int8_ops_per_second'] / 1e9:.0f} GOPS; "
        f"{speed['threads']} threads, {speed['date']}.", "",
        "| format | bytes per weight | instructions per weight | cycles per 32 | decode | bound by "
        "| prefill |", "|---|---|---|---|---|---|---|"]
    for name in NAMES:
        row, count = results["formats"].get(name, {}), instructions["formats"].get(name, {})
        decode = row["decode_of_read"]
        bound = "memory" if decode >= MEMORY_BOUND else "instructions"
        prefill = row["prefill_ops_per_second"] / speed["int8_ops_per_second"]
        _, weights, size_bytes = TYPES[name]
        lines.append(f"| {name} | {size_bytes / weights:.4f} | "
                     f"{count.get('instructions_per_weight', '')} | "
                     f"{cycles['formats'].get(name, {}).get('cycles_per_32', '')} | {decode:.2f} | "
                     f"{bound} | "
                     f"{prefill:.2f} |")
    return lines


# Weights that a token of a prompt meets: without the embedding, and the head, which only the last
# token meets.
MULTIPLIED = {"A": 968.9e6, "B": 6979.3e6}


def models_table(results):
    lines = [f"{results['machine']}; medians over rounds. Of peak: operations on the layers' matrices "
             f"as a share of what the FMA probe (F types) or the int8 probe reaches; resident: the "
             f"most memory ever, as a share of the file.", "",
             "| model | rounds | prefill, tokens/s | of peak | decode, tokens/s | of read | resident "
             "| ready after, s | date |", "|---|---|---|---|---|---|---|---|---|"]
    for name, row in results["models"].items():
        shape, kind = name.split()[:2]
        probe = "fma" if kind in ("F32", "F16", "BF16") else "int8"
        peak = row[f"{probe}_ops_per_s_all_threads"]
        prefill = row["prefill 512"]
        decode = next(value for key, value in row.items() if re.fullmatch(r"decode \d+", key))
        lines.append(f"| {name} | {row['rounds']} | {prefill:.1f} | "
                     f"{2 * MULTIPLIED[shape] * prefill / peak:.2f} | {decode:.1f} | "
                     f"{row['decode_of_read']:.2f} | "
                     f"{row['peak_rss_bytes'] / row['file_bytes']:.2f} | "
                     f"{row['load_ms'] / 1000:.2f} | {row['date']} |")
    return lines


def peers_table(peers):
    lines = [f"{peers['machine']}. Medians over rounds in which every engine ran once, of the "
             f"ratio within the round, but for rounds that other work disturbed as nibble's probes "
             f"saw it; of read: nibble's decode as a share of the read bandwidth "
             f"that its probe saw in the same process.", "",
             "| model and test | rounds | nibble, tokens/s | of read | over llama.cpp | over "
             "ik_llama.cpp | date |", "|---|---|---|---|---|---|---|"]
    for name, row in peers["rows"].items():
        rounds = [r for r in row["rounds"] if not r["probes"]["disturbed"]]

        def median(value, rounds=rounds):
            values = [value(r) for r in rounds if value(r) is not None]
            return statistics.median(values) if values else None

        cells = [median(lambda r: r.get("bandwidth_fraction"))]
        for peer in ("llama.cpp", "ik_llama.cpp"):
            cells.append(median(lambda r, peer=peer: r["nibble"] / r[peer] if peer in r else None))
        shown = ["" if c is None else f"{c:.2f}" for c in cells]
        lines.append(f"| {name} | {len(rounds)} | {median(lambda r: r['nibble']):.1f} | "
                     f"{' | '.join(shown)} | {row['date']} |")
    return lines


# ---- the plot ------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 440, 70, 50, 20, 20
X_RANGE, Y_RANGE = (0.3, 1000.0), (5.0, 3000.0)  # operations per byte, GOPS


def at(x, y):
    def share(value, low, high):
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (LEFT + share(x, *X_RANGE) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - share(y, *Y_RANGE) * (HEIGHT - BOTTOM - TOP))


def label(x, y, text, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{text}</text>'


def line(x0, y0, x1, y1, style):
    (a, b), (c, d) = at(x0, y0), at(x1, y1)
    return f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" {style}/>'


def point(x, y, color, title):
    a, b = at(x, y)
    return f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="{color}"><title>{title}</title></circle>'


def roofline(results):
    """Operations per byte of weights against operations per second: decode, where every weight is
    used once per byte read, and prefill with 64 columns."""
    speed = results["speed"]
    read, peak = speed["read_bytes_per_second"] / 1e9, speed["int8_ops_per_second"] / 1e9
    grid, out = 'stroke="#ddd"', [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for x in (1, 10, 100, 1000):
        out += [line(x, Y_RANGE[0], x, Y_RANGE[1], grid),
                label(at(x, 1)[0], HEIGHT - BOTTOM + 16, x)]
    for y in (10, 100, 1000):
        out += [line(X_RANGE[0], y, X_RANGE[1], y, grid),
                label(LEFT - 6, at(1, y)[1] + 4, y, "end")]
    limit = 'stroke="#333" stroke-width="1.5"'
    out += [line(X_RANGE[0], read * X_RANGE[0], peak / read, peak, limit),
            line(peak / read, peak, X_RANGE[1], peak, limit),
            label(at(40, peak)[0], at(1, peak)[1] - 6, f"int8, {peak:.0f} GOPS"),
            label(at(2.2, 1)[0], at(1, read * 3.6)[1] - 8, f"memory, {read:.1f} GB/s", "end"),
            label((WIDTH + LEFT) / 2, HEIGHT - 12, "operations per byte of weights"),
            label(18, HEIGHT / 2, "10⁹ operations per second", "middle",
                  f' transform="rotate(-90 18 {HEIGHT / 2})"'),
            label(WIDTH - RIGHT - 90, HEIGHT - BOTTOM - 40, "● decode", "start",
                  ' fill="#1565c0"'),
            label(WIDTH - RIGHT - 90, HEIGHT - BOTTOM - 20, "● prefill", "start",
                  ' fill="#c62828"')]
    for name in NAMES:
        _, weights, size_bytes = TYPES[name]
        row, per_byte = results["formats"][name], 2 * weights / size_bytes
        out += [point(per_byte, row["decode_of_read"] * read * per_byte, "#1565c0",
                      f"{name}, decode: {row['decode_of_read']:.2f} of the read bandwidth"),
                point(64 * per_byte, row["prefill_ops_per_second"] / 1e9, "#c62828",
                      f"{name}, prefill: {row['prefill_ops_per_second'] / 1e9:.0f} GOPS")]
    return "\n".join([*out, "</svg>", ""])


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent

    def read(name):
        return json.loads((root / f"bench/results/{name}.json").read_text())
    document = root / "docs/PERFORMANCE.md"
    results = read("formats")
    text = place(document.read_text(), "formats",
                 formats_table(results, read("instructions_by_format"), read("cycles")), TOOL)
    text = place(text, "models", models_table(read("models")), TOOL)
    text = place(text, "peers", peers_table(read("peers")), TOOL)
    write_or_check(root, {document: text, root / "docs/roofline.svg": roofline(results)}, TOOL)


if __name__ == "__main__":
    main()
