"""The end always comes: whatever dies, each attempt gets one outcome and its end hooks run exactly once."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from harness import (
    POSTER_TEST,
    PosterTest,
    child_script,
    children_of,
    exit_of,
    is_running,
    json_lines,
    main,
    poster_only,
    processes_marked,
    python,
    read_lines,
    wait_until,
)

SHORT_BUDGET = {"POSTER_HOOK_TIMEOUT": "3000"}  # milliseconds for each hook instead of 30 s
HAVE_PROBE = os.access(POSTER_TEST, os.X_OK)


class Probed(PosterTest):
    """Runs the binary whose `probe` callback writes a line for each of its hooks to POSTER_PROBE_FILE."""

    def setUp(self):
        super().setUp()
        self.probe_file = self.tmp / "probe.jsonl"
        self.env |= {"POSTER_PROBE_FILE": str(self.probe_file)}

    def start_probed(self, *argv, **options):
        return self.start(*argv, program=POSTER_TEST, **options)

    def launch_probed(self, *argv, **options):
        return self.launch(*argv, program=POSTER_TEST, **options)

    def look(self, **options):
        """The next poster command that looks at the store."""
        return self.poster_json("ls", program=POSTER_TEST, **options)

    def hooks(self, name):
        return [line for line in json_lines(self.probe_file) if line.get("hook") == name]

    def assert_one_end_hook(self):
        wait_until(lambda: self.hooks("end"), what="the end hook")
        wait_until(lambda: not processes_marked(self.marker), what="the end of poster's processes")
        self.assertEqual(len(self.hooks("end")), 1, json_lines(self.probe_file))

    def running(self, *argv, **options):
        """A started run: its poster, its callback host and its child, each known."""
        process = self.start_probed(*argv, **options)
        child = self.child_pid()
        host = self.host_pid(process.pid)
        wait_until(lambda: self.hooks("start"), what="the start hook")
        return process, host, child

    def kill_9(self, *pids):
        """All at the same moment: stopped first, so that none sees the other die."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def kill_both(self, *argv, ready=lambda: True, **options):
        """A run that a power cut, or the job's OOM, has left behind; it was killed once `ready()` was true."""
        process, host, child = self.running(*argv, **options)
        wait_until(ready, what="the child to be ready")
        self.kill_9(process.pid, host)
        process.wait(60)
        self.assert_gone(host)
        return child

    def edit_attempt(self, **fields):
        path = self.attempt_dir() / "attempt.json"
        path.write_text(json.dumps({**self.attempt(), **fields}))


@poster_only
@unittest.skipUnless(HAVE_PROBE, f"{POSTER_TEST} is not built")
class SupervisorKilled(Probed):
    def test_kill_9_of_poster_ends_the_child_and_the_host_writes_the_outcome(self):
        process, host, child = self.running("sleep", "1000")
        process.kill()
        self.assertEqual(process.wait(60), -signal.SIGKILL)
        self.assert_gone(child)
        self.assert_one_end_hook()
        attempt = self.outcome()
        self.assertEqual(attempt["status"], "killed")
        self.assertIn("poster was killed", attempt["reason"])
        self.look()
        self.assertEqual(self.attempt()["reason"], attempt["reason"])
        self.assert_one_end_hook()

    def test_kill_9_of_poster_gives_the_child_a_sigterm_and_its_grace_period(self):
        record = self.tmp / "record"
        process, host, child = self.running(
            *child_script("record_signals.py", record, "--exit-on", "SIGTERM=0"), grace="20s"
        )
        self.wait_for(record, b"ready\n")
        process.kill()
        self.assert_gone(child)
        self.assertIn("SIGTERM", read_lines(record))
        self.assert_one_end_hook()

    def test_kill_9_of_poster_ends_a_stubborn_tree_too(self):
        record = self.tmp / "tree"
        process, host, child = self.running(*child_script("tree.py", record, "stubborn"), grace="500ms")
        pids = [int(line) for line in wait_until(lambda: len(read_lines(record)) == 4 and read_lines(record))]
        process.kill()
        self.assert_gone(*pids)
        self.assert_one_end_hook()
        self.assertEqual(self.outcome()["status"], "killed")

    def test_the_lock_is_free_at_once_although_the_child_lives(self):
        """P7: a child that survives holds no lock; the next command ends it and the run."""
        record = self.tmp / "record"
        command = child_script("record_signals.py", record)
        child = self.kill_both(*command, grace="300ms", ready=lambda: "ready" in read_lines(record))
        self.assertTrue(is_running(child))

        def ended():  # a helper of the host's that has yet to exec holds the lock for an instant: look again
            self.look()
            return not is_running(child)

        wait_until(ended)
        wait_until(lambda: "ended_at" in self.attempt_now())
        self.assertEqual(self.outcome()["status"], "lost")
        self.assert_one_end_hook()


