#!/usr/bin/env python3
"""What a logged metric costs, beside other trackers, and what poster's processes take meanwhile; prints Markdown tables.

    bench/bench_logging.py                      # everything; about ten minutes
    bench/bench_logging.py --only cost          # cost, million, load or reading; may be repeated

Needs the release build. The trackers are installed into a virtual environment of their own, build/bench-venv, at the versions
of bench/requirements.txt; what cannot be installed, or fails, is said in the table. Trackers run in turns within one round, so
that a load that comes and goes hits all of them.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time

from bench import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIENT = ROOT / "src" / "client" / "python"
TICK = os.sysconf("SC_CLK_TCK")

# Each defines log(i) and close(); runs in a working directory of its own.
TRACKERS = {
    "poster, in a run": """
        import sys; sys.path.append(CLIENT)
        import poster
        assert poster.active
        log = lambda i: poster.log_metric("loss", VALUES[i], step=i)
        close = lambda: None
    """,
    "poster, outside a run": """
        import sys; sys.path.append(CLIENT)
        import poster
        assert not poster.active
        log = lambda i: poster.log_metric("loss", VALUES[i], step=i)
        close = lambda: None
    """,
    "tensorboardX": """
        from tensorboardX import SummaryWriter
        writer = SummaryWriter("tb")
        log = lambda i: writer.add_scalar("loss", VALUES[i], i)
        close = writer.close
    """,
    "wandb, offline": """
        import wandb
        run = wandb.init(mode="offline", project="bench", dir=".", settings=wandb.Settings(silent=True, console="off"))
        log = lambda i: run.log({"loss": VALUES[i]}, step=i)
        close = run.finish
    """,
    "mlflow, files": """
        import os; os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        import mlflow
        mlflow.set_tracking_uri("file:mlruns")
        mlflow.start_run()
        log = lambda i: mlflow.log_metric("loss", VALUES[i], step=i)
        close = mlflow.end_run
    """,
    "mlflow, sqlite": """
        import mlflow
        mlflow.set_tracking_uri("sqlite:///mlflow.db")
        mlflow.start_run()
        log = lambda i: mlflow.log_metric("loss", VALUES[i], step=i)
        close = mlflow.end_run
    """,
    "aim": """
        import aim
        run = aim.Run(repo=".", system_tracking_interval=None, capture_terminal_logs=False, log_system_params=False)
        log = lambda i: run.track(VALUES[i], name="loss", step=i)
        close = run.close
    """,
    "trackio": """
        import os, sys
        os.environ["TRACKIO_DIR"] = os.getcwd()
        os.environ["HF_HUB_OFFLINE"] = "1"
        sys.stdout, kept = open(os.devnull, "w"), sys.stdout
        import trackio
        trackio.init(project="bench")
        sys.stdout = kept
        log = lambda i: trackio.log({"loss": VALUES[i]}, step=i)
        def close():
            sys.stdout = open(os.devnull, "w")
            trackio.finish()
            sys.stdout = kept
    """,
}

# How many calls a measurement has: about two seconds' worth on an idle machine, at most.
CALLS = {
    "poster, in a run": 200_000,
    "poster, outside a run": 200_000,
    "tensorboardX": 20_000,
    "wandb, offline": 5000,
    "mlflow, files": 1000,
    "mlflow, sqlite": 100,
    "aim": 5000,
    "trackio": 5000,
}

# Times single calls, then all of it: to the moment when the tracker has closed its files. CPU: this process, all of its
# threads, and helpers that it has waited for.
MEASURE = r"""
import json, os, random, statistics, sys, time
calls = int(sys.argv[1])
VALUES = [random.random() for _ in range(calls)]
CLIENT = sys.argv[2]
{tracker}
log(0)
clock, times = time.perf_counter_ns, []
cpu, begin = os.times(), clock()
for i in range(1, calls):
    before = clock()
    log(i)
    times.append(clock() - before)
looped = clock() - begin
close()
ended, after = clock() - begin, os.times()
empty = []
for _ in range(10000):
    before = clock()
    empty.append(clock() - before)
times.sort()
cost = statistics.median(empty)
print(json.dumps({{
    "call": statistics.median(times) - cost, "p99": times[int(len(times) * 0.99)] - cost, "mean": looped / len(times) - 2 * cost,
    "total": ended / len(times), "cpu": sum(b - a for a, b in zip(cpu[:4], after[:4])) * 1e9 / len(times)}}))
