"""Several runs from one command line: found, run in order or at once, ended together, each with one record."""

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import time

from harness import (
    POSTER,
    PosterTest,
    children_of,
    exit_of,
    main,
    needs_root,
    poster_only,
    python,
    read_bytes,
    state_of,
    wait_until,
)

STOPS = int(os.environ.get("POSTER_STRESS", "20")) // 4 or 1


@poster_only
class Multirun(PosterTest):
    def rows(self, *options):
        """Of `ls --json`, the oldest first."""
        return sorted(self.poster_json("ls", *options), key=lambda row: (row["started_at"] or "", row["id"]))

    def statuses(self):
        return sorted(row["status"] for row in self.rows())


class Commands(Multirun):
    def test_a_lone_backslash_separates(self):
        done = self.launch("echo", "a", "\\", "echo", "b", "\\", "sh", "-c", "echo c")
        self.assertEqual((done.returncode, done.stdout), (0, b"a\nb\nc\n"))
        self.assertEqual(sorted(row["argv"][-1] for row in self.rows()), ["a", "b", "echo c"])

    def test_a_word_that_begins_with_a_space_separates_where_the_rest_is_a_program(self):
        self.assertEqual(self.launch("echo", "a", " echo", "b").stdout, b"a\nb\n")
        self.assertEqual(self.launch("echo", "a", " nonsense", "b").stdout, b"a  nonsense b\n")
        (self.cwd / "go").write_text("#!/bin/sh\necho gone\n")
        (self.cwd / "go").chmod(0o755)
        self.assertEqual(self.launch("echo", "a", " ./go").stdout, b"a\ngone\n")

    def test_single_takes_the_line_as_one_command(self):
        done = self.launch("echo", " ls", "\\", "x", options=["--single"])
        self.assertEqual(done.stdout, b" ls \\ x\n")
        self.assertEqual(len(self.run_dirs()), 1)

    def test_an_empty_command_is_a_usage_error_that_shows_where(self):
        for words, where in {
            ("\\", "true"): "beginning",
            ("true", "\\"): "at the end, after `true`",
            ("true", "\\", "\\", "true"): "after `true`",
        }.items():
            with self.subTest(words=words):
                done = self.launch(*words)
                self.assertEqual(done.returncode, 2)
                self.assertIn(where, done.stderr.decode())
                self.assertEqual(self.run_dirs(), [])

    def test_one_line_says_how_many_commands_were_found(self):
        done = self.launch("true", " true", quiet=False)
        self.assertRegex(done.stderr.decode(), r"(?m)^poster: 2 commands")
        self.assertNotIn("commands", self.launch("true", quiet=False).stderr.decode())

    def test_a_file_holds_one_command_a_line(self):
        (self.cwd / "commands.txt").write_text("echo 'a b' # first\n\n# nothing\necho c\n")
        done = self.launch(options=["-f", "commands.txt"])
        self.assertEqual((done.returncode, done.stdout), (0, b"a b\nc\n"))
        done = self.launch(options=["-f", "-"], input=b"echo x\necho y\n")
        self.assertEqual((done.returncode, done.stdout), (0, b"x\ny\n"))

    def test_a_file_that_cannot_be_read_is_a_usage_error(self):
        for options, words in ((["-f", "nowhere"], []), (["-f", "x"], ["true"])):
            self.assertEqual(self.launch(*words, options=options).returncode, 2)
        (self.cwd / "open").write_text("echo 'a\n")
        done = self.launch(options=["-f", "open"])
        self.assertEqual(done.returncode, 2)
        self.assertIn("open:1", done.stderr.decode())

    def test_a_dry_run_shows_every_command_and_runs_none(self):
        done = self.launch("echo", "a", "\\", "echo", "b", options=["--dry-run"])
        self.assertIn("echo a", done.stdout.decode())
        self.assertIn("echo b", done.stdout.decode())
        self.assertEqual(self.run_dirs(), [])

    def check_shell(self, shell, line):
        done = subprocess.run(
            [shell, "-c", f"{shlex.quote(POSTER)} run -q --store {self.store} {line}"],
            env=self.env,
            cwd=self.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.assertEqual((done.returncode, done.stdout), (0, b"a\nb\nc\n"), done.stderr)

    def test_the_lines_of_the_readme_mean_the_same_in_every_shell(self):
        lines = [r"echo a \ echo b \ echo c", r"echo a '\' echo b '\' echo c", r"echo a \\ echo b \\ echo c"]
        for shell in ("bash", "dash", "zsh", "fish"):
            if shutil.which(shell) is None:
                continue
            for line in lines:
                if shell == "fish" and "'" in line:
                    continue  # in fish '\\' is an open quote
                with self.subTest(shell=shell, line=line):
                    self.check_shell(shell, line)


class InOrder(Multirun):
    def test_each_run_is_complete_and_they_share_a_group(self):
        done = self.launch("echo", "a", "\\", "false", options=["-n", "sweep", "-t", "x"])
        self.assertEqual(done.returncode, 1)
        rows = self.rows()
        self.assertEqual([row["name"] for row in rows], ["sweep-1", "sweep-2"])
        self.assertEqual([row["status"] for row in rows], ["finished", "failed"])
        self.assertEqual(len({row["group"] for row in rows}), 1)
        self.assertEqual(len(self.rows("--group", rows[0]["group"])), 2)
        self.assertEqual(self.rows("--group", "none"), [])
        for run in self.run_dirs():
            self.assertTrue((self.attempt_dir(run) / "output.log").exists())
            self.assertIn("config", self.run_json(run))

    def test_the_child_sees_its_group(self):
        show = ["sh", "-c", 'echo "${POSTER_GROUP-none}"']
        lines = self.launch(*show, "\\", *show).stdout.split()
        self.assertEqual(len(set(lines)), 1)
        self.assertNotIn(b"none", lines)
        self.assertEqual(self.launch(*show, env={**self.env, "POSTER_GROUP": "outer"}).stdout, b"none\n")

    def test_a_failed_run_does_not_stop_the_others_unless_told_to(self):
        words = ["true", "\\", "sh", "-c", "exit 3", "\\", "sh", "-c", "exit 4", "\\", "true"]
        self.assertEqual(self.launch(*words).returncode, 3)
        self.assertEqual(self.statuses(), ["failed", "failed", "finished", "finished"])
        self.fresh_store()
        self.assertEqual(self.launch(*words, options=["--fail-fast"]).returncode, 3)
        self.assertEqual(self.statuses(), ["failed", "finished", "killed", "killed"])
        never = [row for row in self.rows() if row["status"] == "killed"]
        self.assertEqual({row["reason"].split(":")[0] for row in never}, {"never started"})

    def test_a_run_that_dies_of_a_signal_gives_its_signal(self):
        done = self.launch("sh", "-c", "kill -TERM $$", "\\", "true")
        self.assertEqual(exit_of(done.returncode), "SIGTERM")

    def test_runs_that_wait_are_listed_as_queued(self):
        gate = self.tmp / "gate"
        os.mkfifo(gate)
        process = self.start("cat", gate, "\\", "true", "\\", "true")
        wait_until(lambda: self.statuses() == ["queued", "queued", "running"])
        for row in self.rows("--status", "queued"):
            self.assertIsNone(row["started_at"])
        with open(gate, "w"):
            pass
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(self.statuses(), ["finished"] * 3)
        self.assertEqual(list((self.store / "queues").iterdir()), [])

    def test_a_table_at_the_end_lists_the_runs(self):
        done = self.launch("echo", "a", "\\", "false", quiet=False)
        text = done.stderr.decode()
        self.assertTrue(all(line.startswith("poster: ") for line in text.splitlines()), text)
        self.assertRegex(text, r"failed .*false")
        self.assertIn("1 of 2 runs finished", text)

    def test_the_child_has_the_terminal(self):
        code = "import sys, os; print([os.isatty(fd) for fd in (0, 1, 2)])"
        terminal = self.terminal(*python(code), "\\", *python(code))
        terminal.read_until(rb"(?s)\[True, True, True\].*\[True, True, True\]")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_c_ends_the_running_one_and_those_that_wait_never_start(self):
        terminal = self.terminal(
            "sh", "-c", "echo ready; exec sleep 1000", "\\", "sh", "-c", "echo second", quiet=False
        )
        terminal.read_until("ready")
        terminal.send(b"\x03")
        self.assertEqual(exit_of(terminal.wait()), "SIGINT")
        self.assertNotIn(b"second", terminal.output)
        self.assertEqual(self.statuses(), ["killed", "killed"])
        self.assertTrue(any("never started" in row["reason"] for row in self.rows()))

    def test_a_job_of_several_runs_stops_and_goes_on(self):
        shell = self.shell()
        words = self.shell_words("sh", "-c", "echo ready; read line; echo got $line", "\\", "echo", "after")
        shell.send(words.encode() + b"\n")
        shell.read_until(r"\nready")
        shell.send(b"\x1a")
        shell.read_until("Stopped")
        shell.send(b"fg\n")
        group = self.foreground_job(shell)
        wait_until(lambda: state_of(group) == "S")
        shell.send(b"hello\n")
        shell.read_until(r"got hello(?s:.*)after")


class Ended(Multirun):
    def begin(self, *options):
        """Six runs that do not end by themselves."""
        return self.start(*(["sleep", "1000", "\\"] * 5), "sleep", "1000", options=options)

    def check_ended(self, started):
        rows = self.rows()
        self.assertEqual([row["status"] for row in rows], ["killed"] * 6)
        never = [row for row in rows if row["reason"].startswith("never started")]
        self.assertEqual(len(never), 6 - started)
        for run in self.run_dirs():
            self.assertEqual([entry.name for entry in (run / "attempts").iterdir()], ["1"])

    def test_one_sigterm_ends_all(self):
        for options, running in (([], 1), (["-j", "2"], 2)):
            for group in (False, True):
                with self.subTest(options=options, group=group):
                    self.fresh_store()
                    process = self.begin(*options)
                    wait_until(lambda: self.statuses().count("running") == running)
                    wait_until(lambda: len(self.children()) == running)
                    (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
                    self.assertEqual(exit_of(process.wait(60)), "SIGTERM")
                    self.check_ended(running)

    def children(self):
        """The children's pids, as far as they have started."""
        pids = []
        for run in self.run_dirs():
            file = self.attempt_dir(run) / "attempt.json"
            if file.exists():
                pids.append(json.loads(file.read_text()).get("child_pid"))
        return [pid for pid in pids if pid]

    def test_a_signal_to_the_launcher_reaches_a_child_once(self):
        record = self.tmp / "record"
        code = (
            "import signal, sys\n"
            "names = []\n"
            "signal.signal(signal.SIGUSR1, lambda *_: open(sys.argv[1], 'a').write('USR1\\n'))\n"
            "open(sys.argv[1], 'a').write('ready\\n')\n"
            "while True: signal.pause()"
        )
        process = self.start(*python(code, record), "\\", "true")
        self.wait_for(record, b"ready\n")
        for send, count in ((os.kill, 1), (os.killpg, 2), (os.kill, 3)):
            send(process.pid, signal.SIGUSR1)
            wait_until(lambda: read_bytes(record).count(b"USR1") >= count)
            time.sleep(1.1)  # apart in time, so that each is one of its own
        self.assertEqual(read_bytes(record), b"ready\n" + b"USR1\n" * 3)
        process.terminate()
        process.wait(60)

    def test_a_killed_launcher_leaves_no_run_without_an_outcome(self):
        process = self.begin("-j", "2")
        wait_until(lambda: len(self.children()) == 2)
        posters = children_of(process.pid)
        process.kill()
        process.wait()
        self.assert_gone(*posters)
        wait_until(lambda: "running" not in self.statuses() and "queued" not in self.statuses())
        reasons = [row["reason"] for row in self.rows() if row["status"] == "lost"]
        self.assertEqual(len(reasons), 4, self.rows())
        self.assertEqual(list((self.store / "queues").iterdir()), [])

    def test_a_killed_poster_of_one_run_does_not_end_the_others(self):
        process = self.start("sleep", "1000", "\\", "true")
        wait_until(lambda: len(self.children()) == 1)
        [poster] = children_of(process.pid)
        os.kill(poster, signal.SIGKILL)
        process.wait(60)
        self.assertEqual(self.statuses(), ["finished", "killed"])

    def test_sigterm_at_any_moment_leaves_every_run_with_one_outcome(self):
        seed = int(os.environ.get("POSTER_SEED", time.time_ns() % 1_000_000))
        moments = random.Random(seed)
        for _ in range(STOPS):
            self.fresh_store()
            (self.cwd / "commands").write_text("".join(random_commands(moments, 100)))
            process = self.start(options=["-j", "2", "-f", "commands"], grace="300ms")
            time.sleep(moments.random() * moments.choice([0.02, 0.2, 0.8]))
            process.terminate()
            process.wait(120)
            rows = self.rows()
            self.assertFalse([row for row in rows if row["status"] in ("queued", "running")], seed)
            self.assertIn(len(rows), range(0, 101))
            for run in self.run_dirs():
                attempts = [entry.name for entry in (run / "attempts").iterdir()]
                self.assertEqual(attempts, ["1"], (seed, run))
                self.assertIn("reason", self.outcome(run))


def random_commands(moments, count):
    kinds = [
        "true\n",
        "false\n",
        "sh -c 'exit 7'\n",
        "sleep 0.02\n",
        "sh -c 'kill -9 $$'\n",
        "sh -c 'trap \"\" TERM; sleep 0.05'\n",
    ]
    return [moments.choice(kinds) for _ in range(count)]


class AtOnce(Multirun):
    def test_every_line_has_its_label_and_none_is_torn(self):
        code = "import sys\nfor i in range(2000): print(sys.argv[1] * 50); print('e' * 50, file=sys.stderr)"
        words = [*python(code, "a"), "\\", *python(code, "b"), "\\", *python(code, "c")]
        done = self.launch(*words, options=["-j", "3", "-n", "x"])
        self.assertEqual(done.returncode, 0)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), 6000)
        for line in lines:
            self.assertRegex(line, r"^x-[123] \| (a{50}|b{50}|c{50})$")
        for line in done.stderr.decode().splitlines():
            self.assertRegex(line, r"^x-[123] \| e{50}$")

    def test_they_run_at_the_same_time(self):
        meet = "import os, sys, time\nopen(sys.argv[1], 'w')\nwhile not os.path.exists(sys.argv[2]): time.sleep(0.01)"
        a, b = self.tmp / "a", self.tmp / "b"
        self.assertEqual(self.launch(*python(meet, a, b), "\\", *python(meet, b, a), options=["-j", "2"]).returncode, 0)

    def test_never_more_than_wanted(self):
        log = self.tmp / "log"
        count = f"echo + >> {log}; sleep 0.05; echo - >> {log}"
        self.launch(*(["sh", "-c", count, "\\"] * 7), "sh", "-c", count, options=["-j", "3"])
        now = most = 0
        for line in log.read_text().split():
            now += 1 if line == "+" else -1
            most = max(most, now)
        self.assertLessEqual(most, 3)

    def test_the_status_is_that_of_the_first_that_failed_on_the_command_line(self):
        words = ["sh", "-c", "sleep 0.3; exit 5", "\\", "sh", "-c", "exit 6"]
        self.assertEqual(self.launch(*words, options=["-j", "2"]).returncode, 5)

    def test_each_has_devices_of_its_own(self):
        words = (["sh", "-c", "echo $CUDA_VISIBLE_DEVICES; sleep 0.3", "\\"] * 3)[:-1]
        done = self.launch(*words, options=["--gpus", "0,2,5", "-n", "x"])
        self.assertEqual(sorted(re.findall(r"\| (\d)", done.stdout.decode())), ["0", "2", "5"])
        done = self.launch("sh", "-c", "echo $CUDA_VISIBLE_DEVICES", options=["--gpus", "0,2"])
        self.assertEqual(done.stdout, b"0,2\n")
        self.assertEqual(self.launch("true", "\\", "true", options=["--gpus", "0,1", "-j", "3"]).returncode, 2)

    def test_a_terminal_shows_how_far_it_is(self):
        gate = self.tmp / "gate"
        os.mkfifo(gate)
        terminal = self.terminal("cat", gate, "\\", "true", "\\", "false", options=["-j", "2"], quiet=False)
        terminal.read_until("1 running, 1 done, 1 failed, 0 queued")
        with open(gate, "w"):
            pass
        terminal.wait()

    def test_where_descriptors_are_scarce_one_waits_for_another(self):
        limits = ("prlimit", "--nofile=32")
        done = self.launch(*(["true", "\\"] * 23), "true", options=["-j", "24"], wrapper=limits)
        self.assertEqual((done.returncode, self.statuses()), (0, ["finished"] * 24), done.stderr)

    @needs_root
    def test_runs_that_cannot_be_started_are_recorded_as_such(self):
        self.tmp.chmod(0o755)
        for folder in (self.cwd, self.tmp / "home"):
            os.chown(folder, 54321, 54321)
        self.store = self.cwd / "store"
        alone = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "prlimit", "--nproc=1")
        program = shutil.copy(POSTER, self.tmp)  # where that user may read it
        done = self.launch("true", "\\", "true", wrapper=alone, program=program)
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"fork", done.stderr)
        self.assertEqual(self.statuses(), ["failed", "failed"])
        self.assertEqual(list((self.store / "queues").iterdir()), [])

    def test_stdin_is_nobodys(self):
        done = self.launch("cat", "\\", "cat", options=["-j", "2"], input=b"x")
        self.assertEqual((done.returncode, done.stdout), (0, b""))