@poster_only
@unittest.skipUnless(HAVE_PROBE, f"{POSTER_TEST} is not built")
class HostKilled(Probed):
    def test_kill_9_of_the_host_is_not_noticed_by_the_child(self):
        process, host, child = self.running(
            "sh", "-c", "echo one; read x; echo two; exit 3", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        os.kill(host, signal.SIGKILL)
        self.assert_gone(host)
        process.stdin.write(b"\n")
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b"one\ntwo\n")
        self.assertEqual(process.wait(60), 3)
        self.assert_one_end_hook()
        self.assertEqual(self.outcome()["status"], "failed")

    def test_a_host_that_dies_is_started_once_more(self):
        process, host, child = self.running("sleep", "1000")
        os.kill(host, signal.SIGKILL)
        second = wait_until(lambda: [pid for pid in children_of(process.pid) if pid not in (host, child)])[0]
        os.kill(second, signal.SIGKILL)
        self.assert_gone(second)
        process.terminate()
        self.assertEqual(exit_of(process.wait(60)), "SIGTERM")
        self.assertEqual(self.outcome()["status"], "killed")

    def test_a_run_that_lost_its_host_for_good_gets_its_end_hook_from_the_next_command(self):
        process, host, child = self.running("sh", "-c", "read x; exit 3", stdin=subprocess.PIPE)
        os.kill(host, signal.SIGKILL)
        second = wait_until(lambda: [pid for pid in children_of(process.pid) if pid not in (host, child)])[0]
        os.kill(second, signal.SIGKILL)
        self.assert_gone(second)
        process.stdin.close()
        self.assertEqual(process.wait(60), 3)
        self.look()
        self.assert_one_end_hook()
        attempt = self.outcome()
        self.assertEqual((attempt["status"], attempt["exit_code"]), ("failed", 3))


