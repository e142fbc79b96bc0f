#!/usr/bin/env python3
"""Measures poster against the programs one would use without it, and prints a Markdown table.

    bench/bench.py                      # everything; about five minutes, most of it for the store of 100,000 runs
    bench/bench.py --only launch        # launch, pipe, terminal, latency, memory, burst or store; may be repeated

Compared programs run in turns within one round, so that a load that comes and goes hits all of them. Needs the release
build, tini and script(1); what is missing is left out. Only the standard library is used.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import pty
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import time
import tty

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIB = 1 << 20
PYTHON = [sys.executable, "-S", "-E", "-c"]
WRITE_BLOCKS = "import os\nblock = bytes({size})\nfor _ in range({count}):\n    os.write(1, block)"
WRITE_LINES = "import os\nblock = (b'x' * 79 + b'\\n') * 800\nfor _ in range({count}):\n    os.write(1, block)"
# Answers in upper case, so that a terminal's own echo is not taken for it.
ECHO_KEYS = "import os\nos.write(1, b'!')\nwhile key := os.read(0, 1):\n    os.write(1, key.upper())"


class Bench:
    def __init__(self, options):
        self.options = options
        self.poster = str(options.poster.resolve())
        self.rows = []  # what, result, compared with, bar
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="poster-bench-", dir=options.tmp))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("POSTER_")} | {"HOME": str(self.tmp)}
        self.store = self.tmp / ".poster"
        os.chdir(self.tmp)  # outside any git repository
        self.check(self.run_words("true"))

    def run_words(self, *command):
        return [self.poster, "run", "-q", "--store", str(self.store), *command]

    def check(self, command, **more):
        return subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, check=True, **more)

    def row(self, what, result, compared="", bar=""):
        self.rows.append((what, result, compared, bar))
        print(f"{what}: {result}  {compared}", file=sys.stderr, flush=True)

    def forget_runs(self):
        shutil.rmtree(self.store / "runs", ignore_errors=True)
        with contextlib.suppress(OSError):
            os.sync()


# ---- launch


def time_spawn(program, words, env):
    """Milliseconds from spawn to reaped."""
    begin = time.perf_counter_ns()
    pid = os.posix_spawn(program, words, env, file_actions=NULL_OUTPUT)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter_ns() - begin) / 1e6
    if status:
        raise RuntimeError(f"{words}: wait status {status}")
    return took


NULL_OUTPUT = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]


def launch(bench):
    commands = {
        "true": ["true"],
        "env true": ["env", "true"],
        "tini -s -- true": ["tini", "-s", "--", "true"],
        "poster run true": [bench.poster, "run", "--store", str(bench.store), "true"],
        "script -qec true /dev/null": ["script", "-qec", "true", "/dev/null"],
    }
    commands = {name: words for name, words in commands.items() if shutil.which(words[0])}
    times = {name: [] for name in commands}
    for number in range(bench.options.rounds + 5):
        names = list(commands)
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            words = commands[name]
            took = time_spawn(shutil.which(words[0]), words, bench.env)
            if number >= 5:  # the first ones warm up
                times[name].append(took)
    median = {name: statistics.median(values) for name, values in times.items()}
    mine = median["poster run true"]
    bars = {"tini -s -- true": "at most 5", "script -qec true /dev/null": "at most 0.5"}
    bench.row(f"`poster run true`, median of {bench.options.rounds}", f"{mine:.2f} ms (best {min(times['poster run true']):.2f})")
    for name, value in median.items():
        if name != "poster run true":
            bench.row(f"… against `{name}`", f"{mine / value:.2f} times", f"{value:.2f} ms", bars.get(name, ""))


# ---- throughput


def shell_seconds(bench, line):
    begin = time.perf_counter()
    bench.check(["bash", "-o", "pipefail", "-c", line], stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def compare_seconds(bench, ways, repeats):
    """Median seconds of each way, in turns; what they wrote is removed in between."""
    seconds = {name: [] for name in ways}
    for number in range(repeats):
        for name, way in list(ways.items())[:: -1 if number % 2 else 1]:
            seconds[name].append(way())
            for file in bench.tmp.glob("out.*"):
                file.unlink()
            bench.forget_runs()
    return {name: statistics.median(values) for name, values in seconds.items()}


def pipe(bench):
    size = bench.options.pipe_mib
    producer = bench.tmp / "produce.py"
    producer.write_text(WRITE_BLOCKS.format(size=MIB // 4, count=size * 4))
    produce = f"{sys.executable} -S -E {producer}"
    launched = " ".join(bench.run_words(produce))
    for where, end in (("/dev/null", "> /dev/null"), ("a pipe with a reader", "| cat > /dev/null")):
        ways = {
            "poster": lambda end=end: shell_seconds(bench, f"{launched} {end}"),
            "tee": lambda end=end: shell_seconds(bench, f"{produce} | tee out.tee {end}"),
        }
        took = compare_seconds(bench, ways, bench.options.repeats)
        bench.row(
            f"{size} MiB through a pipe, stdout is {where}",
            f"{size / took['poster']:.0f} MiB/s, {took['tee'] / took['poster']:.1f} times as fast",
            f"`tee FILE`: {size / took['tee']:.0f} MiB/s",
            "at least 2",
        )


# ---- terminal


@contextlib.contextmanager
def in_terminal(bench, words, raw, patience=2):
    """Runs the command in a terminal of its own; yields the master."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            if raw:
                tty.setraw(0, termios.TCSANOW)
            os.execvpe(words[0], words, bench.env)
        finally:
            os._exit(127)
    try:
        yield master
    finally:
        os.close(master)  # hangs up, where the command has not ended by itself
        for number in (0, signal.SIGTERM, signal.SIGKILL):  # script(1) sleeps through a hang-up
            if ends_within(pid, patience, number):
                break


