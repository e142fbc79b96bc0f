"""What the tests of the Python client share: a stand-in of a run, and code that runs in it."""

import json
import subprocess

from harness import HERE, PosterTest, pythons

CLIENT = HERE.parent.parent / "src" / "client" / "python"
PYTHONS = pythons()
NEWEST = PYTHONS[max(PYTHONS)]


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
            [python or NEWEST, str(program)],
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
