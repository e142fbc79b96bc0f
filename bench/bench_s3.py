#!/usr/bin/env python3
"""Measures `poster sync` to S3 against `aws s3 cp --recursive` and boto3 with ten threads, and prints a Markdown table.

    bench/bench_s3.py [--rounds 5] [--python build/venv/bin/python]

All speak to the same server (tests/services/s3-up.sh), in turns within one round. Poster's time holds all it does: looking
through the run, hashing its files, sending them, noting each as delivered. Needs the release build and awscli and boto3
in the environment of --python.
"""

import argparse
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "e2e"))

from services import s3  # noqa: E402

UPLOAD = """
import boto3, concurrent.futures, pathlib, sys
bucket, prefix, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
client = boto3.client("s3")
with concurrent.futures.ThreadPoolExecutor(10) as pool:
    for done in [pool.submit(client.upload_file, str(path), bucket, f"{prefix}/{path.name}") for path in folder.iterdir()]:
        done.result()
"""


def make_large(folder):
    with open(folder / "large.bin", "wb") as file:
        for _ in range(1024):
            file.write(os.urandom(1 << 20))


def make_small(folder):
    for i in range(1000):
        (folder / f"{i:04}.bin").write_bytes(os.urandom(10 << 10))


class Bench:
    def __init__(self, options, server, tmp):
        self.options, self.server, self.tmp = options, server, tmp
        self.objects = server.make_bucket("bench")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("POSTER_", "AWS_"))}
        self.env |= server.env | {"HOME": str(tmp), "POSTER_SYNC_MODE": "manual", "POSTER_S3_BUCKET": "bench"}

    def make_run(self, name, fill):
        store = self.tmp / name
        words = [self.options.poster, "run", "-q", "--store", store, "--", "true"]
        subprocess.run(words, env=self.env, cwd=self.tmp, check=True)
        (run,) = (store / "runs").iterdir()
        files = run / "files"
        files.mkdir(exist_ok=True)
        fill(files)
        return store, files

    def command(self, tool, prefix, store, files):
        if tool == "poster":
            return [self.options.poster, "sync", "--store", store, "last"], {"POSTER_S3_PREFIX": prefix}
        if tool == "aws":
            aws = pathlib.Path(self.options.python).parent / "aws"
            return [aws, "s3", "cp", "--recursive", "--only-show-errors", files, f"s3://bench/{prefix}"], {}
        return [self.options.python, "-c", UPLOAD, "bench", prefix, files], {}

    def time_of(self, tool, prefix, store, files):
        words, more = self.command(tool, prefix, store, files)
        os.sync()
        begun = time.perf_counter()
        subprocess.run(words, env=self.env | more, cwd=self.tmp, check=True, stdout=subprocess.DEVNULL)
        taken = time.perf_counter() - begun
        wanted = {path.name: path.stat().st_size for path in files.iterdir()}
        there = {path.name: path.stat().st_size for path in (self.objects / prefix).rglob("*") if path.name in wanted}
        assert there == wanted, f"{tool} did not send everything"
        shutil.rmtree(self.objects / prefix)
        return taken

    def measure(self, name, fill):
        store, files = self.make_run(name, fill)
        times = {"poster": [], "aws": [], "boto3": []}
        for i in range(self.options.rounds):
            for tool, taken in times.items():
                taken.append(self.time_of(tool, f"{tool}-{i}", store, files))
                print(f"{name}, {tool}: {taken[-1]:.2f} s", file=sys.stderr, flush=True)
        shutil.rmtree(store)
        return {tool: statistics.median(taken) for tool, taken in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poster", default=str(ROOT / "build" / "release" / "src" / "cli" / "poster"))
    parser.add_argument("--python", default=str(ROOT / "build" / "venv" / "bin" / "python"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("large", "small"))
    options = parser.parse_args()
    options.poster, options.python = map(os.path.abspath, (options.poster, options.python))
    with tempfile.TemporaryDirectory(prefix="poster-bench-") as tmp, s3() as server:
        bench = Bench(options, server, pathlib.Path(tmp))
        print(f"{os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}; medians of {options.rounds}\n")
        print("| what | `poster sync` | `aws s3 cp --recursive` | boto3, 10 threads | against the faster one |")
        print("| --- | --- | --- | --- | --- |")
        for what, name, fill in (("1 GiB in one file", "large", make_large), ("1,000 files of 10 KiB", "small", make_small)):
            if options.only in (None, name):
                took = bench.measure(name, fill)
                ratio = took["poster"] / min(took["aws"], took["boto3"])
                print(f"| {what} | {took['poster']:.2f} s | {took['aws']:.2f} s | {took['boto3']:.2f} s | {ratio:.2f} times |", flush=True)


if __name__ == "__main__":
    main()