@poster_only
@unittest.skipUnless(HAVE_PROBE, f"{POSTER_TEST} is not built")
class BothKilled(Probed):
    def test_the_next_command_finds_the_run_lost_and_runs_its_end_hook(self):
        child = self.kill_both("sleep", "1000")
        runs = self.look()
        self.assertEqual([run["status"] for run in runs], ["lost"])
        self.assert_gone(child)
        self.assert_one_end_hook()
        attempt = self.outcome()
        self.assertEqual(attempt["status"], "lost")
        self.assertTrue(attempt["reason"])
        self.look()
        self.assert_one_end_hook()

    def test_the_child_has_got_sigterm(self):
        record = self.tmp / "record"
        command = child_script("record_signals.py", record, "--exit-on", "SIGTERM=0")
        self.kill_both(*command, ready=lambda: "ready" in read_lines(record))
        wait_until(lambda: "SIGTERM" in read_lines(record))
        self.look()

    def test_ten_commands_at_the_same_moment_recover_once(self):
        self.kill_both("sleep", "1000")
        commands = [
            self.start_poster("ls", "--json", program=POSTER_TEST, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(10)
        ]
        answers = [command.communicate() for command in commands]
        self.assertEqual([command.returncode for command in commands], [0] * 10, answers)
        self.assert_one_end_hook()
        self.assertEqual(self.outcome()["status"], "lost")

    def test_every_command_that_looks_at_the_store_recovers(self):
        for words in (["show", "last"], ["logs", "last"], ["ls"], ["run", "-q", "true"]):
            with self.subTest(command=words):
                self.fresh_store()
                self.probe_file.unlink(missing_ok=True)
                self.kill_both("sleep", "1000")
                lost = self.run_dir()
                self.poster(*words, program=POSTER_TEST)
                wait_until(lambda: self.attempt(lost).get("status") == "lost")
                wait_until(
                    lambda: any(line.get("run", line.get("id")) in (lost.name, None) for line in self.hooks("end"))
                )

    def test_a_live_run_is_never_recovered(self):
        process, host, child = self.running("sleep", "1000")
        for _ in range(3):
            self.assertEqual([run["status"] for run in self.look()], ["running"])
        self.assertTrue(is_running(child))
        self.assertEqual(self.hooks("end"), [])
        process.terminate()
        process.wait(60)
        self.assert_one_end_hook()

    def innocent(self):
        """A process that has nothing to do with poster, started at another clock tick than the child."""
        before = self.attempt().get("child_start_ticks")
        while True:
            process = subprocess.Popen(["sleep", "1000"], env={"PATH": self.env["PATH"]}, start_new_session=True)
            self.addCleanup(self._end, process)
            with open(f"/proc/{process.pid}/stat") as stat:
                ticks = int(stat.read().rpartition(")")[2].split()[19])
            if ticks != before:
                return process, ticks

    def test_a_process_that_got_the_childs_pid_is_not_touched(self):
        self.assert_gone(self.kill_both("sleep", "1000"))
        innocent, ticks = self.innocent()
        self.edit_attempt(child_pid=innocent.pid)
        self.assertEqual(self.look()[0]["status"], "lost")
        self.assert_one_end_hook()
        self.assertIsNone(innocent.poll())

    def test_a_run_of_before_a_reboot_is_lost_and_nobody_is_signalled(self):
        self.assert_gone(self.kill_both("sleep", "1000"))
        innocent, ticks = self.innocent()
        self.edit_attempt(
            boot_id="00000000-0000-0000-0000-000000000000", child_pid=innocent.pid, child_start_ticks=ticks
        )
        self.assertEqual(self.look()[0]["status"], "lost")
        self.assertRegex(self.outcome()["reason"], "reboot|restart")
        self.assert_one_end_hook()
        self.assertIsNone(innocent.poll())

    def test_half_a_line_at_the_end_of_the_ledger_harms_nothing(self):
        self.kill_both("sleep", "1000")
        ledger = self.attempt_dir() / "hooks.jsonl"
        with open(ledger, "ab") as file:
            file.write(b'{"half a li')
        self.look()
        self.assert_one_end_hook()
        broken = [line for line in ledger.read_text().splitlines() if not is_json(line)]
        self.assertEqual(broken, ['{"half a li'])

    def test_half_a_line_in_an_event_file_harms_nothing(self):
        code = (
            "import os, signal\npath = os.environ['POSTER_EVENTS_DIR'] + '/here.1.jsonl'\n"
            'open(path, \'w\').write(\'{"kind": "metric", "values": {"loss": 1}}\\n{"kind": "met\')'
        )
        self.assertEqual(self.launch_probed(*python(code)).returncode, 0)
        self.assert_one_end_hook()

    def test_a_poster_killed_before_its_child_started_is_recovered_without_one(self):
        witness = self.tmp / "witness"
        process = self.start_probed("touch", witness, env={**self.env, "POSTER_PROBE_ON_PREPARE": "hang"})
        wait_until(lambda: self.hooks("prepare"), what="the prepare hook")
        host = wait_until(lambda: children_of(process.pid))[0]
        self.kill_9(process.pid, host)
        process.wait(60)
        self.assert_gone(host)
        self.assertIn(self.look()[0]["status"], ("lost", "failed"))
        wait_until(lambda: not processes_marked(self.marker))
        self.assertFalse(witness.exists())

    def test_200_dead_runs_do_not_hold_up_the_next_run(self):
        self.assert_gone(self.kill_both("sleep", "1000"))
        original = self.run_dir()
        for number in range(199):
            name = f"20200101-{number:06d}-aaaa"
            copy = original.parent / name
            shutil.copytree(original, copy)
            run = json.loads((copy / "run.json").read_text())
            (copy / "run.json").write_text(json.dumps({**run, "id": name}))
            (self.store / "active" / name).touch()
        elsewhere = self.tmp / "empty-store"
        floor = min(self.time_of_true(elsewhere) for _ in range(3))
        self.assertLess(self.time_of_true(self.store), floor + 2)
        wait_until(lambda: not os.listdir(self.store / "active"), timeout=120, what="the recovery of 200 runs")
        statuses = [self.attempt(run)["status"] for run in self.run_dirs()]
        self.assertEqual((statuses.count("lost"), statuses.count("finished")), (200, 1))

    def time_of_true(self, store):
        began = time.monotonic()
        done = subprocess.run(
            [POSTER_TEST, "run", "-q", "--store", store, "--", "true"],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        self.assertEqual(done.returncode, 0)
        return time.monotonic() - began


def is_json(line):
    with contextlib.suppress(ValueError):
        json.loads(line)
        return True
    return False


@poster_only
@unittest.skipUnless(HAVE_PROBE, f"{POSTER_TEST} is not built")
class SharedFileSystem(Probed):
    """Where locks cannot be trusted: pid, start time and boot id on this host, a heartbeat for others."""

    def setUp(self):
        super().setUp()
        self.env |= {"POSTER_ASSUME_SHARED": "1", "XDG_CACHE_HOME": str(self.tmp / "cache")}

    def test_a_live_run_is_not_called_lost(self):
        process, host, child = self.running("sleep", "1000")
        for _ in range(3):
            self.assertEqual([run["status"] for run in self.look()], ["running"])
        process.terminate()
        process.wait(60)
        self.assert_one_end_hook()

    def test_a_dead_run_of_this_host_is_found_lost(self):
        self.kill_both("sleep", "1000")
        self.assertEqual(self.look()[0]["status"], "lost")
        self.assert_one_end_hook()

    def test_ten_commands_at_the_same_moment_recover_once(self):
        self.kill_both("sleep", "1000")
        commands = [self.start_poster("ls", program=POSTER_TEST) for _ in range(10)]
        self.assertEqual([command.wait(60) for command in commands], [0] * 10)
        self.assert_one_end_hook()

    def test_a_run_of_another_host_is_left_to_that_host(self):
        self.assert_gone(self.kill_both("sleep", "1000"))
        self.edit_attempt(host="some-other-host")
        self.assertEqual(self.look()[0]["status"], "running")
        self.assertEqual(self.hooks("end"), [])


@poster_only
@unittest.skipUnless(HAVE_PROBE, f"{POSTER_TEST} is not built")
class Hooks(Probed):
    def test_hooks_fire_in_order_and_once_each(self):
        self.assertEqual(self.launch_probed("sh", "-c", "exit 3").returncode, 3)
        names = [line["hook"] for line in json_lines(self.probe_file) if line["hook"] in ("prepare", "start", "end")]
        self.assertEqual([name for name in names if name != "prepare"], ["start", "end"])

    def test_each_way_to_end_fires_the_end_hook_once(self):
        ways = {
            "exit 0": ("exit 0", None, "finished"),
            "exit 3": ("exit 3", None, "failed"),
            "own signal": ("kill -KILL $$", None, "killed"),
            "TERM": ("echo > $0; exec sleep 1000", "TERM", "killed"),
            "INT": ("echo > $0; exec sleep 1000", "INT", "killed"),
            "HUP": ("echo > $0; exec sleep 1000", "HUP", "killed"),
            "QUIT": ("ulimit -c 0; echo > $0; exec sleep 1000", "QUIT", "killed"),
            "USR1": ("echo > $0; exec sleep 1000", "USR1", "killed"),
        }
        for way, (script, name, status) in ways.items():
            with self.subTest(way=way):
                self.fresh_store()
                self.probe_file.unlink(missing_ok=True)
                up = self.tmp / f"up-{way}"
                process = self.start_probed("sh", "-c", script, up)
                if name:
                    self.wait_for(up)
                    self.child_pid()
                    process.send_signal(getattr(signal, "SIG" + name))
                process.wait(60)
                self.assertEqual(len(self.hooks("end")), 1)
                self.assertEqual(self.outcome()["status"], status)

    def test_a_command_that_is_not_found_fires_the_end_hook_too(self):
        self.assertEqual(self.launch_probed("no-such-command").returncode, 127)
        self.assert_one_end_hook()

    def test_a_hook_that_fails_harms_neither_the_child_nor_other_callbacks(self):
        for where in ("ON_START", "ON_END"):
            for how in ("throw", "segv"):
                with self.subTest(where=where, how=how):
                    self.fresh_store()
                    self.probe_file.unlink(missing_ok=True)
                    done = self.launch_probed(
                        "sh", "-c", "echo out; exit 3", env={**self.env, f"POSTER_PROBE_{where}": how}
                    )
                    self.assertEqual((done.stdout, done.returncode), (b"out\n", 3))
                    self.assertEqual(self.outcome()["status"], "failed")
                    ledger = (self.attempt_dir() / "hooks.jsonl").read_text()
                    for callback in ("logging", "probe"):
                        self.assertIn(callback, ledger)
                    self.poster("ls", program=POSTER_TEST, check=0)
                    wait_until(lambda: not processes_marked(self.marker))
                    self.assertLessEqual(len(self.hooks("end")), 1)

    def test_a_start_hook_that_hangs_does_not_hold_up_the_child(self):
        process = self.start_probed(
            "echo", "out", env={**self.env, "POSTER_PROBE_ON_START": "hang", **SHORT_BUDGET}, stdout=subprocess.PIPE
        )
        self.assertEqual(process.stdout.readline(), b"out\n")
        process.wait(120)

    def test_an_end_hook_that_hangs_costs_its_time_budget_only(self):
        began = time.monotonic()
        done = self.launch_probed("sh", "-c", "exit 3", env={**self.env, "POSTER_PROBE_ON_END": "hang", **SHORT_BUDGET})
        self.assertEqual(done.returncode, 3)
        self.assertLess(time.monotonic() - began, 60)
        self.assertEqual(self.outcome()["status"], "failed")

    def test_the_record_is_written_before_a_slow_end_hook_and_sigterm_does_not_undo_it(self):
        process = self.start_probed(
            "sh", "-c", "exit 3", env={**self.env, "POSTER_PROBE_ON_END": "hang", **SHORT_BUDGET}
        )
        wait_until(lambda: self.attempt_now().get("ended_at"), what="the outcome")
        self.assertIsNone(process.poll())
        process.terminate()
        second = time.monotonic()
        wait_until(lambda: time.monotonic() - second > 1.2)
        if process.poll() is None:
            process.terminate()
        self.assertEqual(process.wait(120), 3)
        attempt = self.outcome()
        self.assertEqual((attempt["status"], attempt["exit_code"]), ("failed", 3))

    def test_an_end_hook_that_was_cut_short_is_run_again_by_the_next_command_and_it_alone(self):
        process = self.start_probed("true", env={**self.env, "POSTER_PROBE_ON_END": "hang"})
        wait_until(lambda: self.hooks("end"), what="the end hook")
        done = lambda: [
            (line["callback"], line["state"])
            for line in json_lines(self.attempt_dir() / "hooks.jsonl")
            if line["hook"] == "end"
        ]
        wait_until(lambda: ("logging", "done") in done(), what="the end hook of another callback")
        victims = [process.pid, *children_of(process.pid)]
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        self.look()
        wait_until(lambda: ("probe", "done") in done(), what="the second try")
        wait_until(lambda: not processes_marked(self.marker))
        self.look()
        self.assertEqual(len(self.hooks("end")), 2)
        self.assertEqual(done().count(("logging", "begin")), 1)
        self.assertEqual(done().count(("probe", "begin")), 2)
        keys = {
            line["key"]
            for line in json_lines(self.attempt_dir() / "hooks.jsonl")
            if (line["hook"], line["callback"]) == ("end", "probe")
        }
        self.assertEqual(len(keys), 1)
        self.assertEqual(self.outcome()["status"], "finished")

    def test_a_run_within_a_run_ends_before_it(self):
        inner = [POSTER_TEST, "run", "-q", "--store", str(self.store), "--name", "inner", "sh", "-c", "exit 3"]
        self.assertEqual(self.launch_probed(*inner, options=["--name", "outer"]).returncode, 3)
        rows = {row["name"]: row for row in self.poster_json("ls")}
        self.assertEqual({name: row["status"] for name, row in rows.items()}, {"inner": "failed", "outer": "failed"})
        self.assertEqual([line["run"] for line in self.hooks("end")], [rows["inner"]["id"], rows["outer"]["id"]])

    def test_a_prepare_hook_may_rewrite_the_command(self):
        done = self.launch_probed("echo", "original", env={**self.env, "POSTER_PROBE_ON_PREPARE": "rewrite"})
        self.assertEqual(done.returncode, 0)
        self.assertNotEqual(done.stdout, b"original\n")

    def test_a_prepare_hook_that_throws_does_not_stop_the_run(self):
        done = self.launch_probed("echo", "original", env={**self.env, "POSTER_PROBE_ON_PREPARE": "throw"})
        self.assertEqual((done.stdout, done.returncode), (b"original\n", 0))

    def test_sigterm_while_a_prepare_hook_hangs_means_the_child_never_starts(self):
        witness = self.tmp / "witness"
        process = self.start_probed("touch", witness, env={**self.env, "POSTER_PROBE_ON_PREPARE": "hang"})
        wait_until(lambda: self.hooks("prepare"), what="the prepare hook")
        process.terminate()
        self.assertEqual(exit_of(process.wait(60)), "SIGTERM")
        self.assertFalse(witness.exists())
        self.assertEqual(self.outcome()["status"], "killed")
        self.look()
        self.assert_one_end_hook()


if __name__ == "__main__":
    main()