"""

C_PROGRAM = r"""
#include <poster/poster.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* COUNT [RATE]: logs so many metrics, RATE of them in a second; prints nanoseconds a call, the seconds it took, and
   the nanoseconds of processor time a call. */
int main(int count_of_words, char** words) {
    long count = atol(words[1]), rate = count_of_words > 2 ? atol(words[2]) : 0, i;
    double begin = seconds();
    for (i = 0; i < count; ++i) {
        if (rate > 0 && i % 100 == 0) {
            double wait = begin + (double)i / (double)rate - seconds();
            if (wait > 0) {
                struct timespec pause = {0, 0};
                pause.tv_nsec = (long)(wait * 1e9);
                nanosleep(&pause, NULL);
            }
        }
        poster_log_metric("loss", 1.0 / (double)(i + 1), i);
    }
    poster_flush();
    printf("%.1f %.3f %.1f\n", (seconds() - begin) / (double)count * 1e9, seconds() - begin,
           (double)clock() / CLOCKS_PER_SEC / (double)count * 1e9);
    return 0;
}
"""


class Bench:
    def __init__(self, options):
        self.options = options
        self.poster = str(options.poster.resolve())
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="poster-bench-", dir=options.tmp))
        self.store = self.tmp / ".poster"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("POSTER_", "PYTHON"))} | {"HOME": str(self.tmp)}
        self.rows = []

    def run_words(self, *command):
        return [self.poster, "run", "-q", "--store", str(self.store), *map(str, command)]

    def output(self, words, cwd=None, env=None, timeout=600):
        done = subprocess.run(
            [str(word) for word in words], env=env or self.env, cwd=cwd or self.tmp, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout,
        )
        if done.returncode != 0:
            said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip() and "help:" not in line]
            raise RuntimeError(said[-1] if said else f"exit {done.returncode}")
        return done.stdout

    def row(self, *cells):
        self.rows.append(cells)
        print(" | ".join(cells), file=sys.stderr, flush=True)

    def table(self, *titles):
        print("| " + " | ".join(titles) + " |\n|" + " --- |" * len(titles))
        for row in self.rows:
            print("| " + " | ".join(row) + " |")
        print(flush=True)
        self.rows.clear()

    def c_program(self):
        program = self.tmp / "logging"
        if not program.exists():
            (self.tmp / "logging.c").write_text(C_PROGRAM)
            self.output(["cc", "-O2", "-std=gnu99", "-I", ROOT / "include", self.tmp / "logging.c", "-o", program, "-pthread"])
        return program


# ---- cost


def requirements():
    lines = (ROOT / "bench" / "requirements.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def make_venv(options):
    """Each package by itself: one that cannot be installed takes no other along. Returns what failed."""
    python, missing = options.venv / "bin" / "python", []
    if not python.exists():
        subprocess.run([options.python, "-m", "venv", options.venv], check=True)
    known = versions(python)
    for package in requirements():
        if known.get(package.partition("==")[0].lower()) == package.partition("==")[2]:
            continue
        words = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", package]
        if subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            missing.append(package)
    return python, missing


def versions(python):
    code = "import importlib.metadata as m\nfor d in m.distributions(): print(d.metadata['Name'].lower(), d.version)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def measure(bench, python, name):
    folder = pathlib.Path(tempfile.mkdtemp(dir=bench.tmp))
    program = folder / "measure.py"
    program.write_text(MEASURE.format(tracker=textwrap.dedent(TRACKERS[name])))
    words = [python, program, CALLS[name], CLIENT]
    output = bench.output(bench.run_words(*words) if name == "poster, in a run" else words, cwd=folder)
    shutil.rmtree(folder, ignore_errors=True)
    return json.loads(output.splitlines()[-1])


def measure_c(bench, inside):
    words = [bench.c_program(), 1_000_000]
    mean, _, cpu = map(float, bench.output(bench.run_words(*words) if inside else words).split())
    return {"mean": mean, "total": mean, "cpu": cpu}


def cost(bench):
    python, missing = make_venv(bench.options)
    known, failed = versions(python), {}
    results = {name: [] for name in ["poster.h, in a run", "poster.h, outside a run", *TRACKERS]}
    for _ in range(bench.options.rounds):
        for name in results:
            if name in failed:
                continue
            try:
                is_c = name.startswith("poster.h")
                results[name].append(measure_c(bench, name.endswith("in a run")) if is_c else measure(bench, python, name))
            except (RuntimeError, ValueError, subprocess.TimeoutExpired, OSError) as error:
                failed[name] = str(error)
    report_cost(bench, results, failed, known)
    if missing:
        print("Not installed: " + ", ".join(missing) + ".\n")


def report_cost(bench, results, failed, known):
    middle = lambda name, key: statistics.median(result[key] for result in results[name])
    base = middle("poster, in a run", "cpu") if results["poster, in a run"] else None
    micro = lambda nanoseconds: f"{nanoseconds / 1000:.3g} µs"
    for name in results:
        package = {"mlflow": "mlflow-skinny" if "mlflow-skinny" in known else "mlflow"}.get(name.split(",")[0], name.split(",")[0])
        label = f"{name} ({known[package.lower()]})" if package.lower() in known else name
        if name in failed or not results[name]:
            bench.row(label, "failed: " + failed.get(name, "?")[:100].replace("|", "/"), "", "", "", "", "")
            continue
        has = lambda key: key in results[name][0]
        bench.row(
            label,
            micro(middle(name, "call")) if has("call") else "",
            micro(middle(name, "p99")) if has("p99") else "",
            micro(middle(name, "mean")),
            micro(middle(name, "total")),
            micro(middle(name, "cpu")) if has("cpu") else "",
            f"{middle(name, 'cpu') / base:.3g}" if base else "",
        )
    bench.table("tracker", "call, median", "p99", "mean", "with closing", "CPU", "CPU against poster in Python")


# ---- a million metrics


def million(bench):
    count = bench.options.points
    code = f"import sys; sys.path.append({str(CLIENT)!r}); import poster\nfor i in range({count}): poster.log_metric('loss', 1 / (i + 1), step=i)"
    begin = time.perf_counter()
    bench.output(bench.run_words(sys.executable, "-c", code))
    took = time.perf_counter() - begin
    run = sorted((bench.store / "runs").iterdir())[-1]
    lines = wrong = 0
    steps = set()
    for path in (run / "attempts" / "1" / "events").glob("*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                event = json.loads(line)
            except ValueError:
                wrong += 1
                continue
            if event["kind"] == "metric":
                lines += 1
                steps.add(event["step"])
    complete = "complete" if lines == count and steps == set(range(count)) and wrong == 0 else "NOT complete"
    bench.row(f"{count:,} metrics from Python under `poster run`, start to end", f"{took:.2f} s", f"{complete}: {len(steps):,} steps, {wrong} broken lines")
    return run.name


# ---- load


def cpu_seconds(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / TICK


def children(pid):
    with contextlib.suppress(OSError):
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def shares_while(bench, words, seconds):
    """CPU shares of supervisor and host in the middle of the child's life."""
    process = subprocess.Popen(bench.run_words(*words), env=bench.env, cwd=bench.tmp, stdout=subprocess.DEVNULL)
    time.sleep(1)
    name = pathlib.Path(str(words[0])).name[:15]
    pids = [process.pid] + [
        pid for pid in children(process.pid) if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() != name
    ]
    before, begin = [cpu_seconds(pid) for pid in pids], time.perf_counter()
    time.sleep(seconds)
    after, took = [cpu_seconds(pid) for pid in pids], time.perf_counter() - begin
    process.wait()
    return [100 * (b - a) / took for a, b in zip(before, after)]


