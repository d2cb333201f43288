#!/usr/bin/env python3
"""Instructions per weight of a decoded token, for every format that quantize writes: callgrind, one
thread, two layers of the 1.1B shape with every matrix in the format. A measure that no neighbour on
the machine moves. Writes bench/results/instructions_by_format.json.

    NIBBLE_BIN=build/release/nibble NIBBLE_LAB_BIN=build/release/nibble-lab bench/instructions.py
"""

import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/e2e"))
from support import TYPES  # noqa: E402
from test_instructions import LAB, LONG, NIBBLE, SHORT, WEIGHTS, instructions  # noqa: E402

NAMES = """F32 F16 BF16 Q8_0 Q6_K Q5_1 Q5_K_S Q5_0 Q4_1 Q4_K_S IQ4_NL Q4_0 MXFP4_MOE IQ4_XS Q3_K_S Q2_K
TQ2_0 TQ1_0""".split()
FORMATS = {"Q5_K_S": "Q5_K", "Q4_K_S": "Q4_K", "Q3_K_S": "Q3_K", "MXFP4_MOE": "MXFP4"}


def main():
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        base, model = f"{folder}/base.gguf", f"{folder}/model.gguf"
        subprocess.run([LAB, "shape", base, "--preset", "1b-2l", "--type", "F32"], check=True,
                       capture_output=True)
        for name in NAMES:
            kind = FORMATS.get(name, name)
            to = ["--to", "F16", "--tensor-type", f"weight={kind}"] if kind == "MXFP4" else \
                ["--to", name, "--pure"]
            subprocess.run([NIBBLE, "quantize", base, model, *to], check=True, capture_output=True)
            short, long = (instructions(model, n, folder) for n in (SHORT, LONG))
            _, weights, size_bytes = TYPES[kind]
            rows[kind] = {"bytes_per_weight": size_bytes / weights,
                          "instructions_per_weight": round(
                              (long - short) / (LONG - SHORT) / WEIGHTS, 4)}
            print(kind, rows[kind], flush=True)
    (HERE / "results/instructions_by_format.json").write_text(json.dumps(
        {"date": str(datetime.date.today()), "formats": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
