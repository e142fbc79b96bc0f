#!/usr/bin/env python3
"""Measures what the capture hook adds to the start of a Python program, and prints a Markdown table.

    bench/bench_hook.py                  # on this Python
    bench/bench_hook.py --rounds 31 --python build/venv/bin/python

CPU time of the whole process, user and system, in milliseconds: the median of the rounds. Each round runs each program
bare, with the client's folder on PYTHONPATH and nothing captured, and with capture, in turns. The frameworks that this
Python has not are left out. Only the standard library is used.
"""

import argparse
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "frameworks"
ARGPARSE = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--name", default="base")
parser.parse_args()
"""
PROGRAMS = [
    ("`python -c pass`", ["-c", "pass"]),
    ("an argparse script", ["-c", ARGPARSE, "--lr", "3"]),
    ("click", [str(EXAMPLES / "train_click.py"), "train", "--lr", "3"]),
    ("fire", [str(EXAMPLES / "train_fire.py"), "train", "--lr", "3"]),
    ("hydra", [str(EXAMPLES / "train_hydra.py"), "lr=3"]),
]


def cpu_time(argv, env, cwd):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def environments(folder):
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("POSTER_", "PYTHON"))}
    shutil.copytree(ROOT / "src" / "client" / "python", folder / "client", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "events").mkdir()
    beside = {**bare, "PYTHONPATH": str(folder / "client"), "POSTER_EVENTS_DIR": str(folder / "events")}
    return {"bare": bare, "not captured": beside, "captured": {**beside, "POSTER_CAPTURE": "1"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=61)
    parser.add_argument("--python", default=sys.executable)
    options = parser.parse_args()
    python = os.path.abspath(options.python)
    print(f"CPU ms, median of {options.rounds}; {platform.machine()}, {os.cpu_count()} cores, {python}\n")
    print("| program | bare | not captured | captured | added |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        kinds = environments(pathlib.Path(folder))
        for name, words in PROGRAMS:
            try:
                cpu_time([python, *words], kinds["captured"], folder)  # writes the bytecode
            except RuntimeError:
                continue  # not installed
            times = {kind: [] for kind in kinds}
            for _ in range(options.rounds):
                for kind, env in kinds.items():
                    times[kind].append(cpu_time([python, *words], env, folder))
            median = {kind: statistics.median(times[kind]) for kind in kinds}
            added = statistics.median(b - a for a, b in zip(times["bare"], times["captured"]))
            row = " | ".join(f"{median[kind]:.1f}" for kind in kinds)
            print(f"| {name} | {row} | {added:+.2f} |", flush=True)


if __name__ == "__main__":
    main()
