"""The outbox and its second step: copies to a folder, messages to a mailbox, whatever is killed on the way."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import delivered
import harness
from harness import POSTER_TEST, PosterTest, needs_root, poster_only, wait_until


def tree(root):
    """Every file below with its content, without halves that a kill left behind."""
    root = pathlib.Path(root)
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.endswith(".part"))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


class SyncTest(PosterTest):
    def setUp(self):
        super().setUp()
        self.nas = pathlib.Path(self.tmp) / "nas"
        self.nas.mkdir()
        self.mailbox = pathlib.Path(self.tmp) / "mailbox"
        self.settings = {
            "POSTER_LOCAL_PATH": str(self.nas),
            "POSTER_MAILBOX_PATH": str(self.mailbox),
        }

    def environment(self, **more):
        return {**self.env, **self.settings, **more}

    def runs(self):
        with contextlib.suppress(FileNotFoundError):
            return set(os.listdir(self.store / "runs"))
        return set()

    def make_run(self, code="true", **more):
        before = self.runs()
        command = ("run", "-q", "--grace", "1s", "sh", "-c", code)
        done = self.poster(*command, program=POSTER_TEST, env=self.environment(**more), check=0, text=True)
        (run,) = self.runs() - before
        return done, run

    def sync(self, *arguments, **more):
        return self.poster("sync", *arguments, program=POSTER_TEST, env=self.environment(**more), timeout=120, text=True)

    def start_sync(self, *arguments, **more):
        command = [POSTER_TEST, "sync", *arguments, "--store", str(self.store)]
        process = subprocess.Popen(
            command, env=self.environment(**more), cwd=self.cwd, stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
        )
        self.addCleanup(self._end, process)
        return process

    def pending(self):
        with contextlib.suppress(FileNotFoundError):
            return sorted(os.listdir(pathlib.Path(self.store) / "pending"))
        return []

    def letters(self):
        return [line.split()[1] for line in harness.read_lines(self.mailbox)]

    def assert_copied(self, run):
        local = tree(pathlib.Path(self.store) / "runs" / run)
        remote = tree(self.nas / "runs" / run)
        manifest = json.loads(remote.pop("manifest.json"))
        copied = {
            path: content
            for path, content in local.items()
            if not path.startswith("outbox/") and pathlib.Path(path).name not in ("lock", "heartbeat")
        }
        self.assertEqual(copied, remote)
        self.assertEqual(sorted(copied), sorted(file["path"] for file in manifest["files"]))


@poster_only
class Delivered(SyncTest):
    def test_a_run_delivers_by_itself_what_it_left(self):
        _, run = self.make_run("echo hello; echo data > $POSTER_FILES_DIR/a.txt")
        wait_until(lambda: not self.pending(), what="the delivery in the background")
        self.assert_copied(run)
        self.assertEqual(self.letters(), ["start", "end"])
        self.assertIn("all delivered", self.poster("show", run, program=POSTER_TEST, env=self.environment(), text=True).stdout)

    def test_nothing_is_delivered_twice(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        self.assertEqual(self.sync().returncode, 0)
        before = {path: path.stat().st_ino for path in self.nas.rglob("*")}
        again = self.sync()
        self.assertIn("nothing was waiting", again.stderr)
        self.assertEqual(self.sync(run).returncode, 0)
        self.assertEqual(before, {path: path.stat().st_ino for path in self.nas.rglob("*")})
        self.assertEqual(self.letters(), ["start", "end"])

    def test_what_is_changed_afterwards_is_copied_again_alone(self):
        _, run = self.make_run("echo data > $POSTER_FILES_DIR/a.txt", POSTER_SYNC_MODE="manual")
        self.sync()
        kept = (self.nas / "runs" / run / "files" / "a.txt").stat().st_ino
        self.poster("tag", run, "good", env=self.environment(), text=True)
        self.assertEqual(self.pending(), [run])
        self.assertEqual(self.sync().returncode, 0)
        self.assert_copied(run)
        self.assertEqual(kept, (self.nas / "runs" / run / "files" / "a.txt").stat().st_ino)

    def test_a_run_that_goes_on_is_copied_meanwhile(self):
        process = self.start(
            "sh", "-c", "echo early > $POSTER_FILES_DIR/early; echo step; read line", program=POSTER_TEST,
            env=self.environment(POSTER_SYNC_INTERVAL="1s"), stdin=subprocess.PIPE,
        )
        wait_until(lambda: list(self.nas.glob("runs/*/files/early")), what="a copy while the run goes on")
        self.assertIn("start", self.letters())
        self.assertNotIn("end", self.letters())
        process.stdin.close()
        process.wait()
        wait_until(lambda: not self.pending(), what="the last delivery")
        self.assert_copied(os.listdir(self.nas / "runs")[0])

    def test_a_run_from_before_its_remotes_is_copied_when_it_is_named(self):
        self.poster("run", "-q", "true", check=0)
        self.assertEqual(self.pending(), [])
        self.assertEqual(self.sync("last").returncode, 0)
        self.assert_copied(os.listdir(self.nas / "runs")[0])

    def test_manual_mode_starts_nothing(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        waiting = self.sync("--dry-run").stdout
        self.assertIn(f"{run} mailbox: end", waiting)
        self.assertIn(f"{run} local: run.json", waiting)
        self.assertEqual(tree(self.nas), {})
        self.assertFalse((pathlib.Path(self.store) / "runs" / run / "outbox" / "sync.log").exists())

    def test_a_dry_run_of_a_named_run_tells_what_would_be_copied_and_writes_nothing(self):
        self.poster("run", "-q", "true", check=0)
        before = tree(pathlib.Path(self.store) / "runs")
        done = self.sync("last", "--dry-run")
        self.assertEqual(done.returncode, 0)
        self.assertIn("local: run.json", done.stdout)
        self.assertEqual(before, tree(pathlib.Path(self.store) / "runs"))
        self.assertEqual(self.pending(), [])

    def test_only_the_callbacks_that_are_named_are_asked_for_copies_of_a_named_run(self):
        self.poster("run", "-q", "true", check=0)
        self.assertIn("nothing waits", self.sync("last", "--callback", "mailbox", "--dry-run").stderr)
        self.assertEqual(self.sync("last", "--callback", "mailbox").returncode, 0)
        self.assertEqual(tree(self.nas), {})
        self.assertEqual(list(pathlib.Path(self.store).glob("runs/*/outbox/queue.*")), [])
        self.assertEqual(self.sync("last", "--callback", "local").returncode, 0)
        self.assert_copied(os.listdir(self.nas / "runs")[0])

    def test_what_changes_while_others_are_busy_is_told(self):
        _, run = self.make_run("cd $POSTER_FILES_DIR; touch a b", POSTER_SYNC_MODE="manual")
        files = pathlib.Path(self.store) / "runs" / run / "files"
        process = self.start_sync(POSTER_MAILBOX_DELAY="2s")  # four times, before and after each of two letters
        wait_until((self.nas / "runs" / run / "manifest.json").exists, what="the copies")
        for name in "ab":
            (files / name).write_text("changed")
        output = process.communicate(timeout=120)[0]
        self.assertEqual(process.returncode, 1, output)
        self.assertIn(f"{run}: 2 files changed meanwhile, and wait for the next sync\n", output)
        self.assertEqual(self.sync().returncode, 0)
        self.assert_copied(run)

    def test_what_waits_for_a_callback_that_was_not_asked_for_is_not_told(self):
        self.settings |= {"POSTER_S3_BUCKET": "elsewhere", "POSTER_S3_ENDPOINT": "http://127.0.0.1:1"}
        _, run = self.make_run("touch $POSTER_FILES_DIR/a", POSTER_SYNC_MODE="manual")
        done = self.sync("--callback", "local")
        self.assertEqual((done.returncode, done.stderr), (1, ""))  # something waits all the same
        self.assert_copied(run)

    def test_what_a_run_is_writing_is_not_told(self):
        process = self.start(
            "sh", "-c", "while sleep 0.1; do echo >> $POSTER_FILES_DIR/grows; done", program=POSTER_TEST,
            env=self.environment(POSTER_SYNC_MODE="manual"),
        )
        wait_until(lambda: list(self.store.glob("runs/*/files/grows")), what="a file that is written")
        done = self.sync()
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        process.send_signal(signal.SIGTERM)
        process.wait()

    def test_json_tells_each_delivery(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        waiting = [json.loads(line) for line in self.sync("--dry-run", "--json").stdout.splitlines()]
        self.assertIn("run.json", [entry.get("path") for entry in waiting])
        told = [json.loads(line) for line in self.sync("--json").stdout.splitlines()]
        self.assertEqual({entry["state"] for entry in told}, {"delivered"})
        self.assertEqual({entry["run"] for entry in told}, {run})
        self.assertEqual([entry["kind"] for entry in told if "kind" in entry], ["start", "end"])

    def test_a_callback_that_delivers_nothing_is_a_usage_error(self):
        done = self.sync("--callback", "metrics")
        self.assertEqual(done.returncode, 2)
        self.assertIn("local", done.stderr)


@poster_only
class Hindered(SyncTest):
    def test_what_cannot_be_delivered_stays_queued_and_is_said_once(self):
        self.nas.rename(self.nas.with_suffix(".away"))
        pathlib.Path(f"{self.mailbox}.down").touch()
        _, run = self.make_run("echo data > $POSTER_FILES_DIR/a.txt", POSTER_SYNC_MODE="manual")
        done = self.sync()
        self.assertEqual(done.returncode, 1)
        self.assertIn("the mailbox is closed", done.stdout)
        self.assertIn("No such file or directory", done.stdout)
        self.assertRegex(done.stdout, r"local: 0 of [1-9]\d* files to")
        first = self.poster("ls", program=POSTER_TEST, env=self.environment(), text=True)
        self.assertIn("not delivered", first.stderr)
        self.assertNotIn("not delivered", self.poster("ls", program=POSTER_TEST, env=self.environment(), text=True).stderr)
        shown = json.loads(self.poster("show", run, "--json", program=POSTER_TEST, env=self.environment(), text=True).stdout)
        self.assertEqual(shown["deliveries"]["mailbox"]["messages_pending"], 2)
        self.assertEqual(shown["deliveries"]["mailbox"]["error"], "the mailbox is closed")
        self.nas.with_suffix(".away").rename(self.nas)
        pathlib.Path(f"{self.mailbox}.down").unlink()
        self.assertEqual(self.sync().returncode, 0)
        self.assert_copied(run)
        self.assertEqual(self.letters(), ["start", "end"])

    def test_what_the_remote_refuses_waits_for_the_user_and_holds_nothing_up(self):
        refusal = pathlib.Path(f"{self.mailbox}.refuses-start")
        refusal.touch()
        self.make_run(POSTER_SYNC_MODE="manual")
        done = self.sync("--callback", "mailbox")
        self.assertEqual(done.returncode, 1)
        self.assertIn("take the refusal away", done.stdout)
        self.assertEqual(self.letters(), ["end"])
        refusal.unlink()
        self.assertEqual(self.sync("--callback", "mailbox").returncode, 1)  # not tried again by itself
        self.assertEqual(self.letters(), ["end"])
        self.sync("--callback", "mailbox", "--retry-failed")
        self.assertEqual(self.letters(), ["end", "start"])

    def test_beside_another_process_a_closed_remote_is_tried_when_it_is_time(self):
        pathlib.Path(f"{self.mailbox}.down").touch()
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        outbox = pathlib.Path(self.store) / "runs" / run / "outbox"
        (outbox / "lease").mkdir()
        (outbox / "lease" / "local-copies.1").write_text('{"host": "elsewhere", "pid": 1}')
        process = self.start_sync()
        tries = lambda: sum(path.read_text().count("begun") for path in outbox.glob("mailbox.*.jsonl"))
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(5)
        self.assertIn(tries(), (2, 3))  # at once, after one second, and after two more
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10), 143)

    def test_that_another_process_is_at_it_is_told_once_and_waited_for(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        lease = pathlib.Path(self.store) / "runs" / run / "outbox" / "lease" / "local-copies.1"
        lease.parent.mkdir()
        lease.write_text('{"host": "elsewhere", "pid": 1}')
        process = self.start_sync()
        told = f"{run} local: waits for another process that is at it\n"
        while (line := process.stdout.readline()) and line != told:
            pass
        self.assertEqual(line, told)
        os.utime(lease, (time.time() - 200,) * 2)  # as if nobody had renewed it for three minutes
        said = process.communicate(timeout=60)[0]
        self.assertEqual((process.returncode, told in said), (0, False), said)
        self.assert_copied(run)

    def test_what_is_put_off_holds_up_what_comes_after_it(self):
        closed = pathlib.Path(f"{self.mailbox}.down")
        closed.touch()
        self.make_run(POSTER_SYNC_MODE="manual")
        self.make_run(POSTER_SYNC_MODE="manual")
        watching = self.start_sync("--watch", "--callback", "mailbox")
        notes = lambda: "".join(path.read_text() for path in pathlib.Path(self.store).glob("runs/*/outbox/mailbox.*.jsonl"))
        wait_until(lambda: notes().count("begun") == 3, what="a third try")
        closed.unlink()
        wait_until(lambda: len(self.letters()) == 4, what="the letters")
        self.assertEqual(self.letters(), ["start", "end"] * 2)
        watching.send_signal(signal.SIGTERM)
        self.assertEqual(watching.wait(30), 143)

    def test_a_manifest_that_could_not_be_put_is_put_by_the_next_sync(self):
        _, run = self.make_run("echo data > $POSTER_FILES_DIR/a", POSTER_SYNC_MODE="manual")
        manifest = self.nas / "runs" / run / "manifest.json"
        manifest.mkdir(parents=True)
        self.assertEqual(self.sync("--callback", "local").returncode, 1)
        self.assertEqual(self.pending(), [run])
        self.assertIn("local: manifest.json", self.sync("--dry-run").stdout)
        manifest.rmdir()
        self.assertEqual(self.sync("--retry-failed").returncode, 0)
        self.assert_copied(run)

    def test_no_copy_is_replaced_before_a_manifest_tells_of_what_comes(self):
        _, run = self.make_run("echo 1 > $POSTER_FILES_DIR/replaced", POSTER_SYNC_MODE="manual")
        self.sync()
        there = self.nas / "runs" / run
        (there / "manifest.json").unlink()
        (there / "manifest.json").mkdir()
        files = pathlib.Path(self.store) / "runs" / run / "files"
        (files / "replaced").write_text("two")
        (files / "new").write_text("new")
        self.assertEqual(self.sync(run, "--callback", "local").returncode, 1)
        self.assertEqual((there / "files" / "replaced").read_text(), "1\n")
        self.assertEqual((there / "files" / "new").read_text(), "new")
        (there / "manifest.json").rmdir()
        self.assertEqual(self.sync(run, "--retry-failed").returncode, 0)
        self.assertEqual((there / "files" / "replaced").read_text(), "two")
        self.assert_copied(run)
        self.assertNotIn("coming", (there / "manifest.json").read_text())

    def test_a_copy_that_cannot_be_replaced_does_not_make_the_manifest_grow(self):
        _, run = self.make_run("echo 1 > $POSTER_FILES_DIR/refused", POSTER_SYNC_MODE="manual")
        self.sync()
        there = self.nas / "runs" / run
        (there / "files" / "refused").unlink()
        (there / "files" / "refused").mkdir()
        files = pathlib.Path(self.store) / "runs" / run / "files"
        for number in range(20):
            (files / "refused").write_text("x" * (3 + number // 2))  # every second time the same
            (files / f"new-{number}").write_text("new")
            self.assertEqual(self.sync(run, "--callback", "local", "--retry-failed").returncode, 1)
            [told] = [file for file in json.loads((there / "manifest.json").read_text())["files"] if "coming" in file]
            sizes = [copy["bytes"] for copy in told["coming"]]
            self.assertEqual((told["bytes"], sizes[-1]), (2, (files / "refused").stat().st_size))
            self.assertEqual(len(set(sizes)), len(sizes))
        self.assertEqual(len(sizes), 8)

    def test_what_a_killed_sync_left_without_a_manifest_gets_one(self):
        _, run = self.make_run("echo data > $POSTER_FILES_DIR/a", POSTER_SYNC_MODE="manual")
        self.sync()
        (notes,) = pathlib.Path(self.store).glob(f"runs/{run}/outbox/local.*.jsonl")
        lines = notes.read_text().splitlines(keepends=True)
        notes.write_text("".join(line for line in lines if "path" in json.loads(line)))  # as if killed before the rest
        (self.nas / "runs" / run / "manifest.json").unlink()
        (pathlib.Path(self.store) / "pending" / run).write_text("{}")
        self.assertEqual(self.sync().returncode, 0)
        self.assert_copied(run)

    def test_what_replaces_a_copy_is_sent_after_what_is_new(self):
        """Between the manifests that tell of what comes and of what has come there is nothing else."""
        _, run = self.make_run("echo 1 > $POSTER_FILES_DIR/replaced", POSTER_SYNC_MODE="manual")
        self.sync()
        files = pathlib.Path(self.store) / "runs" / run / "files"
        (files / "replaced").write_text("two")
        for number in range(20):
            (files / f"z{number}").write_text("new")
        done = self.sync(run, "--callback", "local", "--json")
        sent = [file for line in done.stdout.splitlines() if (file := json.loads(line).get("path", "")).startswith("files/")]
        self.assertEqual((len(sent), sent[-1]), (21, "files/replaced"))
        self.assert_copied(run)

    def test_files_that_cannot_be_copied_leave_the_others_alone(self):
        code = "cd $POSTER_FILES_DIR; echo data > a; touch \"$(printf 'b\\377')\"; mkdir c; touch c/d"
        _, run = self.make_run(code, POSTER_SYNC_MODE="manual")
        there = self.nas / "runs" / run / "files"
        (there / "c" / "d").mkdir(parents=True)
        self.assertEqual(self.sync("--callback", "local").returncode, 1)
        listed = lambda: [file["path"] for file in json.loads((there.parent / "manifest.json").read_text())["files"]]
        self.assertIn("files/a", listed())
        again = self.sync("--callback", "local")
        self.assertEqual((again.returncode, again.stdout), (1, ""))  # nothing is new: it waits for the user
        (pathlib.Path(self.store) / "runs" / run / "files" / "later").write_text("later")
        self.assertEqual(self.sync("--callback", "local").returncode, 1)
        self.assertEqual((there / "later").read_text(), "later")
        self.assertIn("files/later", listed())

    @needs_root
    @unittest.skipUnless(shutil.which("setpriv"), "no setpriv")
    def test_a_file_that_may_not_be_read_is_told_and_the_others_are_copied(self):
        self.settings.pop("POSTER_MAILBOX_PATH")
        _, run = self.make_run("cd $POSTER_FILES_DIR; echo 1 > a; echo 2 > closed; echo 3 > z", POSTER_SYNC_MODE="manual")
        self.tmp.chmod(0o755)
        for path in (self.nas, self.cwd, self.store, *pathlib.Path(self.store).rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
        program = shutil.copy(POSTER_TEST, self.tmp)  # where that user may read it
        closed, there = (root / "runs" / run / "files" for root in (pathlib.Path(self.store), self.nas))
        closed /= "closed"
        closed.chmod(0)

        def sync(*options):
            words = ("sync", run, *options, "--store", str(self.store))
            alone = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program)
            return subprocess.run((*alone, *words), env=self.environment(), cwd=self.cwd, capture_output=True, text=True, timeout=120)

        done = sync()
        self.assertEqual(done.returncode, 1)
        self.assertIn("files/closed failed: cannot read files/closed: Permission denied", done.stdout)
        self.assertIn("make it readable, or leave it out with [upload] exclude", done.stdout)
        self.assertEqual(sorted(os.listdir(there)), ["a", "z"])
        listed = [file["path"] for file in json.loads((there.parent / "manifest.json").read_text())["files"]]
        self.assertEqual([path for path in listed if path.startswith("files/")], ["files/a", "files/z"])
        again = sync()
        self.assertEqual((again.returncode, again.stdout), (1, ""))  # it waits for the user
        closed.chmod(0o600)
        self.assertEqual(sync("--retry-failed").returncode, 0)
        self.assert_copied(run)

    def test_something_odd_in_place_of_the_outboxs_folders_is_told(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        _, other = self.make_run(POSTER_SYNC_MODE="manual")
        lease = pathlib.Path(self.store) / "runs" / run / "outbox" / "lease"
        lease.touch()
        done = self.sync()
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{run} local: 0 of 0 files", done.stdout)
        self.assertIn(f"{run} mailbox: messages", done.stdout)
        self.assertIn("lease", done.stdout)
        self.assertNotIn("changed meanwhile", done.stderr)
        self.assert_copied(other)
        lease.unlink()
        self.assertEqual(self.sync().returncode, 0)
        self.assert_copied(run)

    def test_foreign_words_do_not_reach_the_terminal_as_they_are(self):
        _, run = self.make_run("touch $POSTER_FILES_DIR/\"$(printf 'a\\033[31m')\"", POSTER_SYNC_MODE="manual")
        (self.nas / "runs" / run / "files" / "a\033[31m").mkdir(parents=True)
        for done in (self.sync("--dry-run"), self.sync()):
            self.assertIn("files/a\\x1b[31m", done.stdout)
            self.assertNotIn("\033", done.stdout + done.stderr)

    def test_a_callback_that_was_turned_off_keeps_its_entries(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        off = self.poster("sync", program=POSTER_TEST, env={**self.env, "POSTER_LOCAL_PATH": str(self.nas)}, text=True)
        self.assertEqual(off.returncode, 1)
        self.assertEqual(self.letters(), [])
        self.assertEqual(self.sync().returncode, 0)
        self.assertEqual(self.letters(), ["start", "end"])

    def test_the_child_is_not_held_up_by_remotes_that_do_not_answer(self):
        self.leaves_processes = True  # the delivery goes on
        began = time.monotonic()
        self.make_run(POSTER_MAILBOX_DELAY="20s")
        self.assertLess(time.monotonic() - began, 10)


@poster_only
class Told(SyncTest):
    """Of what could not be delivered, by the next command."""

    def ls(self):
        return self.poster("ls", program=POSTER_TEST, env=self.environment(), text=True).stderr

    def test_it_is_told_again_when_something_new_hinders_it(self):
        pathlib.Path(f"{self.mailbox}.down").touch()
        self.make_run(POSTER_SYNC_MODE="manual")
        self.sync()
        self.assertIn("1 run is not delivered yet", self.ls())
        self.assertNotIn("not delivered", self.ls())
        pathlib.Path(f"{self.mailbox}.down").unlink()
        pathlib.Path(f"{self.mailbox}.refuses-end").touch()
        self.sync()
        self.assertIn("it is not taken", self.ls())
        self.assertNotIn("not delivered", self.ls())

    def test_what_is_delivered_at_last_is_not_told(self):
        pathlib.Path(f"{self.mailbox}.down").touch()
        self.make_run(POSTER_SYNC_MODE="manual")
        self.sync()
        pathlib.Path(f"{self.mailbox}.down").unlink()
        self.sync()
        self.assertNotIn("not delivered", self.ls())

    def test_a_run_that_nobody_tries_is_told_after_a_quarter_of_an_hour(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        self.assertNotIn("not delivered", self.ls())
        os.utime(pathlib.Path(self.store) / "pending" / run, (time.time() - 16 * 60,) * 2)
        self.assertIn("1 run is not delivered yet", self.ls())
        self.assertNotIn("not delivered", self.ls())

    def test_a_run_that_starts_reads_nothing_of_those_that_have_been_told(self):
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        pending = pathlib.Path(self.store) / "pending" / run
        os.utime(pending, (time.time() - 16 * 60,) * 2)
        self.assertIn("not delivered", self.ls())
        pending.unlink()
        os.mkfifo(pending)  # whoever opens it waits for ever
        self.poster("run", "true", check=0, timeout=30)


@poster_only
class BelowAScheduler(SyncTest):
    """Which ends what a job leaves behind: the end of the run waits for its deliveries."""

    leaves_processes = True  # deliveries that go on trying

    def setUp(self):
        super().setUp()
        self.settings.pop("POSTER_LOCAL_PATH")

    def seconds_of(self, *words, **environment):
        began = time.monotonic()
        self.poster(*words, program=POSTER_TEST, env=self.environment(**environment), check=0)
        return time.monotonic() - began

    def test_the_end_waits_for_the_last_delivery(self):
        self.make_run(SLURM_JOB_ID="7", POSTER_MAILBOX_DELAY="300ms")
        self.assertEqual(self.letters(), ["start", "end"])
        self.assertEqual(self.pending(), [])

    def test_several_runs_wait_once(self):
        pathlib.Path(f"{self.mailbox}.down").touch()
        words = ("run", "-q", "-j", "1", *(["true", "\\"] * 5)[:-1])
        seconds = self.seconds_of(*words, SLURM_JOB_ID="7", POSTER_SYNC_WAIT="4s")
        self.assertGreater(seconds, 4)
        self.assertLess(seconds, 12)

    def test_the_deliveries_of_several_runs_have_ended_with_them(self):
        words = ("run", "-q", "-j", "2", *(["true", "\\"] * 4)[:-1])
        self.seconds_of(*words, SLURM_JOB_ID="7", POSTER_MAILBOX_DELAY="200ms")
        self.assertEqual(sorted(self.letters()), ["end"] * 4 + ["start"] * 4)
        self.assertEqual(self.pending(), [])

    def test_a_shell_of_a_site_with_a_scheduler_is_no_job(self):
        pathlib.Path(f"{self.mailbox}.down").touch()
        self.assertLess(self.seconds_of("run", "-q", "true", SGE_ROOT="/sge"), 30)

    def test_another_signal_ends_the_waiting(self):
        pathlib.Path(f"{self.mailbox}.down").touch()
        for words in (("true",), ("true", "\\", "true")):
            with self.subTest(words=words):
                environment = self.environment(SLURM_JOB_ID="7", POSTER_SYNC_WAIT="100s")
                process = self.start(*words, program=POSTER_TEST, env=environment)
                outcomes = words.count("true")
                ended = lambda: sum("ended_at" in path.read_text() for path in self.attempts()) >= outcomes
                wait_until(ended, what="the outcomes")
                wait_until(lambda: self.signal_and_look(process), what="the end")
                self.assertEqual(process.returncode, 0)

    def test_one_signal_after_the_end_shortens_the_waiting_to_half_of_the_grace_period(self):
        pathlib.Path(f"{self.mailbox}.down").touch()
        process = self.start("true", program=POSTER_TEST, env=self.environment(SLURM_JOB_ID="7"))
        wait_until(lambda: self.attempt_now().get("ended_at"), what="the outcome")
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)  # else it would be a minute

    def attempts(self):
        return pathlib.Path(self.store).glob("runs/*/attempts/1/attempt.json")

    @staticmethod
    def signal_and_look(process):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
            return True
        process.send_signal(signal.SIGTERM)
        return False


@poster_only
class Killed(SyncTest):
    kills = int(os.environ.get("POSTER_KILLS", "50"))

    def kill_syncs(self, run, longest, check, before=lambda number: None):
        delivered.kill_at_random_moments(lambda: self.start_sync(run), check, self.kills, longest, before)
        self.assertGreater(check(), 0)
        done = self.sync(run)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_copies_arrive_whole_though_sync_is_killed_at_any_moment(self):
        code = "cd $POSTER_FILES_DIR; for i in $(seq 40); do head -c 300000 /dev/urandom > f$i; done"
        self.settings.pop("POSTER_MAILBOX_PATH")
        _, run = self.make_run(code, POSTER_SYNC_MODE="manual")
        there = self.nas / "runs" / run
        read = lambda path: (there / path).read_bytes()
        here = self.store / "runs" / run
        self.kill_syncs(
            run,
            0.2,
            check=lambda: delivered.assert_copies_are_there(self, here, "local", read),
            before=lambda number: (here / "files" / f"late-{number}").write_bytes(os.urandom(300_000)),  # always something
        )
        self.assert_copied(run)

    def test_messages_arrive_once_and_in_order_though_sync_is_killed_at_any_moment(self):
        self.settings.pop("POSTER_LOCAL_PATH")
        letters = 200
        _, run = self.make_run(POSTER_SYNC_MODE="manual", POSTER_MAILBOX_LETTERS=str(letters))
        self.settings["POSTER_MAILBOX_DELAY"] = "4ms"
        word_of = lambda entry: f" {entry['kind']} "
        self.kill_syncs(
            run,
            0.5 if os.environ.get("SANITIZERS") else 0.05,
            check=lambda: delivered.assert_messages_are_there(
                self, [self.store / "runs" / run], "mailbox", lambda: harness.read_lines(self.mailbox), word_of
            ),
        )
        self.assertEqual(self.letters(), ["start", *(f"letter-{i}" for i in range(letters)), "end"])

    def test_a_message_that_was_cut_short_with_its_courier_is_sent_again_and_says_so(self):
        self.settings.pop("POSTER_LOCAL_PATH")
        self.make_run(POSTER_SYNC_MODE="manual")
        process = self.start_sync(POSTER_MAILBOX_DELAY="5s")
        courier = wait_until(lambda: harness.children_of(process.pid), what="the courier")[0]
        notes = lambda: pathlib.Path(self.store).glob("runs/*/outbox/mailbox.*.jsonl")
        wait_until(lambda: any("begun" in path.read_text() for path in notes()), what="its note")
        os.kill(courier, signal.SIGKILL)
        process.kill()
        process.wait()
        self.assertEqual(self.sync().returncode, 0)
        self.assertEqual([line.split()[1:] for line in harness.read_lines(self.mailbox)], [["start", "again"], ["end", "once"]])

    def test_an_interrupt_ends_a_sync_after_the_message_under_way(self):
        self.settings.pop("POSTER_LOCAL_PATH")
        self.make_run(POSTER_SYNC_MODE="manual", POSTER_MAILBOX_LETTERS="200")
        process = self.start_sync(POSTER_MAILBOX_DELAY="100ms")
        wait_until(self.letters, what="a first letter")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), 130)
        arrived = self.letters()
        self.assertLess(len(arrived), 100)
        self.assertIn(f"{arrived[-1]} delivered", process.stdout.read())  # it was waited for
        self.assertEqual(self.sync().returncode, 0)
        self.assertEqual(self.letters(), ["start", *(f"letter-{i}" for i in range(200)), "end"])


@poster_only
class TwoAtOnce(SyncTest):
    def test_several_syncs_at_once_deliver_once(self):
        _, run = self.make_run("echo data > $POSTER_FILES_DIR/a", POSTER_SYNC_MODE="manual", POSTER_MAILBOX_LETTERS="40")
        processes = [self.start_sync(POSTER_MAILBOX_DELAY="2ms") for _ in range(6)]
        for process in processes:
            output = process.communicate(timeout=120)[0]
            self.assertEqual(process.returncode, 0, output)
        self.assertEqual(self.letters(), ["start", *(f"letter-{i}" for i in range(40)), "end"])
        self.assert_copied(run)

    def test_watch_delivers_what_comes(self):
        self.poster("run", "-q", "true", check=0)
        watching = self.start_sync("--watch")
        _, run = self.make_run(POSTER_SYNC_MODE="manual")
        wait_until(lambda: self.letters() == ["start", "end"], what="the letters")
        wait_until(lambda: (self.nas / "runs" / run / "manifest.json").exists(), what="the copies")
        watching.send_signal(signal.SIGTERM)
        self.assertEqual(watching.wait(30), 143)


@poster_only
@needs_root
class TwoHosts(SyncTest):
    """Two machines that see one store: neither can tell whether a process of the other lives."""

    def start_sync_on(self, host, **more):
        command = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'
        process = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", command, host, POSTER_TEST, "sync", "--store", str(self.store)],
            env=self.environment(**more), cwd=self.cwd, stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT,
        )
        self.addCleanup(self._end, process)
        return process

    def make_run_to_deliver(self):
        files = "cd $POSTER_FILES_DIR; for i in $(seq 60); do head -c 300000 /dev/urandom > f$i; done"
        _, run = self.make_run(files, POSTER_SYNC_MODE="manual", POSTER_MAILBOX_LETTERS="40")
        return run, ["start", *(f"letter-{i}" for i in range(40)), "end"]

    def leases(self, run):
        return list((self.store / "runs" / run / "outbox" / "lease").glob("*.[0-9]*"))

    def test_two_hosts_at_once_deliver_once(self):
        run, letters = self.make_run_to_deliver()
        for process in [self.start_sync_on(host, POSTER_MAILBOX_DELAY="2ms") for host in ("one", "other")]:
            output = process.communicate(timeout=120)[0]
            self.assertEqual(process.returncode, 0, output)
        self.assertEqual(self.letters(), letters)
        self.assert_copied(run)

    def test_what_a_host_that_died_has_begun_is_taken_up_when_its_lease_is_over(self):
        run, letters = self.make_run_to_deliver()
        first = self.start_sync_on("one", POSTER_MAILBOX_DELAY="20ms")
        wait_until(self.letters, what="a first letter")
        wait_until(lambda: list(self.nas.rglob("f*")), what="a first copy")
        couriers = harness.children_of(first.pid)
        first.kill()
        first.wait()
        self.assert_gone(*couriers)  # when the message under way has arrived
        self.assertLess(len(self.letters()), len(letters))
        # As if three minutes had passed: to the other host it is a lease that nobody has renewed.
        for lease in self.leases(run):
            os.utime(lease, (time.time() - 200,) * 2)
        second = self.start_sync_on("other")
        output = second.communicate(timeout=120)[0]
        self.assertEqual(second.returncode, 0, output)
        self.assertEqual(self.letters(), letters)
        self.assert_copied(run)


if __name__ == "__main__":
    unittest.main()
