"""`nibble quantize` from outside: every type, the same bytes however it is computed, what it
promises about files."""

import json
import math
import os
import unittest

from support import (ARRAY, STRING, U32, Gguf, TestCase, TinyModel, n_elements, pack_floats, run,
                     tensor_bytes, unpack_floats, write_gguf)

# --to: the types a weight matrix may come out as when its rows are multiples of 256, and of 32
# only.
RECIPES = {
    "F32": ({"F32"}, {"F32"}),
    "F16": ({"F16"}, {"F16"}),
    "BF16": ({"BF16"}, {"BF16"}),
    "Q8_0": ({"Q8_0"}, {"Q8_0"}),
    "Q6_K": ({"Q6_K"}, {"Q8_0"}),
    "Q5_K_M": ({"Q5_K", "Q6_K"}, {"Q5_0", "Q8_0"}),
    "Q4_K_M": ({"Q4_K", "Q5_K", "Q6_K"}, {"IQ4_NL", "Q5_0", "Q8_0"}),
    "Q4_K_S": ({"Q4_K", "Q5_K", "Q6_K"}, {"IQ4_NL", "Q5_0", "Q8_0"}),
    "Q4_0": ({"Q4_0", "Q6_K"}, {"Q4_0", "Q8_0"}),
    "IQ4_NL": ({"IQ4_NL", "Q5_K", "Q6_K"}, {"IQ4_NL", "Q5_0", "Q8_0"}),
    "IQ4_XS": ({"IQ4_XS", "Q5_K", "Q6_K"}, {"IQ4_NL", "Q5_0", "Q8_0"}),
    "MXFP4_MOE": ({"Q8_0"}, {"Q8_0"}),  # these models have no experts
    "Q3_K_M": ({"Q3_K", "Q4_K", "Q5_K", "Q6_K"}, {"IQ4_NL", "Q5_0", "Q8_0"}),
    "Q2_K": ({"Q2_K", "Q3_K", "Q4_K", "Q6_K"}, {"IQ4_NL", "Q8_0"}),
    "TQ2_0": ({"TQ2_0", "Q4_K", "Q6_K"}, {"Q4_0", "IQ4_NL", "Q8_0"}),
}
BASE_TYPE = {"Q5_K_M": "Q5_K", "Q4_K_M": "Q4_K", "Q4_K_S": "Q4_K", "MXFP4_MOE": "Q8_0",
             "Q3_K_M": "Q3_K"}


