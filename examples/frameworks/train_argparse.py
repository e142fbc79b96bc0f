"""python train_argparse.py train --lr 0.3 data.csv"""

import argparse
import json

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("-v", "--verbose", action="count", default=0)
commands = parser.add_subparsers(dest="command", required=True)
train = commands.add_parser("train")
train.add_argument("data", nargs="?", default="data.csv")
train.add_argument("--lr", type=float, default=0.1)
train.add_argument("--layers", type=int, nargs="+", default=[64, 64])
train.add_argument("--amp", action="store_true")
evaluate = commands.add_parser("evaluate")
evaluate.add_argument("checkpoint")
evaluate.add_argument("--split", choices=["val", "test"], default="val")

if __name__ == "__main__":
    print(json.dumps(vars(parser.parse_args())))
