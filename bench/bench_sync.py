#!/usr/bin/env python3
"""Measures what remotes that cannot be reached cost a run, and how fast the queue of a store is listed.

    bench/bench_sync.py [--rounds 21] [--files 10000]

In turns: a child of a second without remotes, and the same with S3, ssh, Telegram and mail set up at an address that
refuses connections. The child's own time is what it says of itself; the end is from then until poster has ended. Needs
the release build.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
POSTER = ROOT / "build" / "release" / "src" / "cli" / "poster"
# Work of about a second, which says how long it took and when it ended.
CHILD = """
import time
began = time.monotonic()
total = sum(i * i for i in range(12_000_000))
now = time.monotonic()
print(now - began, now)
"""
UNREACHABLE = {
    "POSTER_S3_BUCKET": "bucket",
    "POSTER_S3_ENDPOINT": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "POSTER_SCP_TO": "ssh://127.0.0.1:9/tmp/runs",
    "POSTER_TELEGRAM_TOKEN": "123456:TOKEN",
    "POSTER_TELEGRAM_CHAT": "1",
    "POSTER_TELEGRAM_API": "http://127.0.0.1:9",
    "POSTER_TELEGRAM_ON": "start,end",
    "POSTER_EMAIL_SERVER": "smtp://127.0.0.1:9",
    "POSTER_EMAIL_FROM": "a@example.org",
    "POSTER_EMAIL_TO": "b@example.org",
    "POSTER_EMAIL_ON": "start,end",
}


def measure(store, env):
    done = subprocess.run(
        [POSTER, "run", "-q", "--store", store, sys.executable, "-S", "-E", "-c", CHILD],
        env=env, cwd=store.parent, stdout=subprocess.PIPE, check=True,
    )
    now = time.monotonic()
    child, ended = map(float, done.stdout.split())
    return child, now - ended


def of_runs(folder, rounds):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("POSTER_", "AWS_", "SLURM_"))}
    kinds = {"without remotes": env, "with four that cannot be reached": {**env, **UNREACHABLE}}
    results = {kind: [] for kind in kinds}
    for turn in range(rounds):
        for kind, environment in kinds.items() if turn % 2 == 0 else reversed(kinds.items()):
            results[kind].append(measure(folder / kind.split()[0] / "store", environment))
            time.sleep(0.3)
    print("| run | the child, median | until poster has ended, median | longest |")
    print("| --- | --- | --- | --- |")
    for kind, rows in results.items():
        ends = [1000 * end for _, end in rows]
        print(f"| {kind} | {statistics.median(child for child, _ in rows):.3f} s "
              f"| {statistics.median(ends):.0f} ms | {max(ends):.0f} ms |")
    ratios = [with_[0] / without[0] for without, with_ in zip(*results.values())]
    print(f"\nThe child with remotes to without, in pairs: {statistics.median(ratios):.3f} (median of {rounds})")


def of_the_queue(folder, files):
    env = {**os.environ, "POSTER_SYNC_MODE": "manual", "POSTER_LOCAL_PATH": str(folder / "nas")}
    (folder / "nas").mkdir()
    code = f"cd $POSTER_FILES_DIR && for i in $(seq {files}); do echo $i > f$i; done"
    common = {"env": env, "cwd": folder, "check": True}
    store = folder / "queue"
    subprocess.run([POSTER, "run", "-q", "--store", store, "sh", "-c", code], **common)
    for when in ("queued", "delivered"):
        times = []
        for _ in range(9):
            began = time.monotonic()
            done = subprocess.run([POSTER, "sync", "--store", store, "--dry-run"], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, **common)
            times.append(1000 * (time.monotonic() - began))
        lines = done.stdout.count(b"\n")
        print(f"{files} files, {when}: `poster sync --dry-run` lists {lines} in {statistics.median(times):.0f} ms (median of 9)")
        subprocess.run([POSTER, "sync", "--store", store], stdout=subprocess.DEVNULL, **common)
        subprocess.run([POSTER, "tag", "--store", store, "last", "again"], **common)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--files", type=int, default=10_000)
    arguments = parser.parse_args()
    if not POSTER.exists():
        sys.exit("no release build: cmake --preset release && cmake --build --preset release")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name in ("without", "with"):
            (folder / name).mkdir()
        of_runs(folder, arguments.rounds)
        print()
        of_the_queue(folder, arguments.files)


if __name__ == "__main__":
    main()
