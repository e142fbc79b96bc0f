"""What the end-to-end tests share: launching poster, terminals, waiting on conditions, reading what a run left behind.

POSTER         the binary under test (default build/dev/src/cli/poster)
POSTER_TEST    the same with the `probe` callback of tests/callbacks (default build/dev/tests/poster-test)
POSTER_VENV    the Python environment of scripts/test_environment (default build/venv)
POSTER_BARE=1  runs the commands without poster: what is expected "as without poster" must pass then too,
               which proves the test rather than the program
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
CHILDREN = HERE / "children"
BUILD = HERE.parent.parent / "build" / "dev"
POSTER = os.path.abspath(os.environ.get("POSTER", BUILD / "src" / "cli" / "poster"))
POSTER_TEST = os.path.abspath(os.environ.get("POSTER_TEST", BUILD / "tests" / "poster-test"))
VENV = pathlib.Path(os.path.abspath(os.environ.get("POSTER_VENV") or BUILD.parent / "venv"))
VENV_PYTHON = str(VENV / "bin" / "python")
BARE = os.environ.get("POSTER_BARE") == "1"
PATIENCE = float(os.environ.get("POSTER_PATIENCE", "30"))  # how long a condition may take on a slow machine
PYTHON = [sys.executable, "-S", "-E"]

poster_only = unittest.skipIf(BARE, "about poster itself, not about the command under it")
needs_root = unittest.skipIf(os.geteuid() != 0, "needs root")

needs_venv = unittest.skipUnless(
    os.access(VENV_PYTHON, os.X_OK), f"no test environment in {VENV}: scripts/test_environment makes it"
)


def pythons(least=(3, 7)):
    """The Pythons of this machine, oldest first, as {(3, 7): "/…/python", …}: of pyenv, on PATH, and this one."""
    paths = [*pathlib.Path.home().glob(".pyenv/versions/*/bin/python"), sys.executable]
    paths += filter(None, (shutil.which(f"python3.{minor}") for minor in range(7, 20)))
    found = {}
    for path in map(str, paths):
        code = "import sys; print(*sys.version_info[:2])"
        done = subprocess.run([path, "-S", "-E", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            found[tuple(map(int, done.stdout.split()))] = path
    return {version: path for version, path in sorted(found.items()) if version >= least}


def needs_program(name):
    return unittest.skipIf(shutil.which(name) is None, f"{name} is not installed")


def child_script(name, *arguments):
    """The command line of one of the helper programs in children/."""
    return [*PYTHON, str(CHILDREN / name), *map(str, arguments)]


def python(code, *arguments):
    return [*PYTHON, "-c", code, *map(str, arguments)]


def wait_until(condition, timeout=None, what="the condition"):
    """Returns the first true value of `condition()`; raises after `timeout` seconds."""
    deadline = time.monotonic() + (timeout or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout or PATIENCE:.0f} s")
        time.sleep(0.005)


def read_bytes(path):
    try:
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        return b""


def read_lines(path):
    return read_bytes(path).decode(errors="replace").splitlines()


def json_lines(path):
    lines = []
    for line in read_lines(path):
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    return lines


# ---- processes


def stat_fields(pid):
    """State, parent, group, session … of a process: /proc/PID/stat after the name; None when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_running(pid):
    """Also while threads of it are left, whose first has ended."""
    fields = stat_fields(pid)
    if fields is None or fields[0] not in "ZX":
        return fields is not None
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    return False


def state_of(pid):
    fields = stat_fields(pid)
    return fields[0] if fields else ""


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children_of(pid):
    children = []
    for other in all_pids():
        fields = stat_fields(other)
        if fields and int(fields[1]) == pid and fields[0] not in "ZX":
            children.append(other)
    return children


