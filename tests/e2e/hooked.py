"""What the tests of the capture hook share: the examples, the events of a run, and what they come to."""

import re
import subprocess

from harness import HERE, PosterTest, json_lines

EXAMPLES = HERE.parent.parent / "examples" / "frameworks"


def without_targets(value):
    """hydra-zen's _target_ is in the configuration and not among the arguments of the task."""
    if isinstance(value, dict):
        return {name: without_targets(inner) for name, inner in value.items() if name != "_target_"}
    return value


def configurations(events):
    """Of Hydra one for each job; of the others one, merged from the events of the command's parts."""
    jobs = [event["values"] for event in events if event.get("phase") == "job_start"]
    if any("phase" in event for event in events):
        return [without_targets(values) for values in jobs]
    merged = {}
    for event in events:
        merged.update(event["values"])
    return [merged]


def unhurried(output):
    """Without the times of Hydra's log lines."""
    return re.sub(rb"\d{4}-\d\d-\d\d[ /]\d\d[:-]\d\d[:-]\d\d(,\d+)?", b"TIME", output)


class HookTest(PosterTest):
    def setUp(self):
        super().setUp()
        self.env["PYTHONDONTWRITEBYTECODE"] = ""

    def events(self, kind="capture", run=None):
        files = sorted((self.attempt_dir(run) / "events").glob("*.jsonl"))
        return [event for file in files for event in json_lines(file) if event["kind"] == kind]

    def bare(self, *argv):
        return subprocess.run(argv, env=self.env, cwd=self.cwd, stdin=subprocess.DEVNULL, capture_output=True)

    def assert_same(self, bare, watched, what):
        for stream in ("stdout", "stderr"):
            self.assertEqual(unhurried(getattr(watched, stream)), unhurried(getattr(bare, stream)), what)
        self.assertEqual(watched.returncode, bare.returncode, what)
