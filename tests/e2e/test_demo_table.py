"""tools/demo_table.py: the table of scripts/demo from made-up measurements."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

from support import TestCase

SCRIPT = Path(__file__).resolve().parents[2] / "tools/demo_table.py"


class DemoTableTest(TestCase):
    def save(self, name, document):
        (self.dir / name).write_text(json.dumps(document))

    def bench(self, name, turn, decode_tps, prefill_tps, disturbed=False):
        self.save(f"bench-{name}-{turn}.json", {
            "prefill_tps": prefill_tps, "decode_tps": decode_tps, "peak_rss_bytes": 2_500_000,
            "peak_anon_bytes": 1_000_000, "read_bandwidth_bytes_per_s": 12.34e9, "n_threads": 2,
            "cores_seen": 1.2 if disturbed else 1.9, "disturbed": disturbed})

    def setUp(self):
        super().setUp()
        self.save("inspect-F32.json", {"bits_per_weight": 32.0})
        # The second round was slow for both: the ratio holds, the speed is the median.
        for turn, speed in enumerate([10, 5, 12], start=1):
            self.bench("F32", turn, speed, 100)
            self.bench("Q4_0", turn, 3 * speed, 50)
        self.model = {"file_bytes": 2_000_000, "bits_per_weight": 4.5, "kld_mean": 0.12345678,
                      "kld_stderr": 0.0123, "same_top": 0.8765, "ppl": 11.0, "ppl_ratio": 1.1,
                      "ppl_ratio_stderr": 0.00123}
        self.compare()

    def compare(self):
        self.save("compare.json", {"base": {"file_bytes": 10_000_000, "ppl": 10.0}, "n_scored": 77,
                                   "n_documents": 3, "models": [self.model]})

    def table(self, *types):
        done = subprocess.run([sys.executable, SCRIPT, self.dir, *types], capture_output=True,
                              text=True, check=False)
        rows = [[cell.strip() for cell in line.strip("|").split("|")]
                for line in done.stdout.splitlines() if line.startswith("|")]
        return done, rows

    def test_rows(self):
        done, rows = self.table("Q4_0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(rows), 4)
        self.assertEqual({len(row) for row in rows}, {12})
        self.assertEqual(rows[2], ["F32", "10.0 MB", "", "32.00", "2.5 MB", "1.0 MB",
                                   "100.0 (1.00 x)", "10.0 (1.00 x)", "", "", "10.000", ""])
        self.assertEqual(rows[3], ["Q4_0", "2.0 MB", "80.0 %", "4.50", "2.5 MB", "1.0 MB",
                                   "50.0 (0.50 x)", "30.0 (3.00 x)", "0.123 ± 0.012", "87.65 %",
                                   "11.000", "1.1000 ± 0.0012"])
        self.assertIn("12.3 GB/s; not disturbed.", done.stdout)
        self.assertIn("77 tokens of 3 documents", done.stdout)

    def test_tells_of_other_work(self):
        self.bench("Q4_0", 2, 1, 1, disturbed=True)
        self.assertIn("1 of 6 measurements were disturbed", self.table("Q4_0")[0].stdout)

    def test_one_document_has_no_error(self):
        self.model.update(kld_stderr=None, ppl_ratio_stderr=None)
        self.compare()
        row = self.table("Q4_0")[1][3]
        self.assertEqual((row[8], row[11]), ("0.1235", "1.1000"))

    def test_missing_measurements_end_it_with_a_sentence(self):
        for types, name in ((["Q4_0", "Q8_0"], None), (["Q4_0"], "bench-Q4_0-3.json"),
                            (["Q4_0"], "compare.json")):
            if name:
                (self.dir / name).unlink()
            done, _ = self.table(*types)
            self.assertEqual(done.returncode, 1)
            self.assertIn("run scripts/demo again", done.stderr)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
