"""nibble bench: lists of settings, its three ways of speaking, an earlier result beside it."""

import csv
import io
import json
import unittest

from support import TestCase, TinyModel, run


class BenchTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = TinyModel(n_ctx=1024).save(self.dir / "model.gguf")

    def bench(self, *arguments):
        code, out, err = run(["bench", *arguments, "-r", "1"])
        self.assertEqual(code, 0, err)
        return out

    def test_json_has_a_row_for_every_combination(self):
        # The model behind a list: the list must not swallow it.
        report = json.loads(self.bench("--json", "-n", "2", "-d", "0,20", "-b", "1,2", "-t", "1,2",
                                       "-ctk", "f16,f32", "-p", "0,16", self.model))
        rows = report["rows"]
        keys = [tuple(row[key] for key in ("test", "n_tokens", "depth", "batch", "n_threads",
                                           "type_k", "type_v")) for row in rows]
        expected = [(*work, depth, *batch, threads, type_k, "f16")
                    for threads in (1, 2) for type_k in ("f16", "f32") for depth in (0, 20)
                    for work, batch in ((("prefill", 16), (1,)), (("decode", 2), (1,)),
                                        (("decode", 2), (2,)))]
        self.assertEqual(keys, expected)
        for row in rows:
            self.assertGreater(row["tokens_per_s"], 0)
            self.assertEqual("bandwidth_fraction" in row, row["test"] == "decode")
        self.assertEqual(report["prefill_tps"], rows[0]["tokens_per_s"])
        self.assertEqual(report["decode_tps"], rows[1]["tokens_per_s"])

    def test_csv_has_the_same_columns_in_every_line(self):
        rows = list(csv.DictReader(io.StringIO(
            self.bench(self.model, "--csv", "-p", "8", "-n", "2", "-d", "0,8"))))
        self.assertEqual([(row["test"], row["depth"]) for row in rows],
                         [("prefill", "0"), ("decode", "0"), ("prefill", "8"), ("decode", "8")])
        for row in rows:
            self.assertNotIn(None, row)
            self.assertGreater(float(row["tokens_per_s"]), 0)

    def test_an_earlier_result_stands_beside_the_new_one(self):
        old = json.loads(self.bench(self.model, "--json", "-p", "8", "-n", "2"))
        for row in old["rows"]:
            row["tokens_per_s"] = 1e-3
        path = self.dir / "old.json"
        path.write_text(json.dumps(old))
        new = json.loads(self.bench(self.model, "--json", "-p", "8,16", "-n", "2", "--compare",
                                    path))
        for row in new["rows"]:
            if row["n_tokens"] == 16:
                self.assertIsNone(row["ratio"])
            else:
                self.assertAlmostEqual(row["ratio"] * 1e-3 / row["tokens_per_s"], 1)
        text = self.bench(self.model, "-p", "8,16", "-n", "0", "--compare", path)
        self.assertIn("times as fast as before", text)
        self.assertIn("not measured before", text)

    def test_bad_input(self):
        self.assert_error(["bench", self.model, "-p", "0", "-n", "0"], 2, "-p 0")
        self.assert_error(["bench", self.model, "-b", "0"], 2, "--batch")
        self.assert_error(["bench", self.model, "--csv", "--json"], 2, "--csv")
        self.assert_error(["bench", self.model, "--compare", self.dir / "none.json"], 3,
                          "none.json")
        for text in ("{", "[]", '{"rows": 3}', '{"rows": [{"tokens_per_s": "x"}]}'):
            (self.dir / "bad.json").write_text(text)
            self.assert_error(["bench", self.model, "--compare", self.dir / "bad.json"], 4,
                              "bad.json")


if __name__ == "__main__":
    unittest.main()
