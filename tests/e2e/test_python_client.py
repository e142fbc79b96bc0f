"""The Python client: what a program that says `import poster` leaves in its run, on every Python of this machine."""

import json
import os
import pathlib
import re
import subprocess

from harness import HERE, POSTER, PosterTest, json_lines, main, poster_only, pythons

CLIENT = HERE.parent.parent / "src" / "client" / "python"
PYTHONS = pythons()


class ClientTest(PosterTest):
    """Runs code beside the client, in a stand-in of a run: a directory, and the variables that tell of it."""

    def setUp(self):
        super().setUp()
        self.run_place = self.tmp / "run"
        self.events = self.run_place / "attempts" / "1" / "events"
        self.files = self.run_place / "files"
        for folder in (self.events, self.files):
            folder.mkdir(parents=True)
        self.in_run = {
            "POSTER_RUN_ID": "20261123-070213-k7qd",
            "POSTER_RUN_DIR": str(self.run_place),
            "POSTER_EVENTS_DIR": str(self.events),
            "POSTER_FILES_DIR": str(self.files),
            "POSTER_ATTEMPT": "1",
        }

    def call(self, code, python=None, inside=True, check=True, **env):
        """Runs the code with `poster` imported; gives the CompletedProcess, with text."""
        program = self.cwd / "program.py"
        program.write_text("import os, sys\nimport poster\n" + code)
        done = subprocess.run(
            [python or PYTHONS[max(PYTHONS)], str(program)],
            env={**self.env, "PYTHONPATH": str(CLIENT), **(self.in_run if inside else {}), **env},
            cwd=self.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=120,
        )
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def lines(self, kind=None):
        """The events of all processes; each line must be whole."""
        found = []
        for path in sorted(self.events.glob("*.jsonl")):
            content = path.read_bytes()
            self.assertTrue(content.endswith(b"\n"), content[-100:])
            found += [json.loads(line) for line in content.splitlines()]
        return [line for line in found if kind is None or line["kind"] == kind]


class Metrics(ClientTest):
    def test_a_metric_is_spelled_as_documented(self):
        for version, python in PYTHONS.items():
            with self.subTest(python=version):
                self.call("poster.log_metric('loss', 0.3, step=10, epoch=1)", python, RANK="0")
                (path,) = self.events.iterdir()
                self.assertEqual(path.name.split(".")[-1], "jsonl")
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
                self.assertRegex(
                    path.read_text(),
                    r'^{"kind":"metric","time":\d{10}\.\d{6},"step":10,"epoch":1,"rank":0,"values":{"loss":0\.3}}\n$',
                )
                path.unlink()


if __name__ == "__main__":
    main()
