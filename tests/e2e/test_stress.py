"""Signals and kills at random moments: one outcome and one end hook each, and nothing left running.

POSTER_STRESS=200 for the full measure (default 20); POSTER_SEED repeats a run.
"""

import collections
import contextlib
import os
import random
import signal
import subprocess
import time
import unittest

from harness import (
    POSTER_TEST,
    PosterTest,
    children_of,
    is_running,
    json_lines,
    kill_quietly,
    main,
    poster_only,
    processes_marked,
    wait_until,
)

TIMES = int(os.environ.get("POSTER_STRESS", "20"))
SEED = int(os.environ.get("POSTER_SEED", time.time_ns() % 1_000_000))


def posters_among(pids):
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.path.samefile(f"/proc/{pid}/exe", POSTER_TEST):
                found.append(pid)
    return found


@poster_only
@unittest.skipUnless(os.access(POSTER_TEST, os.X_OK), f"{POSTER_TEST} is not built")
class Stress(PosterTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.probe_file = self.tmp / "probe.jsonl"
        self.env |= {"POSTER_PROBE_FILE": str(self.probe_file)}

    def moment(self):
        """From before the run has a directory until long after its child has started."""
        time.sleep(self.random.choice([0, 0.001, 0.003, 0.01, 0.03, 0.1]) * self.random.random() * 2)

    def launch_one(self):
        return self.start(
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i; sleep 0.02; done; exec sleep 1000",
            program=POSTER_TEST,
            grace="500ms",
        )

    def host_of(self, process):
        """The callback host: the first fork of poster that stays the same program. -1: poster has ended."""

        def find():
            return min(posters_among(children_of(process.pid)), default=None) or (process.poll() is not None and -1)

        return wait_until(find, what="the callback host")

    def check_everything(self):
        """After the next poster command: each run has one outcome and one end hook, and no process is left."""
        message = f"POSTER_SEED={SEED}"
        self.poster("ls", program=POSTER_TEST, check=0)
        wait_until(lambda: not processes_marked(self.marker), what=f"the end of everything ({message})")
        runs = [run for run in self.run_dirs() if (run / "attempts" / "1" / "attempt.json").exists()]
        unended = {run.name: self.attempt(run) for run in runs if not self.attempt(run).get("ended_at")}
        self.assertEqual(unended, {}, message)
        ends = collections.Counter(
            line.get("run") or line.get("id") for line in json_lines(self.probe_file) if line.get("hook") == "end"
        )
        self.assertEqual({run.name: ends.get(run.name, 0) for run in runs if ends.get(run.name, 0) != 1}, {}, message)
        # A directory whose poster was killed before its first record holds nothing to end; it goes after a minute.
        active = set(os.listdir(self.store / "active")) if (self.store / "active").exists() else set()
        self.assertEqual(active & {run.name for run in runs}, set(), message)
        return runs

    def test_sigterm_at_random_moments(self):
        for _ in range(TIMES):
            process = self.launch_one()
            self.moment()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(60), -signal.SIGTERM, f"POSTER_SEED={SEED}")
        for run in self.check_everything():
            self.assertEqual(self.attempt(run)["status"], "killed")

    def test_kill_9_of_the_supervisor_at_random_moments(self):
        for _ in range(TIMES):
            process = self.launch_one()
            self.moment()
            process.kill()
            process.wait(60)
        self.check_everything()

    def test_kill_9_of_the_host_at_random_moments(self):
        for _ in range(TIMES):
            process = self.start(
                "sh",
                "-c",
                "for i in 1 2 3; do echo $i; sleep 0.02; done; exit 3",
                program=POSTER_TEST,
                stdout=subprocess.PIPE,
            )
            host = self.host_of(process)
            self.moment()
            if host > 0 and process.poll() is None:
                kill_quietly(host)
            self.assertEqual(process.stdout.read(), b"1\n2\n3\n", f"POSTER_SEED={SEED}")
            self.assertEqual(process.wait(60), 3, f"POSTER_SEED={SEED}")
        for run in self.check_everything():
            self.assertEqual(self.attempt(run)["status"], "failed")

    def test_kill_9_of_both_at_random_moments(self):
        for _ in range(TIMES):
            process = self.launch_one()
            host = self.host_of(process)
            self.moment()
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in (process.pid, host):
                    if pid > 0:
                        kill_quietly(pid, number)
            process.wait(60)
            wait_until(lambda: not is_running(host), what="the host's end")
        # A fork of the host, too, holds the lock of its run until it has closed what it does not need.
        wait_until(lambda: not posters_among(processes_marked(self.marker)), what="the end of all posters")
        self.check_everything()

    def test_sigterm_at_random_moments_on_a_terminal_leaves_its_modes_right(self):
        for _ in range(TIMES):
            terminal = self.terminal("sh", "-c", "echo on; exec sleep 1000", program=POSTER_TEST)
            before = terminal.modes()
            self.moment()
            terminal.process.send_signal(signal.SIGTERM)
            self.assertEqual(terminal.wait(), -signal.SIGTERM, f"POSTER_SEED={SEED}")
            self.assertEqual(terminal.modes(), before)
            terminal.close()
        self.check_everything()

    def test_short_runs_at_full_speed_lose_no_output(self):
        for number in range(TIMES):
            done = self.launch("sh", "-c", f"echo {number}; exit {number % 100}", program=POSTER_TEST)
            self.assertEqual((done.stdout, done.returncode), (b"%d\n" % number, number % 100))
        self.check_everything()


if __name__ == "__main__":
    main()
