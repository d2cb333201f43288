#!/usr/bin/env python3
"""Checks that src/ keeps its floors (docs/ARCHITECTURE.md): who may include whom, and what may
stand where. One line per violation on standard error; exit code 1 if there is one.

    tools/check_floors.py [ROOT]        ROOT: the folder that holds src/ (default: this project)
"""

import re
import sys
from pathlib import Path

FLOORS = {
    "base": 0,
    "formats": 1,
    "text": 1,
    "kernels": 2,
    "container": 2,
    "ops": 3,
    "model": 4,
    "engine": 5,
    "evaluate": 6,
    "hub": 6,
    "quantize": 7,
    "serve": 8,
    "cli": 9,
    "lab": 9,
}

# Stricter than the floor number: programs reach a model only through engine/, and the developers'
# tools are no server.
FORBIDDEN = {
    "serve": {"model", "ops", "kernels"},
    "cli": {"model", "ops", "kernels"},
    "lab": {"serve"},
}

# A kernel file is compiled once per instruction set. An inline function of the standard library
# that it emits could be the copy the linker keeps for everybody, so it may include only headers
# that emit none.
KERNEL_TEXT = re.compile(r"(^(?:isa|encode)_.*\.cpp|-inl\.h|^simd_.*\.h)$")
KERNEL_HEADERS = {
    "cstdint", "cstddef", "cstring", "bit", "type_traits", "immintrin.h", "arm_neon.h",
}

INTRINSICS = re.compile(r"^(\w*intrin\.h|arm_\w+\.h)$")
INTRINSICS_ALLOWED_FILES = {"base/thread_pool.cpp"}  # the pause in its spin loop

GETENV = re.compile(r"\b(?:secure_)?getenv\s*\(")
GETENV_ALLOWED_FOLDERS = {"cli", "serve", "hub"}
GETENV_ALLOWED_FILES = {"kernels/dispatch.cpp"}  # NIBBLE_ISA

OUTPUT = re.compile(
    r"\bstd::(?:cout|cerr|clog)\b|(?<!\w)(?:std::)?(?:printf|puts|putchar|perror)\s*\("
    r"|\bfmt::print\s*\("
    r"|\bfprintf\s*\(\s*std(?:out|err)|(?<![\w.>])(?:std::|::)?_?exit\s*\(|\bstd::quick_exit\s*\("
)
OUTPUT_ALLOWED_FILES = {"base/check.cpp", "base/log.cpp"}  # a failed CHECK, and the log itself

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
# Comments, and string literals so that a // inside one does not look like a comment.
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def without_comments(text, keep_strings):
    """The text with comments (and strings, unless kept) blanked, every line break in its place."""

    def blank(match):
        part = match.group(0)
        if part.startswith('"') and keep_strings:
            return part
        return '""' if part.startswith('"') else "\n" * part.count("\n")

    return COMMENT_OR_STRING.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def check_quoted_include(folder, target):
    """Why a file in `folder` may not include "target", or None."""
    head = target.split("/", 1)[0]
    if "/" not in target or head in ("", ".", ".."):
        return f'"{target}": write includes from src/ on, as "folder/file.h"'
    if head not in FLOORS:
        return f'"{target}": folder {head} has no floor in tools/check_floors.py'
    if head == folder:
        return None
    if FLOORS[head] >= FLOORS[folder]:
        return (f'"{target}": {folder} (floor {FLOORS[folder]}) may include only lower floors; '
                f"{head} is on floor {FLOORS[head]}")
    if head in FORBIDDEN.get(folder, ()):
        reason = "a model is reached only through engine/" if folder != "lab" else "no server here"
        return f'"{target}": {folder} must not include {head}; {reason}'
    return None


def check_angled_include(folder, path, target):
    """Why the file `path` (below src/) may not include <target>, or None."""
    if INTRINSICS.match(target) and folder != "kernels" and path not in INTRINSICS_ALLOWED_FILES:
        return f"<{target}>: intrinsics live only in kernels/"
    name = path.rsplit("/", 1)[-1]
    if folder == "kernels" and KERNEL_TEXT.search(name) and target not in KERNEL_HEADERS:
        return (f"<{target}>: a file compiled per instruction set may include only "
                f"{', '.join(sorted(KERNEL_HEADERS))}")
    return None


def check_file(path, text):
    """Violations of one file as (line, message). `path` is relative to src/."""
    folder = path.split("/", 1)[0] if "/" in path else None
    if folder is None:
        return [(1, "a source file stands in a folder of src/, not beside them")]
    if folder not in FLOORS:
        return [(1, f"folder {folder} has no floor in tools/check_floors.py")]
    found = []
    code = without_comments(text, keep_strings=True)
    for match in INCLUDE.finditer(code):
        quoted, angled = match.groups()
        if quoted:
            message = check_quoted_include(folder, quoted)
        else:
            message = check_angled_include(folder, path, angled)
        if message:
            found.append((line_of(code, match.start()), message))
    code = without_comments(text, keep_strings=False)
    if folder not in GETENV_ALLOWED_FOLDERS and path not in GETENV_ALLOWED_FILES:
        for match in GETENV.finditer(code):
            found.append((line_of(code, match.start()), "getenv: only cli, serve, hub and "
                          "kernels/dispatch.cpp read the environment"))
    if FLOORS[folder] < FLOORS["serve"] and path not in OUTPUT_ALLOWED_FILES:
        for match in OUTPUT.finditer(code):
            found.append((line_of(code, match.start()), f"{match.group(0).strip(' (')}: below "
                          "serve and cli nothing prints or exits; return a Result"))
    return sorted(found)


def check_tree(root):
    """All violations below root/src as "src/file:line: message"."""
    src = Path(root) / "src"
    found = []
    for file in sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cpp") and p.is_file()):
        path = file.relative_to(src).as_posix()
        for line, message in check_file(path, file.read_text(encoding="utf-8", errors="replace")):
            found.append(f"src/{path}:{line}: {message}")
    return found


def main(arguments):
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    if not (root / "src").is_dir():
        print(f"{root}: has no src/", file=sys.stderr)
        return 2
    found = check_tree(root)
    for violation in found:
        print(violation, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
