#!/usr/bin/env python3
"""Makes a store of N realistic runs, for timing `poster ls` and `poster reindex`.

    bench/make_store.py 100000 /tmp/big/.poster
    poster ls --store /tmp/big/.poster

Each run has run.json (with an environment and a list of packages), attempts/1/attempt.json and a line in the feed, as
docs/run-directory.md describes them. The last ten are said to run on another host: they count as alive. --values gives
each run a config, metrics and a summary, in its files and in the feed: for timing `poster ls --where`.
"""

import argparse
import datetime
import json
import os
import random
import socket

MODELS = ["resnet50", "vit_b16", "convnext", "gpt_small", "lstm"]
TAGS = ["cifar", "imagenet", "night", "debug", "paper", "sweep"]
ENDS = [
    # weight, status, exit code, signal, reason
    (70, "finished", 0, None, "finished in {}s"),
    (15, "failed", 1, None, "failed with exit code 1 after {}s"),
    (8, "killed", None, "SIGTERM", "killed by SIGTERM from slurmstepd (pid 812, uid 0) after {}s"),
    (4, "timeout", None, "SIGTERM", "time limit of 1h reached"),
    (3, "lost", None, None, "lost: poster was killed"),
]
LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
FEED_KEYS = ("id", "name", "tags", "note", "group", "parent", "cwd", "argv")
ATTEMPT_KEYS = ("host", "attempt", "status", "started_at", "ended_at", "duration_s", "exit_code", "signal", "reason")


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def make_id(number, time):
    suffix = ""
    for _ in range(4):
        number, digit = divmod(number, len(LETTERS))
        suffix += LETTERS[digit]
    return time.strftime("%Y%m%d-%H%M%S-") + suffix


def make_run(dice, number, time, shared):
    model = dice.choice(MODELS)
    argv = ["python", "train.py", "--model", model, f"--lr={dice.choice([0.1, 0.01, 0.003])}", f"seed={number % 10}"]
    run = {
        "format": 1,
        "id": make_id(number, time),
        "name": f"{model}-{number % 500}" if number % 3 == 0 else None,
        "tags": dice.sample(TAGS, number % 3),
        "note": None,
        "group": None,
        "parent": None,
        "argv": argv,
        "command": " ".join(argv),
        "cwd": "/home/me/project",
        "environment_changes": [],
        "timeout_s": None,
        "grace_s": 10.0,
        "program": "/usr/bin/python",
        "created_at": stamp(time),
    }
    run.update(shared)
    return run


def make_attempt(dice, time, host, running):
    attempt = {
        "format": 1,
        "attempt": 1,
        "status": "running",
        "host": "elsewhere" if running else host,
        "boot_id": "5ad3c4f0-0000-4000-8000-2f1c6a3f7f10",
        "pid": dice.randrange(2, 100000),
        "start_ticks": dice.randrange(10**8),
        "child_pid": dice.randrange(2, 100000),
        "child_start_ticks": dice.randrange(10**8),
        "started_at": stamp(time),
        "zone": "+00:00",
        "grace_s": 10.0,
    }
    if running:
        return attempt
    _, status, code, signal, reason = dice.choices(ENDS, weights=[end[0] for end in ENDS])[0]
    duration = round(dice.expovariate(1 / 600), 3)
    attempt.update(
        status=status,
        ended_at=stamp(time + datetime.timedelta(seconds=duration)),
        duration_s=duration,
        exit_code=code,
        signal=signal,
        received_signal=signal,
        sender=None,
        reason=reason.format(duration),
        error=None,
        out_of_memory=False,
        user_s=duration,
        system_s=0.5,
        peak_memory_bytes=dice.randrange(10**8, 10**10),
        left_behind=0,
        log_truncated=False,
    )
    return attempt


def make_values(dice, run):
    """Config, summary and metrics of a run, and the same flat, as the feed has them."""
    config = {"model": run["argv"][3], "lr": dice.choice([0.1, 0.01, 0.003]), "seed": dice.randrange(10)}
    config |= {f"option_{i}": dice.choice([i, i / 7, f"word_{i}", bool(i % 2)]) for i in range(15)}
    config["optimizer"] = {"name": "adam", "weight_decay": dice.random() / 100}
    run["config"] = {"source": "argparse", "rung": "hook", "values": config}
    run["summary"] = {"best_acc": round(dice.random(), 4)}
    metrics = {}
    for name in ("loss", "acc", "val/loss", "val/acc", "lr"):
        low, high = sorted((round(dice.random(), 6), round(dice.random() * 3, 6)))
        metrics[name] = {"last": low, "last_step": 1000, "last_time": 1764075000.5, "count": 1000}
        metrics[name] |= {"min": low, "min_step": 1000, "max": high, "max_step": 1}
    flat = {f"config.{key}": value for key, value in config.items() if key != "optimizer"}
    flat |= {f"config.optimizer.{key}": value for key, value in config["optimizer"].items()}
    flat |= {f"metrics.{name}.{part}": m[part] for name, m in metrics.items() for part in ("last", "min", "max", "count")}
    return metrics, flat | {"summary.best_acc": run["summary"]["best_acc"]}


def write(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=int)
    parser.add_argument("store")
    parser.add_argument("--values", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    host = socket.gethostname()
    store = os.path.abspath(options.store)
    for folder in ("runs", "active", "feed"):
        os.makedirs(os.path.join(store, folder), mode=0o700, exist_ok=True)
    write(os.path.join(store, ".gitignore"), "*\n")
    shared = {
        "zone": "+00:00",
        "host": host,
        "user": "me",
        "kernel": "Linux 6.1.0",
        "poster_version": "0.1.0",
        "environment": {f"VARIABLE_{i}": "/some/where/" + "x" * (i % 40) for i in range(60)},
        "code": {"commit": "0" * 40, "branch": "main", "dirty": True, "remotes": {"origin": "https://example.org/p"}},
        "python": {"version": "3.11.2", "packages": {f"package-{i}": f"1.{i}.0" for i in range(120)}},
    }
    time = datetime.datetime(2026, 1, 1)
    with open(os.path.join(store, "feed", host + ".jsonl"), "a", opener=lambda p, f: os.open(p, f, 0o600)) as feed:
        for number in range(options.runs):
            time += datetime.timedelta(seconds=dice.randrange(1, 300))
            running = number >= options.runs - 10
            run = make_run(dice, number, time, shared)
            attempt = make_attempt(dice, time, host, running)
            folder = os.path.join(store, "runs", run["id"])
            os.mkdir(folder, 0o700)
            os.mkdir(folder + "/attempts", 0o700)
            os.mkdir(folder + "/attempts/1", 0o700)
            values = None
            if options.values:
                metrics, values = make_values(dice, run)
                write(folder + "/attempts/1/metrics.json", json.dumps(metrics) + "\n")
            write(folder + "/run.json", json.dumps(run, indent=2) + "\n")
            write(folder + "/attempts/1/attempt.json", json.dumps(attempt, indent=2) + "\n")
            line = {key: run[key] for key in FEED_KEYS} | {key: attempt.get(key) for key in ATTEMPT_KEYS}
            feed.write(json.dumps(line, separators=(",", ":")) + "\n")
            if values and not running:
                line = {"id": run["id"], "attempt": 1, "values": values}
                feed.write(json.dumps(line, separators=(",", ":")) + "\n")
            if running:
                write(os.path.join(store, "active", run["id"]), "")


if __name__ == "__main__":
    main()
