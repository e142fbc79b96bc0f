"""Signals reach the child exactly once, whichever way they came; what has to end ends, whatever it does against it."""

import os
import random
import signal
import subprocess
import time

from harness import (
    BARE,
    PosterTest,
    child_script,
    exit_of,
    kill_quietly,
    is_running,
    main,
    poster_only,
    python,
    read_lines,
    state_of,
    wait_until,
)

FORWARDED = [
    "INT",
    "QUIT",
    "TERM",
    "HUP",
    "USR1",
    "USR2",
    "ALRM",
    "WINCH",
    "CONT",
    "VTALRM",
    "PROF",
    "IO",
    "PWR",
    "URG",
    "RTMIN+5",
]
LAST = signal.SIGRTMIN  # ends record_signals.py


def number_of(name):
    return signal.SIGRTMIN + 5 if name == "RTMIN+5" else getattr(signal, "SIG" + name)


def name_of(name):
    return str(signal.SIGRTMIN + 5) if name == "RTMIN+5" else "SIG" + name


class ExactlyOnce(PosterTest):
    def recorded(self, record):
        return [line for line in read_lines(record)[1:]]

    def check_each(self, send, launch, names=FORWARDED):
        """Each signal alone to a fresh child: it sees it once, and after it nothing but the signal that ends it."""
        for name in names:
            with self.subTest(signal=name):
                record = self.tmp / f"record-{name}"
                self.fresh_store()
                target = launch(record)
                self.wait_for(record, b"ready\n")
                send(target, number_of(name))
                wait_until(lambda: name_of(name) in self.recorded(record), what=f"the arrival of {name}")
                os.kill(self.recorder(target.pid), signal.SIGUSR2 if name != "USR2" else signal.SIGUSR1)
                self.end_recorder(target, LAST)
                other = "SIGUSR2" if name != "USR2" else "SIGUSR1"
                self.assertEqual(
                    [seen for seen in self.recorded(record) if seen not in (other, "SIGRTMIN")], [name_of(name)]
                )

    def recorder(self, pid):
        return pid if BARE else self.child_pid()

    def end_recorder(self, target, number):
        os.kill(target.pid, number)
        target.wait(60)

    def launch_plainly(self, record):
        return self.start(*child_script("record_signals.py", record), grace="1h")

    def test_a_signal_sent_to_poster_arrives_once(self):
        self.check_each(lambda process, number: os.kill(process.pid, number), self.launch_plainly)

    def test_a_signal_sent_to_the_group_of_poster_arrives_once(self):
        self.check_each(lambda process, number: os.killpg(process.pid, number), self.launch_plainly)

    def launch_on_terminal(self, record):
        terminal = self.terminal(*child_script("record_signals.py", record))
        return terminal.process

    def test_a_signal_sent_to_poster_on_a_terminal_arrives_once(self):
        self.check_each(lambda process, number: os.kill(process.pid, number), self.launch_on_terminal)

    def test_a_signal_sent_to_the_whole_group_on_a_terminal_arrives_once(self):
        # Not WINCH: poster repeats it, as the kernel's own may come before the child's output has its new size.
        names = [name for name in FORWARDED if name != "WINCH"]
        self.check_each(lambda process, number: os.killpg(process.pid, number), self.launch_on_terminal, names)

    @poster_only
    def test_a_signal_to_the_whole_group_arrives_once_even_where_the_host_is_slow(self):
        record = self.tmp / "record"
        process = self.launch_on_terminal(record)
        self.wait_for(record, b"ready\n")
        os.kill(self.host_pid(process.pid), signal.SIGSTOP)
        os.killpg(process.pid, signal.SIGUSR1)
        wait_until(lambda: "SIGUSR1" in self.recorded(record))
        time.sleep(0.1)  # the host on a loaded machine: what is tried here, not a wait for something
        os.kill(self.host_pid(process.pid), signal.SIGCONT)
        os.kill(process.pid, signal.SIGUSR2)
        wait_until(lambda: "SIGUSR2" in self.recorded(record))
        self.end_recorder(process, LAST)
        self.assertEqual(self.recorded(record), ["SIGUSR1", "SIGUSR2", "SIGRTMIN"])

    def test_a_key_that_sends_a_signal_arrives_once(self):
        for key, name in {b"\x03": "SIGINT", b"\x1c": "SIGQUIT"}.items():
            with self.subTest(signal=name):
                record = self.tmp / f"record-{name}"
                self.fresh_store()
                terminal = self.terminal(*child_script("record_signals.py", record))
                self.wait_for(record, b"ready\n")
                terminal.send(key)
                wait_until(lambda: name in self.recorded(record))
                os.kill(terminal.process.pid, signal.SIGUSR1)
                wait_until(lambda: "SIGUSR1" in self.recorded(record))
                self.end_recorder(terminal.process, LAST)
                self.assertEqual(self.recorded(record), [name, "SIGUSR1", "SIGRTMIN"])

    def test_signals_in_a_row_arrive_each_once(self):
        record = self.tmp / "record"
        process = self.launch_plainly(record)
        self.wait_for(record, b"ready\n")
        names = ["SIGUSR1", "SIGUSR2", "SIGALRM"] * 10
        for count, name in enumerate(names, 1):
            os.kill(process.pid, signal.Signals[name])
            wait_until(lambda: len(self.recorded(record)) >= count)
        self.end_recorder(process, LAST)
        self.assertEqual(self.recorded(record), [*names, "SIGRTMIN"])

    @poster_only
    def test_a_terminating_signal_of_the_first_milliseconds_is_never_lost(self):
        """Without poster a signal that comes before any handler ends the child; with poster, too, at any moment."""
        for delay in [moment / 1000 for moment in (0, 0.2, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30)] * 2:
            with self.subTest(delay=delay):
                self.fresh_store()
                process = self.start("sleep", "1000")
                time.sleep(delay)  # the moment is what is tried here, not a wait for something
                process.send_signal(signal.SIGTERM)
                self.assertEqual(exit_of(process.wait(60)), "SIGTERM")
                if self.run_dirs():
                    self.assertEqual(self.outcome()["status"], "killed")


