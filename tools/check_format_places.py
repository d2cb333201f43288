#!/usr/bin/env python3
"""Counts the places that know a number format (docs/ARCHITECTURE.md, "A new number format"): for every
block format of the catalog, src/ may name its struct or its FormatId only where that page says, and
must do so in each of these places. One line per violation on standard error; exit code 1 if there is
one.

    tools/check_format_places.py [ROOT] [--list NAME]
                                        ROOT: the folder that holds src/ (default: this project)
                                        --list: print the places of one format
"""

import re
import sys
from pathlib import Path

from check_floors import line_of, without_comments

# Place: (files of src/, how many of them name the format). The first four are the ones of a format
# that is correct, the fifth makes it fast. A format that can be written has an encoder besides; one
# that is compiled per ISA stands in a list as well.
PLACES = {
    "its struct": (r"formats/blocks(_\w+)?\.h", 1),
    "its number": (r"formats/format\.h", 1),
    "its codec": (r"formats/(codecs\.h|(?!catalog\.cpp$|encode)\w+\.cpp)", 2),
    "its row": (r"formats/catalog\.cpp", 1),
    "its Unpack": (r"kernels/unpack(_\w+)?-inl\.h", 1),
}
ENCODER = {"its encoder": (r"formats/encode_\w+(-inl\.h|\.cpp)", 1)}
ENCODER_LIST = {"the list of searched formats": (r"formats/encoders-inl\.h", 1)}

# Data about types, not code for one: recipes and their like may name any format. The struct is known
# to formats/ and kernels/ alone.
CODE_FOLDERS = ("formats", "kernels")

ROW = re.compile(r'block_row<Block(\w+)>\("(\w+)"')
WRITABLE = r"\bencode_blocks\([^;{]*\bBlock%s\b"


def read_sources(root):
    """{path below src: text without comments}"""
    source = Path(root) / "src"
    paths = sorted(p for p in source.rglob("*") if p.suffix in (".h", ".cpp"))
    return {p.relative_to(source).as_posix(): without_comments(p.read_text(), True) for p in paths}


def uses(name, sources):
    """{path: line of the first use} of the format's struct, its FormatId, its enumerator, or its
    name in a list F(name)."""
    struct = re.compile(rf"\bBlock{name}\b|\bF\({name}\)")
    number = re.compile(rf"\bFormatId::{name}\b|^\s*{name} = \d+,", re.MULTILINE)
    found = {}
    for path, text in sources.items():
        in_code = path.split("/", 1)[0] in CODE_FOLDERS
        match = struct.search(text) or (number.search(text) if in_code else None)
        if match:
            found[path] = line_of(text, match.start())
    return found


def check_format(name, sources):
    """Violations [(path, line, what)] of one format."""
    places = dict(PLACES)
    found = uses(name, sources)
    if re.search(WRITABLE % name, sources.get("formats/codecs.h", "")):
        places.update(ENCODER)
        if any(re.fullmatch(r"formats/encode_\w+-inl\.h", path) for path in found):
            places.update(ENCODER_LIST)
    errors = []
    allowed = set()
    for place, (pattern, n_expected) in places.items():
        files = [path for path in found if re.fullmatch(pattern, path)]
        allowed.update(files)
        if len(files) != n_expected:
            errors.append(("formats/catalog.cpp", found.get("formats/catalog.cpp", 1),
                           f"{name}: {place} is in {len(files)} files ({', '.join(files)}), not in "
                           f"{n_expected}"))
    for path, line in found.items():
        if path not in allowed:
            errors.append((path, line, f"{name} is named here; a format is named only where "
                                       "docs/ARCHITECTURE.md says"))
    return errors


def check_tree(root):
    sources = read_sources(root)
    names = ROW.findall(sources.get("formats/catalog.cpp", ""))
    if not names:
        return ["src/formats/catalog.cpp:1: no block_row<...> found"]
    errors = []
    for name, spelled in names:
        if name != spelled:
            errors.append(("formats/catalog.cpp", 1, f'Block{name} is called "{spelled}"'))
        errors += check_format(name, sources)
    return [f"src/{path}:{line}: {what}" for path, line, what in errors]


def main(arguments):
    root = Path(__file__).resolve().parent.parent
    if arguments and not arguments[0].startswith("--"):
        root = Path(arguments.pop(0))
    if not (root / "src").is_dir():
        print(f"{root}/src: no such folder", file=sys.stderr)
        return 2
    if arguments[:1] == ["--list"] and len(arguments) == 2:
        for path, line in uses(arguments[1], read_sources(root)).items():
            print(f"src/{path}:{line}")
        return 0
    errors = check_tree(root)
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