def ends_within(pid, seconds, number):
    os.kill(pid, number)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.001)
    return False


def terminal_seconds(bench, words):
    begin = time.perf_counter()
    with in_terminal(bench, words, raw=False, patience=120) as master:
        with contextlib.suppress(OSError):  # EIO: the last slave is closed
            while os.read(master, 65536):
                pass
    return time.perf_counter() - begin


def terminal(bench):
    count = bench.options.terminal_mib * MIB // 64000
    produce = [*PYTHON, WRITE_LINES.format(count=count)]
    size = count * 64000 / MIB
    (bench.tmp / "lines.py").write_text(produce[-1])
    line = f"{sys.executable} -S -E {bench.tmp / 'lines.py'}"
    ways = {
        "bare": lambda: terminal_seconds(bench, produce),
        "poster": lambda: terminal_seconds(bench, bench.run_words(*produce)),
    }
    if shutil.which("script"):
        ways["script"] = lambda: terminal_seconds(bench, ["script", "-q", "-e", "-c", line, "out.script"])
    took = compare_seconds(bench, ways, bench.options.repeats)
    mine = f"{size / took['poster']:.1f} MiB/s"
    what = f"{size:.0f} MiB of lines to a terminal"
    bench.row(what, mine, f"bare: {size / took['bare']:.1f} MiB/s")
    if "script" in took:
        bench.row(
            "… against `script -q FILE`",
            f"{took['script'] / took['poster']:.1f} times as fast",
            f"{size / took['script']:.1f} MiB/s",
            "at least 2",
        )


def read_some(master, timeout=20):
    if not select.select([master], [], [], timeout)[0]:
        raise RuntimeError("the terminal stays silent")
    return os.read(master, 4096)


def key_latencies(bench, words, keys=1000):
    """Microseconds from each key to its echo by the child."""
    times = []
    with in_terminal(bench, words, raw=True) as master:
        while b"!" not in read_some(master):
            pass
        for number in range(keys + 50):
            key = bytes([ord("a") + number % 26])
            begin = time.perf_counter_ns()
            os.write(master, key)
            while key.upper() not in read_some(master):
                pass
            if number >= 50:
                times.append((time.perf_counter_ns() - begin) / 1e3)
            time.sleep(0.0005)  # a person does not type into a hot cache either
    return times


def latency(bench):
    echo = [*PYTHON, ECHO_KEYS]
    (bench.tmp / "echo.py").write_text(ECHO_KEYS)
    line = f"{sys.executable} -S -E {bench.tmp / 'echo.py'}"
    ways = {"bare": echo, "poster": bench.run_words(*echo)}
    if shutil.which("script"):
        ways["script"] = ["script", "-q", "-c", line, "/dev/null"]
    median = {name: statistics.median(key_latencies(bench, words)) for name, words in ways.items()}
    others = ", ".join(f"{name}: {value:.0f} µs" for name, value in median.items() if name != "poster")
    bench.row("key to screen through a terminal, median of 1000", f"{median['poster']:.0f} µs", others, "under 200 µs")


