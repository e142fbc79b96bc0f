"""Capture of each framework when the program fails, is killed, is a module, changes its directory."""

import shutil
import signal

from harness import VENV_PYTHON, main, needs_venv, poster_only, wait_until
from hooked import EXAMPLES, HookTest, configurations

# Put in front of a copy of an example: what it does when it would print.
ENDING = """
import builtins, os, sys, time
WHAT = os.environ["ENDING"]
if WHAT == "chdir":
    os.chdir(os.environ["HOME"])
def print(text):
    builtins.print(text, flush=True)
    if WHAT == "fail":
        raise ValueError("as it was told")
    while WHAT == "wait":
        time.sleep(0.01)
"""

# Of each framework a line with a subcommand, where it has them, and one value that must be there.
SITUATIONS = [
    ("train_argparse.py", "argparse", ["train", "--lr", "0.25"]),
    ("train_jsonargparse.py", "jsonargparse", ["--lr", "0.25"]),
    ("train_simple_parsing.py", "simple-parsing", ["--lr", "0.25"]),
    ("train_click.py", "click", ["--seed", "3", "train", "--lr", "0.25"]),
    ("train_typer.py", "typer", ["train", "--lr", "0.25"]),
    ("train_absl.py", "absl", ["--lr", "0.25"]),
    ("train_tyro.py", "tyro", ["--lr", "0.25"]),
    ("train_fire.py", "fire", ["train", "--lr", "0.25"]),
    ("train_hydra.py", "hydra", ["lr=0.25"]),
    ("train_hydra.py", "hydra", ["-m", "lr=0.25"]),
    ("train_hydra.py", "hydra", ["lr=0.25", "hydra.job.chdir=true"]),
    ("train_zen.py", "hydra-zen", ["lr=0.25"]),
    ("launch_zen.py", "hydra-zen", ["0.25"]),
]


def learning_rate(values):
    return values["config"]["lr"] if "config" in values else values["lr"]


@poster_only
@needs_venv
class Situations(HookTest):
    def setUp(self):
        super().setUp()
        shutil.copytree(EXAMPLES, self.cwd, dirs_exist_ok=True)
        for script in self.cwd.glob("*.py"):
            docstring, rest = script.read_text().split("\n", 1)
            script.write_text(docstring + ENDING + rest)
        # Colours and widths of tracebacks are those of no terminal in both.
        self.env["COLUMNS"] = "100"

    def check(self, script, framework, words, ending, module=False):
        self.fresh_store()
        self.env["ENDING"] = ending
        command = [VENV_PYTHON, *(["-m", script[: -len(".py")]] if module else [script]), *words]
        bare, watched = self.bare(*command), self.launch(*command)
        self.assert_same(bare, watched, command)
        self.assertEqual(bare.returncode != 0, ending == "fail", bare.stderr)
        self.check_events(framework, command)
        return self.events()

    def check_events(self, framework, command):
        events = self.events()
        self.assertEqual({event["framework"] for event in events}, {framework}, command)
        self.assertEqual({event["main"] for event in events}, {True}, command)
        self.assertEqual([learning_rate(values) for values in configurations(events)], [0.25], command)

    def test_a_script_that_fails_fails_with_the_same_words(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                events = self.check(script, framework, words, "fail")
                ends = [(event["status"], event["error"]) for event in events if event.get("phase") == "job_end"]
                expected = [("FAILED", "ValueError: as it was told")] if framework.startswith("hydra") else []
                self.assertEqual(ends, expected)

    def test_a_module_is_captured_like_a_script(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                events = self.check(script, framework, words, "", module=True)
                self.assertEqual({event["program"] for event in events}, {script[: -len(".py")]})

    def test_a_script_may_change_its_directory(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                self.check(script, framework, words, "chdir")

    def test_what_was_captured_is_there_when_the_script_is_killed(self):
        for script, framework, words in SITUATIONS:
            with self.subTest(script=script, words=words):
                self.fresh_store()
                self.env["ENDING"] = "wait"
                process = self.start(VENV_PYTHON, script, *words)
                wait_until(lambda: self.run_dirs() and b"{" in self.log_so_far(), what="the script's output")
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(60), -signal.SIGTERM)
                self.check_events(framework, words)
                phases = [event["phase"] for event in self.events() if "phase" in event]
                self.assertEqual(phases, ["run_start", "job_start"] if framework.startswith("hydra") else [])

    def log_so_far(self):
        log = self.attempt_dir() / "output.log"
        return log.read_bytes() if log.exists() else b""


if __name__ == "__main__":
    main()