def load(bench):
    rate, seconds = 100_000, 6
    program = bench.c_program()
    shares = [shares_while(bench, [program, rate * (seconds + 3), rate], seconds) for _ in range(3)]
    supervisor = statistics.median(share[0] for share in shares)
    hosts = [sum(share[1:]) for share in shares]
    bench.row(f"CPU of the supervisor while a child logs {rate:,} metrics/s", f"{supervisor:.1f} % of a core", "bar: under 30 %")
    bench.row("CPU of the callback host meanwhile", f"{statistics.median(hosts):.1f} % of a core", "of three: " + ", ".join(f"{h:.0f}" for h in sorted(hosts)))
    slow_down(bench, program)


def slow_down(bench, program):
    """The same program under poster, and alone with a folder of events that nobody reads; in turns."""
    events = bench.tmp / "events"
    events.mkdir(exist_ok=True)
    alone = {**bench.env, "POSTER_EVENTS_DIR": str(events), "POSTER_RUN_DIR": str(bench.tmp), "POSTER_RUN_ID": "x"}
    ways = {"a million metrics at once": [1_000_000], "100,000 metrics/s for 3 s": [300_000, 100_000]}
    ratios = {way: {"time": [], "CPU": []} for way in ways}
    for _ in range(bench.options.pairs):
        for way, words in ways.items():
            _, time_under, cpu_under = map(float, bench.output(bench.run_words(program, *words)).split())
            _, time_alone, cpu_alone = map(float, bench.output([program, *words], env=alone).split())
            ratios[way]["time"].append(time_under / time_alone)
            ratios[way]["CPU"].append(cpu_under / cpu_alone)
        for path in events.iterdir():
            path.unlink()
    for way, kinds in ratios.items():
        for kind, values in kinds.items():
            what = f"{kind} of a C child that logs {way}, under poster against alone"
            spread = f"median of {len(values)} pairs; {min(values):.3f} to {max(values):.3f}"
            bench.row(what, f"{statistics.median(values):.3f} times", spread)