class Ending(PosterTest):
    """TERM, then the grace period, then KILL for the whole tree."""

    def test_a_signal_that_the_child_does_not_handle_ends_it_and_poster(self):
        for name in ("INT", "QUIT", "TERM", "HUP", "USR1", "USR2", "ALRM"):
            with self.subTest(signal=name):
                self.fresh_store()
                witness = self.tmp / f"up-{name}"
                process = self.start("sh", "-c", f"ulimit -c 0; echo > {witness}; exec sleep 1000")
                self.wait_for(witness)
                wait_until(lambda: BARE or is_running(self.child_pid()))
                process.send_signal(getattr(signal, "SIG" + name))
                self.assertEqual(exit_of(process.wait(60)), "SIG" + name)

    def stubborn(self, *extra):
        return python(
            "import signal, sys, os\nfor n in (2, 15, 1): signal.signal(n, signal.SIG_IGN)\nopen(sys.argv[1], 'w')\n"
            "while True: signal.pause()",
            self.tmp / "up",
            *extra,
        )

    @poster_only
    def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(self):
        process = self.start(*self.stubborn(), grace="700ms")
        self.wait_for(self.tmp / "up")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 128 + signal.SIGKILL)
        self.assertGreater(time.monotonic() - began, 0.65)
        attempt = self.outcome()
        self.assertEqual(
            (attempt["status"], attempt["received_signal"], attempt["signal"]), ("killed", "SIGTERM", "SIGKILL")
        )

    @poster_only
    def test_repeated_sigterm_is_forwarded_and_never_shortens_the_grace_period(self):
        record = self.tmp / "record"
        process = self.start(*child_script("record_signals.py", record), grace="2s")
        self.wait_for(record, b"ready\n")
        began = time.monotonic()
        for count in range(1, 6):
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: read_lines(record).count("SIGTERM") >= count)
        self.assertEqual(process.wait(60), 128 + signal.SIGKILL)
        self.assertGreater(time.monotonic() - began, 1.9)

    @poster_only
    def test_a_child_that_uses_the_grace_period_ends_in_peace(self):
        code = (
            "import signal, sys, time\ndef end(*_): time.sleep(0.5); print('saved', flush=True); sys.exit(0)\n"
            # not pause(): Python notes a signal that comes just before it, and then waits all the same
            "signal.signal(15, end)\nopen(sys.argv[1], 'w')\nwhile True: time.sleep(0.05)"
        )
        process = self.start(*python(code, self.tmp / "up"), grace="20s", stdout=subprocess.PIPE)
        self.wait_for(self.tmp / "up")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.stdout.read(), b"saved\n")
        self.assertEqual(process.wait(60), 0)

    @poster_only
    def test_the_whole_tree_ends_with_new_sessions_and_orphans(self):
        for stubborn in (False, True):
            with self.subTest(stubborn=stubborn):
                self.fresh_store()
                record = self.tmp / f"tree-{stubborn}"
                process = self.start(*child_script("tree.py", record, *(["stubborn"] if stubborn else [])))
                pids = [int(line) for line in wait_until(lambda: len(read_lines(record)) == 4 and read_lines(record))]
                process.send_signal(signal.SIGTERM)
                status = process.wait(60)
                self.assertEqual(exit_of(status), 137 if stubborn else "SIGTERM")
                self.assertEqual([pid for pid in pids if is_running(pid)], [])

    @poster_only
    def test_the_tree_of_a_child_that_ends_at_once_on_sigterm_ends_too(self):
        record = self.tmp / "pids"
        code = f"setsid sh -c 'echo $$ >> {record}; trap \"\" TERM; exec sleep 1000' & echo $$ >> {record}; wait"
        process = self.start("sh", "-c", code)
        pids = [int(line) for line in wait_until(lambda: len(read_lines(record)) == 2 and read_lines(record))]
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        self.assertEqual([pid for pid in pids if is_running(pid)], [])

    @poster_only
    def test_a_stopped_child_is_ended_by_sigterm_too(self):
        process = self.start("sleep", "1000")
        child = self.child_pid()
        os.kill(child, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        self.assertIn(exit_of(process.wait(60)), ("SIGTERM", 137))
        self.assert_gone(child)

    @poster_only
    def test_a_time_limit_ends_the_run_with_status_timeout(self):
        process = self.start("sleep", "1000", options=["--timeout", "500ms"])
        self.assertIn(exit_of(process.wait(60)), ("SIGTERM", 124, 143))
        attempt = self.outcome()
        self.assertEqual(attempt["status"], "timeout")
        self.assertIn("time limit", attempt["reason"])

    @poster_only
    def test_a_time_limit_that_is_not_reached_changes_nothing(self):
        self.assertEqual(self.launch("sh", "-c", "exit 3", options=["--timeout", "1h"]).returncode, 3)
        self.assertEqual(self.outcome()["status"], "failed")

    @poster_only
    def test_a_time_limit_kills_a_stubborn_child_after_the_grace_period(self):
        process = self.start(*self.stubborn(), options=["--timeout", "1s"], grace="300ms")
        self.assertEqual(process.wait(60), 137)
        self.assertEqual(self.outcome()["status"], "timeout")

    @poster_only
    def test_a_poster_that_was_stopped_does_not_count_that_time_as_grace(self):
        record = self.tmp / "record"
        process = self.start(*child_script("record_signals.py", record, "--exit-on", "SIGUSR1=0"), grace="3s")
        self.wait_for(record, b"ready\n")
        process.send_signal(signal.SIGTERM)
        self.wait_for(record, b"SIGTERM")
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() - stopped > 4)
        process.send_signal(signal.SIGCONT)
        os.kill(self.child_pid(), signal.SIGUSR1)
        self.assertEqual(process.wait(60), 0)

    @poster_only
    def test_wherever_poster_is_stopped_that_time_is_no_grace(self):
        runs = []
        for number in range(16):
            record = self.tmp / f"record-{number}"
            command = child_script("record_signals.py", record, "--exit-on", "SIGUSR1=0")
            runs.append((self.start(*command, grace="1s"), record))
        for process, record in runs:
            self.wait_for(record, b"ready\n")
        attempts = [self.attempt(run) for run in self.run_dirs()]
        children = {attempt["pid"]: attempt["child_pid"] for attempt in attempts}
        rng = random.Random(0)
        for process, _ in runs:
            process.send_signal(signal.SIGTERM)
            moment = time.monotonic() + rng.uniform(0, 0.002)  # in the middle of passing it on
            wait_until(lambda: time.monotonic() > moment)
            process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        wait_until(lambda: time.monotonic() - stopped > 2.5)
        for process, record in runs:
            process.send_signal(signal.SIGCONT)
            self.wait_for(record, b"SIGTERM")
            kill_quietly(children[process.pid], signal.SIGUSR1)
        self.assertEqual([process.wait(60) for process, _ in runs], [0] * len(runs))


