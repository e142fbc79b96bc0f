"""What goes wrong around a run, and must not make it worse."""

import contextlib
import fcntl
import json
import os
import random
import signal
import subprocess
import time

from harness import (
    PosterTest,
    children_of,
    exit_of,
    is_running,
    json_lines,
    main,
    needs_program,
    needs_root,
    poster_only,
    read_bytes,
    state_of,
    wait_until,
)

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


@poster_only
class Misfortune(PosterTest):
    def hooks_begun(self, run=None):
        return [
            it["callback"]
            for it in json_lines(self.attempt_dir(run) / "hooks.jsonl")
            if (it["hook"], it["state"]) == ("end", "begin")
        ]

    def start_stubborn(self, *front, **options):
        process = self.start(*front, "sh", "-c", STUBBORN, **options)
        child = self.child_pid()
        self.wait_for(self.attempt_dir() / "output.log", b"ready")
        return process, child


class Guardian(Misfortune):
    def test_on_a_shared_file_system_it_and_recovery_end_the_run_once(self):
        self.env |= {"POSTER_ASSUME_SHARED": "1"}
        for _ in range(3):
            self.fresh_store()
            process, child = self.start_stubborn()
            process.kill()
            process.wait()
            for _ in range(3):
                self.poster("ls", check=0)
            self.assert_gone(child)
            wait_until(lambda: not list((self.store / "active").iterdir()))
            begun = self.hooks_begun()
            self.assertEqual(len(begun), len(set(begun)), begun)
            self.assertIn(self.outcome()["status"], ("killed", "lost"))

    def test_a_child_that_does_not_name_its_run_is_ended_too(self):
        process, child = self.start_stubborn("env", "-i")
        process.kill()
        process.wait()
        self.assert_gone(child)
        wait_until(lambda: self.attempt_now().get("ended_at"))

    def test_a_poster_that_is_killed_before_its_child_is_recorded_leaves_an_outcome(self):
        for delay in [moment / 10000 for moment in range(0, 120, 4)]:
            self.fresh_store()
            process = self.start("sleep", "1000")
            time.sleep(delay)  # the moment is what is tried here
            process.kill()
            process.wait()
            wait_until(lambda: not [row for row in self.poster_json("ls") if row["status"] == "running"])

    def test_the_host_can_be_told_from_poster_and_found_like_its_child(self):
        process = self.start("sleep", "1000")
        host = self.host_pid(process.pid)
        wait_until(lambda: read_bytes(f"/proc/{host}/cmdline").rstrip(b"\0") == b"sleep\x001000")
        self.assertNotIn(b"poster", read_bytes(f"/proc/{host}/comm"))
        self.assertIn(b"poster", read_bytes(f"/proc/{process.pid}/comm"))


