"""`kill -9` at random moments of `quantize`: under the final name stands nothing or the whole file,
and the next run leaves nothing behind."""

import random
import subprocess
import time
import unittest

import support
from support import TestCase, TinyModel
from test_shards import shard_names

N_KILLS = 50


class KillTest(TestCase):
    def setUp(self):
        super().setUp()
        # About 25 MB of F32, a fifth of a second.
        self.source = TinyModel("F16", d_model=512, d_ff=2048, n_layers=3,
                                pool=1 << 15).save(self.dir / "in.gguf")
        self.folder = self.dir / "out"
        self.folder.mkdir()

    def command(self, *arguments):
        return [support.NIBBLE, "quantize", str(self.source), str(self.folder / "out.gguf"), "--to",
                "Q8_0", *arguments]

    def complete(self, *arguments):
        start = time.monotonic()
        subprocess.run(self.command(*arguments), check=True, capture_output=True, timeout=120)
        return time.monotonic() - start

    def check_kills(self, seed, *arguments):
        self.complete(*arguments)
        good = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        first = sorted(good)[0]
        duration = min(self.complete(*arguments) for _ in range(3))
        rng = random.Random(seed)
        n_killed = n_temporary = 0
        for round_ in range(N_KILLS):
            # As if there was no output, and as if there was an older one.
            for path in self.folder.iterdir():
                if path.name.endswith(".gguf"):
                    path.unlink()
            if round_ % 2:
                for name in good:
                    (self.folder / name).write_bytes(b"old")
            process = subprocess.Popen(self.command(*arguments), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            # The end, where files get their names, is worth a closer look.
            moment = rng.random() if round_ % 3 else 0.9 + rng.random() * 0.15
            try:
                process.wait(duration * moment)
            except subprocess.TimeoutExpired:
                process.kill()
                n_killed += 1
            process.wait()
            left = {path.name: path.read_bytes() for path in self.folder.iterdir()}
            n_temporary += any(name.endswith(".nibble-tmp") for name in left)
            for name, data in left.items():
                if name in good and data != b"old":
                    self.assertTrue(data == good[name], f"round {round_}: {name} is not whole")
            if left.get(first, b"old") != b"old":
                self.assertEqual({name for name in good if left.get(name) == good[name]}, set(good),
                                 f"round {round_}: the first file stands without the others")
            elif first in left:
                self.assertTrue(all(left.get(name) == b"old" for name in good),
                                f"round {round_}: an old first file beside new others")
        print(f"{N_KILLS} rounds, {n_killed} killed in time, {n_temporary} left temporary files",
              flush=True)
        self.assertGreater(n_killed, N_KILLS // 2)
        self.assertGreater(n_temporary, 0)
        self.complete(*arguments)
        self.assertEqual({path.name: path.read_bytes() for path in self.folder.iterdir()}, good)

    def test_one_file(self):
        self.check_kills(1)

    def test_several_files(self):
        self.check_kills(2, "--split-max-size", "4M")
        self.assertGreater(len(self.listing(self.folder)), 3)
        self.assertEqual(self.listing(self.folder),
                         shard_names("out", len(self.listing(self.folder))))


if __name__ == "__main__":
    unittest.main()
