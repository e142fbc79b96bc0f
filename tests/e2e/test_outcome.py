"""The outcome says how and why an attempt ended, in words and in fields."""

import datetime
import os
import pathlib
import signal
import subprocess
import time
import unittest

from harness import POSTER_TEST, PosterTest, PYTHON, json_lines, main, needs_root, poster_only, python, wait_until

FIELDS = {
    "format",
    "attempt",
    "status",
    "host",
    "boot_id",
    "pid",
    "start_ticks",
    "child_pid",
    "child_start_ticks",
    "started_at",
    "zone",
    "grace_s",
    "ended_at",
    "duration_s",
    "exit_code",
    "signal",
    "received_signal",
    "sender",
    "reason",
    "error",
    "out_of_memory",
    "user_s",
    "system_s",
    "peak_memory_bytes",
    "left_behind",
    "log_truncated",
}


def iso(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


@poster_only
class Outcome(PosterTest):
    def after(self, *argv, **options):
        self.launch(*argv, **options)
        return self.outcome()

    def test_an_ended_attempt_has_every_documented_field_and_no_other(self):
        self.assertEqual(set(self.after("true")), FIELDS)

    def test_statuses_codes_and_signals(self):
        cases = {  # script: status, exit code, signal
            "exit 0": ("finished", 0, None),
            "exit 3": ("failed", 3, None),
            "exit 255": ("failed", 255, None),
            "kill -TERM $$": ("killed", None, "SIGTERM"),
            "kill -KILL $$": ("killed", None, "SIGKILL"),
            "ulimit -c 0; kill -SEGV $$": ("killed", None, "SIGSEGV"),
            "kill -USR1 $$": ("killed", None, "SIGUSR1"),
        }
        for script, wanted in cases.items():
            with self.subTest(script=script):
                self.fresh_store()
                attempt = self.after("sh", "-c", script)
                self.assertEqual((attempt["status"], attempt["exit_code"], attempt["signal"]), wanted)

    def test_times_are_iso_8601_and_durations_agree_with_them(self):
        before = time.time()
        attempt = self.after("sleep", "0.3")
        started, ended = iso(attempt["started_at"]).timestamp(), iso(attempt["ended_at"]).timestamp()
        self.assertTrue(before - 1 <= started <= ended <= time.time() + 1)
        self.assertGreaterEqual(attempt["duration_s"], 0.3)
        self.assertLess(attempt["duration_s"], ended - started + 1)
        self.assertRegex(attempt["zone"], r"^[+-]\d\d:\d\d$")

    def test_the_sender_of_a_signal_is_named(self):
        process = self.start("sleep", "1000")
        self.child_pid()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        attempt = self.outcome()
        self.assertEqual((attempt["sender"]["pid"], attempt["sender"]["uid"]), (os.getpid(), os.getuid()))
        self.assertIn("python", attempt["sender"]["command"])
        self.assertRegex(attempt["reason"], rf"SIGTERM from .*\(pid {os.getpid()}, uid {os.getuid()}\) after ")

    def test_a_signal_that_came_straight_to_the_child_has_no_sender_that_poster_knows(self):
        process = self.start("sleep", "1000")
        os.kill(self.child_pid(), signal.SIGTERM)
        process.wait(60)
        attempt = self.outcome()
        self.assertEqual(
            (attempt["status"], attempt["signal"], attempt["received_signal"], attempt["sender"]),
            ("killed", "SIGTERM", None, None),
        )

    def test_ctrl_c_is_told_from_a_signal_that_was_sent(self):
        terminal = self.terminal("sh", "-c", "echo ready; exec sleep 1000")
        terminal.read_until("ready")
        self.child_pid()
        terminal.send(b"\x03")
        terminal.wait()
        attempt = self.outcome()
        self.assertEqual((attempt["status"], attempt["signal"], attempt["sender"]), ("killed", "SIGINT", None))
        self.assertRegex(attempt["reason"].lower(), "ctrl-c|interrupt")

    def test_reasons_say_what_happened(self):
        cases = {  # script: what the reason must hold
            "exit 0": r"^finished",
            "exit 3": r"exit code 3",
            "kill -TERM $$": r"SIGTERM",
            "kill -KILL $$": r"SIGKILL",
            "ulimit -c 0; kill -SEGV $$": r"SIGSEGV",
        }
        for script, pattern in cases.items():
            with self.subTest(script=script):
                self.fresh_store()
                self.assertRegex(self.after("sh", "-c", script)["reason"], pattern)

    def test_show_prints_the_reason(self):
        self.launch("sh", "-c", "exit 3")
        self.assertIn(self.outcome()["reason"].encode(), self.poster("show", "last", check=0).stdout)

    def test_the_last_line_of_a_python_traceback_is_the_error(self):
        cases = {
            "a plain exception": ("raise ValueError('bad learning rate')", "ValueError: bad learning rate"),
            "a chained one": ("try: 1/0\nexcept ZeroDivisionError: raise RuntimeError('outer')", "RuntimeError: outer"),
            "no message": ("raise KeyError", "KeyError"),
            "much output before": (
                "import sys\nprint('x' * 100000, file=sys.stderr)\nraise OSError('disk')",
                "OSError: disk",
            ),
        }
        for case, (code, wanted) in cases.items():
            with self.subTest(case=case):
                self.fresh_store()
                attempt = self.after(*python(code))
                self.assertEqual((attempt["status"], attempt["exit_code"], attempt["error"]), ("failed", 1, wanted))

    def test_a_traceback_in_a_terminal_run_is_found_too(self):
        self.terminal(*python("raise ValueError('on a terminal')")).wait()
        self.assertEqual(self.outcome()["error"], "ValueError: on a terminal")

    def test_a_traceback_that_was_survived_is_no_error(self):
        attempt = self.after(*python("import traceback\ntry: 1/0\nexcept Exception: traceback.print_exc()\n"))
        self.assertEqual((attempt["status"], attempt["error"]), ("finished", None))

    def test_cpu_time_is_measured(self):
        attempt = self.after(*python("import time\nwhile time.process_time() < 0.3: pass"))
        self.assertGreaterEqual(attempt["user_s"] + attempt["system_s"], 0.28)
        self.assertLess(attempt["user_s"] + attempt["system_s"], 5)

    def test_cpu_time_of_descendants_that_were_waited_for_counts(self):
        attempt = self.after(
            "sh", "-c", f"{PYTHON[0]} -S -E -c 'import time\nwhile time.process_time() < 0.3: pass'; true"
        )
        self.assertGreaterEqual(attempt["user_s"] + attempt["system_s"], 0.28)

    def test_peak_memory_is_at_least_what_the_child_touched(self):
        attempt = self.after(*python("block = bytearray(b'x') * 150_000_000"))
        self.assertGreater(attempt["peak_memory_bytes"], 150_000_000)
        self.assertLess(attempt["peak_memory_bytes"], 400_000_000)

    @unittest.skipIf(os.environ.get("SANITIZERS"), "poster itself, before exec, is large under a sanitizer")
    def test_peak_memory_of_a_small_child_is_small(self):
        self.assertLess(self.after("true")["peak_memory_bytes"], 30_000_000)

    def test_durations_do_not_follow_the_wall_clock(self):
        """The monotonic clock decides: no negative duration, whatever the zone or clock of the machine."""
        attempt = self.after("true", env={**self.env, "TZ": "Pacific/Kiritimati"})
        self.assertGreaterEqual(attempt["duration_s"], 0)
        self.assertLess(attempt["duration_s"], 60)

    @needs_root
    def test_an_out_of_memory_kill_by_the_cgroup_is_told_from_other_kills(self):
        group = self.memory_cgroup()
        hog = python("import sys\nblocks = []\nfor _ in range(250): blocks.append(bytearray(b'x') * 4_000_000)")
        enter = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
        probe = self.tmp / "probe.jsonl"
        env = {**self.env, "POSTER_PROBE_FILE": str(probe)}
        done = self.launch(*hog, wrapper=enter, program=POSTER_TEST, env=env)
        attempt = self.outcome()
        self.assertEqual((done.returncode, attempt["signal"], attempt["out_of_memory"]), (137, "SIGKILL", True))
        self.assertIn("out of memory", attempt["reason"])
        self.assertEqual([line["status"] for line in json_lines(probe) if line["hook"] == "end"], ["killed"])

    def memory_cgroup(self):
        """A cgroup of 500 MB for this test, of version 2 or 1, or a skip."""
        version_2, version_1 = pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/memory")
        if (version_2 / "cgroup.subtree_control").exists():
            group, limits = version_2 / self.tmp.name, {"memory.max": "500000000", "memory.swap.max": "0"}
        elif (version_1 / "memory.limit_in_bytes").exists():
            limits = {"memory.limit_in_bytes": "500000000", "memory.memsw.limit_in_bytes": "500000000"}
            group = version_1 / self.tmp.name
        else:
            self.skipTest("no memory cgroups here")
        try:
            group.mkdir()
            self.addCleanup(self.remove_cgroup, group)
            for number, (name, value) in enumerate(limits.items()):
                if number == 0 or (group / name).exists():
                    (group / name).write_text(value)
        except OSError as error:
            self.skipTest(f"no memory cgroup may be made here: {error}")
        return group

    def remove_cgroup(self, group):
        def removed():
            try:
                os.rmdir(group)
            except FileNotFoundError:
                return True
            except OSError:
                return False
            return True

        wait_until(removed)

    def test_a_kill_9_of_the_child_is_not_called_out_of_memory(self):
        process = self.start("sleep", "1000")
        os.kill(self.child_pid(), signal.SIGKILL)
        self.assertEqual(process.wait(60), 137)
        self.assertFalse(self.outcome()["out_of_memory"])

    def test_a_running_attempt_has_status_running_and_its_processes(self):
        process = self.start("sleep", "1000")
        child = self.child_pid()
        attempt = self.attempt()
        self.assertEqual((attempt["status"], attempt["pid"], attempt["attempt"]), ("running", process.pid, 1))
        self.assertNotIn("ended_at", {key for key, value in attempt.items() if value is not None})
        with open("/proc/sys/kernel/random/boot_id") as boot_id:
            self.assertEqual(attempt["boot_id"], boot_id.read().strip())
        with open(f"/proc/{child}/stat") as stat:
            self.assertEqual(attempt["child_start_ticks"], int(stat.read().rpartition(")")[2].split()[19]))
        process.terminate()
        process.wait(60)


@poster_only
class OwnWords(PosterTest):
    def test_poster_says_one_line_before_and_one_after_on_stderr_only(self):
        done = self.launch("sh", "-c", "echo out; echo err >&2", quiet=False)
        self.assertEqual(done.stdout, b"out\n")
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 3, lines)
        self.assertTrue(lines[0].startswith("poster: ") and lines[2].startswith("poster: "), lines)
        self.assertEqual(lines[1], "err")
        self.assertIn(self.run_dir().name, lines[0])

    def test_quiet_silences_all_but_errors(self):
        self.assertEqual(self.launch("true", quiet=True).stderr, b"")
        self.assertIn(b"poster: ", self.launch("no-such-command", quiet=True).stderr)

    def test_two_to_one_has_posters_words_around_the_childs(self):
        done = self.launch("echo", "child", quiet=False, stderr=subprocess.STDOUT)
        lines = done.stdout.decode().splitlines()
        self.assertEqual([line.startswith("poster: ") for line in lines], [True, False, True], lines)

    def test_posters_own_words_are_not_in_the_log(self):
        self.launch("echo", "child", quiet=False)
        self.assertEqual(self.log(), b"child\n")


if __name__ == "__main__":
    main()
