"""A terminal under poster is the real terminal: job control, sizes, raw keys, passwords, modes whatever dies."""

import os
import resource
import signal
import subprocess
import termios
import time

from harness import (
    BARE,
    PosterTest,
    child_script,
    exit_of,
    is_running,
    kill_quietly,
    main,
    poster_only,
    python,
    state_of,
    wait_until,
)

ECHO_LINES = child_script("echo_lines.py")


class JobControl(PosterTest):
    def test_ctrl_z_stops_the_job_and_fg_continues_it(self):
        shell = self.shell()
        shell.send(self.shell_words(*ECHO_LINES).encode() + b"\n")
        shell.read_until(r"\nready")
        shell.send(b"first\n")
        shell.read_until("read first")
        for round in range(2):
            seen = len(shell.output)
            shell.send(b"\x1a")
            wait_until(
                lambda: b"Stopped" in shell.output[seen:] and b"PROMPT> " in shell.output[seen:], what=f"stop {round}"
            )
            shell.send(b"echo status=$?\n")
            wait_until(lambda: b"status=148" in shell.output[seen:])
            shell.send(b"fg\n")
            self.foreground_job(shell)
            shell.send(b"again%d\n" % round)
            shell.read_until(f"read again{round}")
        shell.send(b"\x04")
        shell.read_until("end of input")
        shell.send(b"echo code=$?\n")
        shell.read_until("code=0")
        shell.send(b"exit\n")
        self.assertEqual(shell.wait(), 0)

    def test_the_child_is_really_stopped_by_ctrl_z_and_so_is_poster(self):
        shell = self.shell()
        shell.send(self.shell_words("sh", "-c", "echo ready; exec sleep 1000").encode() + b"\n")
        shell.read_until(r"\nready")
        job = self.foreground_job(shell)
        child = job if BARE else self.child_pid()
        wait_until(lambda: os.readlink(f"/proc/{child}/exe").endswith("sleep"))
        shell.send(b"\x1a")
        wait_until(lambda: state_of(child) == "T" and state_of(job) == "T", what="both to be stopped")
        shell.send(b"fg\n")
        wait_until(lambda: state_of(child) == "S" and state_of(job) in "SR", what="both to go on")
        shell.send(b"\x03")
        shell.read_until(r"\^C[^$]*PROMPT> ")
        shell.send(b"exit\n")
        shell.wait()

    def test_bg_lets_a_stopped_job_go_on_in_the_background(self):
        shell = self.shell()
        fifo = self.tmp / "fifo"
        os.mkfifo(fifo)
        shell.send(self.shell_words("sh", "-c", f"echo ready; read line < {fifo}; echo went on").encode() + b"\n")
        shell.read_until(r"\nready")
        shell.send(b"\x1a")
        shell.read_until("Stopped")
        shell.send(b"bg\n")
        shell.read_until("&")
        fifo.write_text("hello\n")
        shell.read_until("went on")
        shell.send(b"wait; exit\n")
        shell.wait()

    def test_a_background_job_that_reads_from_the_terminal_is_stopped(self):
        shell = self.shell()
        shell.send(self.shell_words(*ECHO_LINES).encode() + b" &\n")
        shell.read_until("ready")

        def reported():  # bash tells of it before its next prompt
            shell.send(b"\n")
            time.sleep(0.05)
            return b"Stopped" in shell.output

        wait_until(reported, what="the job to be stopped")
        shell.send(b"fg\n")
        self.foreground_job(shell)
        shell.send(b"now\n")
        shell.read_until("read now")
        shell.send(b"\x04")
        shell.read_until("end of input")
        shell.send(b"exit\n")
        shell.wait()

    def test_a_background_job_may_write(self):
        shell = self.shell()
        shell.send(self.shell_words("echo", "from the background").encode() + b" & wait\n")
        shell.read_until(r"\nfrom the background")
        shell.send(b"exit\n")
        shell.wait()

    def test_kill_of_a_job_by_the_shell_ends_it(self):
        shell = self.shell()
        record = self.tmp / "pid"
        shell.send(self.shell_words("sh", "-c", f"echo $$ > {record}; exec sleep 1000").encode() + b" &\n")
        self.wait_for(record, b"\n")
        child = int(record.read_text())
        wait_until(lambda: BARE or self.child_pid())
        shell.send(b"kill %1; wait %1; echo status=$?\n")
        shell.read_until("status=143")
        self.assert_gone(child)
        shell.send(b"exit\n")
        shell.wait()

    def test_ctrl_d_is_the_end_of_input(self):
        terminal = self.terminal("cat")
        terminal.send(b"hello\n")
        terminal.read_until(r"hello\r\nhello\r\n")
        terminal.send(b"\x04")
        self.assertEqual(terminal.wait(), 0)

    def test_ctrl_backslash_quits(self):
        terminal = self.terminal("sh", "-c", "ulimit -c 0; echo ready; exec sleep 1000")
        terminal.read_until("ready")
        wait_until(lambda: BARE or is_running(self.child_pid()))
        terminal.send(b"\x1c")
        self.assertEqual(exit_of(terminal.wait()), "SIGQUIT")