# ---- reading


def timed(bench, words, repeats=9):
    """Medians of the time and of the processor time, which a busy machine changes less."""
    times, cpu = [], []
    for _ in range(repeats):
        begin, before = time.perf_counter(), os.times()
        bench.output(words)
        after = os.times()
        times.append(time.perf_counter() - begin)
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return statistics.median(times), statistics.median(cpu)


def reading(bench):
    runs = sorted((bench.store / "runs").iterdir()) if (bench.store / "runs").is_dir() else []
    run = bench.million_run or (runs[-1].name if runs else million(bench))
    count = bench.options.points
    for words, bar in (
        (["metrics", run], "bar: 0.5 s"), (["metrics", run, "loss"], "bar: 0.5 s"),
        (["metrics", run, "loss", "--csv"], ""), (["plot", run, "loss"], "bar: 0.5 s"),
    ):
        read(bench, [bench.poster, *words, "--store", bench.store], f"`poster {' '.join(words).replace(run, 'RUN')}` of {count:,} points", bar)
    big = bench.options.big_store or bench.tmp / "big" / ".poster"
    if bench.options.big_store is None:
        bench.output([sys.executable, ROOT / "bench" / "make_store.py", bench.options.runs, big])
    bench.output([bench.poster, "reindex", "--store", big])
    where = "config.lr > 0.01 and metrics.loss.min < 0.3"
    words = [bench.poster, "ls", "--where", where, "--limit", "0", "--store", big]
    read(bench, words, f"`poster ls --where '{where}' --limit 0` of {bench.options.runs:,} runs", "bar: 200 ms")


def read(bench, words, what, bar):
    try:
        seconds, cpu = timed(bench, words)
        bench.row(what, f"{seconds * 1000:.0f} ms, CPU {cpu * 1000:.0f} ms", ("medians of 9; " + bar).rstrip("; "))
    except RuntimeError as error:
        bench.row(what, "failed: " + str(error)[:100], bar)


BENCHES = {f.__name__: f for f in (cost, million, load, reading)}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poster", type=pathlib.Path, default=ROOT / "build" / "release" / "src" / "cli" / "poster")
    parser.add_argument("--only", action="append", choices=list(BENCHES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=7, help="of children with and without poster")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=10_000, help="of the store that `ls --where` reads")
    parser.add_argument("--big-store", type=pathlib.Path, help="such a store, made before by make_store.py")
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / "build" / "bench-venv")
    parser.add_argument("--python", default=sys.executable, help="that makes the virtual environment")
    parser.add_argument("--tmp", help="where to work; default: the system's temporary folder")
    return parser.parse_args()


def main():
    options = parse()
    print(machine() + "\n")
    bench = Bench(options)
    bench.million_run = None
    try:
        wanted = options.only or list(BENCHES)
        if "cost" in wanted:
            cost(bench)
        for name in wanted:
            if name == "million":
                bench.million_run = million(bench)
            elif name != "cost":
                BENCHES[name](bench)
        if bench.rows:
            bench.table("what", "result", "")
    finally:
        shutil.rmtree(bench.tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
