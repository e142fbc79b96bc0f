# $ exec $PYTHON reloaded_argparse.py --lr 3
# captures argparse
import argparse, importlib, sys


def parse(module):
    parser = module.ArgumentParser()
    parser.add_argument("--lr", type=int)
    return parser.parse_args()


print(parse(argparse))
print(parse(importlib.reload(argparse)), argparse.__loader__)
del sys.modules["argparse"]
import argparse as again

print(parse(again), again is argparse)
