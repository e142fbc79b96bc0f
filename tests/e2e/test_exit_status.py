"""poster ends exactly as the child ended."""

import os
import signal
import subprocess

from harness import PosterTest, exit_of, main, poster_only, python

REPEATED = ["INT", "QUIT", "TERM", "HUP", "PIPE", "USR1", "USR2", "ALRM"]  # poster dies of the same signal
NUMBERED = ["KILL", "SEGV", "ABRT", "BUS", "FPE", "ILL"]  # poster exits 128 + n


class ExitStatus(PosterTest):
    def test_an_exit_code_is_passed_on(self):
        for code in (0, 1, 2, 3, 42, 77, 124, 125, 126, 127, 128, 129, 130, 137, 143, 200, 255):
            with self.subTest(code=code):
                self.assertEqual(self.launch("sh", "-c", f"exit {code}").returncode, code)

    def test_poster_dies_of_the_signal_that_the_child_died_of(self):
        for name in REPEATED:
            with self.subTest(signal=name):
                status = self.launch("sh", "-c", f"ulimit -c 0; kill -{name} $$").returncode
                self.assertEqual(exit_of(status), "SIG" + name)

    @poster_only
    def test_a_crash_or_kill_of_the_child_becomes_128_plus_the_signal(self):
        for name in NUMBERED:
            with self.subTest(signal=name):
                status = self.launch("sh", "-c", f"ulimit -c 0; kill -{name} $$").returncode
                self.assertEqual(status, 128 + signal.Signals["SIG" + name])

    def test_a_shell_sees_128_plus_n_for_every_signal(self):
        for name in REPEATED + NUMBERED:
            with self.subTest(signal=name):
                words = self.shell_words("sh", "-c", f"ulimit -c 0; kill -{name} $$")
                done = self.poster_free_shell(f"{words}; echo status=$?")
                self.assertIn(b"status=%d\n" % (128 + signal.Signals["SIG" + name]), done.stdout)

    def poster_free_shell(self, script):
        return subprocess.run(
            ["bash", "-c", script],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            timeout=120,
        )

    def test_a_shell_and_lists_of_commands_see_success_and_failure(self):
        true, false = self.shell_words("true"), self.shell_words("false")
        done = self.poster_free_shell(
            f"{true} && echo yes; {false} || echo no; ! {false} && echo not; set -e; {false}; echo never"
        )
        self.assertEqual(done.stdout, b"yes\nno\nnot\n")
        self.assertEqual(done.returncode, 1)

    @poster_only
    def test_a_command_that_is_not_there_exits_127_and_says_so(self):
        for command in ("no-such-command-here", "./no-such-file", "/no/such/dir/program"):
            with self.subTest(command=command):
                done = self.launch(command, "x")
                self.assertEqual(done.returncode, 127)
                self.assertIn(command.encode(), done.stderr)
                self.assertEqual(done.stdout, b"")

    @poster_only
    def test_a_command_that_cannot_be_executed_exits_126(self):
        plain = self.cwd / "plain.txt"
        plain.write_text("not a program\n")
        broken = self.cwd / "broken"
        broken.write_text("#!/no/such/interpreter\n")
        broken.chmod(0o755)
        cases = {"not executable": str(plain), "a directory": str(self.cwd)}
        for case, command in cases.items():
            with self.subTest(case=case):
                done = self.launch(command)
                self.assertEqual(done.returncode, 126)
                self.assertIn(command.encode(), done.stderr)
        with self.subTest(case="its interpreter is missing"):
            self.assertIn(self.launch(str(broken)).returncode, (126, 127))

    @poster_only
    def test_a_failed_start_is_recorded_with_its_reason(self):
        self.launch("no-such-command-here")
        attempt = self.outcome()
        self.assertEqual((attempt["status"], attempt["exit_code"]), ("failed", 127))
        self.assertIn("no-such-command-here", attempt["reason"])

    def test_a_script_without_interpreter_line_runs_as_a_shell_would_run_it(self):
        script = self.cwd / "script"
        script.write_text("echo hello $1\nexit 7\n")
        script.chmod(0o755)
        done = self.poster_free_shell(self.shell_words(str(script), "you"))
        self.assertEqual((done.stdout, done.returncode), (b"hello you\n", 7))

    @poster_only
    def test_posters_own_failure_before_the_child_exits_125_and_starts_nothing(self):
        blocker = self.tmp / "file"
        blocker.write_text("")
        witness = self.tmp / "witness"
        self.store = blocker / "store"
        done = self.launch("touch", witness)
        self.assertEqual(done.returncode, 125)
        self.assertTrue(done.stderr.startswith(b"poster: "), done.stderr)
        self.assertFalse(witness.exists())

    @poster_only
    def test_a_working_directory_that_is_not_there_exits_125_or_2_and_starts_nothing(self):
        witness = self.tmp / "witness"
        done = self.launch("touch", witness, options=["-C", "/no/such/dir"])
        self.assertIn(done.returncode, (2, 125))
        self.assertIn(b"/no/such/dir", done.stderr)
        self.assertFalse(witness.exists())

    @poster_only
    def test_the_status_of_the_child_wins_over_the_reason_of_its_end(self):
        code = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(5))\nopen(sys.argv[1], 'w')\nsignal.pause()"
        witness = self.tmp / "ready"
        process = self.start(*python(code, witness))
        self.wait_for(witness)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 5)
        attempt = self.outcome()
        self.assertEqual((attempt["exit_code"], attempt["received_signal"]), (5, "SIGTERM"))

    def test_no_core_file_is_left_by_poster_for_a_child_that_died_of_quit(self):
        done = self.launch("sh", "-c", "ulimit -c 0; kill -QUIT $$")
        self.assertEqual(exit_of(done.returncode), "SIGQUIT")
        self.assertEqual([name for name in os.listdir(self.cwd) if name.startswith("core")], [])

    def test_a_child_that_closes_its_streams_and_goes_on_is_waited_for(self):
        witness = self.tmp / "late"
        code = "import os, sys, time; os.close(1); os.close(2); time.sleep(0.3); open(sys.argv[1], 'w'); os._exit(9)"
        self.assertEqual(self.launch(*python(code, witness)).returncode, 9)
        self.assertTrue(witness.exists())

    def test_a_caller_that_ignores_sigchld_changes_nothing(self):
        ignoring = ["bash", "-c", "trap '' CHLD; exec \"$@\"", "bash"]
        code = (
            "import subprocess, sys, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
            "signal.signal(signal.SIGCHLD, signal.SIG_IGN); import os; os.execvp(sys.argv[1], sys.argv[1:])"
        )
        done = self.launch("sh", "-c", "exit 6", wrapper=python(code))
        self.assertEqual(done.returncode, 6)
        self.assertEqual(self.launch("sh", "-c", "exit 4", wrapper=ignoring).returncode, 4)


if __name__ == "__main__":
    main()
