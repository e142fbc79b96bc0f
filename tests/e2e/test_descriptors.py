"""The child has the descriptors it would have without poster: no fewer, no more, a terminal where there was one."""

import fcntl
import itertools
import json
import os
import subprocess

from harness import PosterTest, child_script, main, poster_only, python, wait_until

# Which of 0–2 are closed. Python opens nothing there by itself.
PROBE_CLOSED = """
import os, sys
def is_closed(number):
    try: os.fstat(number)
    except OSError: return True
closed = [number for number in (0, 1, 2) if is_closed(number)]
open(sys.argv[1], "w").write(str(closed))
"""


class Descriptors(PosterTest):
    def facts(self):
        path = self.tmp / "facts.json"
        wait_until(path.exists)
        facts = json.loads(path.read_text())
        path.unlink()
        return facts

    def ask(self, **streams):
        """What the child finds where poster has these streams."""
        self.launch(*child_script("descriptors.py", self.tmp / "facts.json"), **streams)
        return self.facts()

    def test_isatty_is_true_exactly_where_it_was(self):
        for wanted in itertools.product([True, False], repeat=3):
            with self.subTest(stdin=wanted[0], stdout=wanted[1], stderr=wanted[2]):
                other = lambda on_tty: None if on_tty else subprocess.DEVNULL
                terminal = self.terminal(
                    *child_script("descriptors.py", self.tmp / "facts.json"),
                    stdin=other(wanted[0]),
                    stdout=other(wanted[1]),
                    stderr=other(wanted[2]),
                )
                self.assertEqual(terminal.wait(), 0)
                self.assertEqual(self.facts()["tty"], list(wanted))

    def test_isatty_is_false_everywhere_without_a_terminal(self):
        self.assertEqual(self.ask()["tty"], [False, False, False])

    def test_pipes_and_files_on_stdout_and_stderr_are_no_terminals_when_the_others_are(self):
        for name, stream in {"a pipe": subprocess.PIPE, "a file": open(self.tmp / "file", "wb")}.items():
            with self.subTest(stdout=name):
                terminal = self.terminal(*child_script("descriptors.py", self.tmp / "facts.json"), stdout=stream)
                self.assertEqual(terminal.wait(), 0)
                self.assertEqual(self.facts()["tty"], [True, False, True])
                if terminal.process.stdout:
                    terminal.process.stdout.close()
                else:
                    stream.close()

    def test_the_child_has_exactly_descriptors_0_1_and_2(self):
        self.assertEqual(sorted(self.ask()["open"]), ["0", "1", "2"])

    def test_the_child_has_exactly_descriptors_0_1_and_2_on_a_terminal(self):
        terminal = self.terminal(*child_script("descriptors.py", self.tmp / "facts.json"))
        self.assertEqual(terminal.wait(), 0)
        self.assertEqual(sorted(self.facts()["open"]), ["0", "1", "2"])

    def test_extra_descriptors_are_passed_through_under_their_numbers(self):
        with open(self.tmp / "extra", "wb") as extra:
            numbers = [fcntl.fcntl(extra.fileno(), fcntl.F_DUPFD, minimum) for minimum in (17, 200)]
            try:
                facts = self.ask(pass_fds=numbers)
            finally:
                for number in numbers:
                    os.close(number)
        self.assertEqual(sorted(facts["open"], key=int), ["0", "1", "2", *map(str, numbers)])
        self.assertEqual({facts["open"][str(number)] for number in numbers}, {str(self.tmp / "extra")})

    def test_data_flows_through_an_extra_pipe_in_both_directions(self):
        to_child, from_us = os.pipe()
        to_us, from_child = os.pipe()
        code = "import os, sys; data = os.read(int(sys.argv[1]), 100); os.write(int(sys.argv[2]), data.upper())"
        process = self.start(*python(code, to_child, from_child), pass_fds=[to_child, from_child])
        os.close(to_child), os.close(from_child)
        os.write(from_us, b"hello")
        os.close(from_us)
        self.assertEqual(os.read(to_us, 100), b"HELLO")
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(os.read(to_us, 100), b"", "somebody else holds the pipe open")
        os.close(to_us)

    def test_the_other_end_of_an_extra_pipe_sees_the_child_close_it_while_the_child_runs_on(self):
        to_us, from_child = os.pipe()
        code = "import os, sys; os.close(int(sys.argv[1])); sys.stdin.read()"
        process = self.start(*python(code, from_child), pass_fds=[from_child], stdin=subprocess.PIPE)
        os.close(from_child)
        self.assertEqual(os.read(to_us, 100), b"")
        self.assertIsNone(process.poll())
        process.stdin.close()
        self.assertEqual(process.wait(60), 0)
        os.close(to_us)

    def test_the_other_end_of_stdin_sees_the_child_close_it(self):
        code = "import os, sys; os.close(0); print('closed', flush=True); open(sys.argv[1]).read()"
        fifo = self.tmp / "fifo"
        os.mkfifo(fifo)
        process = self.start(*python(code, fifo), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"closed\n")
        with self.assertRaises(BrokenPipeError):
            while True:
                process.stdin.write(b"x" * 4096)
                process.stdin.flush()
        fifo.write_text("")
        self.assertEqual(process.wait(60), 0)

    def test_closed_standard_descriptors_stay_closed(self):
        for closed in [combination for n in (1, 2, 3) for combination in itertools.combinations((0, 1, 2), n)]:
            with self.subTest(closed=closed):
                redirections = " ".join({0: "<&-", 1: ">&-", 2: "2>&-"}[number] for number in closed)
                report = self.tmp / "report"
                words = self.shell_words(*python(PROBE_CLOSED, report))
                done = subprocess.run(
                    ["bash", "-c", f"{words} {redirections}"],
                    env=self.env,
                    cwd=self.cwd,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    start_new_session=True,
                    timeout=120,
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(report.read_text()), list(closed))

    def test_a_closed_stdout_is_closed_for_the_child(self):
        code = "import os\ntry: os.fstat(1); word = b'open'\nexcept OSError: word = b'closed'\nos.write(2, word)"
        words = self.shell_words(*python(code))
        done = subprocess.run(
            ["bash", "-c", f"{words} >&-"],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            timeout=120,
        )
        self.assertEqual((done.stderr, done.returncode), (b"closed", 0))

    def test_a_write_to_the_closed_stdout_fails_as_without_poster(self):
        words = self.shell_words("sh", "-c", "echo hello 2>/dev/null; echo status=$? >&2")
        done = subprocess.run(
            ["bash", "-c", f"{words} >&-"],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            timeout=120,
        )
        self.assertNotIn(b"status=0", done.stderr)

    def test_stdin_is_the_very_same_open_file(self):
        path = self.tmp / "input"
        path.write_bytes(b"first\nsecond\nthird\n")
        with open(path, "rb", buffering=0) as stream:
            done = self.launch("sh", "-c", "read line; echo $line", stdin=stream)
            self.assertEqual(done.stdout, b"first\n")
            self.assertEqual(stream.read(), b"second\nthird\n", "poster has read from stdin itself")

    def test_the_command_after_poster_in_a_script_gets_the_rest_of_stdin(self):
        words = self.shell_words("sh", "-c", "read line; echo child:$line")
        done = subprocess.run(
            ["bash", "-c", f"{words}; cat"],
            input=b"one\ntwo\nthree\n",
            env=self.env,
            cwd=self.cwd,
            stdout=subprocess.PIPE,
            start_new_session=True,
            timeout=120,
        )
        self.assertEqual(done.stdout, b"child:one\ntwo\nthree\n")

    @poster_only
    def test_a_background_grandchild_holds_neither_the_lock_nor_another_file_of_the_run(self):
        self.leaves_processes = True
        pid_file = self.tmp / "pid"
        self.launch("sh", "-c", f"sleep 300 >/dev/null 2>&1 </dev/null & echo $! > {pid_file}")
        pid = int(pid_file.read_text())
        targets = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        self.assertEqual(set(targets), {"/dev/null"})


if __name__ == "__main__":
    main()
