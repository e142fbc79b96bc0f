# $ exec $PYTHON depth_of_the_stack.py --lr 3
# captures argparse
import argparse, inspect, sys

depths = []


def rate(text):
    depths.append(len(inspect.stack()))
    return float(text)


def deep(n):
    try:
        return deep(n + 1)
    except RecursionError:
        return n


def parse(n):
    return parser.parse_args() if n == 0 else parse(n - 1)


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=rate)
print(parser.parse_args(), depths, deep(0))
for n in range(900, 1000):
    try:
        parse(n)
    except RecursionError:
        print("enough at", n)
        break
