"""`nibble run` as a conversation: at a terminal (a pseudo-terminal driven here) and in a pipe."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
import unittest

from support import NIBBLE, SPECIALS, TestCase, TinyModel, run

PROMPT, CONTINUED, HINT = b">>> ", b"... ", b"Ctrl-D or /bye leaves\r\n"
CTRL_C, CTRL_D, UP = b"\x03", b"\x04", b"\x1b[A"


def endless(model):
    """`model`, whose most probable token is never one that ends an answer."""
    tensor = model.tensor("output.weight")
    row_bytes = tensor[2][0] * (2 if model.kind == "F16" else 4)
    data = tensor[3] if isinstance(tensor[3], bytes) else b"".join(tensor[3])
    tensor[3] = bytes(len(SPECIALS) * row_bytes) + data[len(SPECIALS) * row_bytes:]
    return model


class Terminal:
    """A program on a pseudo-terminal of its own."""

    def __init__(self, arguments, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execve(NIBBLE, [NIBBLE, *map(str, arguments)],
                      {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env})
        self.seen = b""  # what came and was not yet taken by until()
        self.code = None

    def send(self, data):
        os.write(self.fd, data)

    def read(self, timeout):
        """More output, or b"" when the program is gone or silent."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return b""
        try:
            return os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return b""

    def until(self, what, timeout=60):
        """The output up to and including `what`."""
        end = time.monotonic() + timeout
        while what not in self.seen:
            more = self.read(max(0, end - time.monotonic()))
            if not more:
                raise AssertionError(f"waited for {what!r}, saw {self.seen!r}")
            self.seen += more
        at = self.seen.index(what) + len(what)
        taken, self.seen = self.seen[:at], self.seen[at:]
        return taken

    def prompt(self, timeout=60):
        """The output up to and including the prompt, once it takes keys: what is typed before the
        line editor has switched the terminal over is lost to Ctrl-C."""
        taken = self.until(PROMPT, timeout)
        end = time.monotonic() + timeout
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > end:
                raise AssertionError("the line editor does not begin")
            time.sleep(0.005)
        return taken

    def wait(self, timeout=30):
        """The exit code; the last output is in `seen`."""
        end = time.monotonic() + timeout
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise AssertionError(f"it does not end; saw {self.seen!r}")
            else:
                self.seen += self.read(0.02)
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class TerminalTest(TestCase):
    def setUp(self):
        super().setUp()
        self.state = self.dir / "state"

    def start(self, *arguments):
        terminal = Terminal(["run", *arguments], {"XDG_STATE_HOME": str(self.state),
                                                  "HOME": str(self.dir)})
        self.addCleanup(terminal.close)
        terminal.prompt()
        return terminal

    def slow(self):
        """A model that needs a while for an answer, and ends none by itself."""
        model = TinyModel("F16", d_model=512, d_ff=1536, n_layers=8, n_heads=8, n_kv_heads=4,
                          n_ctx=4096, pool=1 << 16)
        return endless(model).save(self.dir / "slow.gguf")

    def tiny(self):
        return endless(TinyModel(n_ctx=1024)).save(self.dir / "tiny.gguf")

    def test_an_answer_streams_and_ctrl_c_stops_only_it(self):
        terminal = self.start(self.slow(), "--temp", "0", "-t", "1")
        for turn in ("the man", "and again"):
            terminal.send(turn.encode() + b"\r")
            terminal.until(b"\r\n")
            pieces = [terminal.read(60) for _ in range(8)]  # it comes in pieces, not at the end
            self.assertTrue(all(pieces), pieces)
            self.assertNotIn(PROMPT, b"".join(pieces))
            terminal.send(CTRL_C)
            rest = terminal.prompt()
            self.assertNotIn(HINT, rest)
            # Nothing of a model's text may steer the terminal. (The system drops output that is
            # under way when Ctrl-C comes, so this is not the whole of it.)
            answer = b"".join(pieces) + rest
            self.assertFalse(re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", answer), answer)
        terminal.send(b"/bye\r")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_c_while_typing(self):
        terminal = self.start(self.tiny(), "--temp", "0", "-n", "8")
        terminal.send(CTRL_C)
        terminal.until(HINT)
        terminal.prompt()
        terminal.send(b"half a li")
        terminal.until(b"half a li")
        terminal.send(CTRL_C)
        self.assertNotIn(HINT, terminal.prompt())
        terminal.send(b'"""begun\r')
        terminal.until(CONTINUED)
        terminal.send(CTRL_C)
        self.assertNotIn(HINT, terminal.prompt())
        terminal.send(CTRL_C)
        terminal.until(HINT)
        terminal.prompt()
        terminal.send(CTRL_D)
        self.assertEqual(terminal.wait(), 0)

    def test_commands(self):
        terminal = self.start(self.tiny(), "--temp", "0", "-n", "4")
        for command, reply in ((b"/help", b"/clear"), (b"/clear", b"forgotten"),
                               (b"/set system be brief", b"is set"), (b"/stats", b"seed"),
                               (b"/nonsense", b"no command")):
            terminal.send(command + b"\r")
            terminal.until(b"\r\n")
            self.assertIn(reply, terminal.prompt())
        # A message of several lines may hold a command, and quotes.
        terminal.send(b'"""/bye\r')
        terminal.until(CONTINUED)
        terminal.send(b'and "so" on"""\r')
        terminal.until(b"\r\n")
        terminal.prompt()
        terminal.send(b"/bye\r")
        self.assertEqual(terminal.wait(), 0)

    def test_a_full_context_is_said_and_cleared(self):
        terminal = self.start(self.tiny(), "--temp", "0", "-n", "4", "-c", "64")
        terminal.send(b"the man was at it " * 10 + b"\r")
        self.assertRegex(terminal.prompt(), rb"context of 64 tokens is full; /clear")
        terminal.send(b"the man\r")  # the long one is not part of the conversation
        terminal.until(b"\r\n")
        self.assertNotIn(b"full", terminal.prompt())
        full = b""
        for _ in range(10):
            terminal.send(b"the man\r")
            terminal.until(b"\r\n")
            full = terminal.prompt()
            if b"full" in full:
                break
        self.assertIn(b"/clear", full)
        terminal.send(b"/clear\r")
        terminal.prompt()
        terminal.send(b"the man\r")
        terminal.until(b"\r\n")
        self.assertNotIn(b"full", terminal.prompt())

    def test_lines_are_remembered(self):
        model = self.tiny()
        terminal = self.start(model, "--temp", "0", "-n", "1")
        terminal.send("/set system naïve 日本\r".encode())
        terminal.until(b"is set")
        terminal.prompt()
        terminal.send(CTRL_D)
        self.assertEqual(terminal.wait(), 0)
        history = self.state / "nibble" / "history"
        self.assertTrue(history.is_file())
        self.assertEqual(history.stat().st_mode & 0o077, 0, "what people typed is theirs alone")
        terminal = self.start(model, "--temp", "0", "-n", "1")
        terminal.send(UP)
        terminal.until("/set system naïve 日本".encode())
        terminal.send(b"\r")
        terminal.until(b"is set")
        terminal.prompt()
        terminal.send(b"/bye\r")
        self.assertEqual(terminal.wait(), 0)

    def test_termination_ends_it(self):
        terminal = self.start(self.tiny())
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(terminal.wait(), 130)


class PipeTest(TestCase):
    def test_each_line_is_a_turn(self):
        model = endless(TinyModel(n_ctx=512)).save(self.dir / "tiny.gguf")
        flags = ["--temp", "0", "-n", "6"]
        code, first, err = run(["run", model, *flags], input="the man", binary=True)
        self.assertEqual((code, err), (0, b""))
        code, alone, _ = run(["run", model, "-p", "the man", *flags], binary=True)
        self.assertEqual(first, alone + b"\n")
        code, both, _ = run(["run", model, *flags], input="the man\n\nof the\n", binary=True)
        self.assertEqual(code, 0)
        self.assertTrue(both.startswith(first) and len(both) > len(first) and both[-1:] == b"\n")
        code, ended, _ = run(["run", model, *flags], input="the man\n/bye\nof the\n", binary=True)
        self.assertEqual((code, ended), (0, first))
        self.assertEqual(run(["run", model, *flags], input=""), (0, "", ""))

    def test_a_model_without_the_format_is_warned_about(self):
        model = endless(TinyModel())
        model.metadata = [m for m in model.metadata if m[0] != "tokenizer.chat_template"]
        tokens = next(m for m in model.metadata if m[0] == "tokenizer.ggml.tokens")[2]
        tokens[1:3] = ["<a>", "<b>"]
        path = model.save(self.dir / "base.gguf")
        code, out, err = run(["run", path, "--temp", "0", "-n", "2"], input="the\nthe\n")
        self.assertEqual(code, 0, err)
        self.assertTrue(out)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn("<|im_start|>", err)
        self.assertNotIn("warning", run(["run", path, "--raw", "-p", "the", "-n", "2"])[2])


class OnceTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = endless(TinyModel(n_ctx=512)).save(self.dir / "tiny.gguf")

    def test_a_prompt_from_a_file(self):
        path = self.dir / "prompt.txt"
        path.write_text("the man\n")
        flags = ["--raw", "--temp", "0", "-n", "8"]
        self.assertEqual(run(["run", self.model, "-f", path, *flags], binary=True)[:2],
                         run(["run", self.model, "-p", "the man", *flags], binary=True)[:2])
        self.assert_error(["run", self.model, "-f", self.dir / "none.txt"], 3, "none.txt")

    def test_flags_that_make_no_sense(self):
        for flags in (["--raw"], ["--special", "-p", "x"], ["-p", "x", "-f", "y"],
                      ["--raw", "-p", "x", "--system", "y"], ["-p", "x", "--temp", "nan"],
                      ["-p", "x", "--temp", "-1"], ["-p", "x", "--top-p", "1.5"],
                      ["-p", "x", "-c", "0"], ["-p", "x", "-n", "-2"], ["-p", "x", "-b", "0"],
                      ["-p", "x", "-s", "-2"], ["-p", "x", "--repeat-penalty", "0"]):
            with self.subTest(" ".join(flags)):
                # Found before anything is loaded: the model need not exist.
                self.assert_error(["run", self.dir / "none.gguf", *flags], 2)

    def test_an_empty_raw_prompt(self):
        self.assert_error(["run", self.model, "--raw", "-p", ""], 2, "prompt")
        path = TinyModel().set("tokenizer.ggml.add_bos_token", True).save(self.dir / "bos.gguf")
        self.assertEqual(run(["run", path, "--raw", "-p", "", "-n", "1"])[0], 0)

    def test_special_tokens_in_a_raw_prompt(self):
        def n_prompt(*flags):
            _, _, err = run(["run", self.model, "--raw", "-n", "0", "-p", "<|im_end|>", *flags])
            return int(re.search(r"prompt: (\d+) tokens", err)[1])
        self.assertEqual(n_prompt("--special"), 1)
        self.assertEqual(n_prompt(), len("<|im_end|>"))

    def test_a_full_context_ends_the_answer(self):
        code, out, err = run(["run", self.model, "--raw", "-p", "the", "--temp", "0", "-c", "16"],
                             binary=True)
        self.assertEqual(code, 0)
        self.assertTrue(out)
        self.assertIn(b"context of 16 tokens is full", err)

    def test_interrupted_it_keeps_what_there_is(self):
        model = TinyModel("F16", d_model=512, d_ff=1536, n_layers=8, n_heads=8, n_kv_heads=4,
                          n_ctx=4096, pool=1 << 16)
        path = endless(model).save(self.dir / "slow.gguf")
        with subprocess.Popen([NIBBLE, "run", path, "-p", "the man", "--temp", "0", "-t", "1"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, bufsize=0) as process:
            first = process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            rest, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertTrue(first + rest)
        self.assertIn(b"answer:", err)
        self.assertRegex(err.decode().splitlines()[-1], r"^nibble: .*interrupted")

    def test_a_closed_pipe_ends_it(self):
        model = endless(TinyModel(n_ctx=65536)).save(self.dir / "long.gguf")
        with subprocess.Popen([NIBBLE, "run", model, "-p", "the man", "--temp", "0", "-c", "65536"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, bufsize=0) as process:
            process.stdout.read(1)
            process.stdout.close()
            _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertRegex(err.decode(), r"^nibble: \[standard output\][^\n]*\n$")


if __name__ == "__main__":
    unittest.main()