class QuantizeTest(TestCase):
    def setUp(self):
        super().setUp()
        self.small = TinyModel().save(self.dir / "small.gguf")  # rows of 64 and 128
        self.wide = TinyModel("F16", d_model=256, d_ff=512, n_layers=1).save(self.dir / "wide.gguf")

    def quantize(self, source, to, *arguments, name="out.gguf", **options):
        out = self.dir / name
        self.run_ok(["quantize", source, out, "--to", to, *arguments], **options)
        return out

    def test_every_type_on_both_row_lengths(self):
        for to, allowed in RECIPES.items():
            for source, types in ((self.wide, allowed[0]), (self.small, allowed[1])):
                with self.subTest(to=to, source=source.name):
                    path = self.quantize(source, to)
                    before, after = Gguf(source), Gguf(path)
                    self.assertEqual(after.version, 3)
                    self.assertEqual(list(before.tensors), list(after.tensors))
                    seen = set()
                    for name, (kind, shape, _) in after.tensors.items():
                        self.assertEqual(shape, before.tensors[name][1])
                        if len(shape) == 1:
                            self.assertEqual(kind, "F32", name)
                        else:
                            self.assertIn(kind, types, name)
                            seen.add(kind)
                    if source == self.wide:
                        self.assertIn(BASE_TYPE.get(to, to), seen)
                    self.assertEqual(self.listing(), ["out.gguf", "small.gguf", "wide.gguf"])

    def test_metadata_is_carried_over(self):
        after = Gguf(self.quantize(self.small, "Q4_0")).metadata
        for key, value in Gguf(self.small).metadata.items():
            if key != "general.file_type":
                self.assertEqual(after.pop(key), value, key)
        self.assertEqual(after.pop("general.file_type"), 2)
        self.assertEqual(after, {"general.quantization_version": 2})

    def test_values_of_the_simple_types(self):
        before = Gguf(self.small).tensors
        for to in ("F32", "F16", "BF16"):
            after = Gguf(self.quantize(self.small, to)).tensors
            for name, (_, shape, data) in before.items():
                expected = data if len(shape) == 1 else pack_floats(to, unpack_floats("F32", data))
                self.assertEqual(after[name][2], expected, f"{to} {name}")
        # Largest error in steps of the widest weight of its block (a searched Q4_0 scale may clip
        # the end that has no code), and relative error of a whole matrix.
        for to, steps, most, relative in (("Q8_0", 127, 0.51, 0.006), ("Q4_0", 8, 1.5, 0.12)):
            after = Gguf(self.quantize(self.small, to)).tensors
            checked = [name for name in after if after[name][0] == to]
            self.assertGreaterEqual(len(checked), 14)
            for name in checked:
                x = unpack_floats("F32", before[name][2])
                errors = [p - q for p, q in zip(x, unpack_floats(to, after[name][2]))]
                for b in range(0, len(x), 32):
                    largest = max(map(abs, x[b:b + 32]))
                    bound = most * largest / steps + largest * 2 ** -10  # the scale is an f16
                    self.assertLessEqual(max(map(abs, errors[b:b + 32])), bound, f"{to} {name}")
                rms = math.hypot(*errors) / math.hypot(*x)
                self.assertLess(rms, relative, f"{to} {name}")

    def test_f16_widens_exactly(self):
        after = Gguf(self.quantize(self.wide, "F32")).tensors
        for name, (kind, _, data) in Gguf(self.wide).tensors.items():
            self.assertEqual(after[name][2], pack_floats("F32", unpack_floats(kind, data)), name)

    def test_same_bytes_for_any_threads_and_instruction_set(self):
        for to in RECIPES:
            for source in (self.small, self.wide):
                first = None
                for number, (threads, env) in enumerate(
                        [(1, {}), (2, {}), (3, {}), (4, {}), (2, {"NIBBLE_ISA": "portable"})]):
                    path = self.quantize(source, to, "--threads", str(threads), env=env)
                    data = path.read_bytes()
                    if number == 0:
                        first = data
                    self.assertTrue(data == first, f"{to} {source.name}: run {number} differs")

    def test_positional_form(self):
        wanted = self.quantize(self.wide, "Q4_K_M").read_bytes()
        for extra in (["Q4_K_M"], ["q4_k_m"], ["Q4_K_M", "2"]):
            out = self.dir / "positional.gguf"
            self.run_ok(["quantize", self.wide, out, *extra])
            self.assertEqual(out.read_bytes(), wanted, extra)
            out.unlink()
        lower = self.quantize(self.wide, "q4_k_m", name="lower.gguf")
        self.assertEqual(lower.read_bytes(), wanted)

    def test_positional_form_without_an_output(self):
        wanted = self.quantize(self.wide, "Q4_K_M").read_bytes()
        for extra in (["Q4_K_M"], ["q4_k", "2"], ["15"]):
            out = self.run_ok(["quantize", self.wide, *extra])
            path = self.wide.parent / "ggml-model-Q4_K_M.gguf"
            self.assertIn(path.name, out)
            self.assertEqual(path.read_bytes(), wanted, extra)
            path.unlink()
        before = self.listing()
        self.run_ok(["quantize", "--dry-run", self.wide, "Q4_K_M"])
        self.assertEqual(self.listing(), before)
        self.assert_error(["quantize", self.wide, "--to", "Q4_K_M"], 2, "OUT")
        self.assert_error(["quantize", self.wide, "out.gguf", "Q4_K_M", "--to", "Q8_0"], 2, "once")

    def test_types_of_single_tensors(self):
        path = self.quantize(self.wide, "Q4_K_M", "--tensor-type", r"blk\.0\.attn_[qk]=q5_1",
                             "--tensor-type", "attn=Q8_0", "--token-embedding-type", "F16")
        tensors = Gguf(path).tensors
        self.assertEqual(tensors["blk.0.attn_k.weight"][0], "Q5_1")
        self.assertEqual(tensors["blk.0.attn_output.weight"][0], "Q8_0")
        self.assertEqual(tensors["token_embd.weight"][0], "F16")
        pure = Gguf(self.quantize(self.wide, "Q4_K_M", "--pure")).tensors
        self.assertEqual({kind for kind, shape, _ in pure.values() if len(shape) > 1}, {"Q4_K"})

    def test_flags_that_cannot_be(self):
        out = self.dir / "out.gguf"
        for flags, names in ((["--tensor-type", "attn_(=Q8_0"], ["attn_(", "character"]),
                             (["--tensor-type", "attn=Q9"], ["Q9", "Q8_0"]),
                             (["--output-tensor-type", "IQ1_S"], ["IQ1_S", "not written"]),
                             (["--tensor-type", "attn_q=Q4_K"], ["attn_q.weight", "64", "256"]),
                             (["--strict"], ["rows of 64", "--strict"]),
                             (["--strict", "--compat-fallback"], ["--strict"]),
                             (["--override-kv", "a=b"], ["a=b", "KEY=TYPE:VALUE"])):
            with self.subTest(flags=flags):
                self.assert_error(["quantize", self.small, out, "--to", "Q4_K_M", *flags], 2,
                                  *names)
                self.assertFalse(out.exists())
        self.assert_error(["quantize", self.small, out, "IQ2_M"], 1, "known but not written")

    def test_rows_that_do_not_fit_as_llama_cpp_takes_them(self):
        tensors = Gguf(self.quantize(self.small, "Q4_K_M", "--compat-fallback")).tensors
        kinds = {kind for kind, shape, _ in tensors.values() if len(shape) > 1}
        self.assertEqual(kinds, {"Q5_0", "Q8_0"})

    def test_metadata_may_be_overridden(self):
        path = self.quantize(self.small, "Q8_0", "--override-kv", "general.name=str:other name",
                             "--override-kv", "llama.context_length=int:77")
        metadata = Gguf(path).metadata
        self.assertEqual(metadata["general.name"], "other name")
        self.assertEqual(metadata["llama.context_length"], 77)

    def test_a_regex_that_matches_nothing_is_warned_of(self):
        code, _, err = run(["quantize", self.small, self.dir / "out.gguf", "--to", "Q8_0",
                            "--tensor-type", "attn_x=Q4_0"])
        self.assertEqual(code, 0)
        self.assertIn("warning", err)
        self.assertIn("attn_x=Q4_0", err)

    def imatrix(self, model, n_tokens=20000, keep=lambda name: True, width=lambda n: n):
        """An importance matrix for every matrix of the model; every fourth column counts most."""
        tensors = []
        for name, (_, shape, _) in Gguf(model).tensors.items():
            if len(shape) > 1 and keep(name):
                n = width(shape[0])
                sums = [float(n_tokens * (100 if i % 4 == 0 else 1)) for i in range(n)]
                tensors += [(name + ".in_sum2", "F32", [n, 1], pack_floats("F32", sums)),
                            (name + ".counts", "F32", [1, 1],
                             pack_floats("F32", [float(n_tokens)]))]
        path = self.dir / "imatrix.gguf"
        write_gguf(path, [("general.type", STRING, "imatrix"),
                          ("imatrix.datasets", (ARRAY, STRING), ["folder/text.txt"]),
                          ("imatrix.chunk_count", U32, 40), ("imatrix.chunk_size", U32, 512)],
                   tensors)
        return path

    def test_importance_matrix(self):
        plain = self.quantize(self.wide, "Q4_0", name="plain.gguf")
        imatrix = self.imatrix(self.wide)
        first = None
        for threads in ("1", "2", "3"):
            path = self.quantize(self.wide, "Q4_0", "--imatrix", imatrix, "--threads", threads)
            first = first or path.read_bytes()
            self.assertEqual(path.read_bytes(), first)
        weighted = Gguf(path)
        self.assertEqual(weighted.metadata["quantize.imatrix.file"], "imatrix.gguf")
        self.assertEqual(weighted.metadata["quantize.imatrix.dataset"], "text.txt")
        self.assertEqual(weighted.metadata["quantize.imatrix.chunks_count"], 40)
        # the columns that count most come out better than without
        name = "blk.0.attn_q.weight"
        x = unpack_floats("F16", Gguf(self.wide).tensors[name][2])

        def error(file):
            y = unpack_floats("Q4_0", file.tensors[name][2])
            return math.hypot(*[a - b for i, (a, b) in enumerate(zip(x, y)) if i % 4 == 0])

        self.assertNotEqual(weighted.tensors[name][2], Gguf(plain).tensors[name][2])
        self.assertLess(error(weighted), 0.9 * error(Gguf(plain)))

    def test_importance_matrix_of_another_model(self):
        out = self.dir / "out.gguf"
        quantize = ["quantize", self.wide, out, "--to", "Q4_0", "--imatrix"]
        path = self.imatrix(self.wide, width=lambda n: n * 2)
        self.assert_error([*quantize, path], 4, "imatrix.gguf", "another model")
        path = self.imatrix(self.wide, keep=lambda name: False)
        self.assert_error([*quantize, path], 4, "imatrix.gguf")
        self.assert_error([*quantize, self.wide], 4, "wide.gguf", "nibble calibrate")
        self.assert_error([*quantize, self.dir / "none.gguf"], 3, "none.gguf")
        self.assertFalse(out.exists())

    def test_importance_matrix_with_gaps_or_few_tokens(self):
        path = self.imatrix(self.wide, 300, keep=lambda name: "ffn_up" not in name)
        code, _, err = run(["quantize", self.wide, self.dir / "out.gguf", "--to", "Q4_0",
                            "--imatrix", path])
        self.assertEqual(code, 0)
        self.assertIn("300 tokens", err)
        self.assertIn("blk.0.ffn_up.weight", err)

    def test_report_at_the_end(self):
        out = self.run_ok(["quantize", self.small, self.dir / "out.gguf", "--to", "Q4_K_M"])
        for pattern in (r"written in [\d.]+ s", r"\(\d+\.\d % smaller\)",
                        r"[\d.]+ requested by Q4_K_M, [\d.]+ true", r"12 tensors: Q4_K -> IQ4_NL, rows of 64",
                        r"0\.\d{4}  blk\.\d\.\w+\.weight \(IQ4_NL\)", r"memory: [\d.]+ [kM]B"):
            self.assertRegex(out, pattern)
        report = self.run_json(["quantize", self.small, self.dir / "out.gguf", "--to", "Q4_K_M"])
        self.assertEqual(len(report["worst"]), 5)
        errors = [row["relative_error"] for row in report["worst"]]
        self.assertEqual(errors, sorted(errors, reverse=True))
        self.assertEqual(errors[0], max(row.get("relative_error", 0) for row in report["tensors"]))
        self.assertGreater(report["anonymous_bytes"], 0)
        self.assertAlmostEqual(report["reduction_percent"],
                               100 - 100 * report["file_bytes"] / report["source_bytes"], 6)

    def test_dry_run_writes_nothing_and_knows_the_size(self):
        for source, to in ((self.small, "Q4_K_M"), (self.wide, "Q4_K_M"), (self.small, "Q8_0")):
            before = self.listing()
            out = self.run_ok(["quantize", source, self.dir / "out.gguf", "--to", to, "--dry-run"])
            self.assertEqual(self.listing(), before)
            report = json.loads(self.run_ok(["quantize", source, self.dir / "out.gguf", "--to", to,
                                             "--dry-run", "--json"]))
            self.assertEqual(self.listing(), before)
            path = self.quantize(source, to)
            self.assertEqual(report["file_bytes"], path.stat().st_size)
            after = Gguf(path).tensors
            for name, (kind, _, _) in after.items():
                self.assertRegex(out, rf"{name}\b.*\b{kind}\b")
            n_bytes = sum(tensor_bytes(kind, shape) for kind, shape, _ in after.values())
            n_params = sum(n_elements(shape) for _, shape, _ in after.values())
            self.assertTrue(math.isclose(report["bits_per_weight"], 8 * n_bytes / n_params,
                                         rel_tol=1e-3))
            path.unlink()

    def test_quantized_input_is_refused_without_the_flag(self):
        quantized = self.quantize(self.wide, "Q8_0", name="q8.gguf")
        self.assert_error(["quantize", quantized, self.dir / "out.gguf", "--to", "Q4_0"], 2,
                          "--allow-requantize")
        path = self.quantize(quantized, "Q4_0", "--allow-requantize")
        self.assertEqual(Gguf(path).tensors["blk.0.attn_q.weight"][0], "Q4_0")

    def test_existing_output_is_replaced_whole(self):
        out = self.dir / "out.gguf"
        out.write_bytes(b"old")
        self.quantize(self.small, "Q8_0")
        self.assertEqual(Gguf(out).tensors["blk.0.attn_q.weight"][0], "Q8_0")

    def test_existing_output_survives_a_failure(self):
        out = self.dir / "out.gguf"
        out.write_bytes(b"old")
        broken = self.dir / "broken.gguf"
        broken.write_bytes(self.small.read_bytes()[:-100])
        self.assert_error(["quantize", broken, out, "--to", "Q8_0"], 4, "broken.gguf")
        self.assertEqual(out.read_bytes(), b"old")

    def test_weights_that_are_not_finite_are_refused(self):
        for bad in ("nan", "inf"):
            model = TinyModel()
            values = unpack_floats("F32", model.tensor("blk.1.ffn_up.weight")[3])
            values[77] = float(bad)  # rows of 64
            model.tensor("blk.1.ffn_up.weight")[3] = pack_floats("F32", values)
            path = model.save(self.dir / f"{bad}.gguf")
            self.assert_error(["quantize", path, self.dir / "out.gguf", "--to", "Q4_K_M"], 4,
                              "blk.1.ffn_up.weight", "row 1, column 13")

    def test_nothing_but_the_document_on_standard_output(self):
        report = self.run_json(["quantize", self.small, self.dir / "out.gguf", "--to", "Q8_0"])
        self.assertEqual(report["file_bytes"], os.path.getsize(self.dir / "out.gguf"))

    def test_quantized_files_are_smaller_in_the_order_of_their_bits(self):
        sizes = [self.quantize(self.wide, to).stat().st_size
                 for to in ("F32", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S")]
        self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_progress_stays_off_standard_error_that_is_no_terminal(self):
        _, _, err = run(["quantize", self.small, self.dir / "out.gguf", "--to", "Q8_0"])
        self.assertNotIn("\r", err)
        self.assertNotIn("\x1b", err)


if __name__ == "__main__":
    unittest.main()
