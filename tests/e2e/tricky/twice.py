# $ exec $PYTHON twice.py --config small --lr 3
# captures argparse
import argparse

first = argparse.ArgumentParser(add_help=False)
first.add_argument("--config")
known, rest = first.parse_known_args()
second = argparse.ArgumentParser(parents=[first])
second.add_argument("--lr", type=int)
second.set_defaults(width={"small": 8}[known.config])
print(known, rest, second.parse_args())
