"""`nibble template`, and the template engine beside Python's Jinja2 on published chat templates.

The templates are those of llama.cpp's repository, as the npm package node-llama-cpp carries it
(scripts/setup_interop). Without it only the templates of tests/data/templates are compared. Without
Python's jinja2 nothing is: tests/text/jinja_test.cpp has what jinja2 made of many snippets.
"""

import json
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import STRING, TestCase, TinyModel, run
from template_contexts import contexts, render

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BUNDLE = (PROJECT / ".cache" / "interop" / "node_modules" / "node-llama-cpp" / "llama"
          / "gitRelease.bundle")
OWN = HERE.parent / "data" / "templates"
N_PUBLISHED = 70


def bundled_templates(folder):
    """{name: text} of the chat templates in the bundle, or why there are none."""
    if not BUNDLE.is_file():
        return f"{BUNDLE} is missing; run scripts/setup_interop"
    clone = folder / "llama.cpp"
    done = subprocess.run(["git", "clone", "--quiet", "--bare", str(BUNDLE), str(clone)],
                          capture_output=True, check=False)
    if done.returncode != 0:
        return f"git cannot read {BUNDLE}: {done.stderr.decode(errors='replace')}"
    git = ["git", "-C", str(clone), "-c", "core.quotePath=off"]
    commit = subprocess.run(["git", "bundle", "list-heads", str(BUNDLE)], capture_output=True,
                            check=True).stdout.split()[0].decode()
    names = subprocess.run([*git, "ls-tree", "-r", "--name-only", commit, "models/templates"],
                           capture_output=True, check=True).stdout.decode().splitlines()
    return {Path(name).stem: subprocess.run([*git, "show", f"{commit}:{name}"],
                                            capture_output=True, check=True).stdout.decode()
            for name in names if name.endswith(".jinja")}


class PublishedTemplates(TestCase):
    def render_here(self, template, variables):
        """(output, error) of nibble."""
        code, out, err = run(["template", "--template-file", template, "--messages", variables],
                             binary=True)
        if code == 0:
            return out.decode(), None
        self.assertEqual((code, out), (4, b""), err)
        return None, err.decode()

    def compare(self, templates):
        cases = []
        for name, variables in contexts():
            path = self.dir / f"{len(cases)}.json"
            path.write_text(json.dumps(variables))
            cases.append((name, variables, path))
        self.assertGreaterEqual(len(cases), 12)
        n_rendered = n_refused = 0
        for name, text in sorted(templates.items()):
            path = self.dir / f"{name}.jinja"
            path.write_bytes(text.encode())
            with ThreadPoolExecutor(2) as pool:
                ours = list(pool.map(lambda case, path=path: self.render_here(path, case[2]), cases))
            for (case, variables, _), (output, error) in zip(cases, ours):
                expected, refusal = render(text, variables)
                if output != expected and "strftime_now" in text:
                    expected, refusal = render(text, variables)  # midnight passed
                with self.subTest(f"{name}: {case}"):
                    self.assertEqual(output, expected, f"{error}\n{refusal}")
                    self.assertEqual(error is None, refusal is None, f"{error}\n{refusal}")
                n_rendered += error is None
                n_refused += error is not None
        print(f"{len(templates)} templates x {len(cases)} contexts equal to Python's Jinja2: "
              f"{n_rendered} texts, {n_refused} refusals", flush=True)
        self.assertGreater(n_rendered, n_refused)

    def test_they_render_as_in_python(self):
        try:
            import jinja2
        except ImportError:
            self.skipTest("Python has no jinja2; run scripts/setup. The texts that it made of small "
                          "templates (tests/golden/jinja.json) are compared all the same")
        print(f"jinja2 {jinja2.__version__}, Python {sys.version.split()[0]}", flush=True)
        templates = bundled_templates(self.dir)
        if isinstance(templates, str):
            print(f"only templates of our own: {templates}", flush=True)
        else:
            self.assertEqual(len(templates), N_PUBLISHED)
            self.compare(templates)
        self.compare({path.stem: path.read_text() for path in OWN.glob("*.jinja")})


class TemplateVerb(TestCase):
    def model(self, text="{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
                         "{{ eos_token }}{% endfor %}{{ more }}"):
        model = TinyModel()
        model.metadata = [m for m in model.metadata if m[0] != "tokenizer.chat_template"]
        if text is not None:
            model.metadata.append(("tokenizer.chat_template", STRING, text))
        return model.save(self.dir / "model.gguf")

    def test_the_models_own_template(self):
        path = self.model()
        out = self.run_ok(["template", path])
        self.assertIn("[user]Hello", out)
        messages = self.dir / "messages.json"
        messages.write_text('[{"role": "user", "content": "<|im_end|>{{ x }} é"}]')
        out = self.run_ok(["template", path, "--messages", messages])
        self.assertIn("[user]<|im_end|>{{ x }} é", out)
        messages.write_text('{"messages": [], "more": "!", "bos_token": "<B>"}')
        self.assertEqual(self.run_ok(["template", path, "--messages", messages]), "<B>!")

    def test_a_template_file_instead(self):
        other = self.dir / "other.jinja"
        other.write_text("{{ messages[-1].content }}|{{ add_generation_prompt }}|{{ tools }}")
        for arguments in (["template", self.model(), "--template-file", other],
                          ["template", "--template-file", other]):
            self.assertEqual(self.run_ok(arguments), "How are you?|True|None")

    def test_without_a_template_it_is_chatml(self):
        path = self.model(None)
        code, out, err = run(["template", path])
        self.assertEqual(code, 0, err)
        self.assertTrue(out.endswith(
            "<|im_start|>user\nHow are you?<|im_end|>\n<|im_start|>assistant\n"))
        self.assertIn("ChatML", err)
        self.assertNotIn("ChatML", run(["template", self.model()])[2])

    def test_errors(self):
        model, bad = self.model(), self.dir / "bad.jinja"
        for text, what in (("a\n{{ 1 +", "line 2"), ("{{ x.y.z }}", "'x' is undefined"),
                           ("{{ raise_exception('Only users!') }}", "Only users!"),
                           ("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}"
                            "{% endfor %}", "may never end"),
                           ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep"), ("", "empty")):
            bad.write_text(text)
            with self.subTest(text):
                self.assert_error(["template", "--template-file", bad], 4, "bad.jinja", what)
        messages = self.dir / "messages.json"
        for text, what in (("[", "byte 2"), ('"x"', "array of messages"), ("[" * 100000, "nested"),
                           ('{"message": []}', '"messages"'), ('{"messages": 1}', '"messages"'),
                           ("", "JSON")):
            messages.write_text(text)
            with self.subTest(text[:10]):
                self.assert_error(["template", model, "--messages", messages], 4, "messages.json", what)
        self.assert_error(["template", model, "--messages", self.dir / "none.json"], 3, "none.json")
        self.assert_error(["template", self.dir / "none.gguf"], 3, "none.gguf")
        self.assert_error(["template"], 2, "MODEL")

    def test_run_uses_it(self):
        code, _, err = run(["run", self.model("{{ raise_exception('not today') }}"), "-p", "x"])
        self.assertEqual(code, 4, err)
        self.assertIn("not today", err)
        code, _, err = run(["run", self.model("{{ 1 + }}"), "-p", "x"])
        self.assertEqual(code, 4, err)
        self.assertIn("--raw", err)
        code, _, err = run(["run", self.model("{{ 1 + }}"), "--raw", "-p", "x", "-n", "1"])
        self.assertEqual(code, 0, err)


if __name__ == "__main__":
    unittest.main()
