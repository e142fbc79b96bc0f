"""Python programs that notice a hook, if anything does: each behaves under poster as without it.

A case is a script or a folder of tricky/. Its first line says how it is run, its second what the hook captures.

POSTER_PYTHONS=all    on each Python of this machine instead of one
"""

import os
import re
import shutil
import subprocess
import sys

from harness import HERE, PosterTest, json_lines, main, poster_only, pythons

CASES = sorted((HERE / "tricky").iterdir())
EVERY_PYTHON = pythons((2, 7))
PYTHONS = pythons((3, 6)) if os.environ.get("POSTER_PYTHONS") == "all" else {sys.version_info[:2]: sys.executable}


def header(case):
    script = case / "main.py" if case.is_dir() else case
    command, captures = script.read_text().splitlines()[:2]
    return command.split("$ ", 1)[1], captures.split("captures ", 1)[1]


def without_addresses(output):
    return re.sub(rb"0x[0-9a-f]{6,}", b"ADDRESS", output)


@poster_only
class Tricky(PosterTest):
    """One test for each case, made below."""

    def setUp(self):
        super().setUp()
        self.env["PYTHONS"] = " ".join(EVERY_PYTHON.values())

    def place(self, case):
        """A fresh copy at the same path, so that no output differs because of the path."""
        folder = self.cwd / "case"
        shutil.rmtree(folder, ignore_errors=True)
        if case.is_dir():
            shutil.copytree(case, folder)
        else:
            folder.mkdir()
            shutil.copy(case, folder)
        return folder

    def check(self, case):
        command, captures = header(case)
        for version, python in PYTHONS.items():
            with self.subTest(python=python):
                self.fresh_store()
                env = {**self.env, "PYTHON": python}
                argv = ["sh", "-c", command]
                bare = subprocess.run(
                    argv, env=env, cwd=self.place(case), stdin=subprocess.DEVNULL, capture_output=True, timeout=120
                )
                watched = self.launch(*argv, env=env, cwd=self.place(case))
                self.assertEqual(without_addresses(watched.stdout), without_addresses(bare.stdout))
                self.assertEqual(without_addresses(watched.stderr), without_addresses(bare.stderr))
                self.assertEqual(watched.returncode, bare.returncode)
                if version >= (3, 7):  # some of the scripts end early on an older one
                    self.check_events(captures)

    def check_events(self, captures):
        files = list((self.attempt_dir() / "events").glob("*.jsonl"))
        frameworks = {event["framework"] for file in files for event in json_lines(file) if event["kind"] == "capture"}
        if captures != "any":
            self.assertEqual(frameworks, {captures} - {"nothing"})

    def test_there_are_enough_of_them(self):
        self.assertGreaterEqual(len(CASES), 40)


def make_test(case):
    return lambda self: self.check(case)


for case in CASES:
    setattr(Tricky, "test_" + case.stem, make_test(case))


if __name__ == "__main__":
    main()