class Input(PosterTest):
    def test_a_raw_program_gets_each_key_and_leaves_the_modes_as_they_were(self):
        code = (
            "import os, sys, termios, tty\nbefore = termios.tcgetattr(0)\ntty.setraw(0)\nos.write(1, b'raw')\n"
            "keys = b''\nwhile not keys.endswith(b'q'): keys += os.read(0, 1)\n"
            "termios.tcsetattr(0, termios.TCSADRAIN, before)\nprint('keys', keys)"
        )
        terminal = self.terminal(*python(code))
        before = terminal.modes()
        terminal.read_until("raw")
        for key in (b"\x03", b"\x1a", b"\x1b[A", b"\r", b"q"):
            terminal.send(key)
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(rb"keys b'\x03\x1a\x1b[A\rq'", terminal.output)
        self.assertEqual(terminal.modes(), before)

    def test_raw_mode_set_through_stdout_works_like_raw_mode_set_through_stdin(self):
        code = (
            "import os, termios, tty\nbefore = termios.tcgetattr(1)\ntty.setcbreak(1)\nos.write(1, b'raw')\n"
            "key = os.read(0, 1)\ntermios.tcsetattr(1, termios.TCSADRAIN, before)\nprint('key', key)"
        )
        terminal = self.terminal(*python(code))
        before = terminal.modes()
        terminal.read_until("raw")
        wait_until(lambda: not terminal.modes()[3] & termios.ICANON, what="character mode on the real terminal")
        terminal.send(b"k")
        self.assertEqual(terminal.wait(), 0)
        self.assertIn(b"key b'k'", terminal.output)
        wait_until(lambda: terminal.modes() == before, what="the modes of the start")

    def test_getpass_reads_a_password_without_echo(self):
        terminal = self.terminal(*python("import getpass; print('got', getpass.getpass('Password: ').upper())"))
        terminal.read_until("Password: ")
        wait_until(lambda: not terminal.modes()[3] & termios.ECHO)
        terminal.send(b"hunter2\n")
        terminal.read_until("got HUNTER2")
        self.assertEqual(terminal.wait(), 0)
        self.assertNotIn(b"hunter2", terminal.output)
        if not BARE:
            self.assertNotIn(b"hunter2", self.log())

    def test_dev_tty_works_although_all_three_streams_are_elsewhere(self):
        code = (
            "import os\ntty = os.open('/dev/tty', os.O_RDWR)\nos.write(tty, b'Continue? ')\nanswer = os.read(tty, 10)\n"
            "os.write(tty, b'answer=' + answer)"
        )
        null = subprocess.DEVNULL
        terminal = self.terminal(*python(code), stdin=null, stdout=null, stderr=null)
        terminal.read_until("Continue\\? ")
        terminal.send(b"yes\n")
        terminal.read_until("answer=yes")
        self.assertEqual(terminal.wait(), 0)

    def test_type_ahead_stays_for_the_next_command(self):
        shell = self.shell()
        shell.send(self.shell_words("sh", "-c", "echo ready; sleep 0.3").encode() + b"\necho typed=$((40+2))\n")
        shell.read_until("typed=42")
        shell.send(b"exit\n")
        shell.wait()

    def test_a_line_is_echoed_once(self):
        terminal = self.terminal("sh", "-c", "echo ready; read line; echo got $line")
        terminal.read_until("ready")
        terminal.send(b"xyzzy\n")
        terminal.read_until("got xyzzy")
        terminal.wait()
        self.assertEqual(terminal.output.count(b"xyzzy"), 2)


class Size(PosterTest):
    CODE = (
        "import os, signal\nfrom os import get_terminal_size as size\n"
        "def show(*_): os.write(1, b'size %d %d %d %d end\\n' % (*size(1), *size(0)))\n"
        "signal.signal(signal.SIGWINCH, show)\nshow()\nwhile True: signal.pause()"
    )

    def test_the_child_sees_the_size_of_the_terminal(self):
        terminal = self.terminal(*python(self.CODE), rows=31, columns=97)
        terminal.read_until("size 97 31 97 31 end")
        self.end(terminal)

    def test_a_new_size_reaches_the_child_with_sigwinch(self):
        terminal = self.terminal(*python(self.CODE), rows=24, columns=80)
        terminal.read_until("size 80 24")
        for columns, rows in ((100, 40), (60, 20), (200, 50)):
            terminal.resize(rows, columns)
            terminal.read_until(f"size {columns} {rows} {columns} {rows} end")
        self.end(terminal)

    def end(self, terminal):
        wait_until(lambda: BARE or self.child_pid())
        terminal.send(b"\x1c")
        self.assertIn(exit_of(terminal.wait()), ("SIGQUIT",))

    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, (soft, hard))


