"""all-MiniLM-L6-v2 quantized by nibble and by llama.cpp's encoders, compared by its vectors.

One file is one draw of the rounding errors: by chance alone the errors of two equally good encoders
differ by some percent. Draws of the same function: hidden units, feed-forward units and the
dimensions within each head's values are put into another order, so that other weights share a block.
"""

import array
import itertools
import json
import operator
import random
import re
import sys
from pathlib import Path

from interop import LIBRARIES, command
from support import Gguf, write_gguf

HERE = Path(__file__).resolve().parent
KINDS = ["Q8_0", "Q4_0", "Q4_1", "IQ4_NL"]


def texts(n_more=152):
    """The golden texts and the first sentences of the demo's text."""
    demo = (HERE.parent / "data" / "demo.txt").read_text(encoding="utf-8")
    sentences = [" ".join(part.split()) for part in re.split(r"(?<=[.!?])\s+|\n\n", demo)]
    sentences = [s for s in sentences if 40 <= len(s) <= 200 and not s.startswith("=")]
    golden = (HERE.parent / "golden" / "minilm_texts.txt").read_text(encoding="utf-8").splitlines()
    return golden + sentences[:n_more]


def write_draw(source, target, seed):
    """source, MiniLM in F32, with its units in the order of draw `seed`."""
    model = Gguf(source)
    width = model.metadata["bert.embedding_length"]
    inner = model.metadata["bert.feed_forward_length"]
    head = width // model.metadata["bert.attention.head_count"]
    generator = random.Random(seed)

    def order(n):
        return generator.sample(range(n), n)

    hidden, orders = order(width), {}
    for i in range(model.metadata["bert.block_count"]):
        orders[f"blk.{i}.", "inner"] = order(inner)
        orders[f"blk.{i}.", "value"] = [begin + j for begin in range(0, width, head)
                                        for j in order(head)]
    rules = [  # (name, order of the rows, of the columns)
        (r"(token|position)_(embd|types)|norm", None, "hidden"),
        (r"attn_[qk]\.weight", None, "hidden"), (r"attn_[qk]\.bias", None, None),
        (r"attn_v\.weight", "value", "hidden"), (r"attn_v\.bias", None, "value"),
        (r"attn_output\.weight", "hidden", "value"), (r"attn_output\.bias", None, "hidden"),
        (r"ffn_up\.weight", "inner", "hidden"), (r"ffn_up\.bias", None, "inner"),
        (r"ffn_down\.weight", "hidden", "inner"), (r"ffn_down\.bias", None, "hidden")]

    def permuted(name, shape, data):
        _, rows, columns = next(rule for rule in rules if re.search(rule[0], name))
        block = re.match(r"blk\.\d+\.|", name).group()
        values = array.array("f", data)
        lines = [values[k:k + shape[0]] for k in range(0, len(values), shape[0])]
        if columns:
            pick = operator.itemgetter(*(hidden if columns == "hidden" else orders[block, columns]))
            lines = [pick(line) for line in lines]
        if rows:
            lines = [lines[k] for k in (hidden if rows == "hidden" else orders[block, rows])]
        return array.array("f", itertools.chain.from_iterable(lines)).tobytes()

    write_gguf(target, model, [(name, kind, shape, permuted(name, shape, data))
                               for name, (kind, shape, data) in model.tensors.items()])


def errors(vectors, reference):
    """Mean of 1 - cosine with the reference, and mean |cosine - cosine of the reference| over all
    pairs of texts."""
    def dot(a, b):
        return sum(map(operator.mul, a, b))

    own = [1.0 - dot(a, b) for a, b in zip(vectors, reference)]
    pairs = [abs(dot(vectors[i], vectors[j]) - dot(reference[i], reference[j]))
             for i in range(len(vectors)) for j in range(i)]
    return sum(own) / len(own), sum(pairs) / len(pairs)


def measure(nibble, source, seed, kinds, folder):
    """One draw (0: the file as it is): for every kind the errors of both encoders' files. nibble
    runs the program with a list of arguments and returns its output."""
    if seed:
        draw = folder / "draw.gguf"
        write_draw(source, draw, seed)
        source = draw
    (folder / "texts").write_text("\n".join(texts()) + "\n", encoding="utf-8")

    def embed(path, *flags):
        out = nibble(["embed", path, "-f", folder / "texts", "--json", *flags])
        return [e["embedding"] for e in json.loads(out)["embeddings"]]

    reference, rows = embed(source), {}
    for kind in kinds:  # the same type for every tensor in both files
        ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
        nibble(["quantize", source, ours, kind])
        command([sys.executable, HERE / "llama_quantize.py", LIBRARIES, source, theirs, kind],
                f"llama.cpp to {kind}")
        row = {"seed": seed}
        row["nibble"], row["nibble_pairs"] = errors(embed(ours, "--float-activations"), reference)
        row["nibble_int8"], _ = errors(embed(ours), reference)
        row["llama_cpp"], row["llama_cpp_pairs"] = errors(embed(theirs, "--float-activations"),
                                                          reference)
        rows[kind] = row
        ours.unlink()
        theirs.unlink()
    return rows


def means(rows):
    """Means of every column over the draws of one kind."""
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0] if key != "seed"}
