#!/usr/bin/env python3
"""Trains small tokenizers of every kind and records what they do.

    make_tokenizer_golden.py OUT_FOLDER [MINILM_TOKENIZER_JSON]    (PyPI package tokenizers)

Writes OUT_FOLDER/NAME.json (the tokenizer.json) and OUT_FOLDER/cases.json: an object of NAME ->
[{"text": ..., "ids": without special tokens around, "all": with them, "decoded": ...}, ...]. The
training text is tests/data/demo.txt and the strings below, so every run gives the same files.
"""

import json
import random
import sys
import unicodedata
from pathlib import Path

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

HERE = Path(__file__).resolve().parent
TEXT = (HERE.parent / "data" / "demo.txt").read_text(encoding="utf-8").splitlines()
MORE = ["naïve café über straße 你好 世界 こんにちは 안녕하세요 Привет мир γειά σου مرحبا"] * 20

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
SPECIALS = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(TEXT + MORE, trainer)
    return tokenizer


def byte_level(pre_tokenizer, normalizer=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    train(tokenizer, trainers.BpeTrainer(vocab_size=900, special_tokens=["<|endoftext|>"],
                                         initial_alphabet=alphabet, show_progress=False))
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated", False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2():
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))


def llama3():
    tokenizer = byte_level(split(LLAMA3), ignore_merges=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", pair="<|endoftext|> $A <|endoftext|> $B",
        special_tokens=[("<|endoftext|>", 0)])
    return tokenizer


def qwen2():
    return byte_level(split(QWEN2), normalizers.NFC())


def smollm():
    return byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)]))


def roberta():
    """Nothing that GGUF has a name for."""
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True), "</s>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", tokenizer.token_to_id("</s>")),
                                                            ("<|endoftext|>", 0))
    return tokenizer


def all_ways(tokenizer):
    """The merges in the order and with all the ways that a conversion from SentencePiece lists."""
    state = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    order, ranks = [], {}
    for left, right in state["model"]["merges"]:
        if left + right not in ranks:
            ranks[left + right] = len(order)
            order.append(left + right)
    merges = []
    for token in order:
        for at in range(1, len(token)):
            if token[:at] in vocabulary and token[at:] in vocabulary:
                merges.append([token[:at], token[at:]])
    state["model"]["merges"] = merges
    return Tokenizer.from_str(json.dumps(state))


def byte_fallback(normalizer, pre_tokenizer, decoder):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    train(tokenizer, trainers.BpeTrainer(vocab_size=1200, special_tokens=SPECIALS + BYTES,
                                         limit_alphabet=80, show_progress=False))
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    state["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def llama2():
    """Llama 2: trained on words, used on whole texts."""
    words = pre_tokenizers.Split(Regex("▁"), "merged_with_next", False)
    tokenizer = byte_fallback(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), words,
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                           decoders.Strip(" ", 1, 0)]))
    tokenizer.pre_tokenizer = None
    return all_ways(Tokenizer.from_str(without_pre_tokenizer(tokenizer)))


def without_pre_tokenizer(tokenizer):
    state = json.loads(tokenizer.to_str())
    state["pre_tokenizer"] = None
    return json.dumps(state)


def gemma():
    tokenizer = byte_fallback(
        normalizers.Replace(" ", "▁"), pre_tokenizers.Split(Regex("▁"), "merged_with_next", False),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous", False)
    return all_ways(tokenizer)


def mistral():
    """Metaspace at the beginning only: no GGUF name."""
    return byte_fallback(
        None, pre_tokenizers.Metaspace("▁", "first", True),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                           decoders.Strip(" ", 1, 0)]))


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", "always")])
    tokenizer.decoder = decoders.Metaspace("▁", "always")
    train(tokenizer, trainers.UnigramTrainer(vocab_size=700, special_tokens=SPECIALS,
                                             unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def unigram_bytes():
    state = json.loads(unigram().to_str())
    state["model"]["byte_fallback"] = True
    lowest = min(score for _, score in state["model"]["vocab"])
    state["model"]["vocab"] += [[byte, lowest] for byte in BYTES]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace("▁", "always")])
    return tokenizer


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    train(tokenizer, trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(),
        normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.Digits()])
    return train(tokenizer, trainers.WordLevelTrainer(
        vocab_size=500, special_tokens=["[UNK]"], show_progress=False))


