"""Models in several files, from outside: every verb takes them by the first file, and `quantize`
writes them."""

import unittest

from support import I32, Gguf, TestCase, TinyModel, run, write_gguf

U16 = 2


def shard_names(prefix, count):
    return [f"{prefix}-{i + 1:05}-of-{count:05}.gguf" for i in range(count)]


def write_shards(folder, prefix, model, cuts):
    """The model in len(cuts) + 1 files; cuts: where in the list of tensors a file ends."""
    edges = [0, *cuts, len(model.tensors)]
    paths = [folder / name for name in shard_names(prefix, len(edges) - 1)]
    for i, path in enumerate(paths):
        split = [("split.no", U16, i), ("split.count", U16, len(paths)),
                 ("split.tensors.count", I32, len(model.tensors))]
        write_gguf(path, (model.metadata if i == 0 else []) + split,
                   model.tensors[edges[i]:edges[i + 1]])
    return paths


class ShardsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = TinyModel("F16", d_model=256, d_ff=512, n_layers=3, vocab_size=400)
        self.whole = self.model.save(self.dir / "whole.gguf")
        self.shards = write_shards(self.dir, "in", self.model, [5, 5, 14])
        self.first = self.shards[0]

    def quantize(self, source, out, *arguments):
        return self.run_json(["quantize", source, self.dir / out, "--to", "Q4_K_M", *arguments])

    def test_every_verb_takes_the_first_file(self):
        whole, sharded = (self.run_json(["inspect", path]) for path in (self.whole, self.first))
        self.assertEqual(sharded["file_bytes"], sum(p.stat().st_size for p in self.shards))
        for key in ("tensors", "metadata", "n_params", "bits_per_weight"):
            self.assertEqual(sharded[key], whole[key])
        for verb in (["run", "-p", "the and", "-n", "12", "--temp", "0"], ["tokenize"]):
            whole, sharded = (self.run_ok([verb[0], path, *verb[1:]], input="the and")
                              for path in (self.whole, self.first))
            self.assertEqual(sharded, whole)
        text = self.dir / "text.txt"
        text.write_text("the and ing of to in is it on that for as with his he was be " * 8)
        code, _, err = run(["compare", self.whole, self.first, "--text", text])
        self.assertEqual(code, 0, err)

    def test_quantized_to_one_file_it_is_that_of_the_whole(self):
        self.quantize(self.whole, "a.gguf")
        report = self.quantize(self.first, "b.gguf")
        self.assertEqual((self.dir / "a.gguf").read_bytes(), (self.dir / "b.gguf").read_bytes())
        self.assertEqual(report["files"], [str(self.dir / "b.gguf")])

    def assert_same_model(self, paths, whole):
        """The files hold the tensors and metadata of the whole, in order."""
        expected, parts = Gguf(whole), [Gguf(path) for path in paths]
        tensors = [(name, *rest) for part in parts for name, rest in part.tensors.items()]
        self.assertEqual(tensors, [(n, *rest) for n, rest in expected.tensors.items()])
        for i, part in enumerate(parts):
            split = {"split.no": i, "split.count": len(parts),
                     "split.tensors.count": len(tensors)}
            self.assertEqual(part.metadata, {**(expected.metadata if i == 0 else {}), **split})
        self.assertEqual(self.run_json(["inspect", paths[0]])["tensors"],
                         self.run_json(["inspect", whole])["tensors"])

    def test_keep_split(self):
        self.quantize(self.whole, "a.gguf")
        before = self.listing()
        for out in ("b.gguf", "b", "b-00001-of-00009.gguf"):
            report = self.quantize(self.first, out, "--keep-split")
            paths = [self.dir / name for name in shard_names("b", 4)]
            self.assertEqual(report["files"], list(map(str, paths)))
            self.assertEqual(report["file_bytes"], sum(p.stat().st_size for p in paths))
            self.assertEqual(self.listing(), sorted(before + [p.name for p in paths]))
            self.assert_same_model(paths, self.dir / "a.gguf")
            for path, source in zip(paths, self.shards):
                self.assertEqual(list(Gguf(path).tensors), list(Gguf(source).tensors))
                path.unlink()

    def test_keep_split_of_one_file_makes_one_file(self):
        self.quantize(self.whole, "a.gguf")
        self.quantize(self.whole, "b.gguf", "--keep-split")
        self.assertEqual((self.dir / "a.gguf").read_bytes(), (self.dir / "b.gguf").read_bytes())

    def test_split_max_size(self):
        self.run_ok(["quantize", self.whole, self.dir / "a.gguf", "--to", "F32"])
        for source in (self.whole, self.first):
            arguments = ["quantize", source, self.dir / "b.gguf", "--to", "F32",
                         "--split-max-size", "1M"]
            planned = self.run_json([*arguments, "--dry-run"])
            report = self.run_json(arguments)
            paths = [self.dir / name for name in shard_names("b", len(report["files"]))]
            self.assertEqual(report["files"], list(map(str, paths)))
            self.assertGreater(len(paths), 5)
            self.assertLessEqual(max(p.stat().st_size for p in paths), 1_000_000)
            self.assertEqual(planned["file_bytes"], sum(p.stat().st_size for p in paths))
            self.assert_same_model(paths, self.dir / "a.gguf")
            for path in paths:
                path.unlink()
        self.run_ok(["quantize", self.whole, self.dir / "c.gguf", "--to", "F32",
                     "--split-max-size", "4G"])
        self.assert_same_model([self.dir / "c-00001-of-00001.gguf"], self.dir / "a.gguf")

    def test_split_max_size_is_a_size(self):
        for bad in ("", "5", "M", "0M", "-1M", "1.5G", "1K", "1MB", "99999999999999G", "1 M"):
            self.assert_error(["quantize", self.whole, self.dir / "b.gguf", "--to", "Q8_0",
                               f"--split-max-size={bad}"], 2, "--split-max-size")
        self.assert_error(["quantize", self.first, self.dir / "b.gguf", "--to", "Q8_0",
                           "--split-max-size", "1G", "--keep-split"], 2, "--keep-split")

    def test_a_tensor_is_never_cut(self):
        big = TinyModel("F32", d_model=256, d_ff=1024, n_layers=1, pool=1000)
        source = big.save(self.dir / "big.gguf")
        self.assert_error(["quantize", source, self.dir / "b.gguf", "--to", "F32",
                           "--split-max-size", "1M"], 2, "ffn_gate", "1000000")

    def test_no_file_of_the_input_is_overwritten(self):
        contents = [path.read_bytes() for path in self.shards]
        for out in ("in", "in.gguf", self.first.name):
            self.assert_error(["quantize", self.first, self.dir / out, "--to", "Q8_0",
                               "--keep-split"], 2, "both input and output")
        self.assert_error(["quantize", self.first, self.shards[2], "--to", "Q8_0"], 2,
                          "both input and output")
        self.assertEqual([path.read_bytes() for path in self.shards], contents)

    def test_sets_that_are_not_whole(self):
        out = self.dir / "out.gguf"
        for verb in (["inspect"], ["run", "-p", "x"], ["tokenize"]):
            self.assert_error([verb[0], self.shards[1], *verb[1:]], 2, self.shards[1].name,
                              self.first.name)
        self.assert_error(["quantize", self.shards[3], out, "--to", "Q8_0"], 2, self.first.name)
        moved = self.shards[2].rename(self.dir / "elsewhere")
        self.assert_error(["quantize", self.first, out, "--to", "Q8_0"], 3, self.shards[2].name)
        moved.write_bytes(self.shards[3].read_bytes())
        moved.rename(self.shards[2])
        self.assert_error(["inspect", self.first], 4, self.shards[2].name)
        self.shards[2].unlink()
        self.shards[2].symlink_to(self.shards[2].name)
        self.assert_error(["inspect", self.first], 1, self.shards[2].name)

    def test_an_old_set_is_replaced(self):
        self.quantize(self.first, "b.gguf", "--keep-split")
        paths = [self.dir / name for name in shard_names("b", 4)]
        good = [path.read_bytes() for path in paths]
        for path in paths:
            path.write_bytes(b"old")
        self.quantize(self.first, "b.gguf", "--keep-split")
        self.assertEqual([path.read_bytes() for path in paths], good)

    def test_pypi_gguf_reads_each_file(self):
        try:
            from gguf import GGUFReader
        except ImportError:
            self.skipTest("the Python package gguf is not installed")
        self.quantize(self.first, "b.gguf", "--keep-split")
        for name, source in zip(shard_names("b", 4), self.shards):
            reader = GGUFReader(self.dir / name)
            self.assertEqual([t.name for t in reader.tensors], list(Gguf(source).tensors))


if __name__ == "__main__":
    unittest.main()
