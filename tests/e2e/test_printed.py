"""Metrics from what programs print: `poster run --scan-metrics` and `poster scan`."""

import json
import os
import signal
import time

from harness import PosterTest, children_of, json_lines, main, poster_only, python, wait_until

SCAN = ["--scan-metrics"]

# Prints each line that comes through a pipe.
ECHO = """
import sys
for line in open(sys.argv[1]):
    sys.stdout.write(line)
    sys.stdout.flush()
"""


@poster_only
class Printed(PosterTest):
    def setUp(self):
        super().setUp()
        self.pipe = self.cwd / "lines"
        os.mkfifo(self.pipe)
        self.echo = python(ECHO, self.pipe)

    def points(self, run=None):
        found = []
        for path in sorted((self.attempt_dir(run) / "events").glob("*.printed.jsonl")):
            found += json_lines(path)
        return found

    def values(self, name="loss"):
        return [point["values"][name] for point in self.points() if name in point["values"]]

    def points_now(self):
        return self.points() if self.run_dirs() else []

    def test_a_metric_is_an_event_within_a_second_of_its_line(self):
        for streams in ("pipe", "terminal"):
            with self.subTest(streams=streams):
                self.fresh_store()
                run = (self.terminal if streams == "terminal" else self.start)(*self.echo, options=SCAN)
                with open(self.pipe, "w", buffering=1) as lines:
                    lines.write("ready\n")
                    wait_until(lambda: self.run_dirs() and b"ready" in self.log(), what="the first line")
                    delays = []
                    for step in range(5):
                        began = time.monotonic()
                        printed = time.time()
                        lines.write(f"step {step} | loss 0.{step}5\n")
                        wait_until(lambda: len(self.points()) == step + 1, what=f"the event of step {step}")
                        delays.append(time.monotonic() - began)
                        self.assertLess(abs(self.points()[-1]["time"] - printed), 1)
                self.assertEqual(run.wait(), 0)
                self.assertLess(sorted(delays)[2], 1)  # the median: others share this machine
                self.assertEqual([point["step"] for point in self.points()], [0, 1, 2, 3, 4])
                self.assertEqual(self.values(), [0.05, 0.15, 0.25, 0.35, 0.45])

    def test_progress_bars_and_a_last_line_without_its_end_count(self):
        bar = "".join(f"\\rEpoch 0:  {i}%%|##  | {i}/3 [00:01<00:01, 9.5it/s, loss={1 / i:.2f}]" for i in (1, 2, 3))
        self.launch("printf", bar + "\\nfinal loss: 0.125", options=SCAN)
        self.assertEqual(self.values(), [1, 0.5, 0.33])
        self.assertEqual(self.values("final_loss"), [0.125])
        self.assertEqual([point.get("step") for point in self.points()], [1, 2, 3, None])

    def test_the_other_callbacks_see_the_last_line_before_their_end(self):
        self.launch("sh", "-c", "printf 'loss: 0.5\\nloss: 0.25'", options=SCAN)
        self.assertEqual(self.values(), [0.5, 0.25])
        lines = [line for line in json_lines(self.attempt_dir() / "hooks.jsonl") if line["hook"] == "end"]
        order = [(line["callback"], line["state"]) for line in lines]
        self.assertLess(order.index(("printed", "done")), order.index(("local_directory", "begin")))

    def test_a_dry_run_tells_whether_it_would_read(self):
        for options, wanted in (((), False), (SCAN, True)):
            with self.subTest(options=options):
                done = self.poster("run", "--dry-run", *options, "true", check=0)
                callbacks = [line.split() for line in done.stdout.splitlines()]
                self.assertEqual([b"printed", b"--scan-metrics"] in callbacks, wanted)

    def test_nothing_is_read_unless_it_is_asked_for(self):
        self.launch("echo", "loss: 0.5")
        self.assertEqual(self.points(), [])

    def test_settings_ask_for_it_too_and_name_patterns(self):
        (self.cwd / "poster.toml").write_text(
            "[metrics]\nstdout = true\npatterns = ['E,(?P<energy>[-.0-9]{1,9}),(?P<step>[0-9]+)']\n"
        )
        self.launch("echo", "E,-1.5,7")
        self.assertEqual([(p["step"], p["values"]) for p in self.points()], [(7, {"energy": -1.5})])

    def test_a_pattern_that_is_none_is_refused_before_anything_runs(self):
        (self.cwd / "poster.toml").write_text("[metrics]\npatterns = ['(?P<loss>[']\n")
        done = self.poster("run", "touch", "ran", check=2)
        self.assertIn(b"metrics.patterns", done.stderr)
        self.assertFalse((self.cwd / "ran").exists())

    def test_a_host_that_dies_and_comes_again_counts_nothing_twice(self):
        run = self.start(*self.echo, options=SCAN)
        with open(self.pipe, "w", buffering=1) as lines:
            for step in range(30):
                lines.write(f"step {step} loss: {step}.5\n")
            wait_until(lambda: len(self.points_now()) == 30, what="the first points")
            host = self.host_pid(run.pid)
            os.kill(host, signal.SIGKILL)
            again = lambda: [pid for pid in children_of(run.pid) if pid not in (host, self.child_pid())]
            wait_until(again, what="the next host")
            for step in range(30, 60):
                lines.write(f"step {step} loss: {step}.5\n")
            wait_until(lambda: len(self.points()) >= 60, what="the other points")
        self.assertEqual(run.wait(), 0)
        self.assertEqual(self.values(), [step + 0.5 for step in range(60)])

    def test_recovery_reads_what_poster_could_not(self):
        run = self.start(*self.echo, options=SCAN)
        with open(self.pipe, "w", buffering=1) as lines:
            lines.write("step 0 loss: 0.5\n")
            wait_until(lambda: self.points_now(), what="the first point")
            os.kill(self.host_pid(run.pid), signal.SIGSTOP)
            lines.write("step 1 loss: 1.5\n")
            wait_until(lambda: b"1.5" in self.log(), what="the line")
            host = self.host_pid(run.pid)
            run.kill()
            os.kill(host, signal.SIGKILL)
            run.wait()
        self.assert_gone(host)  # which holds the lock until then
        self.poster("ls", check=0)
        wait_until(lambda: len(self.points()) == 2, what="the points that recovery finds")
        self.assertEqual(self.values(), [0.5, 1.5])

    def test_a_rerun_reads_them_as_well(self):
        self.launch("echo", "loss: 0.5", options=SCAN)
        first = self.run_dir()
        self.poster("rerun", first.name, check=0)
        second = next(run for run in self.run_dirs() if run != first)
        self.assertEqual([point["values"] for point in self.points(second)], [{"loss": 0.5}])


