#!/usr/bin/env python3
"""Measures what every format costs and how fast it is read; writes bench/results/formats.json.

    tools/measure_formats.py --build build/release --text FILE [--foreign FOLDER] [--characters N]

Quality: SmolLM2-135M-Instruct, rescaled (its published weights lie on a 4-bit grid, which would
flatter every 4-bit type; nibble-lab rescale moves them off it and leaves the function alone).
`ffn_down`: those matrices in the format, everything else F16. `all`: every matrix but the embedding
(which stays on its grid) in the format; only for formats that fit rows of 576. Each file is compared
with the rescaled F32 model. FOLDER holds files NAME.gguf, ffn_down in the format NAME and the rest
F16, for formats that nibble does not write (tests/e2e/foreign_blocks.py makes them). Of every document
in FILE its beginning is taken, so that the standard errors are those of many documents.
Speed: bench/kernels_bench, row-dots over 600 MB beside the read probe, and a panel of 512 rows times
64 columns beside the int8 probe; random interleaving, medians.
"""

import argparse
import datetime
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WRITTEN = ["F16", "BF16", "Q8_0", "Q6_K", "Q5_1", "Q5_K", "Q5_0", "Q4_1", "Q4_K", "IQ4_NL", "Q4_0",
           "IQ4_XS", "MXFP4", "Q3_K", "Q2_K", "TQ2_0", "TQ1_0"]
BLOCK_32 = ["F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "IQ4_NL", "Q4_0", "MXFP4"]
KEEP = ["kld_mean", "kld_stderr", "same_top", "ppl_ratio", "ppl_ratio_stderr"]


def run(*arguments):
    result = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"measure_formats: {' '.join(map(str, arguments))}: {result.stderr}")
    return result.stdout


def excerpt(text, characters):
    """The first characters of every document; one begins at a line " = Title = "."""
    documents = re.split(r"(?m)^(?= = [^=].* = $)", text)
    return "".join(document[:characters].rstrip() + "\n" for document in documents
                   if document.strip())


def quality(build, model, text, characters, foreign, wanted, folder):
    base = folder / "base.gguf"
    beginnings = folder / "text.txt"
    beginnings.write_text(excerpt(text.read_text(), characters))
    run(build / "nibble-lab", "rescale", model, base)
    files = {}
    for name in filter(wanted, WRITTEN):
        files["ffn_down", name] = folder / f"ffn_down-{name}.gguf"
        run(build / "nibble", "quantize", base, files["ffn_down", name], "--to", "F16",
            "--tensor-type", f"ffn_down={name}")
    for name in filter(wanted, BLOCK_32):
        files["all", name] = folder / f"all-{name}.gguf"
        run(build / "nibble", "quantize", base, files["all", name], "--to", "F16",
            "--tensor-type", f"blk={name}")
    for path in sorted(foreign.glob("*.gguf")) if foreign else []:
        files["ffn_down", path.stem] = path
    out = json.loads(run(build / "nibble", "compare", base, *files.values(), "--text", beginnings,
                         "--json"))
    rows = {}
    for (part, name), model_row in zip(files, out["models"]):
        rows.setdefault(name, {})[part] = {key: model_row[key] for key in KEEP}
    return rows, {"n_documents": out["n_documents"], "n_scored": out["n_scored"],
                  "base_ppl": out["base"]["ppl"]}


def speeds(build):
    """(limits, {format: figures}) of one run."""
    out = run(build / "bench/kernels_bench",
              "--benchmark_enable_random_interleaving=true", "--benchmark_repetitions=9",
              "--benchmark_min_time=0.05", "--benchmark_format=json")
    medians = {row["run_name"].removesuffix("/manual_time").removesuffix("/real_time"): row
               for row in json.loads(out)["benchmarks"] if row.get("aggregate_name") == "median"}
    limits = {"read_bytes_per_second": medians.pop("read limit")["bytes_per_second"],
              "int8_ops_per_second": medians.pop("int8 limit")["ops"],
              "fma_ops_per_second": medians.pop("fma limit")["ops"]}
    figures = {}
    for test, row in medians.items():
        kind, name = test.split()
        key, counter = {"decode": ("decode_of_read", "of_read"),
                        "prefill": ("prefill_ops_per_second", "ops")}[kind]
        figures.setdefault(name, {})[key] = row[counter]
    return limits, figures


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--foreign", type=Path)
    parser.add_argument("--characters", type=int, default=2000, help="of each document")
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("--model", type=Path,
                        default=root / ".cache/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--types", nargs="*", help="only these of the types that nibble writes")
    parser.add_argument("--only", choices=["quality", "speed"])
    options = parser.parse_args()
    target = root / "bench/results/formats.json"
    results = json.loads(target.read_text()) if target.exists() else {"formats": {}}
    formats = results["formats"]
    if options.only != "speed":
        with tempfile.TemporaryDirectory(prefix="nibble-formats-") as folder:
            rows, setting = quality(options.build, options.model, options.text, options.characters,
                                    options.foreign,
                                    lambda name: options.types is None or name in options.types,
                                    Path(folder))
        results["quality"] = {"date": str(datetime.date.today()), "model": "SmolLM2-135M-Instruct, "
                              "rescaled (seed 1, sigma 0.3)", "text": options.text.name, **setting,
                              "foreign": "encoded by llama.cpp with an importance matrix of "
                              "tests/data/demo.txt"}
        for name, row in rows.items():
            formats.setdefault(name, {}).update(row)
    if options.only != "quality":
        limits, figures = speeds(options.build)
        results["speed"] = {"date": str(datetime.date.today()), "threads": 2,
                            "machine": platform.machine(), **limits}
        for name, row in figures.items():
            formats.setdefault(name, {}).update(row)
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