# ---- memory


def pss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss")


def children(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(bench):
    poster = subprocess.Popen(bench.run_words("sleep", "60"), env=bench.env, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while len(children(poster.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(3)  # the first sample and the captures are in it
        exe = os.path.realpath(f"/proc/{poster.pid}/exe")
        hosts = [pid for pid in children(poster.pid) if os.path.realpath(f"/proc/{pid}/exe") == exe]
        supervisor, host = pss_kib(poster.pid), sum(map(pss_kib, hosts))
    finally:
        poster.terminate()
        poster.wait()
    bench.row(
        "memory of supervisor and callback host (PSS)",
        f"{(supervisor + host) / 1024:.1f} MiB",
        f"{supervisor / 1024:.1f} + {host / 1024:.1f} MiB",
        "under 10 MB",
    )


# ---- many runs


def burst(bench):
    store = bench.tmp / "burst"
    words = [bench.poster, "run", "-q", "--store", str(store), "true"]
    begin = time.perf_counter()
    runs = [subprocess.Popen(words, env=bench.env, stdin=subprocess.DEVNULL) for _ in range(100)]
    statuses = [run.wait() for run in runs]
    took = time.perf_counter() - begin
    listed = bench.check([bench.poster, "ls", "--json", "--store", str(store)], stdout=subprocess.PIPE).stdout
    finished = sum(run["status"] == "finished" for run in json.loads(listed))
    kept = f"{finished} of 100 listed as finished, {statuses.count(0)} exited with 0"
    bench.row("100 `poster run true` at once in one store", f"{took:.2f} s", kept, "under 5 s, none lost")


def store(bench):
    big = bench.options.big_store
    if big is None:
        big = bench.tmp / "big" / ".poster"
        bench.check([sys.executable, str(ROOT / "bench" / "make_store.py"), str(bench.options.runs), str(big)])
    runs = len(os.listdir(big / "runs"))
    for file in big.glob("index.sqlite*"):
        file.unlink()
    begin = time.perf_counter()
    bench.check([bench.poster, "reindex", "--store", str(big)], stdout=subprocess.DEVNULL)
    bench.row(f"`poster reindex` of {runs:,} runs, no index before", f"{time.perf_counter() - begin:.1f} s", "", "under 30 s")
    ls = [bench.poster, "ls", "--store", str(big)]
    bench.check(ls, stdout=subprocess.DEVNULL)
    times = [time_spawn(ls[0], ls, bench.env) for _ in range(30)]
    bench.row(f"`poster ls` of {runs:,} runs, median of 30", f"{statistics.median(times):.1f} ms", "", "under 50 ms")


BENCHES = {f.__name__: f for f in (launch, pipe, terminal, latency, memory, burst, store)}


def machine():
    model = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine()
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f} at the start"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(BENCHES), help="this one; may be repeated")
    parser.add_argument("--poster", type=pathlib.Path, default=ROOT / "build" / "release" / "src" / "cli" / "poster")
    parser.add_argument("--tmp", help="where to work; default: the temporary directory. /dev/shm leaves the disk out")
    parser.add_argument("--rounds", type=int, default=100, help="of launches")
    parser.add_argument("--repeats", type=int, default=5, help="of each throughput measurement")
    parser.add_argument("--pipe-mib", type=int, default=1024)
    parser.add_argument("--terminal-mib", type=int, default=64)
    parser.add_argument("--runs", type=int, default=100_000, help="in the big store")
    parser.add_argument("--big-store", type=pathlib.Path, help="a store made by make_store.py; its index is rebuilt")
    options = parser.parse_args()
    if not options.poster.exists():
        parser.error(f"{options.poster} is not there; build it (cmake --preset release) or give --poster")
    if options.big_store:
        options.big_store = options.big_store.resolve()
    return options


def main():
    options = parse()
    where = machine()
    bench = Bench(options)
    try:
        for name in options.only or BENCHES:
            BENCHES[name](bench)
        print(f"{where}.\n\n| what | poster | compared | bar |\n| --- | --- | --- | --- |")
        for row in bench.rows:
            print("| " + " | ".join(row) + " |", flush=True)
    finally:  # the big store takes its time
        os.chdir("/")
        shutil.rmtree(bench.tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