@poster_only
class Stop(PosterTest):
    def test_stop_ends_a_run_like_sigterm_from_another_shell(self):
        record = self.tmp / "record"
        process = self.start(*child_script("record_signals.py", record, "--exit-on", "SIGTERM=9"))
        self.wait_for(record, b"ready\n")
        self.poster("stop", "last", check=0)
        self.assertEqual(process.wait(60), 9)
        self.assertEqual(read_lines(record), ["ready", "SIGTERM"])
        attempt = self.outcome()
        self.assertEqual((attempt["status"], attempt["received_signal"]), ("killed", "SIGTERM"))

    def test_stop_kill_kills_the_tree_at_once(self):
        record = self.tmp / "tree"
        process = self.start(*child_script("tree.py", record, "stubborn"), grace="1h")
        pids = [int(line) for line in wait_until(lambda: len(read_lines(record)) == 4 and read_lines(record))]
        self.poster("stop", "--kill", self.run_dir().name, check=0)
        self.assertEqual(process.wait(60), 137)
        self.assert_gone(*pids)
        self.assertEqual(self.outcome()["status"], "killed")

    def test_stop_of_a_run_that_has_ended_says_so_and_touches_nothing(self):
        self.launch("true")
        before = (self.attempt_dir() / "attempt.json").read_bytes()
        done = self.poster("stop", "last")
        self.assertIn(b"poster: ", done.stderr)
        self.assertEqual((self.attempt_dir() / "attempt.json").read_bytes(), before)

    def test_stop_of_an_unknown_run_exits_2_with_a_suggestion(self):
        self.launch("true", options=["-n", "baseline"])
        done = self.poster("stop", "baselin")
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"baseline", done.stderr)


