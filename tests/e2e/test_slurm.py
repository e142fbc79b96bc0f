"""Runs in the jobs of a real Slurm: what has arrived when poster returns, and how a job's end ends them."""

import os
import shlex
import signal
import subprocess
import unittest

from copies import CopiesTest
from harness import POSTER_TEST, describe, json_lines, kill_quietly, main, poster_only, processes_marked, read_lines, wait_until
from services import s3, slurm

GOES_ON = "echo > $STARTED; while :; do sleep 0.1; done"
# Slurm signals each process of a job for itself: a child that SIGTERM ends may be gone before poster has had its own.
IGNORES_SIGTERM = "trap '' TERM; " + GOES_ON


class JobTest(CopiesTest):
    """Jobs get `env` as it is when they are submitted; the mailbox takes the messages, nas the copies."""

    cluster = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if JobTest.cluster is None:  # one for all classes of the module
            JobTest.cluster = unittest.enterModuleContext(slurm())
            unittest.addModuleCleanup(setattr, JobTest, "cluster", None)

    def setUp(self):
        super().setUp()
        self.nas, self.mailbox, self.closed = self.tmp / "nas", self.tmp / "mailbox", self.tmp / "mailbox.down"
        self.started, self.hooks, self.said = self.tmp / "started", self.tmp / "hooks", self.tmp / "said"
        self.nas.mkdir()
        self.env |= {**self.cluster.env, "STARTED": str(self.started), "POSTER_PROBE_FILE": str(self.hooks)}
        self.env |= {"POSTER_LOCAL_PATH": str(self.nas), "POSTER_MAILBOX_PATH": str(self.mailbox)}
        del self.env["POSTER_SYNC_MODE"]

    def run_of(self, *argv, **options):
        """The line of a batch script that runs this under poster."""
        return shlex.join(self.command(*argv, program=POSTER_TEST, **options))

    def slurm(self, *words):
        return subprocess.check_output(words, env=self.env, cwd=self.cwd, text=True, timeout=60).strip()

    def submit(self, *lines, options=()):
        script = self.tmp / "job.sh"
        script.write_text("\n".join(["#!/bin/bash", *lines, ""]))
        job = self.slurm("sbatch", "--parsable", "--open-mode=append", f"--output={self.said}", *options, str(script))
        self.addCleanup(subprocess.run, ["scancel", "--quiet", job], env=self.env)
        return job

    def wait_for_end(self, job, state):
        """Also of its last process that Slurm knows of."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT")
        now = lambda: self.slurm("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")
        said = lambda: self.said.read_text() if self.said.exists() else ""
        self.assertEqual(wait_until(lambda: now() in ended and now(), what="the end of the job"), state, said())

    def wait_for_the_child(self, job):
        try:
            wait_until(self.started.exists, what="the start of the child")
        except AssertionError as late:
            why = self.slurm("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T %r")
            raise AssertionError(f"{late}: {why}: {read_lines(self.said)}") from None

    def end_deliveries(self, number=signal.SIGTERM):
        """Nothing else is left. They have left the job; where it has a cgroup, Slurm ends them with it."""
        deliveries = lambda: [pid for pid in processes_marked(self.marker) if "poster deliver" in describe(pid)]
        wait_until(lambda: set(deliveries()) >= set(processes_marked(self.marker)), what="the end of all but deliveries")
        for pid in deliveries():
            kill_quietly(pid, number)
        wait_until(lambda: not processes_marked(self.marker), what="the end of the deliveries")

    def letters(self):
        return [line.split(" ", 1)[1] for line in read_lines(self.mailbox)]

    def ls(self):
        return self.poster("ls", program=POSTER_TEST, text=True).stderr

    def statuses(self):
        return [run["status"] for run in self.poster_json("ls", program=POSTER_TEST)]

    def deliver(self):
        """By hand; all that was queued is there afterwards."""
        self.poster("sync", program=POSTER_TEST, check=0)
        self.assert_arrived(self.nas, self.run_dir())
        self.assertEqual(self.letters(), ["start once", "end once"])

    def ends_told(self):
        return [line["status"] for line in json_lines(self.hooks) if line["hook"] == "end"]


@poster_only
class Delivered(JobTest):
    def test_what_a_run_left_has_arrived_when_poster_returns_in_the_job(self):
        self.env |= {"POSTER_MAILBOX_DELAY": "200ms"}
        seen = self.tmp / "seen"
        run = self.run_of("sh", "-c", "echo data > $POSTER_FILES_DIR/a.txt")
        job = self.submit(run, f"mkdir {seen}; cp -r {self.nas} {self.mailbox} {self.store}/pending {seen}")
        self.wait_for_end(job, "COMPLETED")
        self.assert_arrived(seen / "nas", self.run_dir())
        self.assertEqual(len(read_lines(seen / "mailbox")), 2)
        self.assertEqual(os.listdir(seen / "pending"), [])

    def test_the_ranks_of_a_step_on_two_nodes_log_to_one_run(self):
        logged = f"echo $SLURMD_NODENAME; exec {POSTER_TEST} log metric loss=0.$SLURM_PROCID"
        job = self.submit(self.run_of("srun", "sh", "-c", logged), options=("--nodes=2", "--ntasks-per-node=2"))
        self.wait_for_end(job, "COMPLETED")
        self.assertEqual(sorted(self.log().split()), [b"one", b"one", b"two", b"two"])
        events = [event for file in self.attempt_dir().glob("events/*.jsonl") for event in json_lines(file)]
        told = {event["rank"]: event["values"]["loss"] for event in events}
        self.assertEqual((len(events), told), (4, {0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3}))
        self.assertEqual(self.outcome()["status"], "finished")


@poster_only
class Undelivered(JobTest):
    """The network to the remote is broken while the job runs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(s3())

    def setUp(self):
        super().setUp()
        del self.env["POSTER_LOCAL_PATH"], self.env["POSTER_MAILBOX_PATH"]
        self.proxy = self.enterContext(self.server.proxy())
        self.objects = self.server.make_bucket(self.tmp.name.replace("_", "-").lower().strip("-"))
        self.env |= {**self.server.env, "POSTER_S3_BUCKET": self.objects.name, "NO_PROXY": "*"}
        self.env |= {"POSTER_S3_ENDPOINT": f"http://127.0.0.1:{self.proxy.port}"}
        self.env |= {"POSTER_S3_TIMEOUT": "1s", "POSTER_SYNC_WAIT": "3s"}

    def run_in_vain(self, mode):
        self.proxy.set(mode)
        self.wait_for_end(self.submit(self.run_of("true"), "echo the job goes on"), "COMPLETED")
        self.assertIn("the job goes on", read_lines(self.said))
        self.assertEqual(self.outcome()["status"], "finished")
        self.assertFalse((self.objects / "runs").exists())

    def assert_told_once(self):
        self.assertIn("1 run is not delivered yet", self.ls())
        self.assertNotIn("not delivered", self.ls())

    def test_a_job_does_not_wait_for_a_remote_that_stalls_and_what_waits_is_told_and_delivered_later(self):
        self.run_in_vain("blackhole")
        self.end_deliveries(signal.SIGKILL)
        self.assert_told_once()
        self.proxy.set("pass")
        self.poster("sync", program=POSTER_TEST, check=0)
        self.assert_arrived(self.objects, self.run_dir())

    def test_what_waits_as_the_remote_refused_is_delivered_by_another_machine(self):
        self.run_in_vain("refuse")
        self.end_deliveries()
        self.assert_told_once()
        self.proxy.set("pass")
        login_node = ("unshare", "--uts", "sh", "-c", 'hostname login && exec "$@"', "sh")
        command = [*login_node, POSTER_TEST, "sync", "--store", str(self.store)]
        done = subprocess.run(command, env=self.env, cwd=self.cwd, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_arrived(self.objects, self.run_dir())
        self.assertTrue(list(self.run_dir().glob("outbox/s3.login.jsonl")))

    def test_what_arrives_before_the_deadline_has_arrived_when_poster_returns_in_the_job(self):
        self.env |= {"POSTER_SYNC_WAIT": "60s"}
        self.proxy.set("slow", 10_000)
        seen = self.tmp / "seen"
        job = self.submit(self.run_of("true"), f"cp -r {self.objects} {seen}")
        self.wait_for_end(job, "COMPLETED")
        self.assert_arrived(seen, self.run_dir())


@poster_only
class Ended(JobTest):
    """By Slurm, while nobody takes messages."""

    def setUp(self):
        super().setUp()
        self.closed.touch()

    def cancel(self, *lines):
        job = self.submit(*lines)
        self.wait_for_the_child(job)
        self.slurm("scancel", job)
        self.wait_for_end(job, "CANCELLED")

    def assert_recorded_and_delivered_later(self):
        attempt = self.outcome()
        self.assertEqual((attempt["status"], attempt["received_signal"]), ("killed", "SIGTERM"), attempt)
        self.assertIn("slurmstepd", attempt["sender"]["command"])
        self.assertIn("SIGTERM from slurmstepd", attempt["reason"])
        self.assertEqual(self.ends_told(), ["killed"])
        self.end_deliveries()
        self.assertEqual((self.statuses(), self.letters()), (["killed"], []))
        self.closed.unlink()
        self.deliver()

    def test_a_job_that_is_poster_ends_in_peace_when_it_is_cancelled(self):
        self.cancel("exec " + self.run_of("sh", "-c", IGNORES_SIGTERM))
        self.assert_recorded_and_delivered_later()

    def test_a_job_whose_script_catches_sigterm_goes_on_after_its_run_when_it_is_cancelled(self):
        self.cancel("trap : TERM", self.run_of("sh", "-c", IGNORES_SIGTERM), "echo the script goes on")
        self.assertIn("the script goes on", read_lines(self.said))
        self.assert_recorded_and_delivered_later()

    def test_a_job_that_is_cancelled_while_it_waits_for_deliveries_leaves_them_for_later(self):
        job = self.submit("trap : TERM", self.run_of("true"), "echo the script goes on")
        wait_until(lambda: self.attempt_now().get("ended_at"), what="the outcome")
        self.slurm("scancel", job)
        self.wait_for_end(job, "CANCELLED")
        self.assertIn("the script goes on", read_lines(self.said))
        self.assertEqual((self.outcome()["status"], self.ends_told()), ("finished", ["finished"]))
        self.end_deliveries()
        self.closed.unlink()
        self.deliver()

    def test_what_slurm_kills_after_its_patience_is_found_lost_by_the_next_command(self):
        self.cancel("exec " + self.run_of("sh", "-c", IGNORES_SIGTERM, grace="10m"))
        self.assertEqual((self.attempt()["status"], self.ends_told()), ("running", []))
        self.end_deliveries()
        self.assertEqual(self.letters(), [])
        self.closed.unlink()
        self.assertEqual(self.statuses(), ["lost"])
        self.assertEqual((self.outcome()["status"], self.ends_told()), ("lost", ["lost"]))
        wait_until(lambda: not processes_marked(self.marker), what="the end of the deliveries")
        self.deliver()

    def test_a_requeued_job_is_another_run_and_both_have_their_outcome(self):
        goes_on_at_first = 'test -z "$SLURM_RESTART_COUNT" || exit 0; ' + GOES_ON
        self.closed.unlink()
        jobs = {}
        for head in ("", "exec "):
            self.fresh_store()
            self.started.unlink(missing_ok=True)
            job = self.submit(head + self.run_of("sh", "-c", goes_on_at_first))
            self.wait_for_the_child(job)
            self.slurm("scontrol", "requeue", job)
            jobs[job] = self.store
        for job, self.store in jobs.items():
            self.wait_for_end(job, "COMPLETED")
            first, second = self.run_dirs()
            self.assertEqual((self.outcome(first)["status"], self.outcome(first)["signal"]), ("killed", "SIGTERM"))
            self.assertEqual(self.outcome(second)["status"], "finished")
            self.assertEqual(self.statuses(), ["finished", "killed"])
        self.assertEqual(sorted(self.ends_told()), ["finished"] * 2 + ["killed"] * 2)
        self.end_deliveries()
        self.assertEqual(sorted(self.letters()), ["end once"] * 4 + ["start once"] * 4)


if __name__ == "__main__":
    main()
