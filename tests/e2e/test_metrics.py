"""Metrics from the line that a program appends to metrics.json, the index and what `ls` and `show` say of them."""

import json
import os
import signal
import statistics
import time
import unittest

from harness import POSTER_TEST, PosterTest, json_lines, main, poster_only, python, read_bytes, wait_until

# Appends whole blocks of metric lines: steps FIRST to LAST, `loss` falling from LAST to 0.
LOG = """
import os, sys, time
first, last, block, pause = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
path = os.environ["POSTER_EVENTS_DIR"] + "/node." + str(os.getpid()) + ".jsonl"
file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
line = '{"kind":"metric","time":%f,"step":%d,"values":{"loss":%d,"acc":%.3f}}\\n'
for begin in range(first, last + 1, block):
    now = time.time()
    steps = range(begin, min(begin + block, last + 1))
    text = "".join([line % (now, step, last - step, step / last) for step in steps]).encode()
    while text:
        text = text[os.write(file, text):]
    time.sleep(pause)
"""


def logging(first, last, block=1000, pause=0.0):
    return python(LOG, first, last, block, pause)


@poster_only
class Metrics(PosterTest):
    def metrics(self, attempt=1):
        path = self.run_dirs()[0] / "attempts" / str(attempt) / "metrics.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def ids(self, *options):
        return [run["id"] for run in self.poster_json("ls", *options)]

    def test_what_a_program_logs_is_summed_up_and_asked_for(self):
        self.launch(*logging(1, 5000))
        loss = self.metrics()["loss"]
        self.assertEqual((loss["last"], loss["last_step"], loss["count"]), (0, 5000, 5000))
        self.assertEqual((loss["min"], loss["min_step"], loss["max"], loss["max_step"]), (0, 5000, 4999, 1))
        shown = self.poster("show", check=0).stdout.decode()
        self.assertRegex(shown, r"Metrics\n.*acc +1 .*\n.*loss +0 ")
        run = self.run_dirs()[0].name
        self.assertEqual(self.ids("--where", "metrics.loss < 1 and metrics.acc.min < 0.01"), [run])
        self.assertEqual(self.ids("--where", "metrics.loss > 1"), [])
        row = self.poster_json("ls", "--columns", "metrics.loss,metrics.acc.max,config.none")[0]
        self.assertEqual((row["metrics.loss"], row["metrics.acc.max"], row["config.none"]), (0, 1, None))

    def test_a_million_lines_are_complete_and_can_be_asked_for(self):
        self.launch(*logging(1, 1_000_000, 20_000))
        self.assertEqual(self.metrics()["loss"]["count"], 1_000_000)
        self.assertEqual(len(self.ids("--where", "metrics.loss.count = 1000000 and metrics.acc = 1")), 1)

    def test_metrics_of_a_run_that_goes_on_are_asked_for(self):
        process = self.start(*logging(1, 1000, 1, 0.05))
        wait_until(lambda: self.run_dirs() and self.metrics(), what="metrics.json")
        self.assertEqual(len(self.ids("--where", "metrics.loss > 0 and status = running")), 1)
        before = self.metrics()["loss"]["count"]
        wait_until(lambda: self.metrics()["loss"]["count"] > before, what="another metrics.json")
        self.assertEqual(len(self.ids("--where", f"metrics.loss.count > {before}")), 1)
        process.send_signal(signal.SIGTERM)
        process.wait()

    def test_a_callback_host_that_is_killed_counts_nothing_twice_and_loses_nothing(self):
        process = self.start(*logging(1, 60_000, 500, 0.02))
        count = lambda: self.metrics().get("loss", {}).get("count", 0) if self.run_dirs() else 0
        wait_until(lambda: count() >= 5000, what="the first values")
        os.kill(self.host_pid(process.pid), signal.SIGKILL)
        killed_at = count()
        wait_until(lambda: count() > killed_at, what="the host that follows")
        self.assertEqual(process.wait(), 0)
        self.assertEqual(self.metrics()["loss"]["count"], 60_000)

    def test_what_was_logged_before_poster_and_its_host_were_killed_is_found_by_the_next_command(self):
        process = self.start(*logging(1, 10**9, 500, 0.02))
        wait_until(lambda: self.run_dirs() and self.metrics(), what="metrics.json")
        host = self.host_pid(process.pid)
        for pid in (process.pid, host):
            os.kill(pid, signal.SIGSTOP)
        for pid in (process.pid, host):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        self.ids()
        wait_until(lambda: not list((self.store / "active").iterdir()), what="the recovery")
        written = sum(read_bytes(file).count(b"\n") for file in (self.run_dirs()[0] / "attempts/1/events").iterdir())
        self.assertEqual(self.metrics()["loss"]["count"], written)
        self.assertEqual(len(self.ids("--where", f"metrics.loss.count = {written} and status = lost")), 1)

    def test_a_second_attempt_goes_on_with_the_metrics_of_the_run(self):
        script = self.cwd / "train.py"
        script.write_text(
            "import os, sys\nattempt = int(os.environ['POSTER_ATTEMPT'])\n"
            f"sys.argv[1:] = [str(attempt * 100), str(attempt * 100 + 50), '10', '0']\n{LOG}\nsys.exit(attempt == 1)\n"
        )
        self.launch(*python("exec(open('train.py').read())"))
        run = self.run_dirs()[0].name
        self.poster("continue", run, check=0)
        self.assertEqual(self.metrics(2)["loss"]["count"], 51)
        self.assertEqual(self.ids("--where", "metrics.loss.count = 102 and metrics.acc.min < 0.9"), [run])

    def test_the_summary_is_in_the_record_and_asked_for(self):
        line = '{"kind":"summary","values":{"best":{"acc":0.9},"api_key":"sk-ant-0123456789abcdef","note":"fine"}}'
        self.launch("sh", "-c", f"echo '{line}' > $POSTER_EVENTS_DIR/node.1.jsonl")
        record = json.loads((self.run_dirs()[0] / "run.json").read_text())
        self.assertEqual(record["summary"], {"best": {"acc": 0.9}, "api_key": "<redacted>", "note": "fine"})
        self.assertEqual(len(self.ids("--where", "summary.best.acc > 0.8 and summary.note = fine")), 1)
        self.assertIn("best.acc", self.poster("show", check=0).stdout.decode())

    def test_runs_are_sorted_and_their_columns_shown(self):
        for lr, last in (("0.1", 30), ("0.01", 10), ("0.001", 20)):
            self.launch(*python(LOG, 0, last, 5, 0.0), options=["--env", "A=b", "--name", f"lr={lr}"])
        names = lambda *options: [run["name"] for run in self.poster_json("ls", *options)]
        self.assertEqual(names("--sort", "metrics.loss.max"), ["lr=0.01", "lr=0.001", "lr=0.1"])
        self.assertEqual(names("--sort", "-metrics.loss.max"), ["lr=0.1", "lr=0.001", "lr=0.01"])
        self.assertEqual(names("--sort", "name:desc", "--limit", "1"), ["lr=0.1"])
        table = self.poster("ls", "--sort", "metrics.loss.max", "--columns", "name,metrics.loss.max", check=0).stdout
        self.assertEqual(
            [line.split() for line in table.decode().splitlines()],
            [["NAME", "metrics.loss.max"], ["lr=0.01", "10"], ["lr=0.001", "20"], ["lr=0.1", "30"]],
        )
        beside = self.poster("ls", "--columns", "+metrics.loss", check=0).stdout.decode().splitlines()[0].split()
        self.assertEqual(beside, ["STATUS", "ID", "NAME", "COMMAND", "STARTED", "DURATION", "metrics.loss", "OUTCOME"])

    def test_runs_are_exported_by_what_they_logged(self):
        line = '{"kind":"metric","step":1,"values":{"loss":%s}}'
        for loss in (1, 2):
            command = f"echo '{line % loss}' > $POSTER_EVENTS_DIR/node.1.jsonl"
            self.launch("sh", "-c", command, options=["--name", f"loss-{loss}"])
        first, second = "loss-1", "loss-2"
        for words in ((), (first, second)):
            text = self.poster("export", "--csv", "--where", "metrics.loss > 1", *words, check=0).stdout.decode()
            self.assertIn(second, text)
            self.assertNotIn(first, text)

    def test_a_bad_expression_and_an_unknown_name_are_told(self):
        self.launch(*logging(1, 10))
        done = self.poster("ls", "--where", "metrics.loss >", check=2)
        self.assertIn("metrics.loss >\n", done.stderr.decode())
        self.assertIn("'status'", self.poster("ls", "--where", "stats = failed", check=2).stderr.decode())
        self.assertIn("'duration'", self.poster("ls", "--sort", "duraton", check=2).stderr.decode())
        done = self.poster("ls", "--where", "metrics.los > 1", check=0)
        self.assertIn("did you mean metrics.loss", done.stderr.decode())

    def test_two_runs_differ_in_their_last_metrics(self):
        line = '{"kind":"metric","step":1,"values":{"same":1,"loss":%s}}'
        for loss in ("0.5", "NaN"):
            self.launch("sh", "-c", f"echo '{line % loss}' > $POSTER_EVENTS_DIR/node.1.jsonl")
        found = self.poster_json("diff", "last~1", "last")
        self.assertIn({"what": "metric loss", "before": "0.5", "after": "NaN"}, found)
        self.assertNotIn("metric same", [it["what"] for it in found])


@poster_only
@unittest.skipUnless(os.access(POSTER_TEST, os.X_OK), f"{POSTER_TEST} is not built")
class Hooks(PosterTest):
    def test_an_event_hook_follows_its_line_within_a_tenth_of_a_second(self):
        probe = self.tmp / "probe.jsonl"
        self.env["POSTER_PROBE_FILE"] = str(probe)
        process = self.start("sleep", "1000", program=POSTER_TEST)
        events = lambda: [line for line in json_lines(probe) if line["hook"] == "event"]
        wait_until(lambda: [line for line in json_lines(probe) if line["hook"] == "start"], what="the start hook")
        path = self.run_dirs()[0] / "attempts/1/events/node.1.jsonl"
        delays = []
        for number in range(20):
            begin = time.monotonic()
            with path.open("a") as file:
                file.write('{"kind":"message","text":"x"}\n')
            wait_until(lambda: len(events()) > number, what="the event hook")
            delays.append(time.monotonic() - begin)
        self.assertLess(statistics.median(delays), 0.1)
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
