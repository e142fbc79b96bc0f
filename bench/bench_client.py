#!/usr/bin/env python3
"""What the Python client costs: a call outside a run, a call inside one, and `import poster`.

    bench/bench_client.py [--python PYTHON]…

Medians: of rounds of 10,000 calls (CPU time), of single calls (wall time), and of starts of Python. The client is the source's own.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

CLIENT = pathlib.Path(__file__).resolve().parent.parent / "src" / "client" / "python"

CALLS = r"""
import json, statistics, sys, time
sys.path.append(sys.argv[1])
import poster

def median_of_rounds(call, rounds=101, calls=10000):  # CPU time, user and system: ns a call, less the empty loop
    def round_of(body):
        begin = time.process_time_ns()
        for i in range(calls):
            body(i)
        return (time.process_time_ns() - begin) / calls
    return statistics.median(round_of(call) for _ in range(rounds)) - statistics.median(round_of(lambda i: None) for _ in range(21))

def median_of_calls(call, calls=100000):  # ns, the clock's own cost taken off
    clock, times = time.perf_counter_ns, []
    for i in range(calls):
        begin = clock()
        call(i)
        times.append(clock() - begin)
    empty = []
    for i in range(calls // 10):
        begin = clock()
        empty.append(clock() - begin)
    times.sort()
    return statistics.median(times) - statistics.median(empty), times[int(len(times) * 0.99)]

kinds = {
    "log_metric(name, float, step=)": lambda i: poster.log_metric("train/loss", 0.123456789 + i, step=i),
    "log_metric(name, float)": lambda i: poster.log_metric("train/loss", 0.123456789 + i),
    "log_metrics(3 floats, step=)": lambda i: poster.log_metrics({"loss": 0.1 + i, "acc": 0.9, "lr": 1e-3}, step=i),
}
for name, call in kinds.items():
    single, worst = median_of_calls(call)
    print(json.dumps({"call": name, "mean": median_of_rounds(call, 31 if poster.active else 101), "single": single, "p99": worst}))
"""


def import_time(python, folder, environment):
    """What -X importtime says of `import poster` once its bytecode is cached, in ms; median of 31."""
    shutil.copy(CLIENT / "poster.py", folder)
    code = f"import sys; sys.path.append({folder!r}); import poster"
    times = []
    for _ in range(32):
        done = subprocess.run([python, "-X", "importtime", "-c", code], env=environment, capture_output=True, text=True)
        line = next(line for line in done.stderr.splitlines() if line.endswith(" poster"))
        times.append(int(line.split("|")[1]) / 1000)
    return statistics.median(times[1:])


def measure(python):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTER_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        for where, extra in (
            ("outside a run", {}),
            ("in a run", {"POSTER_EVENTS_DIR": folder, "POSTER_RUN_DIR": folder}),
        ):
            done = subprocess.run(
                [python, "-c", CALLS, str(CLIENT)], env={**environment, **extra}, capture_output=True, text=True
            )
            if done.returncode != 0:
                sys.exit(f"bench_client.py: {python}: {done.stderr}")
            for line in done.stdout.splitlines():
                row = json.loads(line)
                print(
                    f"| {where}: `{row['call']}` | {row['mean']:.0f} ns | {row['single']:.0f} ns | {row['p99']:.0f} ns |"
                )
        print(f"| `import poster` | {import_time(python, folder, environment):.2f} ms |  |  |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", help="an interpreter; by default this one")
    for python in parser.parse_args().python or [sys.executable]:
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
        print(f"\n| {version} | CPU time a call, median of rounds | one call, median | 99 of 100 |\n| --- | --- | --- | --- |")
        measure(python)


if __name__ == "__main__":
    main()