class Modes(PosterTest):
    """A program that dies leaves the modes it would leave without poster; poster itself never makes it worse."""

    def launch_waiting(self):
        terminal = self.terminal("sh", "-c", "echo ready; exec sleep 1000")
        terminal.read_until("ready")
        return terminal

    def test_poster_does_not_touch_the_modes_while_the_child_runs(self):
        terminal = self.terminal("sh", "-c", "echo ready; read x")
        before = termios.tcgetattr(terminal.master)
        terminal.read_until("ready")
        self.assertEqual(terminal.modes(), before)
        terminal.send(b"\n")
        terminal.wait()
        self.assertEqual(terminal.modes(), before)

    def test_the_modes_are_right_after_kill_9_of_poster(self):
        shell = self.shell()
        shell.send(b"stty -a | head -1\n")
        shell.read_until("speed")
        before = self.sane(shell)
        shell.send(self.shell_words("sh", "-c", "echo ready; exec sleep 1000").encode() + b"\n")
        shell.read_until(r"\nready")
        job = self.foreground_job(shell)
        kill_quietly(job)
        shell.read_until("Killed")
        shell.send(b"echo still=$((1+1))\n")
        shell.read_until("still=2")
        self.assertEqual(self.sane(shell), before)
        shell.send(b"exit\n")
        shell.wait()

    def sane(self, terminal):
        """Whether lines end right and signals work: the part of the modes that readline leaves alone."""
        input_modes, output_modes, _, local_modes = terminal.modes()[:4]
        return bool(output_modes & termios.OPOST), bool(output_modes & termios.ONLCR), bool(local_modes & termios.ISIG)

    @poster_only
    def test_the_modes_are_right_after_kill_9_of_the_child(self):
        terminal = self.launch_waiting()
        before = terminal.modes()
        os.kill(self.child_pid(), signal.SIGKILL)
        self.assertEqual(terminal.wait(), 137)
        self.assertEqual(terminal.modes(), before)

    @poster_only
    def test_modes_that_a_child_changed_through_stdout_are_mended_after_its_kill(self):
        code = "import os, signal, tty\ntty.setcbreak(1)\nos.write(1, b'raw')\nwhile True: signal.pause()"
        terminal = self.terminal(*python(code))
        before = terminal.modes()
        terminal.read_until("raw")
        wait_until(lambda: not terminal.modes()[3] & termios.ICANON)
        os.kill(self.child_pid(), signal.SIGKILL)
        self.assertEqual(terminal.wait(), 137)
        self.assertEqual(terminal.modes(), before)


class Bytes(PosterTest):
    def test_the_terminal_shows_what_it_would_show_without_poster(self):
        data = b"plain\ntab\there\r\n10%\r20%\r\x1b[1mbold\x1b[0m\n\xc3\xa4 \xff\n"
        source = self.tmp / "bytes"
        source.write_bytes(data)
        terminal = self.terminal("cat", source)
        self.assertEqual(terminal.wait(), 0)
        wait_until(lambda: terminal.output == data.replace(b"\n", b"\r\n"))

    @poster_only
    def test_the_log_of_a_terminal_run_holds_the_programs_bytes_without_added_cr(self):
        data = b"line\nwith its own\r\n10%\r20%\rdone\n"
        source = self.tmp / "bytes"
        source.write_bytes(data)
        self.assertEqual(self.terminal("cat", source).wait(), 0)
        self.assertEqual(self.log(), data)

    def test_a_megabyte_through_the_terminal_arrives_whole(self):
        code = "import sys\nfor i in range(20000): print('%05d' % i + 'x' * 45)"
        terminal = self.terminal(*python(code))
        self.assertEqual(terminal.wait(), 0)
        wanted = b"".join(b"%05d" % i + b"x" * 45 + b"\r\n" for i in range(20000))
        wait_until(lambda: len(terminal.output) >= len(wanted))
        self.assertEqual(terminal.output, wanted)

    @poster_only
    def test_posters_own_lines_start_at_the_left_margin_even_after_a_partial_line(self):
        terminal = self.terminal("printf", "no newline at the end", quiet=False)
        self.assertEqual(terminal.wait(), 0)
        for line in terminal.output.replace(b"\r\n", b"\n").split(b"\n"):
            self.assertFalse(b"poster: " in line and not line.startswith(b"poster: "), line)


if __name__ == "__main__":
    main()