class Recovery(Misfortune):
    def test_it_is_no_part_of_the_run_whose_host_began_it(self):
        process, child = self.start_stubborn(grace="2s")
        lost = self.run_dir()
        for pid in (*(pid for pid in children_of(process.pid) if pid != child), process.pid):
            os.kill(pid, signal.SIGSTOP)
        for pid in (*(pid for pid in children_of(process.pid) if pid != child), process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        self.assertTrue(is_running(child))
        self.launch("sleep", "0.5")
        [run] = [run for run in self.run_dirs() if run != lost]
        self.assertEqual(self.outcome(run)["left_behind"], 0)
        self.assert_gone(child)
        wait_until(lambda: self.attempt(lost).get("ended_at"))

    @needs_root
    def test_another_users_run_is_left_alone(self):
        self.launch("true")
        attempt = self.attempt_dir() / "attempt.json"
        record = self.attempt()
        for key in ("ended_at", "reason"):
            record.pop(key)
        attempt.write_text(json.dumps(record | {"status": "running"}))
        (self.store / "active" / self.run_dir().name).touch()
        os.chown(attempt, 12345, 12345)
        before = attempt.read_bytes()
        self.poster("ls", check=0)
        self.assertEqual((attempt.read_bytes(), attempt.stat().st_uid), (before, 12345))


class Stopped(Misfortune):
    def test_a_child_that_is_stopped_and_continued_alone_goes_on_with_poster(self):
        terminal = self.terminal("sh", "-c", "echo ready; read line; echo got $line")
        terminal.read_until("ready")
        child = self.child_pid()
        os.kill(child, signal.SIGSTOP)
        wait_until(lambda: state_of(terminal.process.pid) == "T")
        os.kill(child, signal.SIGCONT)
        wait_until(lambda: state_of(terminal.process.pid) != "T")
        terminal.send(b"hello\n")
        terminal.read_until("got hello")
        self.assertEqual(terminal.wait(), 0)

    def test_a_group_that_was_stopped_can_be_ended(self):
        terminal = self.terminal("sleep", "1000")
        child = self.child_pid()
        os.killpg(terminal.process.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(terminal.process.pid) == "T" and state_of(child) == "T")
        self.poster("stop", "last", check=0)
        self.assertEqual(exit_of(terminal.wait()), "SIGTERM")


class Unusual(Misfortune):
    def test_a_time_limit_beyond_all_measure_is_refused_rather_than_wrapped(self):
        self.assertEqual(self.launch("true", options=["--timeout", "200000d"]).returncode, 2)
        self.assertEqual(self.launch("true", options=["--timeout", "20000d"]).returncode, 0)

    def test_a_reader_of_stderr_that_is_stuck_holds_nobody_up(self):
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(65536))
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x")
        fcntl.fcntl(writing, fcntl.F_SETFL, 0)
        process = self.start("sh", "-c", "printf x", stderr=writing, stdout=subprocess.DEVNULL, quiet=False)
        self.assertEqual(process.wait(60), 0)
        os.close(reading)
        os.close(writing)

    def test_a_secret_in_the_place_of_the_command_is_redacted_everywhere(self):
        secret = "sk-ant-0123456789abcdef"
        self.assertEqual(self.launch(f"API_KEY={secret}", "true").returncode, 127)
        for path in self.store.rglob("*"):
            if path.is_file():
                self.assertNotIn(secret.encode(), path.read_bytes(), path)

    def test_a_name_of_any_length_is_told_to_the_end_hooks(self):
        done = self.launch("x" * 40_000)
        self.assertEqual(done.returncode, 126)  # as without poster: the name is too long
        self.assertEqual(self.outcome()["status"], "failed")
        self.assertLess(len(self.outcome()["reason"]), 1000)

    def test_a_run_json_that_is_gone_is_not_replaced_by_a_fragment(self):
        process = self.start("sleep", "1000")
        self.child_pid()
        wait_until(lambda: "hardware" in self.run_json())
        (self.run_dir() / "run.json").unlink()
        process.terminate()
        process.wait(60)
        self.assertFalse((self.run_dir() / "run.json").exists())

    def test_no_signal_of_the_first_milliseconds_is_lost(self):
        moments = random.Random(1)
        for _ in range(40):
            self.fresh_store()
            process = self.start("sleep", "1000")
            time.sleep(moments.random() * 0.012)  # the moment is what is tried here
            process.send_signal(signal.SIGUSR1)
            self.assertEqual(exit_of(process.wait(60)), "SIGUSR1")

    def test_a_folder_that_cannot_be_entered_is_posters_own_failure(self):
        if os.geteuid() == 0:
            self.skipTest("root may enter any folder")
        folder = self.tmp / "closed"
        folder.mkdir(mode=0o600)
        done = self.launch("true", options=["--cwd", folder])
        self.assertEqual(done.returncode, 125)
        self.assertIn("closed", done.stderr.decode())

    @needs_root
    @needs_program("unshare")
    def test_without_proc_the_child_is_killed_all_the_same(self):
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no mount name space may be made here, as in a container or a chroot")
        script = f"mount -t tmpfs tmpfs /proc && exec {' '.join(map(str, self.command('sh', '-c', '$SCRIPT')))}"
        env = {**self.env, "SCRIPT": "trap '' TERM; echo ready; while :; do sleep 0.1; done"}
        process = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script.replace("$SCRIPT", "'eval \"$SCRIPT\"'")],
            env=env,
            cwd=self.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.addCleanup(self._end, process)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.terminate()
        self.assertEqual(process.wait(60), 137)


if __name__ == "__main__":
    main()
