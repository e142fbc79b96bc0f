"""Completion in real shells: bash with and without bash-completion, zsh and fish."""

import pathlib
import shlex
import subprocess
import unittest

from harness import POSTER, PosterTest, main, needs_program, poster_only

BASH_COMPLETION = pathlib.Path("/usr/share/bash-completion/bash_completion")


@poster_only
class Completion(PosterTest):
    def setUp(self):
        super().setUp()
        (self.tmp / "bin").mkdir()
        for name in ("poster", "post"):
            (self.tmp / "bin" / name).symlink_to(POSTER)
        self.env |= {"PATH": f"{self.tmp / 'bin'}:{self.env['PATH']}", "POSTER_STORE": str(self.store)}

    def make_runs(self):
        self.launch("true", options=["-n", "base line", "-t", "vision"])
        self.launch("echo", "x", options=["-n", "a:b"])
        return [row["id"][-4:] for row in self.poster_json("ls")]

    def script(self, shell):
        text = self.poster("completion", shell, store=False, check=0).stdout
        path = self.tmp / f"completion.{shell}"
        path.write_bytes(text)
        return path

    def words(self, *typed):
        """What the binary answers: (words, directives)."""
        lines = self.poster("complete", "--", *typed, store=False, check=0).stdout.decode().splitlines()
        return [line.split("\t")[0] for line in lines if line[0] != ":"], [line for line in lines if line[0] == ":"]


class Answers(Completion):
    def test_commands_options_values_and_runs(self):
        newest, oldest = self.make_runs()
        cases = [
            (["show", ""], {"last", newest, oldest, "base line", "a:b"}, []),
            (["wait", "last", ""], {"last", newest}, []),
            (["show", "last", ""], set(), []),
            (["ls", "--tag", ""], {"vision"}, []),
            (["tag", "last", ""], {"vision"}, []),
            (["ls", "--tag="], {"--tag=vision"}, []),
            (["ls", "--status", "fa"], {"failed"}, []),
            (["run", "--cwd", ""], set(), [":directories"]),
            (["run", "-qC", ""], set(), [":directories"]),
            (["run", "-f", ""], set(), [":files"]),
            (["run", "-n", "x", "ec"], set(), [":command 4"]),
            (["run", "-q", "--", "echo", "-"], set(), [":command 4"]),
            (["run", "echo", "--n"], set(), [":command 2"]),
            (["rerun", "last", "--", ""], set(), [":files"]),
            (["rerun", "--ch"], {"--checkout"}, []),
            (["completion", ""], {"bash", "zsh", "fish"}, []),
            (["help", ""], {"run"}, []),
            (["nonsense", ""], set(), []),
            (["sh"], {"show"}, []),
        ]
        for typed, wanted, directives in cases:
            with self.subTest(typed=typed):
                words, told = self.words(*typed)
                self.assertLessEqual(wanted, set(words))
                self.assertEqual(told, directives)
                if not wanted:
                    self.assertEqual(words, [])

    def test_metrics_stand_beside_runs(self):
        line = '{"kind":"metric","step":1,"values":{"val/loss":1,"acc":2}}'
        self.launch("sh", "-c", f"echo '{line}' > $POSTER_EVENTS_DIR/a.jsonl", options=["-n", "base"])
        for typed in (["metrics", ""], ["plot", ""], ["plot", "base", ""], ["plot", "base", "acc", ""]):
            with self.subTest(typed=typed):
                found, _ = self.words(*typed)
                self.assertLessEqual({"base", "last", "val/loss", "acc"}, set(found))
        self.assertEqual(self.words("metrics", "base", "")[0], ["acc", "val/loss"])

    def test_another_store_is_asked(self):
        self.make_runs()
        words, _ = self.words("show", "--store", str(self.tmp / "none"), "")
        self.assertEqual(words, [])

    def test_without_a_store_nothing_is_offered_or_made(self):
        self.assertEqual(self.words("show", ""), ([], []))
        self.assertFalse(self.store.exists())


