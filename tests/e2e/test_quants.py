"""`nibble quants`: every type that quantize accepts is explained, and its figures are the measured
ones."""

import json
import unittest
from pathlib import Path

from support import TestCase, TinyModel

RESULTS = Path(__file__).resolve().parents[2] / "bench/results/formats.json"


class QuantsTest(TestCase):
    def test_every_type_is_explained_and_can_be_written(self):
        rows = self.run_json(["quants"])
        table = self.run_ok(["quants"])
        model = TinyModel("F16", d_model=256, d_ff=256, n_layers=1).save(self.dir / "m.gguf")
        self.assertGreater(len(rows), 20)
        for row in rows:
            self.assertGreater(len(row["advice"]), 20, row)
            self.assertIn(row["advice"], table)
            self.run_ok(["quantize", model, self.dir / "out.gguf", row["type"], "--dry-run"])
        self.assertEqual(sum(row["recommended"] for row in rows), 3)
        self.assertEqual(sum(line.startswith("* ") for line in table.splitlines()), 3)

    def test_figures_are_those_of_the_results(self):
        measured = json.loads(RESULTS.read_text())["formats"]
        seen = set()
        for row in self.run_json(["quants"]):
            part = measured.get(row.get("base_type"), {}).get("ffn_down")
            if part is None or row["type"] == "MXFP4_MOE":  # Q8_0 where there are no experts
                self.assertNotIn("kld", row)
                continue
            seen.add(row["base_type"])
            self.assertAlmostEqual(row["kld"], part["kld_mean"], delta=1e-5 * part["kld_mean"])
            self.assertAlmostEqual(row["kld_stderr"], part["kld_stderr"],
                                   delta=1e-5 * part["kld_stderr"])
        self.assertGreater(len(seen), 12)

    def test_more_bits_never_diverge_much_more(self):
        """The order of the list is that of quality, as far as the measurement can tell."""
        rows = [r for r in self.run_json(["quants"]) if r.get("base_type") in
                ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")]
        for better, worse in zip(rows, rows[1:]):
            if better["base_type"] != worse["base_type"]:
                self.assertLess(better["kld"], worse["kld"], (better["type"], worse["type"]))


if __name__ == "__main__":
    unittest.main()
