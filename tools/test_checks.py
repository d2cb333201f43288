#!/usr/bin/env python3
"""The checks of tools/ catch what they are there for: each kind of violation is built in a
temporary tree, and a clean tree passes."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check_floors  # noqa: E402
import check_format_places  # noqa: E402
import check_sizes  # noqa: E402

CLEAN = {
    "src/base/result.h": "#pragma once\n#include <string>\n",
    "src/base/thread_pool.cpp": "#include <immintrin.h>\n",
    "src/base/check.cpp": "#include <cstdio>\nvoid f() { std::fprintf(stderr, \"x\"); }\n",
    "src/formats/format.h": '#include "base/result.h"\n#include "formats/blocks.h"\n',
    "src/kernels/isa_avx2.cpp": "#include <immintrin.h>\n#include <cstdint>\n#include <bit>\n"
                                '#include "kernels/dot-inl.h"\n',
    "src/kernels/dispatch.cpp": '#include <cstdlib>\nauto x = std::getenv("NIBBLE_ISA");\n',
    "src/container/gguf.cpp": '#include "formats/format.h"\n#include <map>\n',
    "src/engine/engine.h": '#include "model/config.h"\n',
    "src/quantize/recipe.cpp": '#include "evaluate/report.h"\n#include "container/gguf.h"\n',
    "src/cli/main.cpp": '#include "engine/engine.h"\n#include "serve/server.h"\n'
                        'int main() { std::cout << getenv("NO_COLOR"); exit(0); }\n',
    "src/lab/main.cpp": '#include "model/config.h"\n#include "quantize/recipe.h"\n',
    # Neither a comment nor a string is code.
    "src/ops/layers.cpp": '// #include "engine/engine.h" and getenv("X")\n'
                          '/*\n#include "cli/main.h"\nstd::cout\n*/\n'
                          'const char* s = "std::cout // getenv(";\n'
                          "void snprintf_is_fine();\n",
}


class TreeTest(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="nibble-checks-"))
        self.addCleanup(shutil.rmtree, self.root)

    def write(self, files):
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


class FloorsTest(TreeTest):
    def violations(self, files):
        self.write({**CLEAN, **files})
        return check_floors.check_tree(self.root)

    def assert_caught(self, path, text, line, words):
        found = self.violations({path: text})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}:{line}: "), found[0])
        self.assertIn(words, found[0])

    def test_clean_tree_passes(self):
        self.assertEqual(self.violations({}), [])

    def test_higher_floor(self):
        self.assert_caught("src/formats/q4.cpp", '\n#include "model/config.h"\n', 2,
                           "may include only lower floors")

    def test_neighbour_on_the_same_floor(self):
        self.assert_caught("src/text/bpe.cpp", '#include "formats/format.h"\n', 1, "floor 1")
        shutil.rmtree(self.root / "src/text")
        self.assert_caught("src/lab/shape.cpp", '#include "cli/terminal.h"\n', 1, "floor 9")

    def test_programs_reach_a_model_only_through_engine(self):
        for folder in ("serve", "cli"):
            for target in ("model", "ops", "kernels"):
                path = f"src/{folder}/bad.cpp"
                self.assert_caught(path, f'#include "{target}/x.h"\n', 1, "only through engine/")
                os.remove(self.root / path)

    def test_lab_is_no_server(self):
        self.assert_caught("src/lab/bad.cpp", '#include "serve/http.h"\n', 1,
                           "must not include serve")

    def test_unknown_folders_and_relative_includes(self):
        self.assert_caught("src/base/a.h", '#include "misc/x.h"\n', 1, "has no floor")
        self.write({"src/base/a.h": ""})
        self.assert_caught("src/base/b.h", '#include "result.h"\n', 1, "from src/ on")
        self.write({"src/base/b.h": ""})
        self.assert_caught("src/base/c.h", '#include "../model/config.h"\n', 1, "from src/ on")
        self.write({"src/base/c.h": ""})
        self.assert_caught("src/misc/x.h", "", 1, "folder misc has no floor")
        shutil.rmtree(self.root / "src/misc")
        self.assert_caught("src/stray.h", "", 1, "not beside them")

    def test_standard_library_in_kernel_text(self):
        for name in ("isa_avx2.cpp", "dot-inl.h", "simd_avx2.h"):
            kept = (self.root / "src/kernels" / name)
            self.assert_caught(f"src/kernels/{name}", "#include <cstdint>\n#include <algorithm>\n",
                               2, "compiled per instruction set")
            kept.write_text("")
        self.assertEqual(self.violations({"src/kernels/dispatch.h": "#include <algorithm>\n"}), [])

    def test_intrinsics_outside_kernels(self):
        self.assert_caught("src/ops/matmul.cpp", "#include <immintrin.h>\n", 1, "only in kernels/")
        self.assert_caught("src/ops/matmul.cpp", "#include <arm_neon.h>\n", 1, "only in kernels/")
        self.write({"src/ops/matmul.cpp": ""})
        self.assert_caught("src/base/cpu.cpp", "#include <x86intrin.h>\n", 1, "only in kernels/")

    def test_environment(self):
        self.assert_caught("src/engine/engine.cpp", '\n\nauto x = std::getenv("HOME");\n', 3,
                           "getenv")
        self.write({"src/engine/engine.cpp": ""})
        self.assert_caught("src/lab/shape.cpp", 'auto x = secure_getenv ("HOME");\n', 1, "getenv")
        self.write({"src/lab/shape.cpp": ""})
        self.assert_caught("src/kernels/kernels.cpp", 'auto x = getenv("X");\n', 1, "getenv")

    def test_printing_and_leaving_below_the_programs(self):
        for text in ("std::cout << 1;", "std::cerr << 1;", 'printf("x");', 'fmt::print("x");',
                     'std::fprintf(stderr, "x");', "std::exit(1);", "_exit(1);", "::exit(2);"):
            self.assert_caught("src/evaluate/report.cpp", f"void f() {{\n  {text}\n}}\n", 2,
                               "nothing prints or exits")

    def test_exit_code_of_the_program(self):
        self.write(CLEAN)
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertEqual(check_floors.main([str(self.root)]), 0)
            self.assertEqual(err.getvalue(), "")
            self.write({"src/base/bad.h": '#include "cli/main.h"\n'})
            self.assertEqual(check_floors.main([str(self.root)]), 1)
            self.assertIn("src/base/bad.h:1:", err.getvalue())
            self.assertEqual(check_floors.main([str(self.root / "nowhere")]), 2)


FORMAT = {
    "src/formats/blocks.h": "struct BlockQ9_X {};\n",
    "src/formats/format.h": "enum class FormatId {\n  Q9_X = 9,\n};\n",
    "src/formats/codecs.h": "void decode_block(const BlockQ9_X& block, float* x);\n",
    "src/formats/nine.cpp": "void decode_block(const BlockQ9_X& block, float* x) {}\n",
    "src/formats/catalog.cpp": 'auto row = block_row<BlockQ9_X>("Q9_X", kAny);\n',
    "src/kernels/unpack_nine-inl.h": "template <>\nstruct Unpack<BlockQ9_X> {};\n",
    "src/kernels/matmul-inl.h": "// BlockQ9_X in a comment is nothing\n",
    "src/quantize/recipe.cpp": "auto type = FormatId::Q9_X;\n",
}


class FormatPlacesTest(TreeTest):
    def errors_with(self, files):
        self.write(FORMAT)
        self.write(files)
        return check_format_places.check_tree(self.root)

    def test_clean_tree_passes(self):
        self.assertEqual(self.errors_with({}), [])

    def test_a_place_too_many_is_caught(self):
        for path in ("src/formats/scale_search.cpp", "src/kernels/table-inl.h",
                     "src/quantize/pipeline.cpp", "src/formats/blocks_more.h"):
            with self.subTest(path):
                self.assertNotEqual(self.errors_with({path: "f(sizeof(BlockQ9_X));\n"}), [])
                os.remove(self.root / path)
        errors = self.errors_with({"src/kernels/dispatch.cpp": "\nif (id == FormatId::Q9_X) {}\n"})
        self.assertEqual(len(errors), 1)
        self.assertIn("src/kernels/dispatch.cpp:2: Q9_X is named here", errors[0])

    def test_a_missing_place_is_caught(self):
        for path in FORMAT:
            if path.endswith(("matmul-inl.h", "recipe.cpp")):
                continue
            with self.subTest(path):
                self.assertNotEqual(self.errors_with({path: "\n"}), [])

    def test_an_encoder_asks_for_its_own_places(self):
        declared = FORMAT["src/formats/codecs.h"] + (
            "void encode_blocks(const float* x, const float* importance, BlockQ9_X* b, int64_t n);\n")
        self.assertNotEqual(self.errors_with({"src/formats/codecs.h": declared}), [])
        encoder = {"src/formats/codecs.h": declared,
                   "src/formats/encode_nine-inl.h": "void encode_blocks(BlockQ9_X* b) {}\n"}
        self.assertNotEqual(self.errors_with(encoder), [])
        listed = {**encoder, "src/formats/encoders-inl.h": "#define LIST(F) F(Q8_X) F(Q9_X)\n"}
        self.assertEqual(self.errors_with(listed), [])


class SizesTest(TreeTest):
    def test_clean_tree_passes(self):
        self.write({"src/a.h": "x\n" * 500, "tests/t.py": "x\n" * 10, "docs/long.md": "x\n" * 900,
                    "tests/data/long.txt": "x\n" * 9000})
        self.assertEqual(check_sizes.check_tree(self.root), ([], []))

    def test_long_files_are_caught_in_every_folder(self):
        for name in ("src/a/a.cpp", "tests/b.h", "tools/c.py", "bench/d.cpp", "scripts/e.sh",
                     "tests/f.js"):
            with self.subTest(name):
                self.write({name: "x\n" * 801})
                errors, _ = check_sizes.check_tree(self.root)
                self.assertEqual(errors, [f"{name}: 801 lines; at most 800: split it"])
                os.remove(self.root / name)

    def test_a_script_without_suffix_counts(self):
        self.write({"scripts/setup": "#!/bin/bash\n" + "x\n" * 800, "scripts/notes": "x\n" * 900})
        errors, _ = check_sizes.check_tree(self.root)
        self.assertEqual([e.split(":")[0] for e in errors], ["scripts/setup"])

    def test_the_limits_are_exact(self):
        self.write({"src/a.cpp": "x\n" * 800, "src/b.cpp": "x\n" * 501, "src/c.cpp": "x\n" * 500})
        errors, warnings = check_sizes.check_tree(self.root)
        self.assertEqual(errors, [])
        self.assertEqual([w.split(":")[0] for w in warnings], ["src/a.cpp", "src/b.cpp"])

    def test_generated_files_are_excepted(self):
        self.write({"src/table.h": "// Generated by tools/make_table.py\n" + "x\n" * 2000})
        self.assertEqual(check_sizes.check_tree(self.root), ([], []))
        self.write({"src/table.h": "x\n" * 5 + "// Generated by tools/a.py\n" + "x\n" * 2000})
        self.assertEqual(len(check_sizes.check_tree(self.root)[0]), 1)

    def test_exit_code_of_the_program(self):
        with contextlib.redirect_stderr(io.StringIO()) as err:
            self.write({"src/a.cpp": "x\n"})
            self.assertEqual(check_sizes.main([str(self.root)]), 0)
            self.write({"src/a.cpp": "x\n" * 900})
            self.assertEqual(check_sizes.main([str(self.root)]), 1)
            self.assertIn("900 lines", err.getvalue())


@unittest.skipUnless(shutil.which("clang-format-14"), "clang-format-14 is not installed")
class FormatTest(TreeTest):
    def run_check(self, *arguments):
        return subprocess.run([str(self.root / "tools/check_format.sh"), *arguments],
                              capture_output=True, text=True, check=False)

    def setUp(self):
        super().setUp()
        here = Path(__file__).resolve().parent
        (self.root / "tools").mkdir()
        shutil.copy(here / "check_format.sh", self.root / "tools")
        shutil.copy(here.parent / ".clang-format", self.root)
        self.write({"src/base/a.cpp": "int f(int x) { return x; }\n"})

    def test_formatted_tree_passes(self):
        result = self.run_check()
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_unformatted_file_is_caught_and_fixed(self):
        self.write({"src/base/b.cpp": "int   g( int x ){return x;}\n"})
        result = self.run_check()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("b.cpp", result.stderr)
        self.assertEqual(self.run_check("--fix").returncode, 0)
        self.assertEqual(self.run_check().returncode, 0)

    def test_generated_files_are_excepted(self):
        self.write({"src/base/t.h": "// Generated by tools/make.py\nint   g( int x );\n"})
        self.assertEqual(self.run_check().returncode, 0)


if __name__ == "__main__":
    unittest.main()