def suffixed():
    """BPE with a mark at the end of words, as CLIP has it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    return train(tokenizer, trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False))


KINDS = {f.__name__: f for f in (gpt2, llama3, qwen2, smollm, roberta, llama2, gemma, mistral,
                                 unigram, unigram_bytes, word_piece, word_level, suffixed)}


def assigned():
    """Code points assigned in Unicode 14 and not private."""
    if unicodedata.unidata_version != "14.0.0":
        raise SystemExit(f"needs Unicode 14, this Python has {unicodedata.unidata_version}")
    return [c for c in range(0x110000)
            if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def random_texts(count, seed):
    """Strings of assigned code points: anything, mostly ASCII, and mixed with words of the text."""
    rng = random.Random(seed)
    points = assigned()
    low = [c for c in points if c < 0x500]
    words = sorted({word for line in TEXT for word in line.split()})
    spaces = [" ", " ", " ", "  ", "\n", "\t", "\u3000", ""]
    for number in range(count):
        length = rng.randrange(1, 24)
        if number % 4 == 0:
            yield "".join(chr(rng.choice(points)) for _ in range(length))
        elif number % 4 == 1:
            yield "".join(chr(rng.choice(low)) for _ in range(length))
        elif number % 4 == 2:
            yield "".join(rng.choice(words) + rng.choice(spaces) for _ in range(length // 2 + 1))
        else:
            yield "".join(rng.choice([rng.choice(words), chr(rng.choice(points)),
                                      chr(rng.choice(low)), str(rng.randrange(10000)),
                                      rng.choice(spaces)]) for _ in range(length))


FIXED = ["", " ", "  ", "a", " a", "a ", "Hello world", "  two  spaces  ", "line\nbreak\r\n\n x",
         "I'm sure they'd've", "I'M HE'S", "3.14 1234567 ٣", "naïve cafe\u0301", "İstanbul ẞ ß",
         "日本語と中文", "한국어 텍스트", "😀👍🏽👨‍👩‍👧", "\u0000\u0001\u0085\u200b\u2028", "x\ufffdy",
         "<s>hi</s>", "<|endoftext|>", "a <mask>b", "a<tool>b", "[CLS] text [SEP]", "▁▁ a▁b",
         "a" * 150, " " * 20 + "x", "##ing #", "ﬁ ½ ㎏ ª"]


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    tokenizers = {}
    for name, make in KINDS.items():
        tokenizer = make()
        # Ties of training are broken by hash order: what is there already is kept.
        path = out / f"{name}.json"
        if not path.exists():
            tokenizer.save(str(path), pretty=False)
        tokenizers[name] = Tokenizer.from_file(str(path))
    if len(sys.argv) > 2:
        tokenizers["minilm"] = Tokenizer.from_file(sys.argv[2])
    texts = FIXED + list(random_texts(60, 5))
    cases = {}
    for name, tokenizer in tokenizers.items():
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        cases[name] = []
        for text in texts:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            cases[name].append({"text": text, "ids": ids, "all": tokenizer.encode(text).ids,
                                "decoded": tokenizer.decode(ids)})
    with open(out / "cases.json", "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(
            f"{json.dumps(name)}: [\n" + ",\n".join(map(json.dumps, rows)) + "]"
            for name, rows in cases.items()) + "\n}\n")
    print(f"{len(tokenizers)} tokenizers, {len(texts)} texts each")


if __name__ == "__main__":
    main()
