"""Every byte arrives, in order, in time, on its own stream; the log has it too."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from harness import (
    BARE,
    PosterTest,
    is_running,
    kill_quietly,
    main,
    needs_program,
    needs_root,
    poster_only,
    python,
    read_bytes,
    wait_until,
)

STREAMS = {"stdout": 1, "stderr": 2}


class Bytes(PosterTest):
    def test_stdout_and_stderr_each_get_their_own_bytes(self):
        done = self.launch("sh", "-c", "echo out; echo err >&2; printf 'no newline'; printf 'none here' >&2")
        self.assertEqual((done.stdout, done.stderr), (b"out\nno newline", b"err\nnone here"))

    def test_any_bytes_pass_unchanged(self):
        cases = {
            "NUL bytes": b"a\0b\0\0c\n",
            "invalid UTF-8": b"\xff\xfe\x80 caf\xe9\n",
            "every byte": bytes(range(256)) * 5,
            "carriage returns": b"10%\r20%\r30%\r\n",
            "escape sequences": b"\x1b[31mred\x1b[0m\x1b[2K\x1b[1A\n",
            "no final newline": b"half a line",
            "nothing": b"",
            "UTF-8 cut anywhere": "größe €\n".encode() * 3000,
        }
        source = self.tmp / "bytes"
        code = "import os, sys\nd = open(sys.argv[1], 'rb').read()\nwhile d: d = d[os.write(int(sys.argv[2]), d):]"
        for (case, data), (stream, number) in [(c, s) for c in cases.items() for s in STREAMS.items()]:
            with self.subTest(case=case, stream=stream):
                source.write_bytes(data)
                self.fresh_store()
                done = self.launch(*python(code, source, number))
                self.assertEqual(getattr(done, stream), data)
                if not BARE:
                    self.assertEqual(self.log(), data)

    def test_a_line_of_20_mb_passes(self):
        done = self.launch(*python("import sys; sys.stdout.write('x' * 20_000_000 + '\\n')"))
        self.assertEqual(len(done.stdout), 20_000_001)
        self.assertEqual(done.stdout, b"x" * 20_000_000 + b"\n")
        if not BARE:
            self.assertEqual(self.log(), done.stdout)

    def test_200_mb_through_a_pipe_arrive_whole(self):
        code = "import sys\nblock = bytes(range(256)) * 4096\nfor _ in range(200): sys.stdout.buffer.write(block)"
        done = self.launch(*python(code))
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(bytes(range(256)) * 4096 * 200).digest())

    def test_output_written_just_before_the_end_is_never_lost(self):
        code = "import os; os.write(1, b'x' * 60000 + b'last words'); os._exit(3)"
        for _ in range(20):
            done = self.launch(*python(code))
            self.assertEqual((done.stdout[-10:], len(done.stdout), done.returncode), (b"last words", 60010, 3))

    def test_output_written_just_before_the_end_is_never_lost_on_a_terminal(self):
        for _ in range(10):
            terminal = self.terminal(*python("import os; os.write(1, b'x' * 3000 + b'last words'); os._exit(3)"))
            self.assertEqual(terminal.wait(), 3)
            wait_until(lambda: b"last words" in terminal.output)

    def test_output_of_a_child_that_is_killed_is_never_lost(self):
        code = "import os; os.write(1, b'written'); os.kill(os.getpid(), 9)"
        self.assertEqual(self.launch(*python(code)).stdout, b"written")


class Order(PosterTest):
    CODE = "import os\nfor i in range(5000): os.write(1 + i % 2, b'%d\\n' % i)"
    WANTED = b"".join(b"%d\n" % i for i in range(5000))

    def test_2_to_1_keeps_the_order_of_both_streams_in_a_pipe(self):
        done = self.launch(*python(self.CODE), stderr=subprocess.STDOUT)
        self.assertEqual(done.stdout, self.WANTED)
        if not BARE:
            self.assertEqual(self.log(), self.WANTED)

    def test_2_to_1_keeps_the_order_of_both_streams_in_a_file(self):
        with open(self.tmp / "both", "wb") as both:
            self.launch(*python(self.CODE), stdout=both, stderr=both)
        self.assertEqual((self.tmp / "both").read_bytes(), self.WANTED)

    def test_a_terminal_keeps_the_order_of_both_streams(self):
        terminal = self.terminal(*python("import os\nfor i in range(500): os.write(1 + i % 2, b'%d\\n' % i)"))
        self.assertEqual(terminal.wait(), 0)
        wanted = b"".join(b"%d\r\n" % i for i in range(500))
        wait_until(lambda: terminal.output == wanted)

    def test_a_file_opened_for_append_is_appended_to(self):
        path = self.tmp / "all.txt"
        path.write_bytes(b"before\n")
        with open(path, "ab") as out:
            self.launch("echo", "during", stdout=out)
        self.assertEqual(path.read_bytes(), b"before\nduring\n")

    def test_a_file_is_written_from_where_the_caller_had_come_to(self):
        path = self.tmp / "all.txt"
        words = self.shell_words("echo", "child")
        subprocess.run(
            ["sh", "-c", f"(echo before; {words}; echo after) > {path}"],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
            timeout=120,
        )
        self.assertEqual(path.read_bytes(), b"before\nchild\nafter\n")


class InTime(PosterTest):
    def test_flushed_partial_lines_appear_at_once(self):
        code = "import os, sys\nn = int(sys.argv[1])\nos.write(n, b'Password? ')\nos.read(0, 1)\nos.write(n, b'ok')"
        for stream, number in STREAMS.items():
            with self.subTest(stream=stream):
                process = self.start(*python(code, number), stdin=subprocess.PIPE, **{stream: subprocess.PIPE})
                pipe = getattr(process, stream)
                self.assertEqual(os.read(pipe.fileno(), 100), b"Password? ")
                process.stdin.write(b"x")
                process.stdin.close()
                self.assertEqual(pipe.read(), b"ok")
                self.assertEqual(process.wait(60), 0)

    def test_each_line_arrives_before_the_next_one_is_asked_for(self):
        process = self.start("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for i in range(200):
            line = b"line %d\n" % i
            process.stdin.write(line)
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), line)
        process.stdin.close()
        self.assertEqual(process.wait(60), 0)

    @poster_only
    def test_the_log_has_a_partial_line_while_the_child_runs(self):
        process = self.start("sh", "-c", "printf 'step 1'; read x", stdin=subprocess.PIPE)
        wait_until(
            lambda: self.run_dirs() and read_bytes(self.attempt_dir(self.run_dirs()[0]) / "output.log") == b"step 1"
        )
        process.stdin.close()
        process.wait(60)

    def test_a_slow_reader_gets_everything_and_slows_the_child_down(self):
        code = "import os, sys\nfor i in range(300): os.write(1, b'y' * 65536)\nopen(sys.argv[1], 'w')"
        finished = self.tmp / "finished"
        process = self.start(*python(code, finished), stdout=subprocess.PIPE)
        wait_until(lambda: os.path.exists(f"/proc/{process.pid}"))
        first = process.stdout.read(65536)
        self.assertFalse(finished.exists(), "poster has buffered the whole output of the child")
        rest = process.stdout.read()
        self.assertEqual(len(first) + len(rest), 300 * 65536)
        self.assertEqual(process.wait(60), 0)


class Ends(PosterTest):
    def test_the_reader_sees_the_end_of_a_stream_when_the_child_closes_it(self):
        code = "import os; os.close(1); os.read(0, 1)"
        process = self.start(*python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.read(), b"")
        self.assertIsNone(process.poll())
        process.stdin.close()
        self.assertEqual(process.wait(60), 0)

    @poster_only
    def test_a_background_grandchild_that_holds_the_pipe_delays_the_end_by_a_short_drain_only(self):
        self.leaves_processes = True
        began = time.monotonic()
        process = self.start("sh", "-c", "sleep 1000 & echo started; exit 4", stdout=subprocess.PIPE)
        self.assertEqual(process.wait(60), 4)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(process.stdout.readline(), b"started\n")
        self.assertEqual(self.outcome()["left_behind"], 1)

    @poster_only
    def test_a_background_grandchild_is_left_alone_after_a_normal_end(self):
        self.leaves_processes = True
        pid_file = self.tmp / "pid"
        self.launch("sh", "-c", f"sleep 1000 & echo $! > {pid_file}")
        pid = int(pid_file.read_text())
        self.assertTrue(is_running(pid))
        kill_quietly(pid)

    def test_a_reader_that_comes_long_after_the_end_of_the_child_still_gets_everything(self):
        code = "import os\nfor i in range(30): os.write(1, b'q' * 65536)"
        process = self.start(*python(code), stdout=subprocess.PIPE)
        first = process.stdout.read(65536)
        began = time.monotonic()
        # Longer than any drain; without poster the child itself waits for its reader meanwhile.
        wait_until(lambda: time.monotonic() - began > 3)
        self.assertEqual(len(first) + len(process.stdout.read()), 30 * 65536)
        self.assertEqual(process.wait(60), 0)

    def test_the_late_line_of_a_grandchild_within_the_drain_is_not_lost(self):
        process = self.start("sh", "-c", "(sleep 0.15; echo late) & echo early", stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.read(), b"early\nlate\n")

    def test_a_reader_that_goes_away_ends_an_endless_writer(self):
        words = self.shell_words("yes")
        done = subprocess.run(
            ["bash", "-c", f"{words} | head -1; echo ${{PIPESTATUS[0]}}"],
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
            timeout=120,
        )
        self.assertEqual(done.stdout, b"y\n%d\n" % (128 + signal.SIGPIPE), done.stderr)

    def test_a_child_that_ignores_sigpipe_sees_epipe_when_the_reader_goes_away(self):
        code = (
            "import os, sys\ntry:\n    while True: os.write(1, b'y' * 4096)\n"
            "except BrokenPipeError: open(sys.argv[1], 'w').write('EPIPE')\nsys.exit(11)"
        )
        witness = self.tmp / "witness"
        process = self.start(*python(code, witness), stdout=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(process.wait(60), 11)
        self.assertEqual(witness.read_text(), "EPIPE")

    def test_a_reader_of_stdout_that_goes_away_leaves_stderr_alone(self):
        code = (
            "import os, sys\nos.read(0, 1)\ntry:\n    while True: os.write(1, b'y' * 4096)\n"
            "except BrokenPipeError: pass\nos.write(2, b'still here')"
        )
        process = self.start(*python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        process.stdin.write(b"x")
        process.stdin.close()
        self.assertEqual(process.stderr.read(), b"still here")
        self.assertEqual(process.wait(60), 0)

    def test_a_full_disk_under_stdout_never_hangs_the_child(self):
        with open("/dev/full", "wb", buffering=0) as full:
            done = self.launch("sh", "-c", "echo hello; echo on stderr >&2; exit 3", stdout=full)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"on stderr", done.stderr)


@poster_only
class LogTrouble(PosterTest):
    def run_writing(self, **options):
        """A child that writes 8 MB and tells a witness file that it could."""
        witness = self.tmp / "witness"
        code = (
            "import os, sys\nfor i in range(128): os.write(1, b'z' * 65536)\n"
            "open(sys.argv[1], 'w').write('done')\nsys.exit(3)"
        )
        done = self.launch(*python(code, witness), **options)
        self.assertEqual(len(done.stdout), 128 * 65536)
        self.assertEqual((done.returncode, read_bytes(witness)), (3, b"done"))
        return done

    @contextlib.contextmanager
    def small_disk(self, size):
        mount = pathlib.Path(tempfile.mkdtemp(prefix="poster-e2e-disk-"))
        if (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", mount], stderr=subprocess.DEVNULL
            ).returncode
            != 0
        ):
            mount.rmdir()
            self.skipTest("may not mount a tmpfs")
        try:
            yield mount
        finally:
            subprocess.run(["umount", "-l", mount])
            mount.rmdir()

    @needs_root
    def test_a_full_disk_stops_the_log_and_never_the_child(self):
        with self.small_disk("2m") as disk:
            self.store = disk / "store"
            done = self.run_writing()
            warnings = [line for line in done.stderr.splitlines() if line.startswith(b"poster: ")]
            self.assertEqual(len(warnings), 1, done.stderr)
            attempt = self.outcome()
            self.assertTrue(attempt["log_truncated"])
            self.assertEqual((attempt["status"], attempt["exit_code"]), ("failed", 3))

    @needs_program("prlimit")
    def test_a_file_size_limit_stops_the_log_and_never_the_child(self):
        # The limit is inherited: this child raises its own soft limit again before it writes its witness.
        done = self.run_writing(wrapper=["prlimit", "--fsize=1000000:unlimited"])
        warnings = [line for line in done.stderr.splitlines() if line.startswith(b"poster: ")]
        self.assertEqual(len(warnings), 1, done.stderr)
        self.assertTrue(self.outcome()["log_truncated"])
        self.assertLessEqual(len(self.log()), 1000000)

    def test_a_run_directory_deleted_under_its_feet_never_harms_the_child(self):
        code = "import os\nos.write(1, b'before\\n')\nos.read(0, 1)\nos.write(1, b'after\\n')\nos._exit(5)"
        process = self.start(*python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"before\n")
        self.child_pid()
        wait_until(lambda: self._deleted())
        process.stdin.write(b"x")
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b"after\n")
        self.assertEqual(process.wait(60), 5)
        warnings = process.stderr.read().splitlines()
        self.assertLessEqual(len(warnings), 2, warnings)

    def _deleted(self):
        shutil.rmtree(self.store, ignore_errors=True)
        return not self.store.exists()

    def test_a_run_directory_made_read_only_never_harms_the_child(self):
        code = "import os\nos.write(1, b'before\\n')\nos.read(0, 1)\nos.write(1, b'after\\n')\nos._exit(5)"
        process = self.start(*python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"before\n")
        self.child_pid()
        folders = [path for path in self.store.rglob("*") if path.is_dir()] + [self.store]
        for path in folders:
            path.chmod(0o500)
        process.stdin.write(b"x")
        process.stdin.close()
        self.assertEqual(process.stdout.read(), b"after\n")
        self.assertEqual(process.wait(60), 5)
        for path in folders:
            with contextlib.suppress(FileNotFoundError):
                path.chmod(0o700)

    def test_a_poster_that_was_stopped_for_a_while_loses_no_data(self):
        code = "import os\nos.write(1, b'a' * 300000 + b'end')\n"
        process = self.start(
            *python("import os\nos.read(0, 1)\n" + code), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.child_pid()
        os.kill(process.pid, signal.SIGSTOP)
        process.stdin.write(b"x")
        process.stdin.close()
        os.kill(process.pid, signal.SIGCONT)
        self.assertEqual(process.stdout.read(), b"a" * 300000 + b"end")
        self.assertEqual(process.wait(60), 0)


if __name__ == "__main__":
    main()