def kill_quietly(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def processes_marked(marker):
    """Processes whose environment or command line holds `marker`; zombies have neither."""
    marker, found = marker.encode(), []
    for pid in all_pids():
        if pid == os.getpid():
            continue
        with contextlib.suppress(OSError):
            blob = (
                pathlib.Path(f"/proc/{pid}/environ").read_bytes()
                + b"\0"
                + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            )
            if marker in blob:
                found.append(pid)
    return found


def describe(pid):
    with contextlib.suppress(OSError):
        return f"{pid}: " + pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(
            errors="replace"
        )
    return f"{pid}: gone"


# ---- a terminal


class Terminal:
    """A command on a terminal of its own, as leader of a session that the terminal controls."""

    def __init__(self, argv, env, cwd, rows=24, columns=80, stdin=None, stdout=None, stderr=None):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.seen = bytearray()
        self.lock = threading.Lock()
        pick = lambda given: slave if given is None else given
        self.process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=pick(stdin),
            stdout=pick(stdout),
            stderr=pick(stderr),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
        self.slave = slave
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                ready, _, _ = select.select([self.master], [], [], 0.2)
                if not ready:
                    continue
                data = os.read(self.master, 65536)
            except (OSError, ValueError):
                return
            if not data:
                return
            with self.lock:
                self.seen += data

    @property
    def output(self):
        with self.lock:
            return bytes(self.seen)

    def read_until(self, pattern, timeout=None):
        """Waits until the regular expression matches what the terminal has shown; returns the match."""
        wanted = re.compile(pattern if isinstance(pattern, bytes) else pattern.encode())
        try:
            return wait_until(lambda: wanted.search(self.output), timeout)
        except AssertionError:
            raise AssertionError(
                f"{wanted.pattern!r} did not appear on the terminal; it shows: {self.output!r}"
            ) from None

    def send(self, keys):
        os.write(self.master, keys)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self):
        return termios.tcgetattr(self.master)

    def foreground_group(self):
        return struct.unpack("i", fcntl.ioctl(self.master, termios.TIOCGPGRP, b"\0" * 4))[0]

    def wait(self, timeout=None):
        try:
            status = self.process.wait(timeout or PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; the terminal shows {self.output!r}") from None
        self.drain()
        return status

    def drain(self):
        """Lets the reader take what is still in the terminal: a mark of our own passes through after it."""
        mark = b"\x1b[drained%d" % time.monotonic_ns()
        try:
            os.write(self.slave, mark)
        except OSError:  # hung up with the end of its session: the reader comes to the end by itself
            self.reader.join(5)
            return
        wait_until(lambda: mark in self.output or not self.reader.is_alive())
        with self.lock:
            self.seen = self.seen.replace(mark, b"")

    def close(self):
        if self.process.poll() is None:
            kill_quietly(self.process.pid)
            self.process.wait()
        for fd in (self.slave, self.master):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.reader.join(5)


# ---- the test case


class PosterTest(unittest.TestCase):
    """A temporary project directory with its own store, and an end that finds what a test left running."""

    maxDiff = None
    leaves_processes = False  # set by a test that leaves background processes behind on purpose

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="poster-e2e-"))
        self.marker = f"E2E_TEST={self.tmp.name}"
        self.store = self.tmp / "store"
        self.cwd = self.tmp / "project"
        (self.tmp / "home").mkdir()
        self.cwd.mkdir()
        self.env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.tmp / "home"),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "E2E_TEST": self.tmp.name,
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        try:
            if not self.leaves_processes and self._outcome_is_good():
                wait_until(lambda: not processes_marked(self.marker), what="the end of every process of this test")
        except AssertionError:
            raise AssertionError("left running: " + "; ".join(map(describe, processes_marked(self.marker)))) from None
        finally:
            for pid in processes_marked(self.marker):
                kill_quietly(pid)
            shutil.rmtree(self.tmp, ignore_errors=True)

    def _outcome_is_good(self):
        result = getattr(self._outcome, "result", None)
        bad = [test for test, _ in getattr(result, "errors", []) + getattr(result, "failures", []) if test is self]
        return not bad and getattr(self._outcome, "success", True)

    # ---- launching

    def command(self, *argv, options=(), quiet=True, program=None, grace="1s"):
        """The command line that runs `argv` under poster, or as it is with POSTER_BARE=1."""
        if BARE:
            return list(map(str, argv))
        head = [
            program or POSTER,
            "run",
            "--store",
            str(self.store),
            "--grace",
            grace,
            *(["-q"] if quiet else []),
            *options,
        ]
        return list(map(str, [*head, "--", *argv]))

    def launch(
        self,
        *argv,
        options=(),
        quiet=True,
        program=None,
        grace="1s",
        env=None,
        cwd=None,
        timeout=None,
        wrapper=(),
        **popen,
    ):
        """Runs to the end; gives a CompletedProcess with bytes. No terminal anywhere unless one is passed in."""
        popen.setdefault("stdin", subprocess.DEVNULL) if "input" not in popen else None
        for stream in ("stdout", "stderr"):
            popen.setdefault(stream, subprocess.PIPE)
        return subprocess.run(
            [*wrapper, *self.command(*argv, options=options, quiet=quiet, program=program, grace=grace)],
            env=env if env is not None else self.env,
            cwd=cwd or self.cwd,
            timeout=timeout or 4 * PATIENCE,
            start_new_session=True,
            **popen,
        )

    def start(self, *argv, options=(), quiet=True, program=None, grace="1s", env=None, cwd=None, wrapper=(), **popen):
        """Starts and returns the Popen of poster (or of the bare command)."""
        for stream in ("stdin", "stdout", "stderr"):
            popen.setdefault(stream, subprocess.DEVNULL)
        process = subprocess.Popen(
            [*wrapper, *self.command(*argv, options=options, quiet=quiet, program=program, grace=grace)],
            env=env if env is not None else self.env,
            cwd=cwd or self.cwd,
            start_new_session=True,
            **popen,
        )
        self.addCleanup(self._end, process)
        return process

    def start_poster(self, *arguments, program=None, **popen):
        """Starts another subcommand of poster on this test's store; gives the Popen."""
        for stream in ("stdin", "stdout", "stderr"):
            popen.setdefault(stream, subprocess.DEVNULL)
        process = subprocess.Popen(
            [program or POSTER, arguments[0], "--store", str(self.store), *map(str, arguments[1:])],
            env=self.env,
            cwd=self.cwd,
            start_new_session=True,
            **popen,
        )
        self.addCleanup(self._end, process)
        return process

    def _end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()

    def poster(self, *arguments, program=None, env=None, cwd=None, check=None, timeout=None, store=True, **popen):
        """Another subcommand of poster, on this test's store."""
        head, rest = arguments[:1], arguments[1:]
        where = ("--store", str(self.store)) if store else ()
        for stream in ("stdout", "stderr"):
            popen.setdefault(stream, subprocess.PIPE)
        popen.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            [program or POSTER, *head, *where, *map(str, rest)],
            env=env if env is not None else self.env,
            cwd=cwd or self.cwd,
            timeout=timeout or 4 * PATIENCE,
            start_new_session=True,
            **popen,
        )
        if check is not None:
            self.assertEqual(done.returncode, check, (arguments, done.stdout, done.stderr))
        return done

    def poster_json(self, *arguments, **options):
        return json.loads(self.poster(*arguments, "--json", check=0, **options).stdout)

    def terminal(self, *argv, options=(), quiet=True, program=None, env=None, raw_argv=False, **streams):
        command = list(argv) if raw_argv else self.command(*argv, options=options, quiet=quiet, program=program)
        terminal = Terminal(command, env if env is not None else self.env, self.cwd, **streams)
        self.addCleanup(terminal.close)
        return terminal

    def shell(self):
        """An interactive bash on a terminal."""
        (self.tmp / "inputrc").write_text("set enable-bracketed-paste off\n")
        env = {**self.env, "PS1": "PROMPT> ", "HISTFILE": "", "INPUTRC": str(self.tmp / "inputrc")}
        terminal = self.terminal("bash", "--norc", "--noprofile", "-i", raw_argv=True, env=env)
        terminal.read_until("PROMPT> ")
        return terminal

    def git(self, *words, cwd=None):
        """Gives what git printed, in the project directory; as somebody who may commit."""
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=trunk", *map(str, words)],
            cwd=cwd or self.cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=True,
        ).stdout

    def foreground_job(self, shell):
        """The process group that the shell has put in the foreground of its terminal."""
        return wait_until(lambda: shell.foreground_group() not in (0, shell.process.pid) and shell.foreground_group())

    def shell_words(self, *argv, **options):
        """A command under poster as one would type it."""
        return shlex.join(self.command(*argv, **options))

    def fresh_store(self):
        """For the next case of a table: the next run is the only one again."""
        self.store = self.tmp / f"store-{time.monotonic_ns()}"

    # ---- what a run left behind

    def run_dirs(self):
        runs = self.store / "runs"
        return sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []

    def run_dir(self):
        dirs = self.run_dirs()
        self.assertEqual(len(dirs), 1, f"expected one run: {dirs}")
        return dirs[0]

    def run_json(self, run=None):
        return json.loads(((run or self.run_dir()) / "run.json").read_text())

    def attempt_dir(self, run=None, number=1):
        return (run or self.run_dir()) / "attempts" / str(number)

    def attempt(self, run=None, number=1):
        return json.loads((self.attempt_dir(run, number) / "attempt.json").read_text())

    def attempt_now(self):
        """attempt.json of the only run, or {} as long as there is none: for conditions."""
        for run in self.run_dirs():
            with contextlib.suppress(OSError, ValueError):
                return self.attempt(run)
        return {}

    def log(self, run=None):
        return (self.attempt_dir(run) / "output.log").read_bytes()

    def child_pid(self):
        """Of the only run, once it has started."""
        return wait_until(lambda: self.attempt_now().get("child_pid"), what="the start of the child")

    def host_pid(self, supervisor):
        """The callback host: the child of the supervisor that is not the program."""
        child = self.child_pid()
        hosts = wait_until(lambda: [pid for pid in children_of(supervisor) if pid != child], what="the callback host")
        return hosts[0]

    def outcome(self, run=None):
        """The outcome of an ended attempt."""
        attempt = self.attempt(run)
        self.assertIn("ended_at", attempt, f"no outcome: {attempt}")
        return attempt

    # ---- small assertions

    def assert_gone(self, *pids, timeout=None):
        for pid in pids:
            wait_until(lambda: not is_running(pid), timeout, f"the end of {describe(pid)}")

    def wait_for(self, path, content=b""):
        """Waits until a file that a child writes is there and holds `content`; returns all of it."""
        path = pathlib.Path(path)
        wait_until(lambda: path.exists() and content in read_bytes(path), what=f"{content!r} in {path.name}")
        return read_bytes(path)


def exit_of(status):
    """A returncode in words."""
    return signal.Signals(-status).name if status < 0 else status


def main():
    unittest.main(verbosity=1)