class ShellLoops(PosterTest):
    def test_a_shell_loop_stops_on_ctrl_c_as_without_poster(self):
        words = self.shell_words("sh", "-c", "echo round; exec sleep 1000")
        script = f"for i in 1 2 3; do {words}; done; echo after the loop"
        terminal = self.terminal("bash", "-c", script, raw_argv=True)
        terminal.read_until("round")
        wait_until(lambda: BARE or is_running(self.child_pid()))
        terminal.send(b"\x03")
        self.assertEqual(exit_of(terminal.wait()), "SIGINT")
        self.assertEqual(terminal.output.count(b"round"), 1)
        self.assertNotIn(b"after the loop", terminal.output)

    def test_a_loop_goes_on_where_the_child_handles_ctrl_c_itself(self):
        words = self.shell_words(
            "bash", "-c", "trap 'echo handled; exit 0' INT; echo round; while :; do sleep 0.05; done"
        )
        terminal = self.terminal("bash", "-c", f"for i in 1 2; do {words}; done; echo after the loop", raw_argv=True)
        for count in (1, 2):
            wait_until(lambda: terminal.output.count(b"round") == count)
            terminal.send(b"\x03")
            wait_until(lambda: terminal.output.count(b"handled") == count)
        terminal.read_until("after the loop")
        self.assertEqual(terminal.wait(), 0)


class Terminals(PosterTest):
    @poster_only
    def test_three_ctrl_c_on_a_child_that_ignores_them_end_it(self):
        code = (
            "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint('ready', flush=True)\n"
            "while True: signal.pause()"
        )
        terminal = self.terminal(*python(code))
        terminal.read_until("ready")

        def ended():  # two keys at the same moment are one signal to the kernel: hence more than three
            if terminal.process.poll() is None:
                terminal.send(b"\x03")
                time.sleep(0.1)
            return terminal.process.poll() is not None

        wait_until(ended)
        self.assertEqual(terminal.wait(), 137)
        self.assertEqual(self.outcome()["status"], "killed")

    def test_ctrl_c_in_an_interactive_child_is_the_childs_business_alone(self):
        code = (
            "import sys\nwhile True:\n    try:\n        print('> ', end='', flush=True)\n        line = input()\n"
            "        if line == 'quit': sys.exit(5)\n        print('read', line, flush=True)\n"
            "    except KeyboardInterrupt: print('interrupted', flush=True)"
        )
        terminal = self.terminal(*python(code))
        terminal.read_until("> ")
        child = terminal.process.pid if BARE else self.child_pid()
        wait_until(lambda: state_of(child) == "S")  # just before its read() Python notes the signal, and reads on
        terminal.send(b"\x03")
        terminal.read_until("interrupted")
        terminal.send(b"hello\n")
        terminal.read_until("read hello")
        terminal.send(b"quit\n")
        self.assertEqual(terminal.wait(), 5)
        if not BARE:
            self.assertEqual(self.outcome()["exit_code"], 5)

    def test_a_terminal_that_goes_away_ends_the_child_and_poster(self):
        pids = self.tmp / "pids"
        shell = self.shell()
        words = self.shell_words("sh", "-c", f"echo $$ > {pids}; exec sleep 1000")
        shell.send(words.encode() + b"\n")
        self.wait_for(pids, b"\n")
        child = int(pids.read_text())
        wait_until(lambda: BARE or self.child_pid() == child)
        os.close(shell.slave)
        os.close(shell.master)
        self.assert_gone(child)
        if not BARE:
            wait_until(lambda: "ended_at" in self.attempt_now())
            self.assertEqual(self.outcome()["status"], "killed")


if __name__ == "__main__":
    main()
