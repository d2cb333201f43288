#!/usr/bin/env python3
"""Finds the code points at which Hugging Face's `tokenizers` knows an older Unicode than ours.

    make_unicode_exceptions.py > src/text/unicode_exceptions.inc      (PyPI package tokenizers)

The library asks tables of different ages: its BertNormalizer and punctuation splitters know
Unicode 8, its normal forms Unicode 9, its case mapping and regular expressions are newer. Models
were trained with that, so the same must come out. Each table lists, as ranges, where the library
says no although Unicode 14 (this Python's unicodedata) says yes. A range also covers code points in
between that the property does not hold for anyway.
"""

import string
import sys
import unicodedata

from tokenizers import normalizers, pre_tokenizers

if unicodedata.unidata_version != "14.0.0":
    sys.exit(f"needs a Python with Unicode 14 (3.11 or 3.12), not {unicodedata.unidata_version}")

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORY = {c: unicodedata.category(chr(c)) for c in CODE_POINTS}


def ranges(unknown, matters):
    """Sorted ranges over `unknown`, joined across code points for which matters(c) is false."""
    result = []
    gap_is_free = False
    for c in CODE_POINTS:
        if c in unknown:
            if result and gap_is_free:
                result[-1][1] = c
            else:
                result.append([c, c])
            gap_is_free = True
        elif matters(c):
            gap_is_free = False
    return result


def table(name, comment, rows):
    print(f"// {comment}\nconstexpr CodePointRange {name}[] = {{")
    line = "   "
    for first, last in rows:
        entry = f" {{0x{first:x}, 0x{last:x}}},"
        if len(line) + len(entry) > 98:
            print(line)
            line = "   "
        line += entry
    print(line + "\n};\n")


def main():
    split = pre_tokenizers.Punctuation()
    punctuation = {c for c in CODE_POINTS
                   if len(split.pre_tokenize_str(f"a{chr(c)}b")) == 3
                   and chr(c) not in string.punctuation}
    of_class = lambda prefix: lambda c: CATEGORY[c].startswith(prefix)
    table("kNewPunctuation", "Punctuation (P) that is younger than the table.",
          ranges({c for c in CODE_POINTS if CATEGORY[c][0] == "P" and c not in punctuation
                  and chr(c) not in string.punctuation}, of_class("P")))
    table("kFormerPunctuation", "Was punctuation, is something else now.",
          ranges({c for c in punctuation if CATEGORY[c][0] != "P"}, lambda c: True))

    clean = normalizers.BertNormalizer(True, False, False, False)
    table("kNewFormat", "Format characters (Cf) that are younger than the table.",
          ranges({c for c in CODE_POINTS
                  if CATEGORY[c] == "Cf" and clean.normalize_str(chr(c))}, of_class("Cf")))
    strip = normalizers.BertNormalizer(False, False, True, False)
    table("kNewNonspacingMarks", "Nonspacing marks (Mn) that are younger than the table.",
          ranges({c for c in CODE_POINTS
                  if CATEGORY[c] == "Mn" and strip.normalize_str(chr(c))}, of_class("Mn")))
    table("kFormerNonspacingMarks", "Were nonspacing marks, are something else now.",
          ranges({c for c in CODE_POINTS if CATEGORY[c] != "Mn" and not strip.normalize_str(chr(c))},
                 lambda c: True))
    accents = normalizers.StripAccents()
    table("kNewMarks", "Marks (M) that are younger than the table of StripAccents.",
          ranges({c for c in CODE_POINTS
                  if CATEGORY[c][0] == "M" and accents.normalize_str(chr(c))}, of_class("M")))

    # A mark that the normal forms do not know stays where it is behind a mark of a higher class.
    nfd, nfkd = normalizers.NFD(), normalizers.NFKD()
    matters = set()
    unknown = set()
    for c in CODE_POINTS:
        text = chr(c)
        swaps = unicodedata.combining(text) not in (0, 240)
        if swaps or unicodedata.decomposition(text):
            matters.add(c)
        probe = f"a\u0345{text}" if swaps else text
        if (nfkd.normalize_str(probe) != unicodedata.normalize("NFKD", probe)
                or nfd.normalize_str(probe) != unicodedata.normalize("NFD", probe)):
            unknown.add(c)
    table("kNewInNormalForms", "Decompositions and combining classes younger than the table.",
          ranges(unknown, matters.__contains__))


if __name__ == "__main__":
    print("// Made by tests/golden/make_unicode_exceptions.py; included by unicode_class.cpp.\n")
    main()