@poster_only
class Scan(PosterTest):
    def setUp(self):
        super().setUp()
        (self.cwd / "train.log").write_text("lr: 0.001\nstep 1 | loss 0.5 | lr 1e-3\nstep 2 | loss 0.25 | lr 1e-4\n")

    def scan(self, *arguments, **options):
        return self.poster("scan", *arguments, store=False, **options)

    def test_the_table_shows_names_counts_values_and_a_line(self):
        lines = self.scan("train.log", check=0).stdout.decode().splitlines()
        self.assertEqual(lines[0].split(), ["METRIC", "COUNT", "FIRST", "LAST", "LINE"])
        self.assertEqual(lines[1].split()[:4], ["loss", "2", "0.5", "0.25"])
        self.assertEqual(lines[2].split()[:4], ["lr", "2", "0.001", "0.0001"])
        self.assertIn("step 1 | loss 0.5 | lr 1e-3", lines[1])

    def test_json_from_standard_input_with_a_pattern(self):
        (self.cwd / "other.log").write_text("E -2.5 7\nloss: nan\n")
        pattern = r"^E (?P<energy>\S+) (?P<step>\d+)"
        with open(self.cwd / "other.log") as log:
            done = self.scan("-", "--json", "--pattern", pattern, stdin=log, check=0)
        found = json.loads(done.stdout)
        self.assertEqual(found["points"], 2)
        energy, loss = found["metrics"]
        self.assertEqual((energy["name"], energy["last"], energy["last_step"]), ("energy", -2.5, 7))
        self.assertEqual((loss["name"], loss["last"], loss["last_step"]), ("loss", "NaN", None))

    def test_what_cannot_be_scanned_is_said(self):
        for arguments, status, words in (
            (["nowhere.log"], 1, "cannot read nowhere.log: No such file"),
            (["."], 1, "Is a directory"),
            (["train.log", "--pattern", "("], 2, "is no regular expression"),
            ([], 2, "no log to scan"),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(words, self.scan(*arguments, check=status).stderr.decode())
        self.assertIn(b"no metrics found", self.scan("/dev/null", check=0).stderr)


if __name__ == "__main__":
    main()