class Retries(Multirun):
    def test_a_failure_is_tried_again_until_it_works(self):
        code = "import os, sys; print(os.environ['POSTER_ATTEMPT'], os.environ.get('POSTER_RESUMED')); sys.exit(os.environ['POSTER_ATTEMPT'] != '3')"
        done = self.launch(*python(code), options=["--retries", "5"])
        self.assertEqual((done.returncode, done.stdout), (0, b"1 None\n2 1\n3 1\n"))
        [row] = self.rows()
        self.assertEqual((row["status"], row["attempt"]), ("finished", 3))
        self.assertEqual([self.attempt(number=n)["status"] for n in (1, 2, 3)], ["failed", "failed", "finished"])

    def test_only_so_often(self):
        self.assertEqual(self.launch("false", options=["--retries", "2"]).returncode, 1)
        self.assertEqual(len(list((self.run_dir() / "attempts").iterdir())), 3)

    def test_only_on_the_outcomes_that_are_named(self):
        self.launch("false", options=["--retries", "2", "--retry-on", "timeout"])
        self.assertEqual(len(list((self.run_dir() / "attempts").iterdir())), 1)
        self.assertEqual(self.launch("false", options=["--retries", "2", "--retry-on", "fialed"]).returncode, 2)

    def test_a_run_that_was_told_to_end_is_not_tried_again(self):
        process = self.start("sleep", "1000", options=["--retries", "5"])
        wait_until(lambda: self.attempt_now().get("child_pid"))
        self.poster("stop", "last", check=0)
        self.assertEqual(exit_of(process.wait(60)), "SIGTERM")
        self.assertEqual(len(list((self.run_dir() / "attempts").iterdir())), 1)

    def test_a_killed_poster_is_a_reason_to_try_again(self):
        process = self.start(
            *python("import os, time; time.sleep(1000 if os.environ['POSTER_ATTEMPT'] == '1' else 0)"),
            options=["--retries", "1"],
        )
        wait_until(lambda: self.attempt_now().get("child_pid"))
        os.kill(self.attempt()["pid"], signal.SIGKILL)
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(self.attempt(number=2)["status"], "finished")

    def test_the_wait_between_attempts_ends_with_sigterm(self):
        process = self.start("false", options=["--retries", "1", "--backoff", "1h"])
        wait_until(lambda: self.attempt_now().get("ended_at"))
        wait_until(lambda: not children_of(process.pid))
        process.terminate()
        self.assertEqual(process.wait(60), 1)


