"""`nibble quantize` from outside: every type, the same bytes however it is computed, what it
promises about files."""

import json
import math
import os
import unittest

from support import (Gguf, TestCase, TinyModel, n_elements, pack_floats, run, tensor_bytes,
                     unpack_floats)

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
}
BASE_TYPE = {"Q5_K_M": "Q5_K", "Q4_K_M": "Q4_K", "Q4_K_S": "Q4_K"}


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
            values[77] = float(bad)
            model.tensor("blk.1.ffn_up.weight")[3] = pack_floats("F32", values)
            path = model.save(self.dir / f"{bad}.gguf")
            self.assert_error(["quantize", path, self.dir / "out.gguf", "--to", "Q4_K_M"], 4,
                              "blk.1.ffn_up.weight")

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
