#!/usr/bin/env python3
"""A small real training: a two-layer network learns two spirals, in pure Python.

Prints its loss each epoch, writes a checkpoint each epoch and on SIGTERM, and resumes from it with the same result as an
uninterrupted run. Runs with and without poster:

    python3 examples/train.py --lr 0.3
    poster run python3 examples/train.py --lr 0.3
"""

import argparse
import json
import math
import os
import random
import signal
import sys


def spirals(points, rng):
    """Points of two interleaved spirals: [(x, y, label), …]."""
    data = []
    for i in range(points):
        label = i % 2
        turn = 0.3 + 1.6 * math.pi * (i // 2) / (points // 2)
        angle = turn + math.pi * label
        noise = rng.gauss(0, 0.05)
        data.append((turn / 5 * math.cos(angle) + noise, turn / 5 * math.sin(angle) + noise, label))
    return data


class Network:
    """2 inputs, one hidden layer of tanh units, one logistic output."""

    def __init__(self, hidden, rng):
        self.w1 = [[rng.gauss(0, 1.5) for _ in range(3)] for _ in range(hidden)]
        self.w2 = [rng.gauss(0, 0.5) for _ in range(hidden + 1)]

    def train_on(self, x, y, label, lr):
        """One step of stochastic gradient descent; returns the loss before it."""
        w2 = self.w2
        hidden = [math.tanh(a * x + b * y + c) for a, b, c in self.w1]
        logit = w2[-1] + sum(w * h for w, h in zip(w2, hidden))
        p = 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
        error = p - label
        for i, (row, h) in enumerate(zip(self.w1, hidden)):
            back = lr * error * w2[i] * (1 - h * h)
            w2[i] -= lr * error * h
            row[0] -= back * x
            row[1] -= back * y
            row[2] -= back
        w2[-1] -= lr * error
        return -math.log(max(p if label else 1 - p, 1e-12))


def save(path, epoch, network, rng):
    """To a temporary file, then renamed: a checkpoint is whole or not there."""
    kind, state, gauss = rng.getstate()
    content = {"epoch": epoch, "w1": network.w1, "w2": network.w2, "rng": [kind, list(state), gauss]}
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".tmp", "w") as file:
        json.dump(content, file)
    os.replace(path + ".tmp", path)


def load(path, network, rng):
    with open(path) as file:
        content = json.load(file)
    network.w1, network.w2 = content["w1"], content["w2"]
    kind, state, gauss = content["rng"]
    rng.setstate((kind, tuple(state), gauss))
    return content["epoch"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--points", type=int, default=3000)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", default=os.path.join(os.environ.get("POSTER_FILES_DIR", "."), "checkpoint.json"))
    parser.add_argument(
        "--resume",
        action="store_true",
        default=bool(os.environ.get("POSTER_RESUMED")),  # `poster continue` sets it
        help="go on from the checkpoint where there is one",
    )
    options = parser.parse_args()

    rng = random.Random(options.seed)
    data = spirals(options.points, rng)
    network = Network(options.hidden, rng)
    epoch = 0
    if options.resume and os.path.exists(options.checkpoint):
        epoch = load(options.checkpoint, network, rng)
        print(f"resumed after epoch {epoch}", flush=True)

    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    while epoch < options.epochs:
        order = list(range(len(data)))
        rng.shuffle(order)
        loss = 0.0
        for i in order:
            loss += network.train_on(*data[i], options.lr)
        epoch += 1
        print(f"epoch {epoch:3d}  loss {loss / len(data):.6f}", flush=True)
        save(options.checkpoint, epoch, network, rng)
        if asked_to_stop:
            print(f"told to stop; checkpoint of epoch {epoch} is written", flush=True)
            sys.exit(143)


if __name__ == "__main__":
    main()