class Detached(Multirun):
    def test_it_goes_on_without_its_terminal(self):
        record = self.tmp / "record"
        shell = self.shell()
        words = self.shell_words("sh", "-c", f"echo out; sleep 0.5; echo done > {record}", options=["-d"])
        shell.send(words.encode() + b"\n")
        shell.read_until(r"\d{8}-\d{6}-\w{4}")
        shell.close()
        self.wait_for(record, b"done\n")
        wait_until(lambda: self.statuses() == ["finished"])
        self.assertEqual(self.poster("logs", "last", check=0).stdout, b"out\n")

    def test_its_id_is_printed_and_it_can_be_stopped(self):
        done = self.launch("sleep", "1000", options=["-d"], quiet=False)
        self.assertEqual(done.returncode, 0)
        run = done.stdout.decode().strip()
        self.assertTrue((self.store / "runs" / run).is_dir())
        self.poster("stop", run, check=0)
        self.assertEqual(self.statuses(), ["killed"])

    def test_what_hinders_it_is_told(self):
        done = self.launch("true", options=["-d", "--cwd", "/nowhere"])
        self.assertEqual(done.returncode, 125)
        self.assertIn("/nowhere", done.stderr.decode())

    def test_several_at_once(self):
        done = self.launch("true", "\\", "false", options=["-d", "-j", "2"])
        ids = done.stdout.decode().split()
        self.assertEqual(len(ids), 2)
        self.assertEqual(self.poster("wait", "-q", *ids).returncode, 1)
        self.assertEqual(self.statuses(), ["failed", "finished"])


if __name__ == "__main__":
    main()
