#!/usr/bin/env python3
"""Our data-free encoders against llama.cpp's by divergence; writes bench/results/encoders.json.

    tools/measure_encoders.py --build build/release --text FILE [--types A,B] [--seeds 2,3]
                              [--tokens N] [--characters N] [--threads N] [--again]

For every seed: SmolLM2-135M-Instruct, rescaled (see tools/measure_formats.py), is the base in F32.
Per type it is encoded by `nibble quantize` and by the library of node-llama-cpp that
scripts/setup_interop installs, both without importance, and one run of `nibble compare` measures
all of these files. Types of super-blocks: ffn_down alone, the rest F16; 32-wide types: every matrix
but the embedding. Q8_0 is decoded to F32 after encoding, with the rest F32: its own error would
drown in that of the 8-bit activations. The seeds are independent draws of the rounding errors, so
the standard error is that of the paired differences over seeds. Of every document in FILE its
beginning is taken. Results are added to those in the file; a type and seed measured again is
replaced, llama.cpp's side only with --again: it stays the same while text and tokens do.
"""

import argparse
import datetime
import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
from foreign_blocks import encoder  # noqa: E402
from measure_formats import excerpt  # noqa: E402
from support import Gguf, write_gguf  # noqa: E402

BLOCK_32 = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "MXFP4"]
SUPER_BLOCKS = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS", "TQ1_0", "TQ2_0"]
WEIGHTS_ONLY = ["Q8_0"]
TARGET = ROOT / "bench/results/encoders.json"


def run(*arguments):
    command = [str(a) for a in arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"measure_encoders: {' '.join(command)}: {result.stderr}")
    return result.stdout


def encode_with_llama_cpp(encode, source, target, kind, part):
    model = Gguf(source)
    tensors = []
    for name, (old, shape, data) in model.tensors.items():
        if re.search(part, name) and len(shape) > 1:
            old, data = kind, encode(kind, shape, data, None)
        tensors.append((name, old, shape, data))
    write_gguf(target, model, tensors)


def files_of(options, encode, base, kind, makers, folder):
    """The files of one type by maker: llama.cpp's, ours, or both."""
    nibble = options.build / "nibble"
    part = "ffn_down" if kind in SUPER_BLOCKS else r"blk\..*(attn|ffn)_.*weight"
    rest = "F32" if kind in WEIGHTS_ONLY else "F16"
    files = {maker: folder / f"{kind}-{maker}.gguf" for maker in makers}
    if "llama_cpp" in makers:
        source = folder / "source.gguf"
        run(nibble, "quantize", base, source, "--to", rest, "--tensor-type", f"{part}=F32")
        encode_with_llama_cpp(encode, source, files["llama_cpp"], kind, part)
        source.unlink()
    run(nibble, "quantize", base, files["nibble"], "--to", rest, "--tensor-type", f"{part}={kind}")
    if kind in WEIGHTS_ONLY:
        for maker, path in files.items():
            files[maker] = path.with_suffix(".F32.gguf")
            run(nibble, "quantize", path, files[maker], "--to", "F32", "--allow-requantize")
            path.unlink()
    return files


def known(options, kind, seed):
    """llama.cpp's divergence from an earlier run with the same tokens; None where there is none."""
    if options.again or not options.output.exists():
        return None
    rows = json.loads(options.output.read_text()).get("types", {}).get(kind, {}).get("seeds", [])
    for row in rows:
        same_text = (row["tokens"], row.get("characters")) == (options.tokens, options.characters)
        if row["seed"] == seed and same_text:
            return row["llama_cpp_kld"]
    return None


def measure_seed(options, encode, seed):
    with tempfile.TemporaryDirectory(prefix="nibble-encoders-") as name:
        folder = Path(name)
        base, beginnings = folder / "base.gguf", folder / "text.txt"
        beginnings.write_text(excerpt(options.text.read_text(), options.characters))
        run(options.build / "nibble-lab", "rescale", options.model, base, "--seed", seed)
        rows, files = {}, {}
        for kind in options.types:
            rows[kind] = {"seed": seed, "tokens": options.tokens, "characters": options.characters}
            theirs = known(options, kind, seed)
            if theirs is not None:
                rows[kind]["llama_cpp_kld"] = theirs
            makers = ["nibble"] if theirs is not None else ["llama_cpp", "nibble"]
            for maker, path in files_of(options, encode, base, kind, makers, folder).items():
                files[kind, f"{maker}_kld"] = path
        out = json.loads(run(options.build / "nibble", "compare", base, *files.values(),
                             "--text", beginnings, "--tokens", options.tokens,
                             "--threads", options.threads, "--json"))
    for (kind, key), model in zip(files, out["models"]):
        rows[kind]["n_scored"] = out["n_scored"]
        rows[kind][key] = model["kld_mean"]
    return rows


def summary(rows):
    """Means over the seeds, and the standard error of the mean paired difference."""
    n = len(rows)
    llama_cpp = sum(row["llama_cpp_kld"] for row in rows) / n
    differences = [row["nibble_kld"] - row["llama_cpp_kld"] for row in rows]
    mean = sum(differences) / n
    squares = sum((d - mean) ** 2 for d in differences)
    error = math.sqrt(squares / (n - 1) / n) if n > 1 else None
    return {"n_seeds": n, "llama_cpp_kld": llama_cpp, "nibble_kld": llama_cpp + mean,
            "ratio": 1 + mean / llama_cpp, "difference": mean, "difference_stderr": error}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--types", type=lambda text: text.split(","),
                        default=BLOCK_32 + SUPER_BLOCKS)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")],
                        default=list(range(2, 10)))
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--characters", type=int, default=700, help="of each document")
    parser.add_argument("--again", action="store_true", help="llama.cpp's side too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", type=Path,
                        default=ROOT / ".cache/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--libraries", type=Path, default=ROOT / ".cache/interop/node_modules/"
                        "@node-llama-cpp/linux-x64/bins/linux-x64")
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    unknown = set(options.types) - set(BLOCK_32 + SUPER_BLOCKS)
    if unknown:
        sys.exit(f"measure_encoders: {', '.join(sorted(unknown))}: not among "
                 f"{', '.join(BLOCK_32 + SUPER_BLOCKS)}")
    encode = encoder(options.libraries)
    for seed in options.seeds:
        rows = measure_seed(options, encode, seed)
        # Read just before writing: a long run keeps what it has, and loses nothing of another.
        results = json.loads(options.output.read_text()) if options.output.exists() else {}
        types = results.setdefault("types", {})
        for kind, row in rows.items():
            kept = [old for old in types.get(kind, {}).get("seeds", []) if old["seed"] != seed]
            seeds = sorted([*kept, row], key=lambda r: r["seed"])
            types[kind] = {**summary(seeds), "seeds": seeds}
        results["date"] = str(datetime.date.today())
        results["setting"] = ("SmolLM2-135M-Instruct, rescaled (sigma 0.3), against itself in F32; "
                              f"text {options.text.name}, the beginning of every document; "
                              "no importance")
        options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
