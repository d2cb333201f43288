"""Bad input: the exit code, one sentence that names the thing, nothing half-written."""

import os
import shutil
import signal
import struct
import subprocess
import time
import unittest

from support import F32, NIBBLE, STRING, U32, TestCase, TinyModel, pack_floats, run

TEXT = " = A title = \n\n" + "the man in the town was at it with his hand and an oath " * 400


class ExitCodeTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = TinyModel(n_ctx=1024).save(self.dir / "model.gguf")
        self.text = self.dir / "text.txt"
        self.text.write_text(TEXT)
        self.out = self.dir / "out.gguf"

    def quantize(self, source, *arguments):
        return ["quantize", source, self.out, "--to", "Q8_0", *arguments]

    def verbs(self, model):
        """Every verb with `model` as its model."""
        return {
            "inspect": ["inspect", model],
            "inspect --json": ["inspect", model, "--json"],
            "quantize": self.quantize(model),
            "quantize --dry-run": self.quantize(model, "--dry-run"),
            "tokenize": ["tokenize", model],
            **self.running_verbs(model),
        }

    def running_verbs(self, model):
        """Those that need the network and not only the file."""
        return {
            "run": ["run", model, "-p", "the", "-n", "2", "--temp", "0", "--raw"],
            "bench": ["bench", model],
            "bench --json": ["bench", model, "--json"],
            "compare, as the base": ["compare", model, self.model, "--text", self.text],
            "compare, as the other": ["compare", self.model, model, "--text", self.text, "--json"],
        }

    def assert_errors(self, verbs, code, *names):
        for verb, arguments in verbs.items():
            with self.subTest(verb):
                self.assert_error(arguments, code, *names)


class UsageTest(ExitCodeTest):
    def test_unknown_flag(self):
        for verb, arguments in self.verbs(self.model).items():
            with self.subTest(verb):
                self.assert_error([*arguments, "--no-such-flag"], 2, "--no-such-flag")

    def test_unknown_or_missing_verb(self):
        self.assert_error(["quantise", self.model], 2, "quantise")
        code, out, err = run([])
        self.assertEqual((code, out), (2, ""))
        self.assertRegex(err, "quantize|--help")  # what there is, or how to learn it

    def test_missing_arguments(self):
        for arguments in (["inspect"], ["quantize"], ["quantize", self.model], ["run"], ["bench"],
                          ["tokenize"], ["compare"], ["compare", self.model, "--text", self.text],
                          ["compare", self.model, self.model]):
            with self.subTest(arguments[0]):
                self.assert_error(arguments, 2)

    def test_quantize_without_a_type(self):
        self.assert_error(["quantize", self.model, self.out], 2)

    def test_thread_counts(self):
        for threads in ("0", "10000", "-1", "many", "1.5", "99999999999999999999"):
            for flag in ("-t", "--threads"):
                for verb, arguments in {"quantize": self.quantize(self.model),
                                        **self.running_verbs(self.model)}.items():
                    with self.subTest(f"{verb} {flag} {threads}"):
                        self.assert_error([*arguments, flag, threads], 2, threads)
        self.assert_error(["quantize", self.model, self.out, "Q8_0", "0"], 2, "0")
        self.assert_error(["quantize", self.model, self.out, "Q8_0", "10000"], 2, "10000")

    def test_numbers_that_are_none(self):
        for flag in ("-n", "-c", "--temp", "-s"):
            with self.subTest(flag):
                self.assert_error(["run", self.model, "-p", "the", flag, "x1"], 2, "x1")

    def test_cache_types(self):
        for flag in ("-ctk", "-ctv"):
            self.assert_error(["run", self.model, "-p", "the", flag, "q9"], 2, "q9")

    def test_output_equal_to_input(self):
        before = self.model.read_bytes()
        link, hard = self.dir / "link.gguf", self.dir / "hard.gguf"
        link.symlink_to(self.model)
        os.link(self.model, hard)
        for out in (self.model, link, hard, self.dir / "." / "model.gguf",
                    f"{self.dir}/../{self.dir.name}/model.gguf"):
            for source, target in ((self.model, out), (out, self.model)):
                with self.subTest(f"{source} {target}"):
                    self.assert_error(["quantize", source, target, "--to", "Q8_0"], 2,
                                      self.dir.name)
                    self.assertEqual(self.model.read_bytes(), before)
        self.assertTrue(link.is_symlink())

    def test_not_a_regular_file(self):
        folder, fifo = self.dir / "folder", self.dir / "fifo"
        folder.mkdir()
        os.mkfifo(fifo)
        for path in (folder, fifo, "/dev/zero"):
            for verb, arguments in self.verbs(path).items():
                with self.subTest(f"{verb} {path}"):
                    self.assert_error(arguments, 2, path, timeout=10)
        self.assert_error(["compare", self.model, self.model, "--text", folder], 2, folder)

    def test_output_that_is_no_regular_file_stays_what_it_is(self):
        folder, fifo = self.dir / "folder", self.dir / "fifo"
        folder.mkdir()
        os.mkfifo(fifo)
        for path in (folder, fifo):
            with self.subTest(path.name):
                self.assert_error(["quantize", self.model, path, "--to", "Q8_0"], 2, path)
        self.assertTrue(fifo.is_fifo() and folder.is_dir())

    def test_help_and_version(self):
        for arguments in (["--help"], ["quantize", "--help"], ["--version"]):
            code, out, err = run(arguments)
            self.assertEqual((code, err), (0, ""), arguments)
            self.assertTrue(out)


