#!/usr/bin/env python3
"""bench/results/{formats,encoders,embeddings}.json -> the measured tables of docs/FORMATS.md and the
figures that `nibble quants` prints (src/quantize/guide_figures.cpp).

    tools/formats_report.py [--check] [ROOT]

--check writes nothing and fails when either does not say what the results say.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))
from support import TYPES  # noqa: E402

BEGIN = "<!-- from bench/results/{}.json by tools/{}.py; do not edit -->"
TOOL = "formats_report"
END = "<!-- end of the measured table -->"

# The order of the table: most bits first.
NAMES = """F32 F16 BF16 Q8_0 Q6_K Q5_1 Q5_K Q5_0 Q4_1 Q4_K IQ4_NL NVFP4 Q4_0 MXFP4 IQ4_XS Q3_K IQ3_S
IQ3_XXS Q2_K IQ2_S IQ2_XS Q2_0 IQ2_XXS TQ2_0 IQ1_M TQ1_0 IQ1_S Q1_0""".split()


def bits(name):
    _, weights, size_bytes = TYPES[name]
    return f"{8 * size_bytes / weights:.4f}".rstrip("0").rstrip(".")


def plus_minus(value, error):
    return f"{value:.5f} ± {error:.5f}"


def cells(part):
    if part is None:
        return ["", ""]
    return [plus_minus(part["kld_mean"], part["kld_stderr"]),
            f"{part['ppl_ratio']:.4f} ± {part['ppl_ratio_stderr']:.4f}"]


def table(results):
    quality, speed = results["quality"], results.get("speed")
    text = (f"Divergence (mean KL, nats per token) and perplexity ratio against the F32 model: "
            f"{quality['model']}; {quality['n_scored']} scored tokens of {quality['n_documents']} "
            f"documents of {quality['text']} (the first Wikipedia articles of WikiText-2's test "
            f"split); ± is the standard error over documents; {quality['date']}. *ffn_down*: those "
            f"matrices, a fifth of the weights, in the format, the rest F16. *All*: every matrix "
            f"but the embedding; only formats that fit rows of 576. Written without importance "
            f"data; types that nibble only reads were {quality['foreign']}.")
    if speed:
        text += (f" Decode: bytes per second of row-dots over 600 MB, as a share of the read "
                 f"bandwidth of the same run ({speed['read_bytes_per_second'] / 1e9:.1f} GB/s, "
                 f"{speed['threads']} threads); {speed['date']}.")
    lines = [text, "",
             "| format | bits per weight | ffn_down: divergence | perplexity ratio | all: divergence "
             "| perplexity ratio | decode |",
             "|---|---|---|---|---|---|---|"]
    for name in NAMES:
        row = results["formats"].get(name, {})
        ratio = row.get("decode_of_read")
        lines.append("| " + " | ".join(
            [name, bits(name), *cells(row.get("ffn_down")), *cells(row.get("all")),
             "" if ratio is None else f"{ratio:.2f}"]) + " |")
    return lines


def encoders_table(results):
    lines = [f"{results['setting']}; {results['date']}.", "",
             "| format | seeds | KLD llama.cpp | KLD nibble | ratio of the means | standard error "
             "(paired, over seeds) |", "|---|---|---|---|---|---|"]
    for name in filter(results["types"].__contains__, NAMES):
        row = results["types"][name]
        lines.append(f"| {name} | {row['n_seeds']} | {row['llama_cpp_kld']:.5g} | "
                     f"{row['nibble_kld']:.5g} | {row['ratio']:.3f} | "
                     f"{row['difference_stderr'] / row['llama_cpp_kld']:.3f} |")
    return lines


def embeddings_table(results):
    n_draws = len(next(iter(results["types"].values()))["draws"])
    lines = [f"{results['n_texts']} texts, means of {n_draws} draws; {results['date']}.", "",
             "| type | error | with 8-bit activations | pairs | by llama.cpp: error | pairs "
             "| ratio of errors | of pairs |", "|---|---|---|---|---|---|---|---|"]
    for name, row in results["types"].items():
        ratios = [f"{row[key]['mean']:.3f} ± {row[key]['stderr']:.3f}"
                  for key in ("ratio", "ratio_pairs")]
        lines.append(f"| {name} | " + " | ".join(
            [f"{row[key]:.5f}" for key in ("nibble", "nibble_int8", "nibble_pairs", "llama_cpp",
                                           "llama_cpp_pairs")] + ratios) + " |")
    return lines


def place(text, name, lines, tool=TOOL):
    """text with the table of bench/results/<name>.json replaced."""
    head = BEGIN.format(name, tool)
    begin = text.index(head)
    end = text.index(END, begin)
    return text[:begin] + "\n".join([head, "", *lines, "", ""]) + text[end:]


def write_or_check(root, wanted, tool=TOOL):
    """wanted: {path: content}. With --check nothing is written, and a difference ends the program."""
    stale = [path for path, content in wanted.items()
             if not path.exists() or path.read_text() != content]
    if "--check" not in sys.argv:
        for path in stale:
            path.write_text(wanted[path])
    elif stale:
        sys.exit(f"{tool}: " + ", ".join(str(p.relative_to(root)) for p in stale) +
                 f" differ from bench/results; run tools/{tool}.py")


def source(results):
    rows = [(name, results["formats"].get(name, {}).get("ffn_down")) for name in NAMES]
    rows = [f"    {{FormatId::{name}, {part['kld_mean']:.6g}, {part['kld_stderr']:.6g}}},"
            for name, part in rows if part is not None]
    lines = ["// Generated by tools/formats_report.py from bench/results/formats.json; do not edit.",
             "#include <array>", "", '#include "quantize/guide.h"', "", "namespace nibble {",
             "namespace {", "", f"constexpr std::array<FormatFigures, {len(rows)}> kFigures = {{{{",
             *rows, "}};", "", "}  // namespace", "",
             "std::span<const FormatFigures> format_figures() { return kFigures; }", "",
             "}  // namespace nibble", ""]
    return "\n".join(lines)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    results, encoders, embeddings = (
        json.loads((root / f"bench/results/{name}.json").read_text())
        for name in ("formats", "encoders", "embeddings"))
    unknown = set(results["formats"]) - set(NAMES)
    if unknown:
        sys.exit(f"formats_report: no place in the table for {', '.join(sorted(unknown))}")
    document = root / "docs/FORMATS.md"
    text = place(document.read_text(), "formats", table(results))
    text = place(text, "encoders", encoders_table(encoders))
    text = place(text, "embeddings", embeddings_table(embeddings))
    write_or_check(root, {document: text, root / "src/quantize/guide_figures.cpp": source(results)})


if __name__ == "__main__":
    main()
