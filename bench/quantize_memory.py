#!/usr/bin/env python3
"""What quantizing a 7B model takes: resident memory of its own, and does the progress bar tell the
truth? Writes 14.5 GB of generated weights as one F16 file and as a sharded BF16 folder, makes
Q4_K_M of each under a data limit of 1 GB, samples RssAnon and the bar, and writes
bench/results/quantize_memory.json. Fails above 300 MB, or where the bar is more than 15 points of
the whole time off. Needs 20 GB of disk and 20 minutes.

    bench/quantize_memory.py --nibble BIN --lab BIN [--preset 7b] [--folder SCRATCH]
"""

import argparse
import datetime
import json
import os
import pty
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results/quantize_memory.json"
DATA_LIMIT = 1_000_000_000
PERCENT = re.compile(rb"\] +(\d+) %")


def rss_anon(pid):
    """Bytes; 0 when the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def watch(command):
    """Runs it on a terminal. (seconds, peak RssAnon, [(seconds, percent)])"""
    pid, terminal = pty.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_DATA, (DATA_LIMIT, DATA_LIMIT))
        os.execv(command[0], [str(c) for c in command])
    os.set_blocking(terminal, False)
    start, peak, shown, text = time.monotonic(), 0, [], b""
    while True:
        peak = max(peak, rss_anon(pid))
        try:
            text = os.read(terminal, 1 << 16)
            percents = PERCENT.findall(text)
            if percents:
                shown.append((time.monotonic() - start, int(percents[-1])))
        except BlockingIOError:
            pass
        except OSError:
            pass  # the terminal of a process that has ended
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    os.close(terminal)
    if status != 0:
        sys.exit(f"{command} ended with {os.waitstatus_to_exitcode(status)}:\n{text.decode()}")
    return time.monotonic() - start, peak, shown


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nibble", type=Path, required=True)
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--preset", default="7b")
    parser.add_argument("--folder", type=Path, help="where the model is written for the while")
    options = parser.parse_args()
    rows = []
    for kind in ("F16", "BF16"):
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            model, out = Path(scratch) / "model", Path(scratch) / "out.gguf"
            as_folder = ["--folder"] if kind == "BF16" else []
            subprocess.run([options.lab, "shape", model, "--preset", options.preset, "--type", kind,
                            *as_folder], check=True, stdout=subprocess.DEVNULL)
            files = sorted(model.glob("*.safetensors")) if as_folder else [model]
            seconds, peak, shown = watch([options.nibble.resolve(), "quantize", model, out, "--to",
                                          "Q4_K_M", "-t", 2])
            # the bar says how much is done; what it said of the time is that share of it
            off = max(abs(percent / 100 - at / seconds) for at, percent in shown) if shown else None
            rows.append({"source": "GGUF file, F16" if kind == "F16" else "folder, BF16",
                         "n_files": len(files), "bytes": sum(f.stat().st_size for f in files),
                         "bytes_out": out.stat().st_size, "seconds": round(seconds, 1),
                         "data_limit_bytes": DATA_LIMIT, "peak_rss_anon_bytes": peak,
                         "progress_off": off and round(off, 4)})
            print(json.dumps(rows[-1]), flush=True)
    if options.preset == "7b":
        RESULTS.write_text(json.dumps({"date": str(datetime.date.today()), "recipe": "Q4_K_M",
                                       "threads": 2, "runs": rows}, indent=1) + "\n")
    if any(r["peak_rss_anon_bytes"] > 300e6 or (r["progress_off"] or 0) > 0.15 for r in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
