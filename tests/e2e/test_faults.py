"""Disks that fail: every system call of `quantize` that changes a file fails once, and the end is
always a clear message and no file, or a whole file. The calls are counted and made to fail by
io_faults.cpp, preloaded."""

import contextlib
import errno
import os
import subprocess
import sys
import unittest

from support import TestCase, TinyModel, run
from test_shards import shard_names

SHIM = os.environ.get("NIBBLE_IO_FAULTS", "")


class Quantization:
    """One command, the files it makes, and their right contents."""

    def __init__(self, test, source, *arguments, outputs):
        self.test, self.source, self.arguments = test, source, arguments
        self.folder = test.dir / "out"
        self.folder.mkdir()
        self.outputs = [self.folder / name for name in outputs]
        self.run()
        self.good = [path.read_bytes() for path in self.outputs]
        self.source_bytes = source.read_bytes()
        self.clear()

    def run(self, **fault):
        env = {"LD_PRELOAD": SHIM, "ASAN_OPTIONS": "verify_asan_link_order=0", **fault}
        return run(["quantize", self.source, self.folder / "out.gguf", "--to", "Q4_0", "--threads",
                    "1", *self.arguments], env=env if fault else {})

    def calls(self):
        """The names of the counted calls of a run without faults."""
        log = self.test.dir / "calls"
        with contextlib.suppress(FileNotFoundError):
            log.unlink()
        code, _, err = self.run(FAULT_LOG=str(log))
        self.test.assertEqual(code, 0, err)
        self.test.assertEqual(self.contents(), self.good)
        self.clear()
        return log.read_text().split()

    def contents(self):
        return [path.read_bytes() for path in self.outputs]

    def clear(self):
        for path in self.folder.iterdir():
            path.unlink()


@unittest.skipUnless(SHIM and sys.platform == "linux", "NIBBLE_IO_FAULTS names no library")
class FaultsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.source = TinyModel(n_layers=1).save(self.dir / "in.gguf")

    def quantizations(self):
        yield Quantization(self, self.source, outputs=["out.gguf"])
        for path in (self.dir / "out").iterdir():
            path.unlink()
        (self.dir / "out").rmdir()
        wide = TinyModel("F16", d_model=256, d_ff=512, n_layers=2, pool=5000)
        wide.save(self.dir / "wide.gguf")
        code, out, err = run(["quantize", self.dir / "wide.gguf", self.dir / "set", "--to", "F32",
                              "--split-max-size", "1M", "--dry-run"])
        self.assertEqual(code, 0, err)
        self.run_ok(["quantize", self.dir / "wide.gguf", self.dir / "set", "--to", "F32",
                     "--split-max-size", "1M"])
        n = len(list(self.dir.glob("set-*")))
        self.assertGreater(n, 3)
        yield Quantization(self, self.dir / shard_names("set", n)[0], "--keep-split",
                           outputs=shard_names("out", n))

    def assert_failed_cleanly(self, job, what, result, codes):
        code, out, err = result
        self.assertIn(code, codes, f"{what}: {err!r}")
        self.assertNotIn("written", out, what)
        self.assertRegex(err, r"\Anibble: \[.*out.*\.gguf\] [^\n]*\n\Z", what)
        self.assertEqual(list(job.folder.iterdir()), [], what)
        self.assertEqual(job.source.read_bytes(), job.source_bytes, what)

    def test_every_call_fails_once(self):
        for job in self.quantizations():
            calls = job.calls()
            self.assertLessEqual({"open", "flock", "ftruncate", "fallocate", "pwrite", "fsync",
                                  "rename"}, set(calls))
            last_rename = len(calls) - calls[::-1].index("rename")
            for number, name in enumerate(calls, 1):
                for code in (errno.ENOSPC, errno.EIO):
                    what = f"{len(job.outputs)} files, call {number} ({name}), errno {code}"
                    result = job.run(FAULT_AT=str(number), FAULT_ACTION="error",
                                     FAULT_ERRNO=str(code))
                    if result[0] == 0:
                        # Only the flush of a folder may fail without harm.
                        self.assertEqual(name, "fsync", what)
                        self.assertEqual(job.contents(), job.good, what)
                        job.clear()
                        continue
                    self.assertLessEqual(number, last_rename, what)
                    self.assert_failed_cleanly(job, what, result,
                                               (5,) if code == errno.ENOSPC else (1,))
                    if code == errno.ENOSPC and name in ("pwrite", "fallocate"):
                        self.assertRegex(result[2], r"has \d+ bytes, \d+ are free", what)

    def test_interrupted_and_short_calls_are_repeated(self):
        for job in self.quantizations():
            for number, name in enumerate(job.calls(), 1):
                faults = [{"FAULT_ACTION": "short"}] if name == "pwrite" else []
                if name in ("pwrite", "fsync", "flock", "fallocate", "rename"):
                    faults.append({"FAULT_ACTION": "error", "FAULT_ERRNO": str(errno.EINTR)})
                if name == "fallocate":  # a file system that reserves nothing
                    faults.append({"FAULT_ACTION": "error", "FAULT_ERRNO": str(errno.EOPNOTSUPP)})
                for fault in faults:
                    code, _, err = job.run(FAULT_AT=str(number), **fault)
                    self.assertEqual(code, 0, f"call {number} ({name}), {fault}: {err}")
                    self.assertEqual(job.contents(), job.good, f"call {number} ({name}), {fault}")
                    job.clear()

    def test_killed_before_every_call(self):
        for job in self.quantizations():
            for number, name in enumerate(job.calls(), 1):
                for old in (False, True):
                    what = f"{len(job.outputs)} files, killed before call {number} ({name})"
                    for path in job.outputs if old else []:
                        path.write_bytes(b"old")
                    code, _, _ = job.run(FAULT_AT=str(number), FAULT_ACTION="kill")
                    self.assertEqual(code, -9, what)
                    first = job.outputs[0].read_bytes() if job.outputs[0].exists() else b"old"
                    if first != b"old":
                        self.assertEqual(job.contents(), job.good, what)
                    elif job.outputs[0].exists():
                        self.assertEqual({path.read_bytes() for path in job.outputs}, {b"old"},
                                         f"{what}: an old first file beside new others")
                    for path in job.outputs:
                        if path.exists() and path.read_bytes() != b"old":
                            self.assertEqual(path.read_bytes(),
                                             job.good[job.outputs.index(path)], what)
                    code, _, err = job.run()
                    self.assertEqual(code, 0, f"{what}: {err}")
                    self.assertEqual(sorted(job.folder.iterdir()), job.outputs, what)
                    self.assertEqual(job.contents(), job.good, what)
                    job.clear()


class FullDiskTest(TestCase):
    def test_a_disk_that_is_too_small_is_refused_up_front(self):
        disk = self.dir / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("only root may mount the small disk of this test")
        try:
            source = TinyModel().save(self.dir / "in.gguf")
            report = self.run_json(["quantize", source, self.dir / "x", "--to", "F32", "--dry-run"])
            for extra in ([], ["--split-max-size", "1M"]):
                self.assert_error(["quantize", source, disk / "out.gguf", "--to", "F32", *extra], 5,
                                  "out", "bytes of disk, 65536 are free",
                                  "out" if extra else report["file_bytes"])
            self.assertEqual(self.listing(disk), [])
        finally:
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    unittest.main()
