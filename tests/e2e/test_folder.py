"""Hugging Face folders: written by `export`, read by an independent reader and by every command,
imported again; and folders that are wrong.

The small model is a Llama of support.py, exported; the large one SmolLM2. Its judge is a forward
pass in NumPy over what PyPI's `safetensors` reads (scripts/setup_tokenizers).
"""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

from interop import DEMO_MODEL, HERE, PROMPTS
from support import NIBBLE, Gguf, TestCase, TinyModel, run

GOLDEN = HERE.parent / "golden"
LAB = os.environ.get("NIBBLE_LAB_BIN", "")
PACKAGES = HERE.parent.parent / ".cache" / "tokenizers"
MiB = 1 << 20

sys.path.insert(0, str(PACKAGES))
try:
    import numpy as np
    from safetensors import safe_open
    NO_READER = ""
except ImportError as error:
    NO_READER = f"{error}; run scripts/setup_tokenizers"
NO_MODEL = "" if DEMO_MODEL.is_file() else "the demo model is missing; run scripts/fetch_demo_model"


# ---------------------------------------------------------------- safetensors, read and written

def read_weights(path):
    """{name: (dtype, shape, bytes)}, in the order of the header."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    start = 8 + length
    return {name: (t["dtype"], t["shape"],
                   data[start + t["data_offsets"][0]:start + t["data_offsets"][1]])
            for name, t in header.items()}


def write_weights(path, tensors):
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text +
                           b"".join(data for _, _, data in tensors.values()))


def shard(folder, n):
    """model.safetensors -> n files and their index."""
    tensors = read_weights(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-{i + 1:05d}-of-{n:05d}.safetensors" for i in range(n)]
    weight_map = {name: names[i % n] for i, name in enumerate(tensors)}
    for file in names:
        write_weights(folder / file, {k: t for k, t in tensors.items() if weight_map[k] == file})
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": sum(len(t[2]) for t in tensors.values())},
         "weight_map": weight_map}))
    return names


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


# What a folder cannot hold: the type of the matrices, keys of other programs; and what import
# writes out though it is the default.
FOREIGN = {"general.file_type", "general.size_label", "general.type",
           "general.quantization_version", "llama.attention.key_length",
           "llama.attention.value_length", "tokenizer.ggml.add_eos_token", "somebody.elses.key"}


class FolderCase(TestCase):
    def assert_same_model(self, a, b):
        """Metadata and tensors of two files, save for FOREIGN and the order of tensors."""
        own = [{k: v for k, v in g.metadata.items() if k not in FOREIGN} for g in (a, b)]
        self.assertEqual(sorted(own[0]), sorted(own[1]))
        for key, value in own[0].items():
            self.assertEqual(value, own[1][key], key)
        self.assertEqual(sorted(a.tensors), sorted(b.tensors))
        for name, tensor in a.tensors.items():
            self.assertEqual(tensor, b.tensors[name], name)

    def answer(self, model, prompt, n, *flags):
        return self.run_ok(["run", model, "--temp", "0", "-n", n, "-p", prompt, *flags])

    def copy(self, folder, name="bad"):
        target = self.dir / name
        subprocess.run(["rm", "-rf", target], check=True)
        subprocess.run(["cp", "-r", folder, target], check=True)
        return target


class TinyFolderTest(FolderCase):
    def setUp(self):
        super().setUp()
        model = TinyModel(d_model=256, d_ff=512, vocab_size=290, pool=1 << 14)
        self.gguf = model.save(self.dir / "tiny.gguf")
        self.folder = self.dir / "tiny"
        self.run_ok(["export", self.gguf, self.folder])
        self.weights = read_weights(self.folder / "model.safetensors")

    def test_there_and_back(self):
        self.assertEqual(self.listing(self.folder),
                         ["README.md", "config.json", "model.safetensors", "tokenizer.json",
                          "tokenizer_config.json"])
        back = self.dir / "back.gguf"
        self.run_ok(["convert", self.folder, back, "--to", "F32"])
        self.assert_same_model(Gguf(self.gguf), Gguf(back))
        self.assertEqual(Gguf(back).metadata["general.name"], "tiny")
        # once more there: the same bytes
        self.run_ok(["export", back, self.dir / "again"])
        edit(self.folder / "config.json", lambda d: d.update(head_dim=64))
        self.assertEqual(*(json.loads((self.dir / f / "config.json").read_text())
                           for f in ("tiny", "again")))
        for name in self.listing(self.folder):
            if name not in ("config.json", "README.md"):  # import adds the label of the size
                self.assertEqual((self.folder / name).read_bytes(),
                                 (self.dir / "again" / name).read_bytes(), name)

    def check_commands(self, folder):
        """Every command on the folder as on the GGUF file."""
        converted, direct, via = (self.dir / f"{n}.gguf" for n in ("converted", "direct", "via"))
        self.run_ok(["convert", folder, converted, "--to", "F32"])
        self.run_ok(["quantize", folder, direct, "--to", "Q4_K_M"])
        self.run_ok(["quantize", converted, via, "--to", "Q4_K_M"])
        self.assertEqual(direct.read_bytes(), via.read_bytes())
        self.run_ok(["quantize", self.gguf, via, "--to", "Q4_K_M"])
        self.assert_same_model(Gguf(direct), Gguf(via))
        for flags in ((), ("--mmap",)):
            self.assertEqual(self.answer(folder, "the thing", 12, "--raw", *flags),
                             self.answer(self.gguf, "the thing", 12, "--raw", *flags))
        text = "the thing and\tthat: é ☃ <|im_end|>\n"
        for flags in ((), ("--special",)):
            self.assertEqual(self.run_ok(["tokenize", folder, *flags], input=text),
                             self.run_ok(["tokenize", self.gguf, *flags], input=text))
        ours, theirs = self.run_json(["inspect", folder]), self.run_json(["inspect", self.gguf])
        self.assertEqual({t["name"]: (t["type"], t["shape"]) for t in ours["tensors"]},
                         {t["name"]: (t["type"], t["shape"]) for t in theirs["tensors"]})
        messages = self.dir / "messages.json"
        messages.write_text('[{"role": "user", "content": "hi"}]')
        self.assertEqual(self.run_ok(["template", folder, "--messages", messages]),
                         self.run_ok(["template", self.gguf, "--messages", messages]))
        self.run_ok(["export", folder, self.dir / "copy"])
        self.assertEqual(read_weights(self.dir / "copy" / "model.safetensors"), self.weights)
        (self.dir / "text").write_text("the thing and that is for his " * 40)
        reports = [self.run_json(["compare", base, direct, "--text", self.dir / "text"])
                   for base in (folder, self.gguf)]
        for figure in "kld_mean", "ppl", "same_top":
            self.assertEqual(*(r["models"][0][figure] for r in reports), figure)

    def test_every_command_takes_a_folder(self):
        self.check_commands(self.folder)

    def test_every_command_takes_a_folder_of_shards(self):
        shard(self.folder, 3)
        self.assertEqual(self.run_json(["inspect", self.folder])["tensors"][0]["type"],
                         "F32")
        self.check_commands(self.folder)

    def test_types_of_the_weights(self):
        for kind in "F16", "BF16":
            path = TinyModel(kind, vocab_size=290, pool=1 << 12).save(self.dir / f"{kind}.gguf")
            self.run_ok(["export", path, self.dir / kind])
            types = {t[0] for t in read_weights(self.dir / kind / "model.safetensors").values()}
            self.assertEqual(types, {kind, "F32"})
            self.run_ok(["convert", self.dir / kind, self.dir / "back.gguf", "--to", kind])
            self.assert_same_model(Gguf(path), Gguf(self.dir / "back.gguf"))
        self.run_ok(["quantize", self.gguf, self.dir / "q8.gguf", "--to", "Q8_0"])
        for flags, kind in (((), "F32"), (("--bf16",), "BF16")):
            self.run_ok(["export", self.dir / "q8.gguf", self.dir / ("q8" + kind), *flags])
            weights = read_weights(self.dir / ("q8" + kind) / "model.safetensors")
            self.assertEqual(weights["model.layers.0.mlp.up_proj.weight"][0], kind)

    def test_a_generated_folder(self):
        folder = self.dir / "lab"
        subprocess.run([LAB, "shape", "--preset", "tiny", "--type", "BF16", "--folder", folder],
                       check=True, capture_output=True)
        self.run_ok(["convert", folder, self.dir / "lab.gguf", "--to", "BF16"])
        self.run_ok(["quantize", folder, self.dir / "q.gguf", "--to", "Q4_K_M"])
        self.run_ok(["quantize", self.dir / "lab.gguf", self.dir / "via.gguf", "--to", "Q4_K_M"])
        self.assertEqual((self.dir / "q.gguf").read_bytes(), (self.dir / "via.gguf").read_bytes())
        # weights at random choose bytes at random: no text, but the same
        answers = [run(["run", model, "-p", "a", "--temp", "0", "-n", "8"], binary=True)[:2]
                   for model in (folder, self.dir / "lab.gguf")]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(answers[0][0], 0)

    # ------------------------------------------------------------ folders that are wrong

    def refuse(self, folder, code, *names):
        """By convert and by quantize, with nothing written."""
        for arguments in (["convert", folder, self.dir / "out.gguf", "--to", "F16"],
                          ["quantize", folder, self.dir / "out.gguf", "--to", "Q4_0"]):
            self.assert_error(arguments, code, *names)

    def test_shards_missing_or_elsewhere(self):
        folder = self.copy(self.folder)
        names = shard(folder, 3)
        (folder / names[1]).unlink()
        self.refuse(folder, 3, names[1], "missing")
        index = folder / "model.safetensors.index.json"
        for place in ("../../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "", 7):
            folder = self.copy(self.folder)
            shard(folder, 2)
            edit(index, lambda d: d["weight_map"].update({"model.norm.weight": place}))
            self.refuse(folder, 4, "model.norm.weight", place if place != "" else '""',
                        "nothing else is opened")
        folder = self.copy(self.folder)
        names = shard(folder, 2)
        edit(index, lambda d: d["weight_map"].update({"model.new.weight": names[0]}))
        self.refuse(folder, 4, "model.new.weight", names[0])
        index.write_text("{")
        self.refuse(folder, 4, index.name)

    def test_tensors_missing_extra_or_of_another_shape(self):
        original = read_weights(self.folder / "model.safetensors")
        folder, name = self.copy(self.folder), "model.layers.1.self_attn.k_proj.weight"

        def refuse_weights(change, *names):
            tensors = dict(original)
            change(tensors)
            write_weights(folder / "model.safetensors", tensors)
            self.refuse(folder, 4, *names)
        refuse_weights(lambda t: t.pop(name), name, "missing")
        refuse_weights(lambda t: t.update({"model.layers.1.extra.weight": t[name]}),
                       "model.layers.1.extra.weight", "no rule")
        refuse_weights(lambda t: t.update({name: (t[name][0], t[name][1][::-1], t[name][2])}),
                       name, "[256, 128]", "config.json")
        refuse_weights(lambda t: t.update({name: ("F32", [4, 8], t[name][2])}),
                       "model.safetensors", name)
        folder = self.copy(self.folder)
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
        self.refuse(folder, 4, "model.safetensors")

    def test_weights_that_are_no_numbers(self):
        name = "model.layers.1.mlp.down_proj.weight"
        for bits in 0x7fc00000, 0x7f800000, 0xff800000:
            folder = self.copy(self.folder)
            tensors = read_weights(folder / "model.safetensors")
            dtype, shape, data = tensors[name]
            tensors[name] = dtype, shape, data[:400] + struct.pack("<I", bits) + data[404:]
            write_weights(folder / "model.safetensors", tensors)
            self.assert_error(["quantize", folder, self.dir / "out.gguf", "--to", "Q4_K_M"], 4,
                              "blk.1.ffn_down.weight")

    def test_configurations_that_say_something_else(self):
        for change, code, names in (
                ({"intermediate_size": 640}, 4, ("mlp", "[640, 256]", "config.json")),
                ({"num_hidden_layers": 3}, 4, ("model.layers.2.", "missing")),
                ({"logit_scale": 0.5}, 1, ("logit_scale",)),
                ({"hidden_act": "relu"}, 1, ("hidden_act", "relu")),
                ({"is_decoder": True}, 1, ("is_decoder", "true")),
                ({"architectures": ["FooForCausalLM"]}, 1, ("FooForCausalLM", "LlamaForCausalLM")),
                ({"quantization_config": {"quant_method": "gptq"}}, 1, ("gptq",)),
                ({"rope_scaling": {"type": "ntk", "factor": 2.0}}, 1, ("ntk",)),
                ({"num_attention_heads": "x"}, 4, ("num_attention_heads",))):
            folder = self.copy(self.folder)
            edit(folder / "config.json", lambda d, change=change: d.update(change))
            self.refuse(folder, code, *names)
        (folder / "config.json").unlink()
        self.refuse(folder, 2, "config.json")

    def test_an_encoder_that_is_asked_to_decode(self):
        for key in "is_decoder", "add_cross_attention":
            for value in False, True:
                folder = self.copy(GOLDEN / "arch" / "bert")
                (folder / "tokenizer.json").write_bytes(
                    (self.folder / "tokenizer.json").read_bytes())
                edit(folder / "config.json", lambda d: d.update({key: value}))
                _, _, err = run(["convert", folder, self.dir / "out.gguf", "--to", "F16"])
                self.assertEqual(key in err, value, err)
                if value:
                    self.refuse(folder, 1, key, "true")

    def test_tokenizers(self):
        folder = self.copy(self.folder)
        edit(folder / "tokenizer.json", lambda d: d["model"].pop("merges"))
        self.refuse(folder, 4, "tokenizer.json", "merges")
        (folder / "tokenizer.json").unlink()
        self.refuse(folder, 3, "tokenizer.json")

    def test_more_tokens_than_rows(self):
        n_rows = 290
        folder = self.copy(self.folder)
        added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                 "special": True}
        edit(folder / "tokenizer.json", lambda d: d["added_tokens"].append(
            {**added, "id": n_rows, "content": "<image>"}))
        out = self.dir / "out.gguf"
        code, _, err = run(["convert", folder, out, "--to", "F16"])
        self.assertEqual(code, 0, err)
        self.assertIn("'<image>'", err)
        self.assertEqual(len(Gguf(out).metadata["tokenizer.ggml.tokens"]), n_rows)
        edit(folder / "tokenizer.json", lambda d: d["model"]["vocab"].update(
            {"anotherword": n_rows + 1}))
        self.refuse(folder, 4, str(n_rows), "rows")

    def test_pickled_weights_and_single_files(self):
        folder = self.copy(self.folder)
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        self.refuse(folder, 2, "pytorch_model.bin", "can run code")
        self.refuse(self.folder / "model.safetensors", 2, "model.safetensors", "folder")

    def test_a_folder_that_holds_a_model_is_not_written_over(self):
        for arguments in (["export", self.gguf, self.folder],):
            self.assert_error(arguments, 2, "tiny", "already")

    # ------------------------------------------------------------ ends before the end

    def large(self):
        path = TinyModel("F16", d_model=2048, d_ff=5632, n_layers=2, n_heads=16, n_kv_heads=4,
                         vocab_size=8000, pool=1 << 16).save(self.dir / "large.gguf")
        self.run_ok(["export", path, self.dir / "large"])
        return path, self.dir / "large"

    def test_interrupted(self):
        gguf, folder = self.large()
        for arguments in (["convert", folder, self.dir / "out.gguf", "--to", "F32", "-t", "1"],
                          ["export", gguf, self.dir / "out", "-t", "1"]):
            before = self.listing()
            with subprocess.Popen([NIBBLE, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                end = time.monotonic() + 60
                while not any(n.endswith(".nibble-tmp") for n in self.listing()):
                    self.assertIsNone(process.poll(), "it ended before it could be interrupted")
                    self.assertLess(time.monotonic(), end)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out), (130, b""), err)
            self.assertIn(b"interrupted", err)
            self.assertEqual(self.listing(), before)

    def test_writing_fails(self):
        gguf, folder = self.large()

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MiB, 4 * MiB))
        for arguments in (["convert", folder, self.dir / "out.gguf", "--to", "F32"],
                          ["export", gguf, self.dir / "out"]):
            before = self.listing()
            done = subprocess.run([NIBBLE, *map(str, arguments)], capture_output=True, check=False,
                                  preexec_fn=limit, restore_signals=False, timeout=120)
            self.assertNotEqual(done.returncode, 0, arguments)
            self.assertRegex(done.stderr, rb"\Anibble: \[.*out.*\] [^\n]*\n\Z")
            self.assertEqual(self.listing(), before)


# ---------------------------------------------------------------- SmolLM2

def llama(folder, ids, cache=np.float64 if not NO_READER else None):
    """Vectors behind the last norm and logits at every position, as the config and the names of
    the tensors say: nothing here comes from our code. cache: what keys and values are rounded to.
    [n, d_model], [n, vocab]."""
    config = json.loads((folder / "config.json").read_text())
    n_heads, n_kv = config["num_attention_heads"], config["num_key_value_heads"]
    head = config["hidden_size"] // n_heads
    n = len(ids)
    with safe_open(folder / "model.safetensors", framework="np") as file:
        def weight(name):
            return file.get_tensor(name).astype(np.float64)

        def norm(x, name):
            scale = np.sqrt((x * x).mean(axis=-1, keepdims=True) + config["rms_norm_eps"])
            return x / scale * weight(name)

        angles = np.outer(np.arange(n), config["rope_theta"] ** (-np.arange(0, head, 2) / head))
        cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]

        def rotate(x):
            a, b = x[..., :head // 2], x[..., head // 2:]
            return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)

        embedding = weight("model.embed_tokens.weight")
        x = embedding[ids]
        future = np.triu(np.full((n, n), -np.inf), 1)
        for i in range(config["num_hidden_layers"]):
            layer = f"model.layers.{i}."
            y = norm(x, layer + "input_layernorm.weight")
            q, k, v = ((y @ weight(f"{layer}self_attn.{p}_proj.weight").T).reshape(n, -1, head)
                       for p in "qkv")
            q, k = rotate(q), rotate(k).astype(cache).astype(np.float64)
            v = v.astype(cache).astype(np.float64)
            heads = []
            for h in range(n_heads):
                kv = h // (n_heads // n_kv)
                scores = q[:, h] @ k[:, kv].T / np.sqrt(head) + future
                scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
                heads.append(scores / scores.sum(axis=-1, keepdims=True) @ v[:, kv])
            x = x + np.concatenate(heads, axis=-1) @ weight(layer + "self_attn.o_proj.weight").T
            y = norm(x, layer + "post_attention_layernorm.weight")
            gate = y @ weight(layer + "mlp.gate_proj.weight").T
            up = y @ weight(layer + "mlp.up_proj.weight").T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ weight(layer + "mlp.down_proj.weight").T
        x = norm(x, "model.norm.weight")
        return x, x @ embedding.T


def read_golden():
    """tokens, ids of the sampled logits, [(rms, best, its logit, sampled logits)] per position."""
    data = (GOLDEN / "smollm2_logits.bin").read_bytes()
    n, _, n_sampled, _ = struct.unpack_from("<4I", data, 8)
    tokens = struct.unpack_from(f"<{n}i", data, 24)
    sampled = struct.unpack_from(f"<{n_sampled}i", data, 24 + 4 * n)
    size, at = 4 * (4 + n_sampled), 24 + 4 * (n + n_sampled)
    rows = []
    for i in range(n):
        rms, best, logit, _, *logits = struct.unpack_from(f"<fiff{n_sampled}f", data, at + i * size)
        rows.append((rms, best, logit, logits))
    return list(tokens), list(sampled), rows


@unittest.skipIf(NO_MODEL, NO_MODEL)
class SmolTest(FolderCase):
    def setUp(self):
        super().setUp()
        self.folder = self.dir / "smol"
        self.run_ok(["export", DEMO_MODEL, self.folder])

    @unittest.skipIf(NO_READER, NO_READER)
    def test_an_independent_reader_gives_our_logits(self):
        tokens, sampled, golden = read_golden()
        _, logits = llama(self.folder, tokens)
        worst = 0.0
        for row, (rms, best, best_logit, at) in zip(logits, golden):
            worst = max(worst, np.abs(row[sampled] - np.array(at)).max() / rms,
                        abs(row[best] - best_logit) / rms)
        print(f"NumPy beside the golden logits of the GGUF file: {worst:.2e} RMS", flush=True)
        self.assertLess(worst, 1e-3)

        # Ours, from the folder: the vector behind the last norm, times the embedding. `embed`
        # keeps keys and values in F16, where one near a tie may round the other way.
        text = PROMPTS[2]
        ids = self.run_json(["tokenize", self.folder], input=text)
        states, logits = llama(self.folder, ids, np.float16)
        out = self.run_ok(["embed", self.folder, text, "--pooling", "last", "--no-normalize"])
        ours = np.array([float(x) for x in out.split()])
        with safe_open(self.folder / "model.safetensors", framework="np") as file:
            own_logits = file.get_tensor("model.embed_tokens.weight").astype(np.float64) @ ours
        worst = np.abs(own_logits - logits[-1]).max() / np.sqrt((logits[-1] ** 2).mean())
        print(f"NumPy beside `embed` on the folder: {worst:.2e} RMS of the logits", flush=True)
        self.assertEqual(states[-1].shape, ours.shape)
        self.assertLess(worst, 5e-3)
        plain = self.dir / "f32.gguf"
        self.run_ok(["quantize", DEMO_MODEL, plain, "--to", "F32", "--allow-requantize"])
        self.assertEqual(self.run_ok(["embed", plain, text, "--pooling", "last",
                                      "--no-normalize"]), out)

    def test_imported_again_it_is_the_same_model(self):
        back, plain = self.dir / "back.gguf", self.dir / "f32.gguf"
        self.run_ok(["convert", self.folder, back, "--to", "F32"])
        self.run_ok(["quantize", DEMO_MODEL, plain, "--to", "F32", "--allow-requantize"])
        back, plain = Gguf(back), Gguf(plain)
        self.assert_same_model(plain, back)
        original = Gguf(DEMO_MODEL).metadata
        for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type",
                    "tokenizer.ggml.pre", "tokenizer.chat_template"):
            self.assertEqual(original[key], back.metadata[key], key)

    def test_commands_on_the_folder(self):
        plain, direct, via = (self.dir / f"{n}.gguf" for n in ("f32", "direct", "via"))
        self.run_ok(["quantize", DEMO_MODEL, plain, "--to", "F32", "--allow-requantize"])
        self.assertEqual(self.answer(self.folder, PROMPTS[0], 12),
                         self.answer(plain, PROMPTS[0], 12))
        text = (GOLDEN / "smollm2_text.txt").read_text()
        self.assertEqual(self.run_ok(["tokenize", self.folder], input=text),
                         self.run_ok(["tokenize", DEMO_MODEL], input=text))
        self.run_ok(["quantize", self.folder, direct, "--to", "Q4_K_M"])
        self.run_ok(["quantize", plain, via, "--to", "Q4_K_M"])
        self.assertEqual(Gguf(direct).tensors, Gguf(via).tensors)


if __name__ == "__main__":
    for reason in (NO_READER, NO_MODEL):
        if reason:
            print(f"skipped: {reason}", flush=True)
    unittest.main()