class NotFoundTest(ExitCodeTest):
    def test_missing_model(self):
        for path in (self.dir / "missing.gguf", self.dir / "no" / "folder.gguf",
                     self.model / "below-a-file.gguf"):
            self.assert_errors(self.verbs(path), 3, path)

    def test_missing_text(self):
        path = self.dir / "missing.txt"
        self.assert_error(["compare", self.model, self.model, "--text", path], 3, path)


class MalformedTest(ExitCodeTest):
    def test_files_that_are_no_gguf(self):
        whole = self.model.read_bytes()
        files = {
            "empty.gguf": b"",
            "magic.gguf": b"GGUF",
            "zeros.gguf": bytes(4096),
            "text.gguf": b"version https://git-lfs.github.com/spec/v1\n",
            "other.gguf": b"PK\x03\x04" + whole[4:],
            "version1.gguf": whole[:4] + struct.pack("<I", 1) + whole[8:],
            "version4.gguf": whole[:4] + struct.pack("<I", 4) + whole[8:],
            "bigendian.gguf": whole[:4] + struct.pack(">I", 3) + whole[8:],
            "tensors.gguf": whole[:8] + b"\xff" * 8 + whole[16:],
            "keys.gguf": whole[:16] + b"\xff" * 8 + whole[24:],
        }
        for name, data in files.items():
            path = self.dir / name
            path.write_bytes(data)
            self.assert_errors(self.verbs(path), 4, path)

    def test_truncated_files(self):
        whole = self.model.read_bytes()
        # Inside the header, inside the metadata, inside the weights, one byte short.
        for length in (8, 23, 24, 100, 5000, len(whole) // 2, len(whole) - 1):
            path = self.dir / "cut.gguf"
            path.write_bytes(whole[:length])
            self.assert_errors(self.verbs(path), 4, path)

    def test_contradictions_in_the_tensor_table(self):
        def table(change):
            model = TinyModel()
            change(model)
            return model.save(self.dir / "bad.gguf")

        def duplicate(model):
            model.tensors.append(model.tensors[-1])

        def half_a_block(model):
            model.tensor("blk.0.attn_q.weight")[1:] = ["Q8_0", [48, 64], bytes(34 * 96)]

        def no_elements(model):
            model.tensor("blk.0.attn_q.weight")[2] = [0, 64]

        def too_large(model):
            model.tensor("blk.0.attn_q.weight")[2] = [1 << 40, 1 << 40]

        for change in (duplicate, half_a_block, no_elements, too_large):
            path = table(change)
            with self.subTest(change.__name__):
                self.assert_errors(self.verbs(path), 4, path)

    def test_metadata_twice_and_alignment(self):
        model = TinyModel()
        model.metadata.append(["general.name", STRING, "again"])
        path = model.save(self.dir / "twice.gguf")
        self.assert_errors(self.verbs(path), 4, path, "general.name")
        for alignment in (0, 3):
            path = TinyModel().set("general.alignment", alignment, U32).save(self.dir / "a.gguf")
            self.assert_errors(self.verbs(path), 4, path, "alignment")

    def test_missing_tensor(self):
        for name in ("token_embd.weight", "blk.1.attn_k.weight", "blk.0.ffn_norm.weight",
                     "output_norm.weight"):
            path = TinyModel().drop(name).save(self.dir / "missing.gguf")
            self.assert_errors(self.running_verbs(path), 4, path, name)

    def test_wrong_shape(self):
        for name, shape in (("blk.0.attn_v.weight", [32, 64]), ("blk.1.ffn_up.weight", [64, 64]),
                            ("blk.0.attn_norm.weight", [32]), ("token_embd.weight", [64, 299])):
            model = TinyModel()
            tensor = model.tensor(name)
            tensor[2] = shape
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            tensor[3] = pack_floats("F32", [0.5] * count)
            path = model.save(self.dir / "shape.gguf")
            self.assert_errors(self.running_verbs(path), 4, path, name)

    def test_hyperparameters(self):
        for key, value in (("llama.attention.head_count", 0), ("llama.attention.head_count", 3),
                           ("llama.attention.head_count_kv", 0),
                           ("llama.attention.head_count_kv", 3), ("llama.embedding_length", 0),
                           ("llama.embedding_length", 2 ** 32 - 1),
                           ("llama.block_count", 2 ** 32 - 1),
                           ("llama.context_length", 0), ("llama.rope.dimension_count", 7)):
            path = TinyModel().set(key, value).save(self.dir / "hyper.gguf")
            with self.subTest(f"{key} {value}"):
                self.assert_errors(self.running_verbs(path), 4, path)
        for key in ("llama.block_count", "llama.embedding_length",
                    "llama.attention.layer_norm_rms_epsilon"):
            path = TinyModel().drop(key).save(self.dir / "hyper.gguf")
            self.assert_errors(self.running_verbs(path), 4, path, key)
        path = TinyModel().set("llama.block_count", 2.0, F32).save(self.dir / "hyper.gguf")
        self.assert_errors(self.running_verbs(path), 4, path, "llama.block_count")

    def test_vocabulary(self):
        for key, value in (("tokenizer.ggml.eos_token_id", 300),
                           ("tokenizer.ggml.merges", ["q zzz"]),
                           ("tokenizer.ggml.token_type", [1, 2, 3])):
            path = TinyModel().set(key, value).save(self.dir / "vocab.gguf")
            with self.subTest(key):
                self.assert_errors({"tokenize": ["tokenize", path],
                                    "run": self.running_verbs(path)["run"]}, 4, path)


class FailureTest(ExitCodeTest):
    def test_unknown_architecture(self):
        model = TinyModel().set("general.architecture", "gizmo")
        path = model.save(self.dir / "gizmo.gguf")
        self.assert_errors(self.running_verbs(path), 1, path, "gizmo", "llama")

    def test_unknown_type_to_quantize_to(self):
        for name in ("Q9_X", "4bit"):
            self.assert_error(["quantize", self.model, self.out, "--to", name], 1, name, "Q4_K_M")
        self.assert_error(["quantize", self.model, self.out, "Q9_X"], 1, "Q9_X", "Q4_K_M")

    def test_unknown_type_in_a_file(self):
        for wire_id in (4, 99, 2 ** 32 - 1):
            model = TinyModel()
            model.tensor("blk.0.ffn_up.weight")[1] = wire_id
            path = model.save(self.dir / "type.gguf")
            self.assert_errors(self.verbs(path), 1, path, wire_id, "blk.0.ffn_up.weight")

    def test_unknown_tokenizer(self):
        for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre"):
            path = TinyModel().set(key, "gizmo").save(self.dir / "tokenizer.gguf")
            self.assert_errors({"tokenize": ["tokenize", path],
                                "run": self.running_verbs(path)["run"]}, 1, path, "gizmo")

    def test_prompt_longer_than_the_context(self):
        prompt = "the man was at it " * 30
        ids = self.run_json(["tokenize", self.model], input=prompt)
        self.assertGreater(len(ids), 64)
        self.assert_error(["run", self.model, "-p", prompt, "--raw", "-n", "4", "-c", "64"], 1,
                          len(ids), 64)
        small = TinyModel(n_ctx=32).save(self.dir / "small.gguf")
        self.assert_error(["run", small, "-p", prompt, "--raw", "-n", "4"], 1, len(ids), 32)

    def test_unwritable_output(self):
        for out in (self.dir / "no" / "such" / "out.gguf", self.model / "out.gguf"):
            with self.subTest(str(out)):
                self.assert_error(["quantize", self.model, out, "--to", "Q8_0"], 1, out)

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_output_without_permission(self):
        folder = self.dir / "locked"
        folder.mkdir(mode=0o500)
        self.assert_error(["quantize", self.model, folder / "out.gguf", "--to", "Q8_0"], 1, folder)


class ResourceTest(ExitCodeTest):
    def mount(self, size):
        """A file system of `size` bytes, or a skip."""
        folder = self.dir / "mount"
        folder.mkdir()
        if os.geteuid() != 0 or shutil.which("mount") is None:
            self.skipTest("a full disk is tried on a small tmpfs, which only root can mount")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(folder)], check=False)
        return folder

    def test_disk_without_room_for_the_file(self):
        folder = self.mount(64 << 10)
        out = folder / "out.gguf"
        self.assert_error(["quantize", self.model, out, "--to", "Q8_0"], 5, out)
        self.assertEqual(os.listdir(folder), [])

    def test_disk_that_fills_up_on_the_way(self):
        # Room for the file when it begins; then somebody else takes the rest.
        folder = self.mount(200 << 20)
        source = TinyModel("F16", d_model=2048, d_ff=5632, n_layers=2, n_heads=16, n_kv_heads=4,
                           vocab_size=8000, pool=1 << 16).save(self.dir / "large.gguf")
        out = folder / "out.gguf"
        with subprocess.Popen([NIBBLE, "quantize", source, out, "--to", "Q8_0", "-t", "1"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            wait_for(lambda: os.listdir(folder) or process.poll() is not None)
            try:
                with open(folder / "somebody", "wb", buffering=0) as file:
                    while True:
                        file.write(bytes(1 << 20))
            except OSError:
                pass
            stdout, stderr = process.communicate(timeout=120)
        if process.returncode == 0:
            self.skipTest("the file was written before the disk could be filled")
        self.assertEqual((process.returncode, stdout), (5, b""), stderr)
        self.assertIn(str(out), stderr.decode().splitlines()[-1])
        self.assertEqual(os.listdir(folder), ["somebody"])

    def test_context_that_no_memory_holds(self):
        path = TinyModel(n_ctx=2 ** 30).save(self.dir / "long.gguf")
        self.assert_error(["run", path, "-p", "the", "-n", "1", "--raw", "-c", str(2 ** 30)], 5,
                          2 ** 30)


def wait_for(condition, timeout=60):
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)


class InterruptTest(ExitCodeTest):
    def interrupt(self, arguments, ready):
        with subprocess.Popen([NIBBLE, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            wait_for(lambda: ready(process) or process.poll() is not None)
            self.assertIsNone(process.poll(), "it ended before it could be interrupted")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        return process.returncode, out, err.decode("utf-8", "replace")

    def test_quantize(self):
        source = TinyModel("F16", d_model=2048, d_ff=5632, n_layers=2, n_heads=16, n_kv_heads=4,
                           vocab_size=8000, pool=1 << 16).save(self.dir / "large.gguf")
        before = self.listing()
        code, out, err = self.interrupt(
            ["quantize", source, self.out, "--to", "Q4_K_M", "-t", "1"],
            lambda _: self.listing() != before)
        self.assertEqual((code, out), (130, b""), err)
        self.assertRegex(err.splitlines()[-1], r"^(nibble|error).*interrupt")
        self.assertEqual(self.listing(), before)

    def test_compare(self):
        self.text.write_text(TEXT * 200)
        source = TinyModel("F16", d_model=512, d_ff=2048, n_layers=8, n_heads=8, n_kv_heads=2,
                           n_ctx=1024, pool=1 << 16).save(self.dir / "large.gguf")
        started = time.monotonic()
        before = self.listing()
        code, out, err = self.interrupt(
            ["compare", source, source, "--text", self.text, "-t", "1"],
            lambda _: time.monotonic() - started > 1)
        self.assertEqual((code, out), (130, b""), err)
        self.assertRegex(err.splitlines()[-1], r"^(nibble|error).*interrupt")
        self.assertEqual(self.listing(), before)


if __name__ == "__main__":
    unittest.main()