class Bash(Completion):
    def bash(self, library):
        """An interactive bash that has loaded the completion."""
        shell = self.shell()
        if library:
            shell.send(f". {BASH_COMPLETION}\n".encode())
            shell.read_until("PROMPT> ")
        shell.send(
            f". {self.script('bash')}; bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'; bind 'set bell-style none'\n".encode()
        )
        shell.read_until("PROMPT> (?s:.*)PROMPT> ")
        return shell

    def check(self, library):
        newest, oldest = self.make_runs()
        (self.cwd / "folder").mkdir()
        (self.cwd / "file.txt").write_text("")
        cases = [
            ("poster sho", r"poster show "),
            ("post sho", r"post show "),
            ("poster ls --stat", r"poster ls --status "),
            ("poster ls --status fai", r"failed "),
            ("poster ls --status=fai", r"--status=failed "),
            ("poster ls --tag v", r"vision "),
            (f"poster show {oldest[:3]}", oldest + " "),
            ("poster show base", r"base\\ line "),
            ("poster show 'base", r"'base line'"),
            ("poster show a:", r"a:b "),
            ("poster run --cwd fol", r"folder"),
            ("poster run -f fil", r"file\.txt "),
            ("poster run -q cat fil", r"cat file\.txt "),
        ]
        shell = self.bash(library)
        for typed, wanted in cases:
            with self.subTest(typed=typed, library=library):
                shell.send(b"\x15")  # an empty line
                shell.send(typed.encode() + b"\t")
                shell.read_until(wanted)

    @needs_program("bash")
    def test_without_any_library(self):
        self.check(False)

    @unittest.skipUnless(BASH_COMPLETION.exists(), "bash-completion is not installed")
    def test_with_bash_completion(self):
        self.check(True)


class Zsh(Completion):
    @needs_program("zsh")
    def test_it_completes(self):
        newest, oldest = self.make_runs()
        (self.cwd / "file.txt").write_text("")
        functions = self.tmp / "functions"
        functions.mkdir()
        (functions / "_poster").write_bytes(self.script("zsh").read_bytes())
        (self.tmp / "home" / ".zshrc").write_text(
            f"fpath=({functions} $fpath)\nautoload -U compinit\ncompinit -u -D\nPS1='PROMPT> '\n"
            "setopt no_beep\nunsetopt prompt_sp\nzstyle ':completion:*' menu no\n"
        )
        shell = self.terminal("zsh", "-i", raw_argv=True)
        shell.read_until("PROMPT> ")
        cases = [
            ("poster sho", "poster show"),
            ("post sho", "post show"),
            ("poster ls --stat", "ls --status"),
            ("poster ls --status fai", "status failed"),
            ("poster ls --tag v", "tag vision"),
            (f"poster show {oldest[:3]}", f"show {oldest}"),
            ("poster show base", r"base\\ line"),
            ("poster show a", r"a:b|a\\:b"),
            ("poster run -f fil", r"file\.txt"),
            ("poster run -q cat fil", r"cat (?s:.*)file\.txt|e\.txt"),
        ]
        for typed, wanted in cases:
            with self.subTest(typed=typed):
                shell.send(b"\x15")
                shell.send(typed.encode() + b"\t")
                shell.read_until(wanted)


class Fish(Completion):
    @needs_program("fish")
    def test_it_completes(self):
        newest, oldest = self.make_runs()
        (self.cwd / "file.txt").write_text("")
        script = self.script("fish")
        cases = [
            ("poster sho", "show"),
            ("post sho", "show"),
            ("poster ls --stat", "--status"),
            ("poster ls --status fai", "failed"),
            ("poster ls --tag v", "vision"),
            (f"poster show {oldest[:3]}", oldest),
            ("poster show base", "base line"),
            ("poster show a", "a:b"),
            ("poster run -f fil", "file.txt"),
            ("poster run -q cat fil", "file.txt"),
            ("poster run -n x cat fil", "file.txt"),
        ]
        for typed, wanted in cases:
            with self.subTest(typed=typed):
                done = subprocess.run(
                    ["fish", "--no-config", "-c", f"source {script}; complete -C {shlex.quote(typed)}"],
                    env=self.env,
                    cwd=self.cwd,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
                found = [line.split("\t")[0].replace("\\", "") for line in done.stdout.decode().splitlines()]
                self.assertIn(wanted, found, done.stderr)


if __name__ == "__main__":
    main()
