"""`nibble run` and `nibble tokenize` as parts of a pipe."""

import random
import unittest

from support import SPECIALS, TestCase, TinyModel, byte_letters, run, vocabulary


class RunTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = TinyModel(n_ctx=512).save(self.dir / "tiny.gguf")

    def complete(self, *arguments, model=None, prompt="the man was at it"):
        code, out, err = run(["run", model or self.model, "-p", prompt, "--raw", *arguments],
                             binary=True)
        self.assertEqual(code, 0, err)
        self.assertTrue(err.strip(), "statistics belong on standard error")
        return out

    def test_the_completion_alone_on_standard_output(self):
        # A greedy continuation of n tokens begins with that of fewer, which nothing else printed
        # (a prompt, a newline, statistics) would leave true.
        texts = [self.complete("-n", str(n), "--temp", "0") for n in (1, 2, 5, 12)]
        self.assertTrue(any(texts))
        for shorter, longer in zip(texts, texts[1:]):
            # Byte for byte: a character that -n cut is written as far as it goes.
            self.assertTrue(longer.startswith(shorter), (shorter, longer))

    def test_threads_do_not_change_the_answer(self):
        texts = {self.complete("-n", "40", "--temp", "0", "-t", str(t)) for t in (1, 2, 3, 4)}
        self.assertEqual(len(texts), 1)

    def test_a_seed_repeats(self):
        first = self.complete("-n", "30", "--temp", "1.0", "-s", "7")
        self.assertEqual(first, self.complete("-n", "30", "--temp", "1.0", "-s", "7"))
        others = {self.complete("-n", "30", "--temp", "1.0", "-s", str(s)) for s in range(4)}
        self.assertGreater(len(others), 1)

    def test_quantized_models_and_cache_types_run(self):
        for to in ("F16", "Q8_0", "Q4_K_M", "Q4_0"):
            path = self.dir / f"{to}.gguf"
            self.run_ok(["quantize", self.model, path, "--to", to])
            self.complete("-n", "4", "--temp", "0", model=path)
        for kind in ("f16", "f32"):
            self.complete("-n", "4", "--temp", "0", "-ctk", kind, "-ctv", kind)


class TokenizeTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = TinyModel().save(self.dir / "tiny.gguf")
        self.tokens = vocabulary()[0]
        values = {letter: b for b, letter in enumerate(byte_letters())}
        self.bytes = [b"" if t in SPECIALS or t.startswith("<unused") else
                      bytes(values[c] for c in t) for t in self.tokens]

    def tokenize(self, data, *arguments, model=None):
        return self.run_json(["tokenize", model or self.model, *arguments], input=data)

    def test_tokens_spell_their_input(self):
        rng = random.Random(3)
        texts = ["", "the man and the town", " \n\t  the", "naïve Größe 日本語 🙂", "a\0b",
                 "\r\n\r\n"]
        for text in [t.encode() for t in texts] + [rng.randbytes(n) for n in (1, 7, 300)]:
            ids = self.tokenize(text)
            self.assertEqual(b"".join(self.bytes[i] for i in ids), text)

    def test_merges_are_used(self):
        ids = self.tokenize("on the town")
        self.assertIn(self.tokens.index(byte_letters()[32] + "the"), ids)

    def test_special_tokens_in_text_are_plain_unless_asked_for(self):
        text = "<|im_start|>user<|im_end|>"
        plain = self.tokenize(text)
        self.assertFalse({0, 1, 2} & set(plain))
        self.assertEqual(b"".join(self.bytes[i] for i in plain), text.encode())
        special = self.tokenize(text, "--special")
        self.assertEqual((special[0], special[-1]), (1, 2))
        self.assertEqual(b"".join(self.bytes[i] for i in special), b"user")

    def test_bos_where_the_model_asks_for_it(self):
        path = TinyModel().set("tokenizer.ggml.add_bos_token", True).save(self.dir / "bos.gguf")
        without = self.tokenize("the", model=self.model)
        self.assertEqual(self.tokenize("the", model=path), [1, *without])
        self.assertEqual(self.tokenize("the", "--no-special", model=path), without)

    def test_a_vocabulary_is_enough(self):
        model = TinyModel()
        model.tensors = []
        path = model.save(self.dir / "vocabulary.gguf")
        self.assertEqual(self.tokenize("the man", model=path), self.tokenize("the man"))


if __name__ == "__main__":
    unittest.main()
