#!/usr/bin/env python3
"""Measures the most memory that `poster sync` holds while it copies a run with one large, sparse file, and prints a Markdown table.

    bench/bench_memory.py [--gibibytes 5] [--only s3 local scp rsync]

It is the VmHWM of the process, and of its helpers where it starts some, read every few milliseconds. Needs the release build, the servers
of the tests and room for the copies.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "e2e"))

from services import s3, sshd  # noqa: E402


def family(pid):
    """The process and its descendants."""
    yield pid
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            children += (thread / "children").read_text().split()
    except OSError:
        return
    for child in set(children):
        yield from family(int(child))


def peak(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return status.split("Name:\t")[1].split("\n")[0], int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return "", 0


def measure(poster, tmp, env, gibibytes):
    """Seconds, and the most mebibytes of each program by its name."""
    store = tmp / "store"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("POSTER_", "AWS_"))} | env
    env |= {"HOME": str(tmp), "POSTER_SYNC_MODE": "manual"}
    subprocess.run([poster, "run", "-q", "--store", store, "--", "true"], env=env, cwd=tmp, check=True)
    (run,) = (store / "runs").iterdir()
    (run / "files").mkdir(exist_ok=True)
    with open(run / "files" / "large.bin", "wb") as file:
        file.truncate(gibibytes << 30)
    begun, most = time.perf_counter(), {}
    process = subprocess.Popen([poster, "sync", "--store", store, run.name], env=env, cwd=tmp, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        for pid in family(process.pid):
            name, mebibytes = peak(pid)
            most[name] = max(most.get(name, 0), mebibytes)
        time.sleep(0.005)
    if process.returncode != 0:
        raise RuntimeError(f"poster sync ended with {process.returncode}")
    shutil.rmtree(store)
    return time.perf_counter() - begun, most


def to_s3(tmp):
    with s3() as server:
        server.make_bucket("bench")
        yield server.env | {"POSTER_S3_BUCKET": "bench"}


def to_folder(tmp):
    (tmp / "copies").mkdir()
    yield {"POSTER_LOCAL_PATH": str(tmp / "copies")}


def to_host(tmp, method):
    with sshd() as server:
        yield {"POSTER_SCP_SSH_CONFIG": str(server.ssh_config), "POSTER_SCP_TO": f"ptest:{tmp}/copies", "POSTER_SCP_METHOD": method}


PLACES = {
    "s3": to_s3,
    "local": to_folder,
    "scp": lambda tmp: to_host(tmp, "sftp"),
    "rsync": lambda tmp: to_host(tmp, "rsync"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poster", default=str(ROOT / "build" / "release" / "src" / "cli" / "poster"))
    parser.add_argument("--gibibytes", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PLACES, default=list(PLACES))
    options = parser.parse_args()
    print("| to | time | the most memory of `poster sync` | of its helpers |")
    print("| --- | --- | --- | --- |")
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="poster-bench-") as tmp:
            for env in PLACES[name](pathlib.Path(tmp)):
                took, most = measure(os.path.abspath(options.poster), pathlib.Path(tmp), env, options.gibibytes)
                helpers = ", ".join(f"{name} {it:.1f} MiB" for name, it in sorted(most.items()) if name in ("ssh", "rsync"))
                print(f"| {name} | {took:.0f} s | {most['poster']:.1f} MiB | {helpers or '–'} |", flush=True)


if __name__ == "__main__":
    main()
