#!/usr/bin/env python3
"""Measures copies of a run by ssh against `scp -r` to the same server, and prints a Markdown table.

    bench/bench_scp.py                                        # build/release/src/cli/poster
    bench/bench_scp.py --rounds 9 --poster build/dev/src/cli/poster

Wall time in seconds, the median of the rounds, in turns: `poster sync` of a run whose files are the ones named, from its
start to its end with all of it verified at the server, and `scp -r` of its directory. Needs OpenSSH's server here.
"""

import argparse
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "e2e"))

from services import sshd  # noqa: E402

CASES = {"1 GiB": {"big": 1 << 30}, "1,000 × 10 KiB": {f"{i:04}": 10 << 10 for i in range(1000)}}


class Bench:
    def __init__(self, poster, server, place):
        self.poster, self.server, self.place = poster, server, place
        self.config = place / "ssh_config"  # the server's, without its own answer to what poster would choose
        shutil.copy(server.ssh_config, self.config)
        home = place / "home"
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTER_")}
        self.env = {**kept, "HOME": str(home), "POSTER_SCP_SSH_CONFIG": str(self.config), "POSTER_SYNC_MODE": "manual"}

    def make_run(self, files):
        """Gives the directory of a run that has saved files of these sizes."""
        self.store = pathlib.Path(tempfile.mkdtemp(dir=self.place))
        env = {**self.env, "POSTER_SCP_TO": f"ptest:{self.place}/warm"}
        subprocess.run([self.poster, "run", "-q", "--store", self.store, "--", "true"], env=env, check=True)
        run = next((self.store / "runs").iterdir())
        (run / "files").mkdir(exist_ok=True)
        for name, size in files.items():
            with open(run / "files" / name, "wb") as file:
                for _ in range(size >> 20):
                    file.write(random.randbytes(1 << 20))
                file.write(random.randbytes(size & (1 << 20) - 1))
        return run

    def time(self, argv, env):
        os.sync()
        begun = time.monotonic()
        done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        taken = time.monotonic() - begun
        if done.returncode != 0:
            raise RuntimeError(done.stdout.decode())
        return taken

    def with_poster(self, run, target):
        env = {**self.env, "POSTER_SCP_TO": f"ptest:{target}"}
        return self.time([self.poster, "sync", "--store", self.store, run.name], env)

    def with_scp(self, run, target):
        target.mkdir()
        return self.time(["scp", "-rqF", self.config, run, f"ptest:{target}/"], self.env)

    def rounds(self, run, count):
        times = {"poster": [], "scp": []}
        for number in range(count):
            for name, tool in (("poster", self.with_poster), ("scp", self.with_scp)):
                target = self.place / f"{name}{number}"
                times[name].append(tool(run, target))
                self.compare(run, next(target.rglob(run.name)))
                shutil.rmtree(target)
        return times

    @staticmethod
    def compare(run, copies):
        for path in (run / "files").iterdir():
            subprocess.run(["cmp", "-s", path, copies / "files" / path.name], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--poster", default=str(ROOT / "build" / "release" / "src" / "cli" / "poster"))
    parser.add_argument("--place", help="folder that both ends work in, /dev/shm for one: poster waits for the disk, scp does not")
    options = parser.parse_args()
    print("| | poster | `scp -r` | ratio of the medians | of each round |")
    print("| --- | --- | --- | --- | --- |")
    with sshd() as server, tempfile.TemporaryDirectory(prefix="poster-bench-", dir=options.place) as place:
        bench = Bench(os.path.abspath(options.poster), server, pathlib.Path(place))
        for name, files in CASES.items():
            times = bench.rounds(bench.make_run(files), options.rounds)
            ours, theirs = (statistics.median(times[tool]) for tool in ("poster", "scp"))
            each = sorted(a / b for a, b in zip(times["poster"], times["scp"]))
            print(f"| {name} | {ours:.2f} s | {theirs:.2f} s | {ours / theirs:.2f} | {each[0]:.2f} – {each[-1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
