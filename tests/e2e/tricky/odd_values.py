# $ exec $PYTHON odd_values.py --lr 3 --file odd_values.py
# captures argparse
import argparse, enum


class Broken:
    def __init__(self, text=""):
        pass

    def __repr__(self):
        raise ValueError("no words for it")

    def __eq__(self, other):
        raise ValueError("not to be compared")

    __hash__ = None


class Color(enum.Enum):
    red = 1


class Slots:
    __slots__ = ("lr", "file", "fixed")


parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=Broken)
parser.add_argument("--file", type=argparse.FileType())
loop = [Color.red, {1, "a"}, b"\xff", 1j, float("nan"), 10**400, {None: {(1, 2): range(3)}}]
loop.append(loop)
parser.set_defaults(fixed=loop)
print(type(parser.parse_args().lr).__name__)
print(type(parser.parse_args(namespace=Slots()).lr).__name__)
