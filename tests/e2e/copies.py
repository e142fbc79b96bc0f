"""Copies of runs at a remote: making a run with files, delivering it, and comparing what is there with what is here."""

import hashlib
import json
import random

import delivered
from harness import PosterTest


class CopiesTest(PosterTest):
    callback = ""  # whose copies; set by the class of the test

    def setUp(self):
        super().setUp()
        self.env |= {"POSTER_SYNC_MODE": "manual"}

    def make_run(self, files):
        """A run that has saved these files: {name: bytes}. Gives its directory."""
        self.assertEqual(self.launch("true").returncode, 0)
        run = self.run_dirs()[-1]
        self.save(run, files)
        return run

    @staticmethod
    def save(run, files):
        for name, content in files.items():
            path = run / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def sync(self, *options, timeout=None):
        """Of the newest run, as one that has been delivered whole is looked at only when it is named."""
        return self.poster("sync", self.run_dirs()[-1].name, *options, timeout=timeout)

    def sync_until_done(self, tries=20):
        """Gives what each round said."""
        said = []
        for _ in range(tries):
            done = self.sync("--retry-failed")
            said.append((done.stdout + done.stderr).decode())
            if done.returncode == 0:
                return said
        raise AssertionError(f"not delivered after {tries} rounds: {said[-1]}")

    def assert_arrived(self, root, run):
        """All of the run that is to be copied is there, byte by byte, and nothing half done."""
        copies = root / "runs" / run.name
        manifest = json.loads((copies / "manifest.json").read_text())
        listed = {file["path"]: file["sha256"] for file in manifest["files"]}
        expected = [path for path in (run / "files").rglob("*") if path.is_file()] + [run / "run.json"]
        for path in expected:
            name = str(path.relative_to(run))
            content = path.read_bytes()
            self.assertEqual((copies / name).read_bytes(), content, name)
            self.assertEqual(listed.get(name), hashlib.sha256(content).hexdigest(), name)
        self.assertEqual(list(root.rglob(".poster-*.part")), [])

    def assert_nothing_false_is_noted(self, root, run):
        """What the outbox calls delivered is there, with those bytes."""
        there = root / "runs" / run.name
        delivered.assert_copies_are_there(self, run, self.callback, lambda path: (there / path).read_bytes())

    def kill_at_random_moments(self, root, run, times, longest):
        """SIGKILL of `poster sync` so many times, while there is always something to send."""
        delivered.kill_at_random_moments(
            start=lambda: self.start_poster("sync", run.name),
            check=lambda: self.assert_nothing_false_is_noted(root, run),
            times=times,
            longest=longest,
            before=lambda number: self.save(run, {f"late/{number}.bin": random.randbytes(300_000)}),
        )


ODD_NAMES = ["sp ace", "quo'te\"s", "ünïcode ✓", "[x] *?", "-rf", "$(id) `id` ${HOME}", "back\\slash", "a/b/c/deep", "#~!&;|<>"]
